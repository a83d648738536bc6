package hypervisor

import (
	"testing"
	"time"
)

// A domain is quiet when no job is in progress and the pause after the last one is over.
func TestBlockJobsMakeADomainBusy(t *testing.T) {
	b := newBlockJobs(nil)
	passed := func() { b.update("id", func(d *domainJobs) { d.quiet = time.Time{} }) }
	want := func(when string, quiet bool) {
		t.Helper()
		if got := b.Quiet("id"); got != quiet {
			t.Errorf("%s: quiet is %v", when, got)
		}
	}
	want("before anything is known", false)
	b.started("id")
	want("after its start", true)
	for _, status := range []string{"created", "running", "waiting", "concluded"} {
		b.step("id", `{"id":"pull-vda","status":"`+status+`"}`)
		passed()
		want("while its job is "+status, false)
	}
	b.step("id", `{"id":"commit-vdb","status":"created"}`)
	b.step("id", `{"id":"pull-vda","status":"null"}`)
	passed()
	want("while one job of two is over", false)
	b.step("id", `{"id":"commit-vdb","status":"null"}`)
	want("right after its job", false)
	passed()
	want("some time after its job", true)
	b.ended("id")
	want("when libvirt reports an end", false)
	passed()
	b.step("id", "no JSON")
	want("when QEMU reports nothing", true)

	release, err := b.Hold(t.Context(), "id")
	if err != nil {
		t.Fatal(err)
	}
	want("during our change", false)
	release()
	want("right after it", false)
	passed()
	want("some time after it", true)
	b.forget("id")
	want("when it stopped", false)
	release() // a second time, after the domain stopped
	b.started("id")
	want("when it started again", true)
}
