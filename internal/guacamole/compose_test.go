package guacamole

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/sandboxlabs/sandboxlabs/internal/guacamole/guacamoletest"
)

// composeFolder contains the compose files.
const composeFolder = "../../deploy/compose"

// composeFile is the part of compose.yaml that the tests read.
type composeFile struct {
	Services map[string]struct {
		Image       string
		Build       struct{ Context, Dockerfile string }
		Environment map[string]string
		Volumes     []string
		Ports       []string
		Entrypoint  []string
		NetworkMode string `yaml:"network_mode"`
		Healthcheck struct{ Test []string }
		DependsOn   any `yaml:"depends_on"`
	}
	Volumes map[string]any
}

// The file refers only to existing files and to secrets that prepare.sh generates, and
// nothing in it is reachable from other machines.
func TestComposeFileIsWhole(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(composeFolder, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var c composeFile
	if err := yaml.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	// All sign-ons come from one address, which the image's ban extension would block.
	if c.Services["guacamole"].Environment["BAN_ENABLED"] != "false" {
		t.Error("Guacamole bans the service after five failed sign-ons")
	}
	if len(c.Services["guacd"].Healthcheck.Test) == 0 || !strings.Contains(fmt.Sprint(c.Services["guacamole"].DependsOn), "guacd:map[condition:service_healthy]") {
		t.Error("Guacamole does not wait for a guacd that accepts connections")
	}
	secrets := preparedSecrets(t)
	for _, m := range regexp.MustCompile(`\$\{(\w+)`).FindAllStringSubmatch(string(text), -1) {
		if secrets[m[1]] == "" {
			t.Errorf("prepare.sh makes no %s", m[1])
		}
	}
	if _, err := ParseSecret(secrets["JSON_SECRET_KEY"]); err != nil {
		t.Errorf("the key that prepare.sh makes: %v", err)
	}
	for name, s := range c.Services {
		if strings.HasSuffix(s.Image, ":latest") || (s.Image != "" && !strings.Contains(s.Image, ":")) {
			t.Errorf("%s: the image %s has no version", name, s.Image)
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s listens at %s", name, port)
			}
		}
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(v, ":")
			if _, named := c.Volumes[source]; named || strings.HasPrefix(source, "/run/") {
				continue
			}
			if _, err := os.Stat(filepath.Join(composeFolder, source)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if s.Build.Dockerfile == "" {
			continue
		}
		if _, err := os.Stat(filepath.Join(composeFolder, s.Build.Context, s.Build.Dockerfile)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	const loopback = "127.0.0.1"
	guacd, web := c.Services["guacd"], c.Services["guacamole"]
	if i := slices.Index(guacd.Entrypoint, "-b"); i < 0 || guacd.Entrypoint[i+1] != loopback || guacd.NetworkMode != "host" ||
		web.NetworkMode != "host" || web.Environment["GUACD_HOSTNAME"] != loopback {
		t.Errorf("guacd and Guacamole do not meet at %s: %+v, %+v", loopback, guacd, web)
	}
	if !slices.ContainsFunc(web.Volumes, func(v string) bool {
		return strings.HasPrefix(v, "./listen-on-loopback.sh:/opt/guacamole/entrypoint.d/9")
	}) {
		t.Errorf("Guacamole listens to all: %v", web.Volumes)
	}
	database := web.Environment["POSTGRESQL_HOSTNAME"] + ":" + web.Environment["POSTGRESQL_PORT"]
	if ports := c.Services["postgres"].Ports; len(ports) != 1 || !strings.HasPrefix(ports[0], database+":") {
		t.Errorf("Guacamole looks for its database at %s, which is published at %v", database, ports)
	}
	if e := c.Services["sandboxlabs"].Environment; c.Services["guacamole"].Environment["JSON_SECRET_KEY"] != e["SANDBOXLABS_GUACAMOLE_JSON_SECRET"] {
		t.Error("Guacamole and the service have two keys")
	}
}

// tomcatConfig is the part of Tomcat's default server.xml about connectors, with its
// comments.
const tomcatConfig = `<?xml version="1.0" encoding="UTF-8"?>
<Server port="8005" shutdown="SHUTDOWN">
  <Service name="Catalina">
    <Connector port="8080" protocol="HTTP/1.1"
               connectionTimeout="20000"
               redirectPort="8443" />
    <!-- <Connector executor="tomcatThreadPool" port="9090" protocol="HTTP/1.1" /> -->
    <!--
    <Connector protocol="AJP/1.3" address="::1" port="8009" />
    -->
  </Service>
</Server>
`

// The container's script binds Tomcat to the loopback address, and exits if it does not
// understand the configuration.
func TestComposeListensOnLoopback(t *testing.T) {
	const more = `<Connector port="8081" protocol="HTTP/1.1" />`
	for name, c := range map[string]struct {
		config string
		ok     bool
	}{
		"as Tomcat has it":   {tomcatConfig, true},
		"a second connector": {strings.Replace(tomcatConfig, "<!--", more+"<!--", 1), false},
		"another port":       {strings.ReplaceAll(tomcatConfig, "8080", "8088"), false},
		"quoted another way": {strings.ReplaceAll(tomcatConfig, `"8080"`, `'8080'`), false},
		"no configuration":   {"", false},
	} {
		base := t.TempDir()
		config := filepath.Join(base, "conf", "server.xml")
		if err := os.Mkdir(filepath.Dir(config), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(config, []byte(c.config), 0o600); err != nil {
			t.Fatal(err)
		}
		// As the container's entrypoint does.
		cmd := exec.CommandContext(t.Context(), "bash", "-e", "-c", `source "$1"; echo started`, "bash", filepath.Join(composeFolder, "listen-on-loopback.sh"))
		cmd.Env = append(os.Environ(), "CATALINA_BASE="+base)
		out, err := cmd.CombinedOutput()
		if started := err == nil && strings.Contains(string(out), "started"); started != c.ok {
			t.Errorf("%s: started is %v: %v\n%s", name, started, err, out)
		}
		got, err := os.ReadFile(config)
		if err != nil {
			t.Fatal(err)
		}
		if c.ok && (!strings.Contains(string(got), `<Connector port="8080" address="127.0.0.1" protocol=`) || !strings.Contains(string(got), `<Server port="-1"`)) {
			t.Errorf("%s:\n%s", name, got)
		}
	}
}

// preparedSecrets returns the .env file that prepare.sh generates.
func preparedSecrets(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	script, err := os.ReadFile(filepath.Join(composeFolder, "prepare.sh"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "prepare.sh")
	if err := os.WriteFile(path, script, 0o700); err != nil {
		t.Fatal(err)
	}
	read := func() string {
		if out, err := exec.CommandContext(t.Context(), path).CombinedOutput(); err != nil {
			t.Fatalf("prepare.sh: %v\n%s", err, out)
		}
		text, err := os.ReadFile(filepath.Join(dir, ".env"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	text := read()
	if info, err := os.Stat(filepath.Join(dir, ".env")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secrets' file: %v %v", err, info.Mode())
	}
	if read() != text {
		t.Error("a second run made other secrets")
	}
	secrets := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(line, "#") {
			secrets[name] = value
		}
	}
	return secrets
}

// Runs on a real PostgreSQL what the PostgreSQL container runs at its first start: the
// role that it creates is sufficient for us, and the default password of Guacamole's first
// administrator no longer works.
func TestComposeDatabase(t *testing.T) {
	if _, err := exec.LookPath("psql"); err != nil {
		t.Skip("psql is not installed: apt-get install postgresql-client")
	}
	g := guacamoletest.NewDatabase(t)
	owner, err := url.Parse(g.Owner)
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join(composeFolder, "role.sh"))
	if err != nil {
		t.Fatal(err)
	}
	const rights, role, admin, secret = "/role/guacamole-role.sql", "sandboxlabs_guacamole", `ad'min"$x`, `ro'le"$x`
	if !strings.Contains(string(script), rights) {
		t.Fatalf("role.sh does not run %s", rights)
	}
	t.Cleanup(func() { g.Exec("DROP OWNED BY " + role + "; DROP ROLE " + role) })
	path, err := filepath.Abs(filepath.Join(composeFolder, filepath.Base(rights)))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-c", strings.ReplaceAll(string(script), rights, path))
	password, _ := owner.User.Password()
	cmd.Env = append(os.Environ(), "PGHOST="+owner.Hostname(), "PGPORT="+owner.Port(), "PGPASSWORD="+password, "POSTGRES_USER="+owner.User.Username(),
		"POSTGRES_DB="+strings.TrimPrefix(owner.Path, "/"), "GUACADMIN_PASSWORD="+admin, "SANDBOXLABS_DB_PASSWORD="+secret)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("role.sh: %v\n%s", err, out)
	}
	// The way Guacamole checks a password.
	isAdmin := func(password string) bool {
		return guacamoletest.One[bool](g, `SELECT password_hash = sha256(convert_to($1 || upper(encode(password_salt, 'hex')), 'UTF8'))
			FROM guacamole_user u JOIN guacamole_entity e USING (entity_id) WHERE e.name = 'guacadmin'`, password)
	}
	if !isAdmin(admin) || isAdmin("guacadmin") {
		t.Error("guacadmin's password is not the one that was made")
	}
	owner.User = url.UserPassword(role, secret)
	l := newLab("ann")
	s := newService(t, g, l, func(o *Options) { o.Database = owner.String() })
	l.run(1, "web1", 5901)
	if s.mustSync(t); g.Connections()["web1"].Parameters["port"] != "5901" {
		t.Errorf("Guacamole has %+v", g.Connections())
	}
	l.halt(1)
	if s.mustSync(t); len(g.Connections()) != 0 {
		t.Errorf("Guacamole still has %+v", g.Connections())
	}
}
