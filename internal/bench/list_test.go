//go:build bench

package bench

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	listedNodes = 200
	listings    = 200
	virshLists  = 20
)

// benchList creates nodes up to a total of listedNodes, lists them, and returns the ids of
// all.
func (r *rig) benchList(ctx context.Context, report *table, base image, ids []string) []string {
	r.t.Helper()
	for len(ids) < listedNodes {
		id, _ := r.createNode(ctx, base, len(ids))
		ids = append(ids, id)
	}
	pid := r.service.Process.Pid
	resetPeak(pid)
	var ours, theirs, startUp times
	for i := range listings {
		begin := time.Now()
		var answer struct{ Nodes []struct{ Name string } }
		r.do(ctx, http.MethodGet, "/api/nodes", nil, http.StatusOK, &answer)
		ours = append(ours, time.Since(begin))
		mine := 0
		for _, n := range answer.Nodes {
			if strings.HasPrefix(n.Name, r.prefix) {
				mine++
			}
		}
		if mine != listedNodes {
			r.t.Fatalf("the list has %d of the %d nodes", mine, listedNodes)
		}
		if i%(listings/virshLists) == 0 {
			list := virsh(ctx, r.t, "list", "--all")
			if mine := strings.Count(string(list.out), r.prefix); mine != listedNodes {
				r.t.Fatalf("virsh lists %d of the %d nodes", mine, listedNodes)
			}
			theirs = append(theirs, list.took)
			startUp = append(startUp, virsh(ctx, r.t, "uri").took)
		}
	}
	memory, err := peakKiB(pid)
	if err != nil {
		r.t.Fatal(err)
	}
	list := sampled(ctx, r.t, "virsh", virshArgs([]string{"list", "--all"})...)
	what := fmt.Sprintf("list %d nodes", listedNodes)
	report.add(what, ours.inMilliseconds(0.99), "virsh list --all", theirs.inMilliseconds(0.99), faster(ours.median(), theirs.median()), "")
	rest := theirs.median() - startUp.median()
	report.add(what+", less start-up", milliseconds(ours.median()), "the same less virsh uri ("+milliseconds(startUp.median())+")", milliseconds(rest), faster(ours.median(), rest), "")
	report.add(what+": peak memory", mebibytes(memory), "virsh list --all", mebibytes(list.peakKiB), more(memory, list.peakKiB), "")
	return ids
}

// more formats how many times as much memory ours uses.
func more(ours, theirs int64) string {
	return fmt.Sprintf("%.1f× memory", float64(ours)/float64(theirs))
}
