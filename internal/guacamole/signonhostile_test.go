package guacamole

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/guacamole/guacamoletest"
	"github.com/sandboxlabs/sandboxlabs/internal/outbound/outboundtest"
)

// TestSignOnAtHostileServer signs a person on to a server that is not Guacamole: nobody
// gets an address, little of the response is read, and another origin never gets the
// signed identity.
func TestSignOnAtHostileServer(t *testing.T) {
	const most = maxAnswerBytes + 64<<20 // including what socket buffers may contain
	g, l := guacamoletest.NewDatabase(t), newLab("ann")
	node := l.run(1, "web1", 5901)
	for _, kind := range outboundtest.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			hostile := outboundtest.New(t, kind)
			web := httptest.NewServer(hostile)
			t.Cleanup(web.Close)
			s := newSignOn(t, g, l, web.URL+"/guacamole", nil)
			s.web.answer = 3 * time.Second
			address, err := s.SignOn(t.Context(), Person{AccountID: "id-of-ann", Entry: "s1"}, node)
			if fault.CodeOf(err) != fault.GuacamoleAway || address != "" {
				t.Errorf("%q, %v", address, err)
			}
			if err != nil && strings.Contains(err.Error(), "data=") {
				t.Errorf("the error holds the identity: %v", err)
			}
			if hostile.Followed.Load() != 0 {
				t.Error("the identity was sent to another origin")
			}
			if sent := hostile.Sent.Load(); sent > most {
				t.Errorf("the server could send %d bytes", sent)
			}
		})
	}
}
