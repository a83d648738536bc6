package console

import "time"

const (
	// intakeWindow bounds the input that the guest has not read yet. It is half of what any
	// kernel's pty takes without a reader, so that nothing ever waits in libvirtd: some
	// releases of it hang or crash when the guest goes while input waits there.
	intakeWindow = 2 << 10
	// intakePiece is the least that is sent while more is waiting: many small messages
	// are as many moments at which a guest that goes finds one under way.
	intakePiece = 512
	// echoAhead is how many characters are looked at for an echo that lacks some, of a
	// guest that proved to read. Until then none may be missing: in all that a guest
	// prints while it boots, there is soon one of several.
	echoAhead = 4
	// echoProof characters in a row, echoed as they were typed, prove that the guest reads.
	echoProof = 6
	// answerRatio bytes of other output count as one byte that was read: programs that
	// draw a screen echo little. What a guest prints while it boots must not count for much.
	answerRatio = 32
	// quietRate is how many bytes in a second a guest is taken to read that has proved
	// to read, and neither echoes nor prints.
	quietRate = 4 << 10
)

// intake estimates how much of the input the guest has not read. libvirt does not
// say, so the estimate follows what the guest prints: an echo shows that what was
// typed before it has been read, for a serial line keeps the order. It is not safe
// for concurrent use.
type intake struct {
	unread []byte    // sent, in order, and not known to be read
	proven bool      // the guest echoed in earnest since it started
	run    int       // characters echoed in a row
	other  int       // bytes printed that echoed nothing, not counted yet
	since  time.Time // since when the guest is taken to read quietly
}

// renew is for a new QEMU process, whose serial port is empty.
func (i *intake) renew() { *i = intake{} }

// doubt is for a guest that restarts, or takes nothing: it has to prove again that
// it reads.
func (i *intake) doubt() { i.proven, i.run = false, 0 }

// fill is for input that was sent to a guest that turned out not to read.
func (i *intake) fill() {
	i.doubt()
	i.unread = append(i.unread, make([]byte, intakeWindow-len(i.unread))...)
}

// window returns how many of the waiting bytes may be sent now, and where that is none,
// after what time to ask again; 0 says when the guest prints something.
func (i *intake) window(waiting int, now time.Time) (n int, again time.Duration) {
	i.rest(now)
	n = min(waiting, intakeWindow-len(i.unread))
	if n == waiting || n >= intakePiece {
		return min(n, sendBytes), 0
	}
	if i.proven {
		return 0, intakePiece * time.Second / quietRate
	}
	return 0, 0
}

// rest counts what a guest that reads has read since it was looked at last.
func (i *intake) rest(now time.Time) {
	if i.proven && !i.since.IsZero() {
		i.read(int(now.Sub(i.since).Seconds() * quietRate))
	}
	i.since = now
}

// send notes what is sent.
func (i *intake) send(p []byte) { i.unread = append(i.unread, p...) }

// read takes the first n bytes for read.
func (i *intake) read(n int) {
	i.unread = append(i.unread[:0], i.unread[min(n, len(i.unread)):]...)
}

// print notes what the guest printed, and returns whether more may be sent now.
func (i *intake) print(p []byte) (more bool) {
	before := len(i.unread)
	for _, c := range p {
		if len(i.unread) == 0 {
			break
		}
		if n, exact := i.echoed(c); n > 0 {
			i.read(n)
			if exact {
				i.run++
			} else {
				i.run = 1
			}
			i.proven = i.proven || i.run >= echoProof
			continue
		}
		if printable(c) {
			i.run = 0
		}
		if i.other++; i.other == answerRatio {
			i.other = 0
			i.read(1)
		}
	}
	return len(i.unread) < before
}

// echoed returns how many unread bytes the guest has read if c is the echo of one
// of the next few; exact says that no character is left out. Of what is no
// character terminals echo other things, or nothing.
func (i *intake) echoed(c byte) (n int, exact bool) {
	ahead := 1
	if i.proven {
		ahead = echoAhead
	}
	skipped := 0
	for at, sent := range i.unread[:min(len(i.unread), 4*ahead)] {
		if sent == c || (newline(sent) && newline(c)) {
			return at + 1, skipped == 0
		}
		if printable(sent) {
			if skipped++; skipped == ahead {
				break
			}
		}
	}
	return 0, false
}

func printable(c byte) bool { return c > ' ' && c != 0x7f }

func newline(c byte) bool { return c == '\r' || c == '\n' }
