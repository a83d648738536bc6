package console

import "time"

const (
	// intakeWindow limits the input that the guest has not read yet. It is half of what
	// any kernel's pty buffers without a reader, so that input never queues in libvirtd:
	// some of its releases hang or crash when a guest ends while input is queued.
	intakeWindow = 2 << 10
	// intakePiece is the least to send while more is waiting. With many small messages, it
	// is more likely that one is in transit when the guest ends.
	intakePiece = 512
	// echoAhead is how many characters ahead to look for an echo that omits some, once the
	// guest has proven that it reads. Until then none may be missing, since the boot
	// output of a guest soon contains one of several characters.
	echoAhead = 4
	// echoProof echoed characters in a row, exactly as typed, prove that the guest reads.
	echoProof = 6
	// answerRatio bytes of other output count as one byte that was read, since full-screen
	// programs echo little. Boot output must not count for much.
	answerRatio = 32
	// quietRate is how many bytes per second a guest is assumed to read once it has proven
	// that it reads, if it neither echoes nor prints.
	quietRate = 4 << 10
)

// intake estimates how much of the input the guest has not read. libvirt does not report
// that, so the estimate uses the guest's output: an echo shows that all earlier input has
// been read, since a serial line keeps the order. It is not safe for concurrent use.
type intake struct {
	unread []byte    // sent, in order, and not known to be read
	proven bool      // the guest has echoed echoProof characters since it started
	run    int       // characters echoed in a row
	other  int       // printed bytes that echoed nothing, not counted yet
	since  time.Time // since when the guest is assumed to read without output
}

// renew resets i for a new QEMU process, whose serial port is empty.
func (i *intake) renew() { *i = intake{} }

// doubt is called for a guest that restarts or accepts no input: it must prove again that
// it reads.
func (i *intake) doubt() { i.proven, i.run = false, 0 }

// fill is called when a guest turns out not to read the input that was sent.
func (i *intake) fill() {
	i.doubt()
	i.unread = append(i.unread, make([]byte, intakeWindow-len(i.unread))...)
}

// window returns how many of the waiting bytes may be sent now. If n is 0, it also returns
// after how long to call it again; 0 means when the guest prints something.
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

// rest counts what a guest that reads has read since the last call.
func (i *intake) rest(now time.Time) {
	if i.proven && !i.since.IsZero() {
		i.read(int(now.Sub(i.since).Seconds() * quietRate))
	}
	i.since = now
}

// send records what is sent.
func (i *intake) send(p []byte) { i.unread = append(i.unread, p...) }

// read records that the guest has read the first n bytes.
func (i *intake) read(n int) {
	i.unread = append(i.unread[:0], i.unread[min(n, len(i.unread)):]...)
}

// print records what the guest printed, and returns whether more may be sent now.
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

// echoed returns how many unread bytes the guest has read if c is the echo of one of the
// next few. exact reports that no character is omitted. For control characters, terminals
// echo something else, or nothing.
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
