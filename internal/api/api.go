// Package api is the service's HTTP side: REST operations, uploads, WebSockets
// and the event stream. It decodes, calls one method of a service, and encodes;
// it decides nothing of its own beyond who may enter.
package api

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/labstack/echo/v4"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/audit"
	"github.com/sandboxlabs/sandboxlabs/internal/event"
	"github.com/sandboxlabs/sandboxlabs/internal/job"
	"github.com/sandboxlabs/sandboxlabs/internal/lab"
	"github.com/sandboxlabs/sandboxlabs/internal/policy"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

// Options configures a Server; all fields but OIDC, Guacamole, PublicURL, TLS, Proxies, Settings and Log are required.
type Options struct {
	Hosts  Hosts
	Pools  Pools
	Images Images
	// ImageWork is that of Images.
	ImageWork ImageWork
	Uploads   Uploads
	Disks     Disks
	Nodes     Nodes
	Jobs      *job.Service
	Labs      *lab.Service
	Console   Consoles
	Display   Screens
	Access    *access.Service
	Audit     *audit.Service
	Events    *event.Broker
	// Guard and Quotas are the rules that involve several of these parts.
	Guard    *policy.Guard
	Quotas   *policy.Quotas
	Removals *policy.Removals
	// Requests keep the answers to requests with an Idempotency-Key.
	Requests *store.Requests
	// OIDC is nil where people sign in by password alone.
	OIDC *OIDC
	// Guacamole is nil when it is off.
	Guacamole Guacamole
	// Database answers whether the database does; for the health report.
	Database func(ctx context.Context) error
	// UI serves the browser's files.
	UI http.Handler
	// Listen is the address that the service listens on, for the Host check.
	Listen string
	// AuthOff lets programs of root and of the service's own user in as an
	// administrator, and nobody else (see ownPeers); the caller has made sure that
	// Listen is a loopback address.
	AuthOff bool
	// PublicURL is the address that browsers come by, with a path where the service is
	// not at the root of its origin; nil when it is Listen.
	PublicURL *url.URL
	// TLS serves HTTPS; nil serves HTTP.
	TLS *tls.Config
	// Proxies are trusted to tell a client's address; with some of them and
	// without TLS, nobody else may connect from other machines, and PublicURL
	// is required.
	Proxies []netip.Prefix
	// MaxConnections and MaxConnectionsPerAddress bound the connections, and three
	// quarters of each the streams; 0 is the default of each.
	MaxConnections, MaxConnectionsPerAddress int
	Version                                  string
	// Commit and CommitDate are what the binary was built from; "unknown" where it does not say.
	Commit, CommitDate string
	// Settings are told to administrators, with the file that they were read from.
	Settings     []Setting
	SettingsFile string
	Log          *slog.Logger
}

// Server is the HTTP side. Make it with New and run it with Serve.
type Server struct {
	o    Options
	echo *echo.Echo
	huma huma.API
	// operationIDs names the operations by method and route.
	operationIDs map[string]string
	// making are the operations that take an Idempotency-Key, by method and path.
	making map[string]bool
	// closing ends when the service stops: streams that have no end by
	// themselves end then.
	closing context.Context
	close   context.CancelFunc
	// requests are those under way: the HTTP server forgets WebSockets, and
	// after its Close all others.
	requests  sync.WaitGroup
	streams   openStreams
	transfers *transfers
	turns     turns
}

// Limits of the HTTP server.
const (
	headerTimeout   = 10 * time.Second
	idleTimeout     = 2 * time.Minute
	maxHeaderBytes  = 32 << 10
	maxJSONBytes    = 1 << 20
	shutdownTimeout = 10 * time.Second
	undoTimeout     = 10 * time.Second
)

// New makes a Server with all its routes. It listens to nothing: Serve does.
func New(o Options) (*Server, error) {
	if o.Hosts == nil || o.Pools == nil || o.Images == nil || o.ImageWork == nil || o.Uploads == nil || o.Disks == nil || o.Nodes == nil || o.Jobs == nil || o.Labs == nil || o.Console == nil || o.Display == nil || o.Access == nil || o.Audit == nil || o.Events == nil || o.Guard == nil || o.Quotas == nil || o.Removals == nil || o.Requests == nil || o.Database == nil || o.UI == nil {
		return nil, errors.New("api: an option is missing")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	o.MaxConnections = cmp.Or(o.MaxConnections, DefaultMaxConnections)
	o.MaxConnectionsPerAddress = cmp.Or(o.MaxConnectionsPerAddress, DefaultMaxConnectionsPerAddress)
	s := &Server{o: o, echo: echo.New(), making: map[string]bool{}, transfers: newTransfers(), turns: turns{sending: map[string]bool{}}}
	s.closing, s.close = context.WithCancel(context.Background())
	s.echo.HideBanner, s.echo.HidePort = true, true
	s.echo.HTTPErrorHandler = s.writeError
	s.echo.IPExtractor = clientAddress(o.Proxies)
	protect, err := s.sameOrigin()
	if err != nil {
		return nil, err
	}
	s.echo.Use(s.completeLocation, s.ownPeers, boundBody, plainParams, s.logRequest, s.recordChanges, s.recoverPanic, s.secureHeaders, oneRange, s.throughProxy, s.allowedHost, protect, s.authorize, jsonByDefault, s.makeOnce)

	config := huma.DefaultConfig("SandboxLabs", o.Version)
	config.Info.Description = "Virtual machine labs on libvirt. Sizes are in bytes, RAM is in MiB, times are RFC 3339. Errors are RFC 9457 problems with a stable `code`. " +
		"Lists come by pages: `nextCursor` of one is `cursor` of the next. What makes something takes an `Idempotency-Key`: the same request with the same key, within a day, makes nothing more and is answered as before."
	config.Components.Schemas = huma.NewMapRegistry(schemasPath, schemaName)
	config.OpenAPIPath = "/api/openapi"
	config.DocsPath, config.SchemasPath, config.CreateHooks = "", "", nil
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"session": {Type: "apiKey", In: "cookie", Name: cookieName, Description: "Over HTTPS its name begins with " + hostPrefix + "."},
		"token":   {Type: "http", Scheme: "bearer"},
	}
	config.Security = []map[string][]string{{"session": {}}, {"token": {}}}
	useProblems()
	s.huma = humaecho.New(s.echo, config)
	s.registerNodes()
	s.registerSnapshots()
	s.registerDevices()
	s.registerClones()
	s.registerChains()
	s.registerNetworks()
	s.registerLabs()
	s.registerFigures()
	s.registerGuacamole()
	s.registerMetrics()
	s.registerConsoleLogs()
	s.registerImages()
	s.registerImageLife()
	if err := s.registerUploads(); err != nil {
		return nil, err
	}
	s.registerAuth()
	s.registerSessions()
	s.registerOIDC()
	s.registerTokens()
	s.registerUsers()
	s.registerSecondFactors()
	s.registerGroups()
	s.registerShares()
	s.registerAudit()
	s.registerSystem()
	s.registerSettings()
	s.registerPools()
	s.registerChanges()
	s.registerCatalog()
	s.registerImageJobs()
	s.registerJobs()
	s.registerStreams()
	s.registerScreens()
	s.nameOperations()
	s.describeErrors()
	if err := s.documentLimits(); err != nil {
		return nil, err
	}
	if err := s.registerDocs(); err != nil {
		return nil, err
	}
	s.echo.GET("/*", echo.WrapHandler(o.UI))
	s.answerHead()
	for _, path := range []string{"/api/*", "/ws/*"} {
		s.echo.RouteNotFound(path, s.noRoute)
	}
	if stale := s.staleRules(); len(stale) > 0 {
		return nil, fmt.Errorf("api: there are rules of routes that are not there: %q", stale)
	}
	return s, nil
}

// OpenAPI returns the OpenAPI 3.1 document as JSON.
func (s *Server) OpenAPI() ([]byte, error) { return s.huma.OpenAPI().MarshalJSON() }

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	defer s.requests.Done()
	if base := s.base(); base != "" && r.URL.Path == base {
		http.Redirect(w, r, base+"/", http.StatusPermanentRedirect)
		return
	}
	s.echo.ServeHTTP(w, overridden(s.withoutBase(r)))
}

// Serve answers requests on l until ctx ends; then streams end with a hint to
// come back, requests under way have shutdownTimeout to finish, and those that
// are cut off have undoTimeout to undo what they began.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler: s, ReadHeaderTimeout: headerTimeout, ConnContext: s.notePeer, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug),
	}
	limits := &ConnectionLimits{Total: s.o.MaxConnections, PerAddress: s.o.MaxConnectionsPerAddress, Proxies: s.o.Proxies}
	limits.Track(srv)
	l = patientListener{limits.Listen(l)}
	if s.o.TLS != nil {
		l = tls.NewListener(l, s.o.TLS)
	}
	var watching sync.WaitGroup
	watching.Go(s.watchStreams)
	defer watching.Wait()
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err := <-failed:
		s.close()
		return err
	case <-ctx.Done():
	}
	s.close()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := srv.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close() // an upload that would take longer is cut off, and undone
	}
	<-failed
	gone := make(chan struct{})
	go func() {
		s.requests.Wait()
		close(gone)
	}()
	undone := time.NewTimer(undoTimeout)
	defer undone.Stop()
	select {
	case <-gone:
	case <-undone.C:
	}
	return err
}
