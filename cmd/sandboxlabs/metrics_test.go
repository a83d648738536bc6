package main

import (
	"net/http"
	"strings"
	"testing"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	l.create("measured")
	a := l.send(http.MethodGet, "/metrics", nil)
	for _, want := range []string{
		`sandboxlabs_host_up{host="local"} 1`,
		`sandboxlabs_nodes{host="local",state="stopped"}`,
		`sandboxlabs_images{host="local",state="ready",type="base"} 1`,
		`sandboxlabs_pool_available_bytes{host="local",role="nodes"}`,
		"go_goroutines ", "process_resident_memory_bytes ",
	} {
		if !strings.Contains(string(a.body), want) {
			t.Errorf("no %s in\n%s", want, a.body)
		}
	}
}
