package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"nhooyr.io/websocket"
)

// hostile has what must not reach a terminal: colours, titles, the clipboard, cursor
// movement, C0 and C1 control characters, reversed text, broken UTF-8.
const hostile = "\x1b[31mred\x1b]0;title\x07\x1b]52;c;cm0=\x07\x1b[2J\r\x08\x7f\u009b31m\u202egnp.exe\u2066\xff\x00end"

// wantPlain fails if a terminal would act on a text.
func wantPlain(t *testing.T, what, text string) {
	t.Helper()
	if strings.IndexFunc(text, isActive) >= 0 || !utf8.ValidString(text) {
		t.Errorf("%s prints %q", what, text)
	}
}

func TestPlainText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                         "",
		"NAME\tROLE\nän 漢字 🙂\n":    "NAME\tROLE\nän 漢字 🙂\n",
		"a\x1b[31mb":               `a\x1b[31mb`,
		"a\rb\x00\u009b\u202e\xff": `a\rb\x00\u009b\u202e\xff`,
	} {
		if got := plainText(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	var out strings.Builder
	if n, err := io.WriteString(plainWriter{&out}, hostile); n != len(hostile) || err != nil {
		t.Error(n, err)
	}
	wantPlain(t, "the writer", out.String())
	if got := plainLine("one\ntwo\x1b"); got != `one\ntwo\x1b` {
		t.Errorf("a line is %q", got)
	}
}

// TestHostileService runs the commands that talk to a service against one that responds
// with escape sequences in every text. Bytes of a guest's console go to the terminal
// unchanged.
func TestHostileService(t *testing.T) {
	t.Parallel()
	const id = "11111111-1111-4111-8111-111111111111"
	var status atomic.Int64
	status.Store(http.StatusOK)
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(status.Load()))
		_ = json.NewEncoder(w).Encode(map[string]any{
			"id": id, "name": hostile, "host": hostile, "detail": hostile, "title": hostile, "code": hostile,
			"nodes": []any{map[string]any{"id": id, "name": "twice", "host": hostile}, map[string]any{"id": hostile, "name": "twice", "host": hostile}},
		})
	})
	mux.HandleFunc("/ws/console", func(w http.ResponseWriter, r *http.Request) {
		socket, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		for _, control := range []map[string]any{
			{"type": "status", "state": "connected", "by": hostile}, {"type": "error", "message": hostile}, {"type": hostile, "state": hostile},
		} {
			text, _ := json.Marshal(control)
			_ = socket.Write(r.Context(), websocket.MessageText, text)
		}
		_ = socket.Write(r.Context(), websocket.MessageBinary, []byte("\x1b[1mof the guest\x1b[0m"))
		_ = socket.Close(4404, hostile)
	})
	service := httptest.NewServer(mux)
	defer service.Close()
	run := func(args ...string) (out, notes string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), os.Args[0], append(args, "--config=/dev/null", "--url="+service.URL)...)
		cmd.Env = append(os.Environ(), runVariable+"=1")
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		_ = cmd.Run() // it fails and prints why
		wantPlain(t, strings.Join(args, " "), stderr.String())
		if stderr.Len() == 0 {
			t.Errorf("%q says nothing", args)
		}
		return stdout.String(), stderr.String()
	}
	out, notes := run("console", id)
	if !strings.Contains(out, "\x1b[1mof the guest") || !strings.Contains(notes, "end") {
		t.Errorf("the console printed %q and %q", out, notes)
	}
	if _, notes := run("console", "twice"); strings.Count(notes, "\n") != 1 || !strings.Contains(notes, "several nodes") {
		t.Errorf("of two nodes it says %q", notes)
	}
	for _, refusal := range []int64{http.StatusForbidden, http.StatusUnauthorized, http.StatusTeapot} {
		status.Store(refusal)
		out, _ := run("console", id)
		wantPlain(t, "a refusal", out)
	}
}
