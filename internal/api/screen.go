package api

import (
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"
	"nhooyr.io/websocket"

	"github.com/sandboxlabs/sandboxlabs/internal/display"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

type screenshot struct {
	Status       int
	ContentType  string `header:"Content-Type"`
	CacheControl string `header:"Cache-Control"`
	ETag         string `header:"ETag"`
	Body         []byte
}

func (s *Server) registerScreens() {
	picture := &huma.MediaType{Schema: &huma.Schema{Type: "string", Format: "binary"}}
	register(s, huma.Operation{
		OperationID: "get-screenshot", Method: http.MethodGet, Path: "/api/nodes/{id}/screenshot", Summary: "Take a screenshot of the node's screen (PNG)", Tags: []string{"nodes"},
		Description: "At most a second old. Works for every running node with a display of any type.",
		Responses: map[string]*huma.Response{
			"200": {Description: "OK", Content: map[string]*huma.MediaType{"image/png": picture}},
			"304": {Description: "Not Modified"},
		},
	}, func(ctx context.Context, in *struct {
		NodeID
		Width       int    `query:"width" minimum:"16" maximum:"1920" doc:"Pixels; scales down. Defaults to the screen's width."`
		IfNoneMatch string `header:"If-None-Match"`
	}) (*screenshot, error) {
		p, err := s.o.Display.Screenshot(ctx, in.ID, in.Width)
		if err != nil {
			return nil, err
		}
		out := &screenshot{Status: http.StatusOK, ContentType: "image/png", CacheControl: "private, no-cache", ETag: `"` + p.Tag + `"`, Body: p.PNG}
		if strings.Contains(in.IfNoneMatch, out.ETag) {
			out.Status, out.ContentType, out.Body = http.StatusNotModified, "", nil
		}
		return out, nil
	})
	s.echo.GET("/ws/vnc", s.screenSocket)
	s.huma.OpenAPI().AddOperation(&huma.Operation{
		OperationID: "screen", Method: http.MethodGet, Path: "/ws/vnc", Summary: "The node's screen (WebSocket)", Tags: []string{"nodes"},
		Description: "Binary frames are the RFB 3.8 stream of a VNC server without a password, as noVNC expects. " +
			"A text frame `{\"type\":\"error\",\"code\":\"…\",\"message\":\"…\"}` describes the error before the socket closes: with 4409 while the node is stopped " +
			"(connect again when it is running), 4406 if it has no VNC screen, 4404 if it was deleted or you can no longer view it, 4401 if you were signed out, 4403 if your permissions have changed (connect again), 1013 if its host is unreachable, 1001 when the service stops. " +
			"Authenticate with the cookie, a bearer token, or `?ticket=`.",
		Parameters: []*huma.Param{
			{Name: "nodeId", In: "query", Required: true, Schema: &huma.Schema{Type: "string"}},
			{Name: "readonly", In: "query", Schema: &huma.Schema{Type: "boolean"}, Description: "Keys, pointer and clipboard are not sent to the node."},
			{Name: "ticket", In: "query", Schema: &huma.Schema{Type: "string"}},
		},
		Responses: map[string]*huma.Response{"101": {Description: "Switching Protocols"}},
	})
}

// screenSocket connects a WebSocket to a node's screen.
func (s *Server) screenSocket(c echo.Context) error {
	return s.nodeSocket(c, func(ctx context.Context, socket *websocket.Conn, id string, readOnly bool) (traffic, error) {
		view, err := s.o.Display.Open(ctx, id, display.ViewOptions{ReadOnly: readOnly})
		if err != nil {
			return traffic{}, err
		}
		greeting, cancel := context.WithTimeout(ctx, writePatience)
		defer cancel()
		if err := view.Greet(&frames{ctx: greeting, socket: socket}); err != nil {
			view.Close()
			return traffic{}, err
		}
		return traffic{
			send:    func(ctx context.Context) error { return view.CopyTo(&frames{ctx: ctx, socket: socket}) },
			receive: func(ctx context.Context) error { return view.CopyFrom(&frames{ctx: ctx, socket: socket}) },
			close:   view.Close,
		}, nil
	}, "binary") // what clients of websockify ask for
}

// frames reads and writes a socket's binary frames as a byte stream, until ctx ends.
type frames struct {
	ctx    context.Context // io.Reader has no place for it
	socket *websocket.Conn
	frame  io.Reader // the rest of the frame that is being read
}

// Read returns bytes of one frame; a text frame is fault.Invalid.
func (f *frames) Read(p []byte) (int, error) {
	for {
		if f.frame == nil {
			kind, frame, err := f.socket.Reader(f.ctx)
			if err != nil {
				return 0, err
			}
			if kind != websocket.MessageBinary {
				return 0, fault.New(fault.Invalid, "A screen accepts only RFB in binary frames.")
			}
			f.frame = frame
		}
		n, err := f.frame.Read(p)
		if err == io.EOF { // the end of a frame, as io.Reader has it
			f.frame, err = nil, nil
			if n == 0 {
				continue
			}
		}
		return n, err
	}
}

// Write sends p as one frame.
func (f *frames) Write(p []byte) (int, error) {
	if err := send(f.ctx, f.socket, websocket.MessageBinary, p); err != nil {
		return 0, err
	}
	return len(p), nil
}
