package console

import "testing"

func TestPace(t *testing.T) {
	var p pace
	for range 100 { // somebody types
		p.given(1)
		if d := p.next(); d != 0 {
			t.Fatalf("an echo waits for %v", d)
		}
		p.calm()
	}
	for range 100 { // a viewer reads the history
		p.given(messageBytes)
		if d := p.next(); d != 0 {
			t.Fatalf("a whole piece is followed by a pause of %v", d)
		}
	}
	p.calm()
	for i := range 100 { // a flood of small pieces
		p.given(16)
		p.given(0) // a message of another kind
		switch d := p.next(); {
		case i < paceFree && d != 0:
			t.Fatalf("piece %d is followed by a pause of %v", i, d)
		case i > paceFree+10 && d != paceMax:
			t.Fatalf("piece %d is followed by a pause of %v", i, d)
		}
	}
	p.calm()
	if d := p.next(); d != 0 {
		t.Fatalf("after the flood there is a pause of %v", d)
	}
}
