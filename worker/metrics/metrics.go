// Package metrics shows a worker to Prometheus.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/isuncoin/isuncoin/worker/control"
)

// Source is the running worker; what it says is read at every scrape.
type Source interface{ Status() control.Status }

// worker turns a status into metrics.
type worker struct{ source Source }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("isun_worker_"+name, help, labels, nil)
}

var (
	infoDesc = desc("info", "The node this worker speaks for; always 1.", "chain_id", "node", "agent")
	modeDesc = desc("mode", "1 for the worker's mode: active, paused by its owner, or silent.", "mode")
	leftDesc = desc("silence_left_seconds", "Time until the worker pauses its placements for want of the chain's confirmation.")

	attestationsDesc = desc("attestations_total", "Attestations confirmed since the start.")
	checkInsDesc     = desc("check_ins_total", "Check-ins confirmed since the start.")
	failuresDesc     = desc("sign_failures_total", "Attestations and check-ins that failed and were tried again.")
	reachableDesc    = desc("chain_reachable", "1 if the chain answered the last question.")

	placement      = []string{"lease", "replica", "generation"}
	placementsDesc = desc("placements", "Placements by the chain's status and the container's.", "chain", "container")
	servedDesc     = desc("served_seconds_total", "Time served.", placement...)
	attestedDesc   = desc("attested_seconds_total", "Time served that the chain has confirmed.", placement...)
	cpuDesc        = desc("cpu_seconds_total", "Processor time used.", placement...)
	bytesDesc      = desc("network_bytes_total", "Bytes over the network.", append([]string{"direction"}, placement...)...)
	restartsDesc   = desc("restarts_total", "Starts of a container after it ended.", placement...)
)

// Describe implements prometheus.Collector: the metrics follow from Collect.
func (w worker) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(w, ch) }

// Collect implements prometheus.Collector.
func (w worker) Collect(ch chan<- prometheus.Metric) {
	s := w.source.Status()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge(infoDesc, 1, s.ChainID, s.Node, s.Agent)
	for _, mode := range []string{"active", "paused", "silent"} {
		gauge(modeDesc, truth(s.Mode == mode), mode)
	}
	gauge(leftDesc, s.SilentIn)
	gauge(reachableDesc, truth(s.ChainError == ""))
	counter(attestationsDesc, float64(s.Attester.Attested))
	counter(checkInsDesc, float64(s.Attester.CheckIns))
	counter(failuresDesc, float64(s.Attester.Failures))
	counts := map[[2]string]int{}
	for _, p := range s.Placements {
		counts[[2]string{p.Chain, p.Container}]++
		labels := []string{p.ID.Lease().String(), fmt.Sprint(p.ID.Replica), fmt.Sprint(p.ID.Generation)}
		counter(servedDesc, float64(p.Usage.ServedMs)/1000, labels...)
		counter(attestedDesc, float64(p.Attested.ServedMs)/1000, labels...)
		counter(cpuDesc, float64(p.Usage.CPUMs)/1000, labels...)
		counter(bytesDesc, float64(p.Usage.BytesIn), append([]string{"in"}, labels...)...)
		counter(bytesDesc, float64(p.Usage.BytesOut), append([]string{"out"}, labels...)...)
		counter(restartsDesc, float64(p.Restarts), labels...)
	}
	for key, n := range counts {
		gauge(placementsDesc, float64(n), key[0], key[1])
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Handler answers a scrape.
func Handler(source Source) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(worker{source: source}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

// Serve answers scrapes until ctx ends.
func Serve(ctx context.Context, address string, source Source) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", Handler(source))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // its error is Serve's
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}
