// Package api is the service's HTTP interface: REST operations, uploads, WebSockets and the event
// stream. Handlers decode a request, call a method of a service, and encode the result; the package
// itself only decides who has access.
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
	// ImageWork uses the same images as Images.
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
	// Guard and Quotas are the rules that involve several of these services.
	Guard    *policy.Guard
	Quotas   *policy.Quotas
	Removals *policy.Removals
	// Requests stores the answers to requests with an Idempotency-Key.
	Requests *store.Requests
	// OIDC is nil if people sign in only with passwords.
	OIDC *OIDC
	// Guacamole is nil if it is disabled.
	Guacamole Guacamole
	// Database checks that the database responds, for the health report.
	Database func(ctx context.Context) error
	// UI serves the web UI.
	UI http.Handler
	// Listen is the address that the service listens on, for the Host check.
	Listen string
	// AuthOff admits programs of root and of the service's own user as an administrator, and nobody
	// else (see ownPeers). The caller must check that Listen is a loopback address.
	AuthOff bool
	// PublicURL is the address that browsers use, with a path if the service is not at the root of
	// its origin; nil if it is Listen.
	PublicURL *url.URL
	// TLS enables HTTPS; nil means HTTP.
	TLS *tls.Config
	// Proxies are trusted to report a client's address. If there are any and TLS is nil, only they
	// may connect from other machines, and PublicURL is required.
	Proxies []netip.Prefix
	// MaxConnections and MaxConnectionsPerAddress limit the connections; streams may use three
	// quarters of each. 0 means the default.
	MaxConnections, MaxConnectionsPerAddress int
	Version                                  string
	// Commit and CommitDate identify the source of the binary; "unknown" if the binary does not
	// contain them.
	Commit, CommitDate string
	// Settings are shown to administrators, with the file that they were read from.
	Settings     []Setting
	SettingsFile string
	Log          *slog.Logger
}

// Server is the HTTP server. Create it with New and run it with Serve.
type Server struct {
	o    Options
	echo *echo.Echo
	huma huma.API
	// operationIDs has the operations' ids by method and route.
	operationIDs map[string]string
	// making has the operations that accept an Idempotency-Key, by method and path.
	making map[string]bool
	// closing ends when the service stops, which ends endless streams.
	closing context.Context
	close   context.CancelFunc
	// requests counts the requests in progress: the HTTP server does not track WebSockets and, after
	// its Close, no other request either.
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

// New returns a Server with all its routes. It does not listen: Serve does.
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

// ServeHTTP handles one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	defer s.requests.Done()
	if base := s.base(); base != "" && r.URL.Path == base {
		http.Redirect(w, r, base+"/", http.StatusPermanentRedirect)
		return
	}
	s.echo.ServeHTTP(w, overridden(s.withoutBase(r)))
}

// Serve handles requests on l until ctx ends. Then streams end with a hint to reconnect, requests
// in progress have shutdownTimeout to finish, and those that are cut off have undoTimeout to undo
// their changes.
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
		err = srv.Close() // cut off uploads that would take longer; they are undone
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
