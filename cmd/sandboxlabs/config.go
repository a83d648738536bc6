package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/api"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/domain/inventory"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
)

const (
	envPrefix         = "SANDBOXLABS_"
	defaultConfigFile = "/etc/sandboxlabs/sandboxlabs.yaml"
	serviceUser       = "sandboxlabs"
)

// config holds the options from flags, environment and file, in that order of precedence.
// An option has the same name in all three.
type config struct {
	Listen      string
	DataDir     string
	Database    string // "sqlite", or a database URL of package store
	Hosts       []hypervisor.Address
	ImagesPool  string
	NodesPool   string
	Accelerator string
	AuthOff     bool
	PublicURL   *url.URL // nil: the listen address
	TLS         tlsConfig
	Proxies     []netip.Prefix // trusted to report a client's address
	Guacamole   guacamoleConfig
	OIDC        oidcConfig
	Sealed      map[string]string // encrypted options, as they were configured
	SessionLife time.Duration     // since sign-in
	// SessionFresh is how long after sign-in a session may change the sign-in methods of its
	// account.
	SessionFresh time.Duration
	SessionIdle  time.Duration // since the last use
	LogLevel     slog.Level
	AuditDays    int // 0: keep forever

	Catalog             []string // files and folders
	PullAllowPrivate    bool
	MaxUploadBytes      int64         // 1 MiB or more
	MaxConnections      int           // 16 or more
	MaxPerAddress       int           // 8 or more
	PoolWarning         int           // percent; see storagepool.Options
	PoolCritical        int           //
	ConsoleHistoryBytes int           // 1 KiB to 16 MiB
	FiguresInterval     time.Duration // 1 s to 1 min
	askInterval         time.Duration // not an option, only set by tests; see inventory.Options

	Networks domain.NetworkPolicy // networks that nodes may use

	Settings []api.Setting // the options as shown to users, without secrets
	File     string        // path of the file that was read; empty if none
}

// addConfigFlags declares all options with their defaults and descriptions.
func addConfigFlags(f *pflag.FlagSet) {
	f.String("config", "", "YAML file with these options (default "+defaultConfigFile+", where it exists)")
	f.String("listen", "127.0.0.1:3001", "address of UI, API and WebSockets")
	f.String("data-dir", defaultDataDir(), "folder of the embedded database and of the key that encrypts secrets")
	f.String("database", "sqlite", "sqlite (in data-dir), or a postgres:// URL; or file:PATH to read it from a file, or sealed:… (see guacamole-json-secret)")
	f.String("hosts", "local=qemu:///system", "libvirt URIs by name, separated by commas")
	f.String("images-pool", "sandboxlabs-images", "storage pool for images; created if it doesn't exist")
	f.String("nodes-pool", "sandboxlabs-nodes", "storage pool for nodes' disks; created if it doesn't exist")
	f.String("accelerator", "auto", "auto, kvm or qemu (software emulation)")
	f.String("auth", "on", "on or off; off accepts programs of root and of the service's own user on this machine without sign-in, and works only on a loopback address")
	f.String("public-url", "", "address that browsers use, if it differs from the listening address; it may have a path, such as https://example.org/labs/")
	addTLSFlags(f)
	addGuacamoleFlags(f)
	addOIDCFlags(f)
	addNetworkFlags(f)
	f.String("session-life", access.SessionLifetime.String(), "maximum length of a session: 5m to 720h")
	f.String("session-idle", access.SessionIdle.String(), "how long a session lasts without use: 1m to session-life")
	f.String("session-fresh", access.SessionFresh.String(), "how long after signing in users may set up two-factor authentication and create tokens without entering the password again: 1m to 10m")
	f.String("audit-days", "365", "days that the audit log is kept; 0 keeps it forever")
	f.String("catalog", "", "files, or folders of files, with more base images, in the format of images/catalog.yaml; their entries override built-in ones")
	f.Bool("pull-allow-private", false, "allow pulling images from private addresses")
	f.String("max-upload-bytes", "21474836480", "maximum size of an image file in bytes, 1048576 or more")
	f.Int("max-connections", api.DefaultMaxConnections, "maximum number of connections, 16 or more; three quarters may be consoles, screens, event streams and downloads")
	f.Int("max-connections-per-address", api.DefaultMaxConnectionsPerAddress, "maximum number of connections per address (IPv4, or an IPv6 /64), 8 or more; trusted proxies are exempt, but the streams of their clients count")
	f.Int("pool-warning-percent", storagepool.DefaultWarningPercent, "how full a storage pool's file system may get before a warning, in percent: 1 to 100")
	f.Int("pool-critical-percent", storagepool.DefaultCriticalPercent, "how full it may get before the service refuses to create more in it, in percent: 1 to 100, not less than the warning")
	f.String("console-history-bytes", "262144", "recent output that a new viewer of a console sees, in bytes: 1024 to 16777216")
	f.String("figures-interval", inventory.DefaultUsageInterval.String(), "how often CPU, memory, disk and network of running nodes are read: 1s to 1m")
	f.String("log-level", "info", "debug, info, warn or error")
}

// loadConfig reads and checks the options.
func loadConfig(flags *pflag.FlagSet) (config, error) {
	o, err := readOptions(flags)
	if err != nil {
		return config{}, err
	}
	c, err := parseConfig(o.all)
	c.File = o.path
	c.Settings = settingsOf(o.all, func(name string) string {
		switch {
		case flags.Changed(name):
			return "flag"
		case o.inEnv.Exists(name):
			return "environment"
		case o.inFile[name] != nil:
			return "file"
		default:
			return "default"
		}
	})
	return c, err
}

// options holds the options as configured, and their source.
type options struct {
	all    *koanf.Koanf
	inFile map[string]any
	inEnv  *koanf.Koanf
	path   string // of the configuration file; empty if there is none
}

// readOptions reads the options without checking them.
func readOptions(flags *pflag.FlagSet) (o options, err error) {
	o = options{all: koanf.New("."), inEnv: koanf.New(".")}
	if o.path, err = loadFile(o.all, flags); err != nil {
		return o, err
	}
	o.inFile = o.all.Raw()
	fromEnv := env.Provider(".", env.Opt{Prefix: envPrefix, TransformFunc: func(name, value string) (string, any) {
		return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, envPrefix)), "_", "-"), value
	}})
	if err := o.inEnv.Load(fromEnv, nil); err != nil {
		return o, err
	}
	if err := o.all.Merge(o.inEnv); err != nil {
		return o, err
	}
	return o, o.all.Load(posflag.Provider(flags, ".", o.all), nil)
}

// loadFile loads the YAML file, if there is one, and returns its path. It rejects unknown
// options, so that a typo is not silently ignored.
func loadFile(k *koanf.Koanf, flags *pflag.FlagSet) (path string, err error) {
	if path, err = flags.GetString("config"); err != nil {
		return "", err
	}
	if path == "" {
		path = os.Getenv(envPrefix + "CONFIG")
	}
	if path == "" {
		path = defaultConfigFile
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return "", nil
		}
	}
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
		return "", fmt.Errorf("read the configuration %s: %w", path, err)
	}
	for name := range k.Raw() {
		if flags.Lookup(name) == nil || name == "config" {
			return "", fmt.Errorf("%s: unknown option %q; `sandboxlabs serve --help` lists all options", path, name)
		}
	}
	return path, nil
}

func parseConfig(k *koanf.Koanf) (c config, err error) {
	c = config{
		Listen: k.String("listen"), DataDir: k.String("data-dir"),
		ImagesPool: k.String("images-pool"), NodesPool: k.String("nodes-pool"), Accelerator: k.String("accelerator"),
	}
	if c.Database, err = c.secretText(k, "database"); err != nil {
		return c, err
	}
	if c.Hosts, err = hypervisor.ParseAddresses(mapText(k, "hosts")); err != nil {
		return c, err
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return c, fmt.Errorf("listen: %q is not of the form address:port, such as 127.0.0.1:3001", c.Listen)
	}
	// YAML reads a bare `off` as false.
	switch k.String("auth") {
	case "on", "true":
	case "off", "false":
		c.AuthOff = true
		if !isLoopback(host) {
			return c, fmt.Errorf("auth: off works only on a loopback address, and listen is %s; set listen to 127.0.0.1:3001, or auth to on", c.Listen)
		}
	default:
		return c, fmt.Errorf("auth: %q must be on or off", k.String("auth"))
	}
	if text := k.String("public-url"); text != "" {
		c.PublicURL, err = url.Parse(text)
		if err != nil || c.PublicURL.Host == "" || !slices.Contains([]string{"http", "https"}, c.PublicURL.Scheme) ||
			c.PublicURL.RawQuery != "" || c.PublicURL.Fragment != "" || c.PublicURL.User != nil || !publicPath.MatchString(c.PublicURL.Path) {
			return c, fmt.Errorf("public-url: %q is not an address such as https://labs.example.org or https://example.org/labs/", text)
		}
	}
	if err := c.parseTLS(k, host); err != nil {
		return c, err
	}
	if err := c.parseGuacamole(k); err != nil {
		return c, err
	}
	if err := c.parseOIDC(k, host); err != nil {
		return c, err
	}
	if err := c.parseSessions(k); err != nil {
		return c, err
	}
	if err := c.parseNetworks(k); err != nil {
		return c, err
	}
	if err := c.LogLevel.UnmarshalText([]byte(k.String("log-level"))); err != nil {
		return c, fmt.Errorf("log-level: %w", err)
	}
	if c.Catalog = catalogPaths(k.Strings("catalog")); len(c.Catalog) == 0 {
		c.Catalog = catalogPaths([]string{k.String("catalog")}) // flags and environment have it as one string
	}
	c.PullAllowPrivate = k.Bool("pull-allow-private")
	c.MaxUploadBytes, err = strconv.ParseInt(k.String("max-upload-bytes"), 10, 64)
	if err != nil || c.MaxUploadBytes < 1<<20 {
		return c, fmt.Errorf("max-upload-bytes: %q is not a number of 1048576 or more", k.String("max-upload-bytes"))
	}
	c.MaxConnections, c.MaxPerAddress = k.Int("max-connections"), k.Int("max-connections-per-address")
	if c.MaxConnections < 16 || c.MaxPerAddress < 8 {
		return c, fmt.Errorf("max-connections, max-connections-per-address: %q and %q are not numbers of at least 16 and 8", k.String("max-connections"), k.String("max-connections-per-address"))
	}
	c.PoolWarning, c.PoolCritical = k.Int("pool-warning-percent"), k.Int("pool-critical-percent")
	if c.PoolWarning < 1 || c.PoolCritical < c.PoolWarning || c.PoolCritical > 100 {
		return c, fmt.Errorf("pool-warning-percent, pool-critical-percent: %q and %q are not percents from 1 to 100, the second not less than the first", k.String("pool-warning-percent"), k.String("pool-critical-percent"))
	}
	c.ConsoleHistoryBytes, err = strconv.Atoi(k.String("console-history-bytes"))
	if err != nil || c.ConsoleHistoryBytes < 1<<10 || c.ConsoleHistoryBytes > 16<<20 {
		return c, fmt.Errorf("console-history-bytes: %q is not a number from 1024 to 16777216", k.String("console-history-bytes"))
	}
	if c.AuditDays, err = strconv.Atoi(k.String("audit-days")); err != nil || c.AuditDays < 0 {
		return c, fmt.Errorf("audit-days: %q is not a number of days", k.String("audit-days"))
	}
	c.FiguresInterval, err = time.ParseDuration(k.String("figures-interval"))
	if err != nil || c.FiguresInterval < time.Second || c.FiguresInterval > time.Minute {
		return c, fmt.Errorf("figures-interval: %q is not a time from 1s to 1m, such as 5s", k.String("figures-interval"))
	}
	if c.Database == "sqlite" {
		c.Database = "sqlite:" + filepath.Join(c.DataDir, "sandboxlabs.db")
	}
	return c, nil
}

// parseSessions reads the session lifetimes.
func (c *config) parseSessions(k *koanf.Koanf) (err error) {
	c.SessionLife, err = time.ParseDuration(k.String("session-life"))
	if err != nil || c.SessionLife < 5*time.Minute || c.SessionLife > 720*time.Hour {
		return fmt.Errorf("session-life: %q is not a time from 5m to 720h, such as 24h", k.String("session-life"))
	}
	c.SessionIdle, err = time.ParseDuration(k.String("session-idle"))
	if err != nil || c.SessionIdle < time.Minute || c.SessionIdle > c.SessionLife {
		return fmt.Errorf("session-idle: %q is not a time from 1m to session-life, which is %v", k.String("session-idle"), c.SessionLife)
	}
	c.SessionFresh, err = time.ParseDuration(k.String("session-fresh"))
	if err != nil || c.SessionFresh < time.Minute || c.SessionFresh > access.SessionFresh {
		return fmt.Errorf("session-fresh: %q is not a time from 1m to %v", k.String("session-fresh"), access.SessionFresh)
	}
	return nil
}

// mapText reads an option that is either a string or, in YAML, a map of host names to
// URIs, and returns it as a string.
func mapText(k *koanf.Koanf, name string) string {
	values := k.StringMap(name)
	if len(values) == 0 {
		return k.String(name)
	}
	var parts []string
	for key, value := range values {
		parts = append(parts, key+"="+value)
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// defaultDataDir returns the system folder for root and the service user, and a folder in
// the user's home for all others.
func defaultDataDir() string {
	if u, err := user.Current(); err == nil && (u.Uid == "0" || u.Username == serviceUser) {
		return "/var/lib/sandboxlabs"
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "/var/lib/sandboxlabs"
	}
	return filepath.Join(home, ".local/share/sandboxlabs")
}

// publicPath matches the valid paths of public-url.
var publicPath = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?$`)

// base returns the path at which browsers find the service: "/" or, for example, "/labs/".
func (c config) base() string {
	if c.PublicURL == nil {
		return "/"
	}
	return strings.TrimRight(c.PublicURL.Path, "/") + "/"
}

// url returns the URL at which users open the UI.
func (c config) url() string {
	if c.PublicURL != nil {
		return c.PublicURL.String()
	}
	if c.TLS.on() {
		return "https://" + c.Listen
	}
	return "http://" + c.Listen
}
