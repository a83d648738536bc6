package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/api"
	"github.com/sandboxlabs/sandboxlabs/internal/audit"
	"github.com/sandboxlabs/sandboxlabs/internal/console"
	"github.com/sandboxlabs/sandboxlabs/internal/display"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/domain/inventory"
	"github.com/sandboxlabs/sandboxlabs/internal/download"
	"github.com/sandboxlabs/sandboxlabs/internal/event"
	"github.com/sandboxlabs/sandboxlabs/internal/guacamole"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
	"github.com/sandboxlabs/sandboxlabs/internal/job"
	labs "github.com/sandboxlabs/sandboxlabs/internal/lab"
	"github.com/sandboxlabs/sandboxlabs/internal/policy"
	"github.com/sandboxlabs/sandboxlabs/internal/secret"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/disk"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/upload"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
	"github.com/sandboxlabs/sandboxlabs/web"
)

// app holds all services, wired but not started.
type app struct {
	config  config
	log     *slog.Logger
	db      *gorm.DB
	lease   *store.Lease
	release func() error // releases the lease
	hosts   *hypervisor.Set
	pools   *storagepool.Service
	images  *image.Service
	uploads *upload.Service
	disks   *disk.Service
	// inventory caches the nodes, and the service nodes changes them.
	inventory *inventory.Inventory
	nodes     *domain.Service
	jobs      *job.Service
	labs      *labs.Service
	console   *console.Manager
	display   *display.Service
	access    *access.Service
	keys      *secret.Keys
	audit     *audit.Service
	// requests stores the responses to requests with an Idempotency-Key.
	requests *store.Requests
	// guacamole is nil if Guacamole is off.
	guacamole *guacamole.Service
	removals  *policy.Removals
	server    *api.Server
	plain     http.Handler // handler of the plain HTTP listener beside HTTPS; nil without TLS
}

// newApp opens the database and creates all services. The caller must call Close.
func newApp(ctx context.Context, c config, log *slog.Logger) (*app, error) {
	return wire(ctx, c, log, func(s domain.Storage) domain.Storage { return s })
}

// wire is newApp with a hook that wraps the storage of nodes. The crash tests use it to
// kill the process at a given step.
func wire(ctx context.Context, c config, log *slog.Logger, between func(domain.Storage) domain.Storage) (a *app, err error) {
	if path, ok := strings.CutPrefix(c.Database, "sqlite:"); ok {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, fmt.Errorf("make data-dir: %w; set data-dir to a folder that you may write to", err)
		}
	}
	a = &app{config: c, log: log}
	migrations := slices.Concat(store.IntentMigrations(), store.RequestMigrations(), image.Migrations(), upload.Migrations(), access.Migrations(), audit.Migrations(), job.Migrations(), labs.Migrations(), guacamole.Migrations())
	if a.db, err = store.Open(ctx, c.Database, log, migrations...); err != nil {
		return nil, err
	}
	defer func(opened *app) { // the return statements above have set a to nil
		if err != nil {
			opened.Close()
		}
	}(a)
	events := &event.Broker{}
	a.lease = store.NewLease(a.db)
	intents := store.NewIntents(a.db, a.lease)
	if a.release, err = a.lease.Hold(ctx); err != nil {
		return nil, err
	}
	a.keys = secret.In(c.DataDir)
	if a.access, err = access.New(access.Options{
		DB: a.db, Vault: a.keys, Lifetime: c.SessionLife, Idle: c.SessionIdle, Fresh: c.SessionFresh, Log: log,
		LabNodes: func(ctx context.Context) (map[string][]string, error) { return a.labs.Nodes(ctx) },
		Leases:   a.lease,
	}); err != nil {
		return nil, err
	}
	if a.audit, err = audit.New(audit.Options{DB: a.db, Days: c.AuditDays, Log: log}); err != nil {
		return nil, err
	}
	if a.hosts, err = hypervisor.New(hypervisor.Options{Addresses: c.Hosts, Accelerator: c.Accelerator, Log: log}); err != nil {
		return nil, err
	}
	catalog, err := readCatalog(c.Catalog)
	if err != nil {
		return nil, err
	}
	if a.requests, err = store.NewRequests(store.RequestOptions{DB: a.db, Lease: a.lease, Vault: a.keys, Log: log}); err != nil {
		return nil, err
	}
	a.pools, err = storagepool.New(storagepool.Options{
		Hosts: a.hosts, Events: events, ImagesPool: c.ImagesPool, NodesPool: c.NodesPool,
		WarningPercent: c.PoolWarning, CriticalPercent: c.PoolCritical, Log: log,
	})
	if err != nil {
		return nil, err
	}
	if a.images, err = image.New(image.Options{Hosts: a.hosts, Pools: a.pools, DB: a.db, Intents: intents, Events: events, Catalog: catalog, Log: log}); err != nil {
		return nil, err
	}
	if a.uploads, err = upload.New(upload.Options{
		Hosts: a.hosts, Pools: a.pools, Images: a.images, DB: a.db, Lease: a.lease,
		Downloads: download.New(download.Options{AllowPrivate: c.PullAllowPrivate}), MaxImageBytes: c.MaxUploadBytes, Log: log,
	}); err != nil {
		return nil, err
	}
	a.disks = disk.New(a.hosts, a.pools, a.images)
	a.inventory, err = inventory.New(inventory.Options{Hosts: a.hosts, Accounts: a.access, Events: events, UsageInterval: c.FiguresInterval, AskInterval: c.askInterval, Log: log})
	if err != nil {
		return nil, err
	}
	a.nodes, err = domain.New(domain.Options{
		Hosts: a.hosts, Inventory: a.inventory, Storage: between(nodeStorage{a.pools, a.images, a.disks}), Intents: intents, Lease: a.lease, Accounts: a.access, Networks: c.Networks, Log: log,
	})
	if err != nil {
		return nil, err
	}
	a.pools.RefsBy(a.domainRefs)
	if a.jobs, err = job.New(ctx, job.Options{DB: a.db, Lease: a.lease, Events: events, Log: log}); err != nil {
		return nil, err
	}
	if a.labs, err = labs.New(labs.Options{DB: a.db, Libvirt: labParts{a.inventory, a.nodes}, Events: events}); err != nil {
		return nil, err
	}
	a.console, err = console.New(console.Options{
		Hosts: a.hosts, Nodes: nodeConsoles{a.inventory}, Logs: a.disks, HistoryBytes: c.ConsoleHistoryBytes, Log: log,
	})
	if err != nil {
		return nil, err
	}
	a.inventory.Watch(a.console.NodeChanged)
	if a.display, err = display.New(display.Options{Hosts: a.hosts, Nodes: nodeScreens{a.inventory, a.nodes}, Log: log}); err != nil {
		return nil, err
	}
	a.inventory.Watch(a.display.NodeChanged)
	a.nodes.SetAudience(a.console)
	if a.guacamole, err = newGuacamole(a); err != nil {
		return nil, err
	}
	rules := policy.Options{Hosts: a.hosts, Nodes: a.nodes, Networks: a.nodes, Images: imagesInPools{a.pools, a.images}, Uploads: a.uploads, Labs: a.labs, Jobs: a.jobs, Accounts: a.access}
	guard, quotas := policy.NewGuard(rules), policy.NewQuotas(rules)
	a.removals = policy.NewRemovals(policy.RemovalOptions{
		Guard: guard, Quotas: quotas, Hosts: a.hosts, Nodes: a.nodes, Images: ownedFiles{a.images, a.uploads}, Labs: a.labs, Jobs: a.jobs, Accounts: a.access, RightsChanged: a.rightsChanged,
	})
	a.uploads.ReserveBy(quotas.Conversion)
	a.handleJobs()
	a.hosts.Listen(a.pools)
	a.hosts.Listen(a.inventory)
	serverTLS, plain, err := c.server(log)
	if err != nil {
		return nil, err
	}
	a.plain = plain
	options := api.Options{
		Hosts: a.hosts, Pools: a.pools, Images: a.images, ImageWork: a.images.Jobs(), Uploads: a.uploads, Disks: a.disks, Nodes: a.nodes, Jobs: a.jobs, Labs: a.labs,
		Console: a.console, Display: a.display, Access: a.access, Audit: a.audit, Events: events, Requests: a.requests,
		Guard: guard, Quotas: quotas, Removals: a.removals,
		Database: a.ping, UI: web.Handler(c.base()), Listen: c.Listen, AuthOff: c.AuthOff, PublicURL: c.PublicURL, TLS: serverTLS, Proxies: c.Proxies, MaxConnections: connectionsWithin(c.MaxConnections, log), MaxConnectionsPerAddress: c.MaxPerAddress, Version: version, Commit: currentBuild().commit, CommitDate: currentBuild().date,
		Settings: c.Settings, SettingsFile: c.File, Log: log,
	}
	if a.guacamole != nil {
		options.Guacamole = a.guacamole
	}
	if options.OIDC, err = c.newOIDC(a.keys); err != nil {
		return nil, err
	}
	if a.server, err = api.New(options); err != nil {
		return a, err
	}
	return a, nil
}

// Close closes the database. Call it only when no part of the app is running.
func (a *app) Close() {
	if a.guacamole != nil {
		a.guacamole.Close()
	}
	if a.release != nil {
		if err := a.release(); err != nil {
			a.log.Error("the lease of this process could not be released", "error", err)
		}
	}
	if err := store.Close(a.db); err != nil {
		a.log.Error("the database could not be closed", "error", err)
	}
}

// rightsChanged makes Guacamole compare its users and permissions with the accounts.
func (a *app) rightsChanged() {
	if a.guacamole != nil {
		a.guacamole.Wake()
	}
}

func (a *app) ping(ctx context.Context) error {
	db, err := a.db.DB()
	if err != nil {
		return err
	}
	return db.PingContext(ctx)
}

// runBackend connects to the hosts and manages storage and nodes until ctx ends. It holds
// the lease, so that other processes do not touch the work of this one.
func (a *app) runBackend(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.lease.Run(ctx) })
	g.Go(func() error { return a.hosts.Run(ctx) })
	g.Go(func() error { return a.pools.Run(ctx) })
	g.Go(func() error { return a.uploads.Run(ctx) })
	g.Go(func() error { return a.inventory.Run(ctx) })
	g.Go(func() error { return a.nodes.Run(ctx) })
	return g.Wait()
}

const (
	// servePatience is the maximum duration of the shutdown. backendPatience is the part of it
	// that remains for the host connections after everything else has ended.
	servePatience   = 15 * time.Second
	backendPatience = 3 * time.Second
)

// Serve answers requests on l until ctx ends. Guests belong to libvirt and keep running.
// The hosts stay connected until the last request and the last job have ended, so that
// interrupted changes are undone now rather than at the next start. Serve does not wait
// for a libvirt call that hangs, such as one that waits for a hung QEMU; the call ends
// with the process.
func (a *app) Serve(ctx context.Context, l net.Listener) error {
	return a.bounded(ctx, servePatience, func(ctx context.Context) error { return a.serve(ctx, l) })
}

// bounded runs f. After ctx has ended, f has a grace period to return.
func (a *app) bounded(ctx context.Context, patience time.Duration, f func(context.Context) error) error {
	ended := make(chan error, 1)
	go func() { ended <- f(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case err := <-ended:
		return err
	case <-limit.C:
		a.log.Warn("some calls of libvirt do not return; they are left to the end of the process")
		return nil
	}
}

func (a *app) serve(ctx context.Context, l net.Listener) error {
	rest, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.bounded(rest, backendPatience, a.runBackend) })
	g.Go(func() error { return a.audit.Run(rest) })
	g.Go(func() error { return a.requests.Run(rest) })
	g.Go(func() error { return a.console.Run(ctx) })
	g.Go(func() error { return a.display.Run(ctx) })
	if a.guacamole != nil {
		g.Go(func() error { return a.guacamole.Run(ctx) })
	}
	if a.config.TLS.Redirect != "" {
		g.Go(func() error { return a.serveRedirects(ctx) })
	}
	g.Go(func() error {
		defer stop()
		last, ctx := errgroup.WithContext(ctx)
		last.Go(func() error { return a.jobs.Run(ctx) })
		last.Go(func() error { return a.server.Serve(ctx, l) })
		return last.Wait()
	})
	return g.Wait()
}

// nodeStorage adapts the storage pools, images and disks to package domain.
type nodeStorage struct {
	*pools
	*imageStore
	*disks
}

// imagesInPools adapts the images and their pools to package policy.
type imagesInPools struct {
	*pools
	*imageStore
}

// ownedFiles adapts the images and uploads that accounts own to package policy, which
// removes them with the account.
type ownedFiles struct {
	*imageStore
	*uploads
}

type (
	pools      = storagepool.Service
	imageStore = image.Service
	uploads    = upload.Service
	disks      = disk.Service
)

var _ domain.Storage = nodeStorage{}

// Usable returns an image that nodes can use, or an error with the reason why they cannot.
func (s nodeStorage) Usable(host, imageID string) (domain.BaseImage, error) {
	img, err := s.imageStore.Usable(host, imageID)
	if err != nil {
		return domain.BaseImage{}, err
	}
	return domain.BaseImage{
		ImageRef: domain.ImageRef{Type: img.Type, ID: img.ID, Name: img.DisplayName},
		OSType:   img.OSType, Path: img.Path, Format: img.Format, VirtualBytes: img.VirtualBytes,
		Firmware: img.Firmware, TPM: img.TPM,
	}, nil
}

// domainRefs returns the volumes and files that each domain of a host refers to, for
// package storagepool.
func (a *app) domainRefs(ctx context.Context, host string) ([]storagepool.DomainUse, error) {
	nodes, err := a.inventory.WithRefs(ctx, host)
	uses := make([]storagepool.DomainUse, len(nodes))
	for i, n := range nodes {
		uses[i] = storagepool.DomainUse{ID: n.ID, Name: n.Name, Refs: n.Refs}
	}
	return uses, err
}

// nodeScreens adapts the nodes to package display.
type nodeScreens struct {
	*inventory.Inventory
	nodes *domain.Service
}

var _ display.Nodes = nodeScreens{}

// Screen asks the host for the address of a node's screen.
func (s nodeScreens) Screen(ctx context.Context, id string) (display.Screen, error) {
	screen, err := s.nodes.Screen(ctx, id)
	return display.Screen(screen), err
}

// nodeConsoles adapts the nodes to package console.
type nodeConsoles struct{ *inventory.Inventory }

var _ console.Nodes = nodeConsoles{}

// Place returns the host and state of a node from memory, without asking the host.
func (s nodeConsoles) Place(id string) (p console.Place, ok bool) {
	n, err := s.Node(id)
	if err != nil {
		return p, false
	}
	return console.Place{
		Host: n.Host, Name: n.Name, Active: n.Active(), Starting: n.State == inventory.Starting, Away: n.State == inventory.Unreachable,
	}, true
}
