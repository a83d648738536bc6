package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	disks "github.com/sandboxlabs/sandboxlabs/internal/storagepool/disk"
)

// SerialPort is a port of a node's serial console.
type SerialPort struct {
	Name      string `json:"name" doc:"libvirt's alias; use it as ?port=." example:"serial0"`
	Available bool   `json:"available" doc:"Whether it can be opened (only type pty can)."`
	Logged    bool   `json:"logged" doc:"Whether its output is recorded."`
}

func serialPorts(n domain.Node) []SerialPort {
	ports := []SerialPort{}
	for _, p := range n.Ports {
		ports = append(ports, SerialPort{Name: p.Alias, Available: p.Usable, Logged: p.LogPath != ""})
	}
	return ports
}

const (
	pageBytes    = 256 << 10 // default limit for a part of the log
	maxLineBytes = 4 << 10   // longer lines are searched and returned in parts
)

// LogMatch is a line of a console log.
type LogMatch struct {
	Offset int64  `json:"offset" doc:"Offset of the line's first byte in the log."`
	Line   string `json:"line" doc:"As UTF-8, without the line break."`
}

type logMatches struct {
	Body struct {
		Size    int64      `json:"size" doc:"Bytes of the whole log."`
		Matches []LogMatch `json:"matches"`
		Next    int64      `json:"next,omitempty" doc:"Use it as offset to search further; absent at the end of the log."`
	}
}

func (s *Server) registerConsoleLogs() {
	const path = "/api/nodes/:id/console/log"
	s.echo.GET(path, s.consoleLog)
	header := func(text string) *huma.Param {
		return &huma.Param{Description: text, Schema: &huma.Schema{Type: "integer", Format: "int64"}}
	}
	query := func(name, text, kind string) *huma.Param {
		return &huma.Param{Name: name, In: "query", Description: text, Schema: &huma.Schema{Type: kind}}
	}
	s.huma.OpenAPI().AddOperation(&huma.Operation{
		OperationID: "get-console-log", Method: http.MethodGet, Path: "/api/nodes/{id}/console/log", Summary: "Read the log of the serial console", Tags: []string{"nodes"},
		Description: "The bytes that the guest printed, also while the node is stopped. The host keeps the newest 6 to 8 MiB; offsets count from the oldest byte kept. " +
			"When X-Log-Size is less than before, old bytes were dropped and all places have moved.",
		Parameters: []*huma.Param{
			{Name: "id", In: "path", Required: true, Description: "The node's id: the domain's UUID.", Schema: &huma.Schema{Type: "string"}},
			query("offset", "Where to begin; less than 0 counts from the end. 0 when left out.", "integer"),
			query("limit", "Bytes at most; 262144 when left out, all of them for a download.", "integer"),
			query("port", "Serial port: one of console.ports.", "string"),
			query("download", "Have a browser save it as a file.", "boolean"),
		},
		Responses: map[string]*huma.Response{
			"200": {
				Description: "OK",
				Headers:     map[string]*huma.Param{"X-Log-Size": header("Bytes of the whole log."), "X-Log-Offset": header("Place of the first byte of the answer.")},
				Content:     map[string]*huma.MediaType{"text/plain": {Schema: &huma.Schema{Type: "string"}}},
			},
		},
	})
	register(s, huma.Operation{
		OperationID: "search-console-log", Method: http.MethodGet, Path: "/api/nodes/{id}/console/log/search", Summary: "Search the log of the serial console", Tags: []string{"nodes"},
	}, func(ctx context.Context, in *struct {
		NodeID
		Client
		Text   string `query:"text" required:"true" minLength:"1" maxLength:"1000" doc:"Text to find; case is ignored."`
		Offset int64  `query:"offset" minimum:"0" doc:"Offset to start at."`
		Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Maximum number of lines."`
		Port   string `query:"port" doc:"Serial port: one of console.ports."`
	}) (*logMatches, error) {
		out := &logMatches{}
		err := s.openLog(ctx, in.Address, in.ID, in.Port, func(_ domain.Node, l *disks.ConsoleLog) error {
			search := &lineSearch{text: bytes.ToLower([]byte(in.Text)), limit: in.Limit, begin: in.Offset, found: []LogMatch{}}
			err := l.Copy(search, in.Offset, l.Bytes)
			if err == nil {
				err = search.line()
			}
			out.Body.Size, out.Body.Matches = l.Bytes, search.found
			if errors.Is(err, errEnough) {
				out.Body.Next, err = search.begin, nil
			}
			return err
		})
		return out, err
	})
}

// openLog opens the log of a port of a node.
func (s *Server) openLog(ctx context.Context, address, id, port string, f func(domain.Node, *disks.ConsoleLog) error) error {
	n, err := s.o.Nodes.Node(id)
	if err != nil {
		return err
	}
	p, err := n.Port(port)
	if err != nil {
		return err
	}
	if p.LogPath == "" {
		return fault.New(fault.NotFound, "Port %s of node %q has no log. Add <log file=…/> with `virsh edit`.", p.Alias, n.Name)
	}
	allowed := func(now access.Rights) error {
		_, err := s.o.Guard.Node(now, id, access.View)
		return err
	}
	return s.transfer(ctx, address, n.Host, allowed, func(ctx context.Context) error {
		return s.o.Disks.OpenConsoleLog(ctx, n.Host, p.LogPath, func(l *disks.ConsoleLog) error { return f(n, l) })
	})
}

// consoleLog returns a part of a console's log.
func (s *Server) consoleLog(c echo.Context) error {
	query := c.QueryParams()
	download := query.Get("download") == "1" || query.Get("download") == "true"
	offset, err := number(query.Get("offset"), 0)
	if err != nil {
		return fault.Field("offset", "offset: %q is not a number of bytes.", query.Get("offset"))
	}
	limit, err := number(query.Get("limit"), pageBytes)
	if err != nil || limit < 0 {
		return fault.Field("limit", "limit: %q is not a number of bytes.", query.Get("limit"))
	}
	whole := download && !query.Has("limit")
	return s.openLog(c.Request().Context(), c.RealIP(), c.Param("id"), query.Get("port"), func(n domain.Node, l *disks.ConsoleLog) error {
		from := min(offset, l.Bytes)
		if offset < 0 {
			from = max(0, l.Bytes+offset)
		}
		length := l.Bytes - from
		if !whole {
			length = min(length, limit)
		}
		h := c.Response().Header()
		h.Set("X-Log-Size", strconv.FormatInt(l.Bytes, 10))
		h.Set("X-Log-Offset", strconv.FormatInt(from, 10))
		h.Set(echo.HeaderContentLength, strconv.FormatInt(length, 10))
		h.Set(echo.HeaderContentType, "text/plain; charset=utf-8")
		if download {
			h.Set(echo.HeaderContentDisposition, `attachment; filename="`+fileName(n.Name)+`-console.log"`)
		}
		c.Response().WriteHeader(http.StatusOK)
		err := l.Copy(patientWriter{c.Response(), http.NewResponseController(c.Response())}, from, length)
		if err != nil {
			// The response has begun: abort it, so that the client notices that it is incomplete.
			s.o.Log.Info("a console log was not sent whole", "node", n.ID, "error", err)
			panic(http.ErrAbortHandler)
		}
		return nil
	})
}

func number(text string, absent int64) (int64, error) {
	if text == "" {
		return absent, nil
	}
	return strconv.ParseInt(text, 10, 64)
}

var unsafeInFileName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// fileName converts any text into the beginning of a file name that needs no quoting.
func fileName(text string) string {
	return strings.TrimLeft(unsafeInFileName.ReplaceAllString(text, "_"), ".")
}

// patientWriter fails if a client reads nothing for writePatience.
type patientWriter struct {
	io.Writer
	controller *http.ResponseController
}

func (w patientWriter) Write(p []byte) (int, error) {
	if err := w.controller.SetWriteDeadline(time.Now().Add(writePatience)); err != nil {
		return 0, err
	}
	return w.Writer.Write(p)
}

// errEnough ends a search that has reached its limit.
var errEnough = errors.New("enough lines were found")

// lineSearch is a writer that searches the written lines for a text.
type lineSearch struct {
	text  []byte // in lower case
	limit int
	begin int64 // offset of the line's first byte
	part  []byte
	found []LogMatch
}

// Write searches the next part of the log; it returns errEnough when it has found enough lines.
func (f *lineSearch) Write(p []byte) (int, error) {
	taken := 0
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n') + 1
		whole := end > 0
		if room := maxLineBytes - len(f.part); !whole || end > room {
			end = min(len(p), room)
			whole = end == room
		}
		f.part = append(f.part, p[:end]...)
		if p, taken = p[end:], taken+end; whole {
			if err := f.line(); err != nil {
				return taken, err
			}
		}
	}
	return taken, nil
}

// line checks the completed line and begins the next one.
func (f *lineSearch) line() error {
	if bytes.Contains(bytes.ToLower(f.part), f.text) {
		if len(f.found) == f.limit {
			return errEnough
		}
		f.found = append(f.found, LogMatch{Offset: f.begin, Line: strings.ToValidUTF8(strings.TrimRight(string(f.part), "\r\n"), "\uFFFD")})
	}
	f.begin += int64(len(f.part))
	f.part = f.part[:0]
	return nil
}
