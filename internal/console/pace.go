package console

import "time"

const (
	// paceBurst pieces may be read at once: a program redraws a screen with about as many.
	paceBurst = 16
	// The interval between pieces grows with the number of viewers, who share the CPU:
	// paceViewer for each, within these limits.
	paceMin    = 8 * time.Millisecond
	paceMax    = 50 * time.Millisecond
	paceViewer = 2 * time.Millisecond
)

// pace limits how many pieces of output are read from a console per second. Faster output
// accumulates in larger pieces. Echoes of what someone types are slower than this.
type pace struct {
	counted time.Time // when the pieces so far would have been due
}

// taken records that a piece was read for a number of viewers, and returns how long to let
// the next one accumulate.
func (p *pace) taken(now time.Time, viewers int) time.Duration {
	each := min(max(time.Duration(viewers)*paceViewer, paceMin), paceMax)
	if p.counted.Before(now) {
		p.counted = now
	}
	p.counted = p.counted.Add(each)
	return max(0, p.counted.Add(-paceBurst*each).Sub(now))
}
