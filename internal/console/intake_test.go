package console

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// pour sends as much of p as the intake allows, and returns how much that was.
func pour(i *intake, p []byte, now time.Time) (sent int) {
	for sent < len(p) {
		n, _ := i.window(len(p)-sent, now)
		if n == 0 {
			return sent
		}
		i.send(p[sent : sent+n])
		sent += n
	}
	return sent
}

func TestIntake(t *testing.T) {
	begun := time.Now()
	text := []byte(strings.Repeat("echo one two three; ls -l /usr/share\n", 2000))

	t.Run("what is not read is bounded", func(t *testing.T) {
		for _, p := range [][]byte{text, bytes.Repeat([]byte{0}, 1<<20), bytes.Repeat([]byte("x"), 1<<20)} {
			var i intake
			if n := pour(&i, p, begun) + pour(&i, p, begun.Add(time.Hour)); n != intakeWindow {
				t.Errorf("%d bytes were sent", n)
			}
		}
	})
	t.Run("an echo lets more through", func(t *testing.T) {
		var i intake
		sent := 0
		for sent < len(text) {
			n := pour(&i, text[sent:], begun)
			if n == 0 {
				t.Fatalf("stuck after %d bytes, with %d unread", sent, len(i.unread))
			}
			i.print(bytes.ReplaceAll(text[sent:sent+n], []byte("\n"), []byte("\r\n\x1b[32muser@host\x1b[0m:~# ")))
			sent += n
		}
	})
	t.Run("a guest that echoed and is quiet reads on", func(t *testing.T) {
		var i intake
		i.send([]byte("stty -echo\n"))
		i.print([]byte("stty -echo\r\n# "))
		sent, now := 0, begun
		for ; sent < len(text) && now.Before(begun.Add(time.Minute)); now = now.Add(intakePiece * time.Second / quietRate) {
			sent += pour(&i, text[sent:], now)
		}
		if sent < len(text) {
			t.Errorf("%d bytes of %d were sent", sent, len(text))
		}
		i.doubt()
		if n := pour(&i, text, now) + pour(&i, text, now.Add(time.Hour)); n > intakeWindow {
			t.Errorf("after its restart %d bytes were sent", n)
		}
	})
	t.Run("a guest that boots lets little through", func(t *testing.T) {
		var i intake
		boot := bytes.Repeat([]byte("[    1.234567] virtio_blk virtio1: [vda] 1048576 512-byte logical blocks (537 MB/512 MiB)\r\n"), 300)
		sent := pour(&i, text, begun)
		for len(boot) > 0 {
			n := min(100, len(boot))
			i.print(boot[:n])
			boot = boot[n:]
			sent += pour(&i, text[sent:], begun)
		}
		if sent > 2*intakeWindow+intakePiece {
			t.Errorf("%d bytes were sent", sent)
		}
	})
	t.Run("pieces are not small", func(t *testing.T) {
		var i intake
		sent := pour(&i, text, begun)
		i.print(text[:100])
		if n, _ := i.window(len(text)-sent, begun); n != 0 {
			t.Errorf("a piece of %d", n)
		}
		if n, _ := i.window(50, begun); n != 50 {
			t.Errorf("the last piece is %d", n)
		}
	})
}
