package console

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	now := time.Now()
	var p pace
	for range 500 { // someone types fast, and each key is echoed
		if d := p.taken(now, 1); d != 0 {
			t.Fatalf("an echo waits for %v", d)
		}
		now = now.Add(10 * time.Millisecond)
	}
	for _, viewers := range []int{1, 10, 50, 100, 1000} {
		p, pieces, begun := pace{}, 0, now
		for now.Sub(begun) < 10*time.Second { // continuous output
			d := p.taken(now, viewers)
			pieces++
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
