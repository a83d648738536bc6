//go:build bench

package bench

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

const (
	changes     = 20
	changeLimit = time.Minute
	changePoll  = 2 * time.Millisecond
)

// benchChanges changes a node with virsh, and measures how long after virsh has ended the
// API shows the change: for a change with a libvirt event, and for one without.
func (r *rig) benchChanges(ctx context.Context, report *table, base image) {
	r.t.Helper()
	id, _ := r.createNode(ctx, base, 0)
	type shown struct {
		Description string
		Autostart   bool
	}
	for _, c := range []struct {
		what, goal string
		args       func(i int) []string
		done       func(i int, n shown) bool
	}{
		{
			"a change by virsh shows (event)", "max 1 s",
			func(i int) []string { return []string{"desc", id, "--config", fmt.Sprint("change ", i)} },
			func(i int, n shown) bool { return n.Description == fmt.Sprint("change ", i) },
		},
		{
			"a change by virsh shows (no event)", "max 1 s",
			func(i int) []string {
				if i%2 == 1 {
					return []string{"autostart", "--disable", id}
				}
				return []string{"autostart", id}
			},
			func(i int, n shown) bool { return n.Autostart == (i%2 == 0) },
		},
	} {
		var took times
		for i := range changes {
			virsh(ctx, r.t, c.args(i)...)
			begin := time.Now()
			for {
				var n shown
				r.do(ctx, http.MethodGet, "/api/nodes/"+id, nil, http.StatusOK, &n)
				if c.done(i, n) {
					break
				}
				if time.Since(begin) > changeLimit {
					r.t.Fatalf("%s: not after %v", c.what, changeLimit)
				}
				time.Sleep(changePoll)
			}
			took = append(took, time.Since(begin))
		}
		report.add(c.what, fmt.Sprintf("%s, max %s", took.inMilliseconds(0.9), took.at(1).Round(time.Millisecond)), "", "", "", c.goal)
	}
	r.removeNodes(ctx, []string{id})
}
