package console

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// pattern returns a part of a stream whose bytes depend on their position, so that gaps
// and duplicates are found.
func pattern(pos int64, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		at := pos + int64(i)
		p[i] = byte(at ^ at>>8 ^ at>>16)
	}
	return p
}

func TestBacklogKeepsTheNewestBytes(t *testing.T) {
	for _, limit := range []int{1, 7, 4096, 100_000} {
		rng := rand.New(rand.NewPCG(1, uint64(limit)))
		b := backlog{limit: limit}
		for range 300 {
			b.append(pattern(b.end, rng.IntN(limit+limit/2+2)))
			if kept, want := b.end-b.start, min(b.end, int64(limit)); kept > int64(limit) || kept < want {
				t.Fatalf("limit %d: keeps %d bytes of %d", limit, kept, b.end)
			}
			if len(b.buf) > limit {
				t.Fatalf("limit %d: holds %d bytes of memory", limit, len(b.buf))
			}
			pos := b.start + rng.Int64N(b.end-b.start+1)
			until := pos + rng.Int64N(b.end-pos+1)
			most := rng.IntN(limit + 1)
			want := pattern(pos, int(min(until-pos, int64(most))))
			if got := b.read(pos, until, most); !bytes.Equal(got, want) {
				t.Fatalf("limit %d: read(%d, %d, %d) gave other bytes", limit, pos, until, most)
			}
		}
	}
}

// A viewer's bytes and its Lagged messages together account for the stream from where it
// joined: nothing is missing or duplicated.
func TestViewerSeesEveryByteOnceOrIsToldOfIt(t *testing.T) {
	const history, queue = 1000, 5000
	h := newHub(&Manager{history: history, backlog: queue}, "node", Port{})
	rng := rand.New(rand.NewPCG(1, 2))
	type reader struct {
		v     *Viewer
		pos   int64
		speed int // reads per round
		lost  int64
	}
	var readers []*reader
	read := func(r *reader) bool {
		m, ok, err := r.v.poll()
		if err != nil {
			t.Fatal(err)
		}
		r.pos += m.Lagged
		r.lost += m.Lagged
		if want := pattern(r.pos, len(m.Data)); !bytes.Equal(m.Data, want) {
			t.Fatalf("at %d: other bytes than those of the stream", r.pos)
		}
		r.pos += int64(len(m.Data))
		return ok
	}
	for round := range 400 {
		if round%20 == 0 {
			v := h.join(ViewerOptions{})
			if back := h.backlog.end - v.pos; back != min(history, h.backlog.end) {
				t.Fatalf("joined %d bytes back", back)
			}
			readers = append(readers, &reader{v: v, pos: v.pos, speed: rng.IntN(4)})
		}
		h.output(pattern(h.backlog.end, rng.IntN(2000)))
		for _, r := range readers {
			for range r.speed {
				read(r)
			}
		}
	}
	slow := 0
	for _, r := range readers {
		for read(r) {
		}
		if r.pos != h.backlog.end {
			t.Errorf("ended at %d of %d", r.pos, h.backlog.end)
		}
		if r.lost > 0 {
			slow++
		}
	}
	if slow == 0 || slow == len(readers) {
		t.Errorf("%d of %d viewers lagged: the test needs both kinds", slow, len(readers))
	}
}

func TestViewerIsToldStatesWhereTheyHappened(t *testing.T) {
	h := newHub(&Manager{history: 100, backlog: 100}, "node", Port{})
	v := h.join(ViewerOptions{})
	h.setState(Connected, "")
	h.output([]byte("one"))
	h.setState(Offline, "")
	h.setState(Offline, "")
	h.setState(Connected, "")
	h.output([]byte("two"))
	late := h.join(ViewerOptions{ReadOnly: true})

	want := []string{"viewers 2", "connected", "one", "offline", "connected", "two"}
	if got := drain(t, v); !slices.Equal(got, want) {
		t.Errorf("the first viewer was told %q, want %q", got, want)
	}
	want = []string{"viewers 2", "onetwo", "connected"}
	if got := drain(t, late); !slices.Equal(got, want) {
		t.Errorf("the late viewer was told %q, want %q", got, want)
	}
	if _, err := late.Write([]byte("x")); fault.CodeOf(err) != fault.Forbidden {
		t.Errorf("a read-only viewer's Write gave %v", err)
	}
	if err := late.Take(); fault.CodeOf(err) != fault.Forbidden {
		t.Errorf("a read-only viewer's Take gave %v", err)
	}
	v.Close()
	v.Close()
	if _, err := v.Next(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("Next after Close gave %v", err)
	}
	if _, err := v.Write([]byte("x")); !errors.Is(err, ErrClosed) {
		t.Errorf("Write after Close gave %v", err)
	}
	if got, want := drain(t, late), []string{"viewers 1"}; !slices.Equal(got, want) {
		t.Errorf("the viewer that stays was told %q, want %q", got, want)
	}
}

// drain returns all pending messages of v as text.
func drain(t *testing.T, v *Viewer) (told []string) {
	t.Helper()
	for {
		m, ok, err := v.poll()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return told
		}
		told = append(told, words(m))
	}
}
