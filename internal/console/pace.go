package console

import "time"

const (
	// paceBurst pieces may come at once: a program draws a screen with so many.
	paceBurst = 16
	// The time that each piece counts for grows with the number of viewers, who
	// share the CPU: paceViewer for each, within these bounds.
	paceMin    = 8 * time.Millisecond
	paceMax    = 50 * time.Millisecond
	paceViewer = 500 * time.Microsecond
)

// pace bounds how many pieces of output a viewer is given in a second. What comes
// faster gathers in larger ones; what a guest echoes to somebody who types does
// not come that fast.
type pace struct {
	counted time.Time // when the pieces that were given would have been due
}

// next returns how long to gather before the next piece.
func (p *pace) next(now time.Time, viewers int) time.Duration {
	return max(0, p.counted.Add(-paceBurst*spacing(viewers)).Sub(now))
}

// given notes that a piece of n bytes was there. Whole ones are not counted: they
// cannot gather more.
func (p *pace) given(now time.Time, n, viewers int) {
	if n == 0 || n == messageBytes {
		return
	}
	if p.counted.Before(now) {
		p.counted = now
	}
	p.counted = p.counted.Add(spacing(viewers))
}

func spacing(viewers int) time.Duration {
	return min(max(time.Duration(viewers)*paceViewer, paceMin), paceMax)
}
