package api

import (
	"cmp"
	"context"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sandboxlabs/sandboxlabs/internal/guacamole"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
)

var (
	nodesMetric     = prometheus.NewDesc("sandboxlabs_nodes", "Nodes by host and state.", []string{"host", "state"}, nil)
	hostMetric      = prometheus.NewDesc("sandboxlabs_host_up", "1 while the libvirt host is connected.", []string{"host"}, nil)
	poolSizeMetric  = prometheus.NewDesc("sandboxlabs_pool_capacity_bytes", "Size of a storage pool.", []string{"host", "role"}, nil)
	poolFreeMetric  = prometheus.NewDesc("sandboxlabs_pool_available_bytes", "Free space of a storage pool.", []string{"host", "role"}, nil)
	poolLevelMetric = prometheus.NewDesc("sandboxlabs_pool_level", "Level of a storage pool: 0 ok, 1 warning, 2 critical (accepts nothing new).", []string{"host", "role"}, nil)
	poolShareMetric = prometheus.NewDesc("sandboxlabs_pool_share_bytes", "Space of a storage pool used by images and overlays, and reserved for uploads.", []string{"host", "role", "share"}, nil)
	overlayMetric   = prometheus.NewDesc("sandboxlabs_overlay_efficiency", "Size of full copies of the nodes' disks, divided by the space that the disks use with shared images.", []string{"host"}, nil)
	imagesMetric    = prometheus.NewDesc("sandboxlabs_images", "Images by host, type and state.", []string{"host", "type", "state"}, nil)
	diffMetric      = prometheus.NewDesc("sandboxlabs_inventory_differences_total", "Nodes that differed from the inventory without an event of libvirt.", []string{"host"}, nil)
	changesMetric   = prometheus.NewDesc("sandboxlabs_unfinished_changes", "Changes that could neither be completed nor undone; absent while the database is unreachable.", []string{"host"}, nil)
	guacamoleMetric = prometheus.NewDesc("sandboxlabs_guacamole_up", "1 if Guacamole's database is reachable; absent if Guacamole is off.", nil, nil)
	guacWebMetric   = prometheus.NewDesc("sandboxlabs_guacamole_web_up", "1 if Guacamole's web application responds; absent if Guacamole is off.", nil, nil)
	guacdMetric     = prometheus.NewDesc("sandboxlabs_guacd_up", "1 if a guacd in guacamole-guacd accepts connections.", []string{"host"}, nil)
	guacRowsMetric  = prometheus.NewDesc("sandboxlabs_guacamole_connections", "Connections synced to Guacamole.", nil, nil)
	guacFailMetric  = prometheus.NewDesc("sandboxlabs_guacamole_failures", "Failed syncs of Guacamole's database since the last successful one.", nil, nil)
	guacPassMetric  = prometheus.NewDesc("sandboxlabs_guacamole_passed_timestamp_seconds", "End of the last successful sync of Guacamole's database.", nil, nil)
)

// nodeLabels name a running node; its name may change, its id does not.
var nodeLabels = []string{"host", "id", "name"}

var (
	nodeCPUMetric     = prometheus.NewDesc("sandboxlabs_node_cpu_seconds_total", "CPU time that a running node used since its start.", nodeLabels, nil)
	nodeMemoryMetric  = prometheus.NewDesc("sandboxlabs_node_memory_bytes", "Host memory that a running node uses.", nodeLabels, nil)
	nodeGuestMetric   = prometheus.NewDesc("sandboxlabs_node_guest_memory_bytes", "Memory used in the guest; absent if the guest does not report it.", nodeLabels, nil)
	nodeReadMetric    = prometheus.NewDesc("sandboxlabs_node_disk_read_bytes_total", "Bytes that a running node read from its disks since its start.", nodeLabels, nil)
	nodeWrittenMetric = prometheus.NewDesc("sandboxlabs_node_disk_written_bytes_total", "Bytes that a running node wrote to its disks since its start.", nodeLabels, nil)
	nodeInMetric      = prometheus.NewDesc("sandboxlabs_node_network_received_bytes_total", "Bytes that a running node received since its start.", nodeLabels, nil)
	nodeOutMetric     = prometheus.NewDesc("sandboxlabs_node_network_sent_bytes_total", "Bytes that a running node sent since its start.", nodeLabels, nil)
)

// metrics collects what the services know at each scrape: all but the unfinished changes
// from memory.
type metrics struct{ s *Server }

// Describe sends nothing: which series there are depends on the hosts.
func (m metrics) Describe(chan<- *prometheus.Desc) {}

// Collect sends the current metrics.
func (m metrics) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	type key struct{ host, a, b string }
	count := map[key]float64{}
	for _, n := range m.s.o.Nodes.Nodes() {
		count[key{n.Host, string(n.State), ""}]++
	}
	for k, v := range count {
		gauge(nodesMetric, v, k.host, k.a)
	}
	clear(count)
	for _, i := range m.s.o.Images.Images() {
		count[key{i.Host, i.Type, string(i.State)}]++
	}
	for k, v := range count {
		gauge(imagesMetric, v, k.host, k.a, k.b)
	}
	for _, h := range m.s.o.Hosts.Hosts() {
		out <- prometheus.MustNewConstMetric(diffMetric, prometheus.CounterValue, float64(m.s.o.Nodes.Differences(h.Name())), h.Name())
		gauge(hostMetric, oneIf(h.Status().State == hypervisor.Connected), h.Name())
		for _, p := range m.s.o.Pools.Pools(h.Name()) {
			gauge(poolSizeMetric, float64(p.Capacity), h.Name(), p.Role)
			gauge(poolFreeMetric, float64(p.Available), h.Name(), p.Role)
			gauge(poolLevelMetric, levelNumbers[p.Level], h.Name(), p.Role)
			for share, bytes := range map[string]int64{"images": p.Images, "overlays": p.Overlays, "uploads": p.Uploads} {
				if bytes > 0 {
					gauge(poolShareMetric, float64(bytes), h.Name(), p.Role, share)
				}
			}
			if p.Shared > 0 {
				gauge(overlayMetric, efficiency(p), h.Name())
			}
		}
	}
	asked, cancel := context.WithTimeout(context.Background(), databasePatience)
	defer cancel()
	if counts, err := m.s.o.Nodes.CountUnfinished(asked); err == nil {
		for _, h := range m.s.o.Hosts.Hosts() {
			gauge(changesMetric, float64(counts[h.Name()]), h.Name())
		}
	}
	m.collectUsage(out)
	if m.s.o.Guacamole == nil {
		return
	}
	st := m.s.o.Guacamole.Status()
	gauge(guacamoleMetric, oneIf(st.State == guacamole.OK))
	gauge(guacWebMetric, oneIf(st.Web == guacamole.OK))
	for name, state := range st.Guacds {
		gauge(guacdMetric, oneIf(state == guacamole.OK), cmp.Or(name, "default"))
	}
	gauge(guacRowsMetric, float64(st.Connections))
	gauge(guacFailMetric, float64(st.Failures))
	if !st.Passed.IsZero() {
		gauge(guacPassMetric, float64(st.Passed.UnixMilli())/1000)
	}
}

func (m metrics) collectUsage(out chan<- prometheus.Metric) {
	for _, t := range m.s.o.Nodes.Totals() {
		send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64) {
			out <- prometheus.MustNewConstMetric(d, kind, v, t.Host, t.ID, t.Name)
		}
		send(nodeCPUMetric, prometheus.CounterValue, t.CPUSeconds)
		send(nodeMemoryMetric, prometheus.GaugeValue, float64(t.MemoryBytes))
		if t.GuestBytes > 0 {
			send(nodeGuestMetric, prometheus.GaugeValue, float64(t.GuestBytes))
		}
		send(nodeReadMetric, prometheus.CounterValue, float64(t.DiskRead))
		send(nodeWrittenMetric, prometheus.CounterValue, float64(t.DiskWritten))
		send(nodeInMetric, prometheus.CounterValue, float64(t.NetReceived))
		send(nodeOutMetric, prometheus.CounterValue, float64(t.NetSent))
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// registerMetrics adds /metrics, in Prometheus' text format. It asks for a
// sign-in like the API: a scraper sends a token.
func (s *Server) registerMetrics() {
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics{s}, s.o.Hosts.Metrics(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.echo.GET("/metrics", echo.WrapHandler(promhttp.HandlerFor(registry, promhttp.HandlerOpts{})))
}
