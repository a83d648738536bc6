package console

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

func TestSeam(t *testing.T) {
	for name, c := range map[string]struct {
		tail, live string
		want       int
	}{
		"nothing live":               {"abc", "", 3},
		"empty log":                  {"", "abc", 0},
		"all in the log":             {"one two", "two", 4},
		"the log lags":               {"one tw", "two", 4},
		"the log lags by all":        {"one ", "two", 4},
		"the log is ahead":           {"one two three", "two", 4},
		"the live output is all":     {"abc", "abc", 0},
		"repeated, by the lengths":   {"y\ny\ny\ny\n", "y\ny\n", 4},
		"repeated, the log is ahead": {"x\ny\ny\ny\n", "y\n", 6},
	} {
		t.Run(name, func(t *testing.T) {
			if got := seam([]byte(c.tail), []byte(c.live)); got != c.want {
				t.Errorf("seam(%q, %q) = %d, want %d", c.tail, c.live, got, c.want)
			}
		})
	}
	// A guest may print output that matches almost everywhere.
	long := strings.Repeat("a", 512<<10)
	if got := seam([]byte(long), []byte(long[:100<<10]+"b")); got < 0 || got > len(long) {
		t.Errorf("seam of a long text is %d", got)
	}
}

// record is a log that a test writes. It returns its tail when the test tells it to.
type record struct {
	text string
	err  error
	ask  chan struct{}
}

func (r *record) ConsoleLogTail(ctx context.Context, _, _ string, limit int64) ([]byte, int64, error) {
	select {
	case <-r.ask:
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
	n := min(limit, int64(len(r.text)))
	return []byte(r.text[len(r.text)-int(n):]), int64(len(r.text)), r.err
}

// loggedHub returns a hub whose log is a record, and the hub's only viewer.
func loggedHub(t *testing.T, history int) (*hub, *Viewer, *record) {
	t.Helper()
	r := &record{ask: make(chan struct{})}
	m := &Manager{history: history, backlog: 4 * history, logs: r, log: slog.New(slog.DiscardHandler)}
	h := newHub(m, "node", Port{LogPath: "/log"})
	v := h.join(ViewerOptions{Port: h.port})
	drain(t, v)
	t.Cleanup(m.work.Wait)
	return h, v, r
}

// caughtUp has the log read after live output has arrived, and returns what the viewer is
// shown.
func caughtUp(t *testing.T, h *hub, v *Viewer, r *record, live ...string) string {
	t.Helper()
	h.catchUp(t.Context(), "host")
	for _, text := range live {
		h.output([]byte(text))
	}
	if told := drain(t, v); len(told) > 0 {
		t.Errorf("before the log was read the viewer was told %q", told)
	}
	r.ask <- struct{}{}
	h.m.work.Wait()
	return strings.Join(drain(t, v), "")
}

func TestCatchUp(t *testing.T) {
	const history = 1000
	h, v, r := loggedHub(t, history)
	step := func(what, want string, live ...string) {
		t.Helper()
		if got := caughtUp(t, h, v, r, live...); got != want {
			t.Errorf("%s: the viewer was shown %q, want %q", what, got, want)
		}
	}
	r.text = strings.Repeat("old ", 1000) + "boot\nlogin: "
	step("the history", r.text[len(r.text)-history:])
	h.output([]byte("root\n"))
	if got := drain(t, v); !slices.Equal(got, []string{"root\n"}) {
		t.Errorf("live output: %q", got)
	}
	r.text += "root\n"
	step("nothing missed", "")
	r.text += "missed\nagain\n"
	step("some missed, and live output meanwhile", "missed\nagain\nmore\n", "again\n", "more\n")
	r.text += "more\n"
	const numbers = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen " +
		"eighteen nineteen twenty twenty-one twenty-two twenty-three twenty-four twenty-five twenty-six twenty-seven twenty-eight twenty-nine\n"
	h.output([]byte("twice in the log\n" + numbers + numbers))
	drain(t, v)
	r.text += "twice inn the log\n" + numbers + numbers + numbers + "missed\n"
	step("missed after a byte that was logged twice", numbers+"missed\n")
	r.text += strings.Repeat("m", 1700)
	step("more missed than is kept", "lagged 700"+strings.Repeat("m", history))
	r.text = r.text[3000:] + "after the oldest part was dropped\n"
	step("places moved", "after the oldest part was dropped\n")
	r.text = "another file"
	step("a log that is not known again", "live", "live")
	r.err = errors.New("no such file")
	step("a log that cannot be read", "live", "live")
}

func TestCatchUpThatTakesTooLong(t *testing.T) {
	h, v, r := loggedHub(t, 1000)
	r.text = "old\n"
	h.catchUp(t.Context(), "host")
	h.output([]byte("live\n"))
	if _, err := v.Next(t.Context()); err != nil { // returns at the timeout
		t.Fatal(err)
	}
	h.output([]byte("on\n"))
	r.ask <- struct{}{}
	h.m.work.Wait()
	if got := strings.Join(drain(t, v), ""); got != "on\n" {
		t.Errorf("then the viewer was shown %q", got)
	}
	// Live output in excess of the backlog's limit is not held back.
	h.catchUp(t.Context(), "host")
	flood := strings.Repeat("f", 4000)
	h.output([]byte(flood))
	h.output([]byte("end"))
	if got := strings.Join(drain(t, v), ""); !strings.HasSuffix(got, flood[3:]+"end") {
		t.Errorf("of a flood the viewer was shown %d bytes", len(got))
	}
	r.ask <- struct{}{}
}
