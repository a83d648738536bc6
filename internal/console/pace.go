package console

import "time"

const (
	// paceMax is the longest pause between two pieces of output.
	paceMax = 32 * time.Millisecond
	// paceFree pieces come without a pause, for programs that draw a screen.
	paceFree = 4
)

// pace finds out whether output comes without a pause, and how long the next
// piece is to gather then. What a guest echoes never waits.
type pace struct {
	pieces int // small ones in a row for which nobody had to wait
	small  bool
}

// next returns how long to gather before the next piece.
func (p *pace) next() time.Duration {
	if !p.small || p.pieces <= paceFree {
		return 0
	}
	return min(time.Millisecond<<min(p.pieces-paceFree, 5), paceMax)
}

// given notes that a piece of n bytes was there.
func (p *pace) given(n int) {
	if n == 0 {
		return
	}
	p.pieces++
	p.small = n < messageBytes
}

// calm notes that there was nothing.
func (p *pace) calm() { p.pieces = 0 }
