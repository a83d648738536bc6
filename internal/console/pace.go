package console

import "time"

const (
	// paceBurst pieces may come at once: a program draws a screen with so many.
	paceBurst = 16
	// The time that each piece counts for grows with the number of viewers, who
	// share the CPU: paceViewer for each, within these bounds.
	paceMin    = 8 * time.Millisecond
	paceMax    = 50 * time.Millisecond
	paceViewer = 2 * time.Millisecond
)

// pace bounds how many pieces of output are taken from a console in a second. What comes
// faster gathers in larger ones; what a guest echoes to someone who types does not come
// that fast.
type pace struct {
	counted time.Time // when the pieces that were taken would have been due
}

// taken notes that a piece was taken for so many viewers, and returns how long
// the next one is to gather.
func (p *pace) taken(now time.Time, viewers int) time.Duration {
	each := min(max(time.Duration(viewers)*paceViewer, paceMin), paceMax)
	if p.counted.Before(now) {
		p.counted = now
	}
	p.counted = p.counted.Add(each)
	return max(0, p.counted.Add(-paceBurst*each).Sub(now))
}
