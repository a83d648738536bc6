package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/event"
	"github.com/sandboxlabs/sandboxlabs/internal/job"
	"github.com/sandboxlabs/sandboxlabs/internal/lab"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
)

// Proxies cut connections that are silent for 20 to 60 seconds.
const heartbeat = 15 * time.Second

// writePatience is how long a client may read nothing before it is disconnected.
const writePatience = 30 * time.Second

func (s *Server) registerStreams() {
	s.echo.GET("/api/events", s.events)
	s.echo.GET("/ws/console", s.consoleSocket)
	s.huma.OpenAPI().AddOperation(&huma.Operation{
		OperationID: "events", Method: http.MethodGet, Path: "/api/events", Summary: "Follow all changes (server-sent events)", Tags: []string{"system"},
		Description: "Events: `node.changed` (a node), `node.removed` ({id, host}), `image.changed` (an image), `image.removed` ({id, host}), " +
			"`host.changed` ({host}), `job.changed` (a job, at most twice a second while it runs), `lab.changed` and `lab.removed` ({id}: reload the lab), and `reset`: events were lost, reload the lists. Resume with Last-Event-ID.",
		Parameters: []*huma.Param{{Name: "Last-Event-ID", In: "header", Schema: &huma.Schema{Type: "string"}}},
		Responses:  map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: "string"}}}}},
	})
	s.huma.OpenAPI().AddOperation(&huma.Operation{
		OperationID: "console", Method: http.MethodGet, Path: "/ws/console", Summary: "The node's serial console (WebSocket)", Tags: []string{"nodes"},
		Description: "Binary frames are raw bytes, both ways. Text frames are JSON: from the service `{\"type\":\"status\",\"state\":\"connected|reconnecting|offline|taken\"}` (with `by` when a viewer took over the console, with `paused` while the node is), " +
			"`{\"type\":\"viewers\",\"count\":2}`, `{\"type\":\"lagged\",\"bytes\":1234}`; to it `{\"type\":\"resize\",\"cols\":120,\"rows\":40}`, `{\"type\":\"take\"}`. " +
			"What is typed and not taken is answered by `{\"type\":\"error\",\"code\":\"…\",\"message\":\"…\"}`: `node_paused`, `guest_not_reading`, `console_reconnecting` (what is typed meanwhile waits for some seconds first), `node_not_running`, `node_busy` (another program has the console), `forbidden`. " +
			"The recent history comes first. The socket stays while the node is off. It closes with 4404 when the node is deleted or not yours to see any more, 4401 when you are signed out, 4403 when your right to it has changed (connect again). Enter with the cookie, a bearer token, or `?ticket=`.",
		Parameters: []*huma.Param{
			{Name: "nodeId", In: "query", Required: true, Schema: &huma.Schema{Type: "string"}},
			{Name: "readonly", In: "query", Schema: &huma.Schema{Type: "boolean"}},
			{Name: "port", In: "query", Schema: &huma.Schema{Type: "string"}, Description: "One of the node's console.ports, by name or position. Defaults to the first."},
			{Name: "ticket", In: "query", Schema: &huma.Schema{Type: "string"}},
		},
		Responses: map[string]*huma.Response{"101": {Description: "Switching Protocols"}},
	})
}

// events sends every change of what the client sees as a server-sent event
// (WHATWG HTML, 9.2).
func (s *Server) events(c echo.Context) error {
	after, err := strconv.ParseUint(c.Request().Header.Get("Last-Event-ID"), 10, 64)
	if err != nil {
		after = 0
	}
	sub := s.o.Events.Subscribe(after)
	defer sub.Close()
	rights := rightsOf(c.Request().Context())
	if c.Request().Method == http.MethodHead {
		c.Response().Header().Set(echo.HeaderContentType, "text/event-stream")
		return c.NoContent(http.StatusOK)
	}
	stream, closed, err := s.openStream(rights, c.RealIP(), nil)
	if err != nil {
		return err
	}
	defer closed()
	view := s.o.Guard.NewView(rights)

	h := c.Response().Header()
	h.Set(echo.HeaderContentType, "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	c.Response().WriteHeader(http.StatusOK)
	controller := http.NewResponseController(c.Response())
	send := func(text []byte) error {
		if err := controller.SetWriteDeadline(time.Now().Add(writePatience)); err != nil {
			return err
		}
		if _, err := c.Response().Write(text); err != nil {
			return err
		}
		return controller.Flush()
	}
	if err := send([]byte("retry: 2000\n: connected\n\n")); err != nil {
		return nil // the client went away, which is how streams end
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		var text []byte
		select {
		case <-c.Request().Context().Done():
			return nil
		case <-s.closing.Done():
			return nil
		case <-stream.ended:
			return nil // who comes back is told why
		case <-beat.C:
			text = []byte(": alive\n\n")
		case rights := <-stream.changed:
			labs, err := s.o.Labs.List(c.Request().Context())
			if err != nil {
				return err
			}
			for _, e := range view.Change(rights, s.o.Nodes.Nodes(), s.o.Images.Images(), labs) {
				one, err := s.encode(rights, e)
				if err != nil {
					return err
				}
				text = append(text, one...)
			}
			if text == nil {
				continue
			}
		case e, ok := <-sub.C:
			if !ok {
				return nil // too slow: it resumes from the last event it has
			}
			if e, ok = view.Filter(e); !ok {
				continue
			}
			if text, err = s.encode(view.Rights(), e); err != nil {
				return err
			}
		}
		if err := send(text); err != nil {
			return nil // as above
		}
	}
}

// labEvent says which lab; what became of it is to be read.
type labEvent struct {
	ID string `json:"id"`
}

func (s *Server) encode(rights access.Rights, e event.Event) ([]byte, error) {
	data := e.Data
	switch v := data.(type) {
	case domain.Node:
		data = s.node(rights, v)
	case image.Image:
		data = s.image(rights, v)
	case job.Job:
		data = s.jobView(v)
	case lab.Lab:
		data = labEvent{v.ID}
	case lab.Removed:
		data = labEvent{v.Lab.ID}
	}
	text, err := json.Marshal(data)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if e.ID > 0 { // otherwise it is for this client only
		fmt.Fprintf(&b, "id: %d\n", e.ID)
	}
	fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", e.Type, text)
	return b.Bytes(), nil
}

// schemaOf registers the schema of a type that no huma operation mentions.
func schemaOf[T any](api huma.API, name string) *huma.Schema {
	return api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[T](), true, name)
}
