package inventory

import "testing"

// TestKeptBytes takes two snapshots of a node. The node is also read while each is being
// taken, when libvirt lists the snapshot but its memory is not in the file yet.
func TestKeptBytes(t *testing.T) {
	var n Node
	for i, step := range []struct {
		snapshots int
		current   string
		now, want int64
	}{
		{1, "", 10, 10},       // the first is being taken
		{1, "first", 20, 20},  // it is complete
		{1, "first", 25, 20},  // the guest writes
		{2, "first", 25, 25},  // the second is being taken
		{2, "second", 40, 40}, // it is complete
		{2, "first", 45, 40},  // reverted
		{1, "first", 30, 30},  // the second is deleted
		{1, "first", 50, 30},  // the guest writes
	} {
		next := Node{Snapshots: step.snapshots, CurrentSnapshot: step.current}
		next.keep(step.now, n)
		if n = next; n.KeptBytes != step.want {
			t.Errorf("step %d: the snapshots keep %d bytes, want %d", i, n.KeptBytes, step.want)
		}
	}
}
