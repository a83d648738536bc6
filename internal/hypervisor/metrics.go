package hypervisor

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// callMetrics counts and times calls of Host.Do: each is one libvirt call or a few that
// belong together.
type callMetrics struct {
	took   *prometheus.HistogramVec
	errors *prometheus.CounterVec
}

func newCallMetrics() *callMetrics {
	return &callMetrics{
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sandboxlabs_libvirt_call_duration_seconds",
			Help: "Time that work with libvirt took, by host and operation, such as node.start.",
			// A call to a hanging host ends after 20 s, when keep-alive closes the
			// connection.
			Buckets: []float64{.001, .005, .02, .1, .5, 2, 10, 30},
		}, []string{"host", "operation"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sandboxlabs_libvirt_call_errors_total",
			Help: "Work with libvirt that failed, by host, operation, and libvirt's error number, or the service's own error code.",
		}, []string{"host", "operation", "code"}),
	}
}

// Metrics returns the metrics of the calls to all hosts, to be registered.
func (s *Set) Metrics() prometheus.Collector { return s.calls }

// Describe sends the descriptions of all metrics.
func (m *callMetrics) Describe(out chan<- *prometheus.Desc) {
	m.took.Describe(out)
	m.errors.Describe(out)
}

// Collect sends the current metrics.
func (m *callMetrics) Collect(out chan<- prometheus.Metric) {
	m.took.Collect(out)
	m.errors.Collect(out)
}

func (m *callMetrics) note(host, operation string, took time.Duration, err error) {
	m.took.WithLabelValues(host, operation).Observe(took.Seconds())
	if err == nil {
		return
	}
	code := string(fault.CodeOf(err))
	var lv libvirt.Error
	if errors.As(err, &lv) && fault.CodeOf(err) == fault.Internal {
		code = strconv.Itoa(int(lv.Code))
	}
	m.errors.WithLabelValues(host, operation, code).Inc()
}
