package console

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	now := time.Now()
	var p pace
	if d := p.next(now, 0); d != 0 {
		t.Fatalf("the first piece waits for %v", d)
	}
	for range 500 { // somebody types fast, and each key is echoed
		p.given(now, 1, 1)
		now = now.Add(10 * time.Millisecond)
		if d := p.next(now, 1); d != 0 {
			t.Fatalf("an echo waits for %v", d)
		}
	}
	for range 500 { // a viewer reads the history
		p.given(now, messageBytes, 1)
		p.given(now, 0, 1) // a message of another kind
		if d := p.next(now, 1); d != 0 {
			t.Fatalf("a whole piece is followed by a pause of %v", d)
		}
	}
	for _, viewers := range []int{1, 10, 50, 100, 1000} {
		p, pieces, begun := pace{}, 0, now
		for now.Sub(begun) < 10*time.Second { // a flood of small pieces
			p.given(now, 16, viewers)
			pieces++
			d := p.next(now, viewers)
			if pieces < paceBurst && d != 0 {
				t.Fatalf("%d viewers: piece %d waits for %v", viewers, pieces, d)
			}
			if d > paceMax {
				t.Fatalf("%d viewers: a pause of %v", viewers, d)
			}
			now = now.Add(max(d, 100*time.Microsecond))
		}
		if all := viewers * pieces / 10; all > 2500 && viewers <= 100 {
			t.Errorf("%d viewers are given %d pieces in a second", viewers, all)
		}
		if perSecond := pieces / 10; perSecond < 20 {
			t.Errorf("each of %d viewers is given %d pieces in a second", viewers, perSecond)
		}
	}
}
