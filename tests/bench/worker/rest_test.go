package worker

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/tests/bench/report"
	"github.com/isuncoin/isuncoin/tests/stack"
	"github.com/isuncoin/isuncoin/worker/config"
)

const (
	// placements is how many containers run at once, of idleSuns each: together 0.6 SUNS, so that they fit small machines that
	// do other things when they are measured.
	placements    = 50
	idleMilliSuns = 12
	idleSuns      = "0.012"
	// leastMilliSuns is the chain's least demand while this is measured; a real chain's is larger.
	leastMilliSuns = 10
	// window is how long the processor time is counted, quiet how long nobody does anything before.
	window      = time.Minute
	shortWindow = 30 * time.Second
	quiet       = 15 * time.Second
	// ticks is the kernel's unit of processor time in /proc, on every architecture that Go runs on.
	ticks = 100
)

// BenchmarkAtRest measures what a worker and the engine take while nothing happens: without placements, with fifty that wait for
// requests, and the engine with those fifty and no worker. The time a worker needs to find fifty again is measured too.
func BenchmarkAtRest(b *testing.B) { once(b, func() { measureAtRest(b) }) }

func measureAtRest(b *testing.B) {
	b.Helper()
	f := newFixture(b, (*fixture).allowSmall)
	metrics := fmt.Sprintf("127.0.0.1:%d", freePort(b))
	f.join(func(cfg *config.Config) { cfg.Metrics.Listen = metrics })
	require.GreaterOrEqual(b, f.worker.MilliSuns, uint64(placements*idleMilliSuns), "what this machine measures is too little")
	f.publish(idleSuns)
	worker, engine := f.workerPID(), processes(b, "dockerd", "containerd")

	time.Sleep(quiet)
	report.Figure(b, "worker_cpu_percent_0", cpuPercent(b, shortWindow, worker)[0])
	report.Figure(b, "worker_rss_mib_0", rssMiB(b, worker))

	began := time.Now()
	var lease stack.Lease
	require.NoError(b, f.Isun(f.ctx, "tenant", &lease, "deploy", f.ref(), "--replicas", strconv.Itoa(placements)))
	report.Figure(b, "deploy_50_ms", float64(time.Since(began).Milliseconds()))
	f.awaitContainers(placements)
	time.Sleep(quiet)
	busy := cpuPercent(b, window, append([]int{worker}, engine...)...)
	report.Figure(b, "worker_cpu_percent_50", busy[0])
	report.Figure(b, "worker_rss_mib_50", rssMiB(b, worker))
	report.Figure(b, "dockerd_cpu_percent_50", sum(busy[1:]))

	require.NoError(b, f.worker.Stop())
	report.Figure(b, "dockerd_cpu_percent_50_no_worker", sum(cpuPercent(b, shortWindow, engine...)))

	began = time.Now()
	require.NoError(b, f.worker.Start())
	f.awaitRunning(metrics)
	report.Figure(b, "worker_adopts_50_ms", float64(time.Since(began).Milliseconds()))
	f.close(lease.Lease)
	b.Logf("load average %s", load(b))
}

// allowSmall begins the chain anew with a smaller least demand, so that fifty placements fit a small machine.
func (f *fixture) allowSmall() {
	f.b.Helper()
	require.NoError(f.b, f.StopChain())
	file := filepath.Join(f.Chain.Home, "config", "genesis.json")
	raw, err := os.ReadFile(file)
	require.NoError(f.b, err)
	raw = edited(f.b, raw, strconv.Quote(strconv.Itoa(leastMilliSuns)), "app_state", "lease", "params", "min_demand_milli_suns")
	require.NoError(f.b, os.WriteFile(file, raw, 0o600))
	_, err = f.Run(f.ctx, "isunchaind", "comet", "unsafe-reset-all", "--home", f.Chain.Home)
	require.NoError(f.b, err)
	require.NoError(f.b, f.StartChain())
}

// edited is a JSON object with the value at a path replaced. The value has to be there.
func edited(b *testing.B, object json.RawMessage, value string, path ...string) json.RawMessage {
	b.Helper()
	if len(path) == 0 {
		return json.RawMessage(value)
	}
	var fields map[string]json.RawMessage
	require.NoError(b, json.Unmarshal(object, &fields))
	require.Contains(b, fields, path[0])
	fields[path[0]] = edited(b, fields[path[0]], value, path[1:]...)
	raw, err := json.Marshal(fields)
	require.NoError(b, err)
	return raw
}

// workerPID is the worker's process: the first to be ended, since the chain is the last.
func (f *fixture) workerPID() int { return f.PIDs()[0] }

// awaitRunning waits until the worker's metrics show all placements running.
func (f *fixture) awaitRunning(address string) {
	f.b.Helper()
	want := fmt.Sprintf("isun_worker_placements{chain=\"running\",container=\"running\"} %d\n", placements)
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		response, err := http.Get("http://" + address + "/metrics") //nolint:noctx // the server is ours and local
		if err == nil {
			body, err := io.ReadAll(response.Body)
			require.NoError(f.b, err)
			require.NoError(f.b, response.Body.Close())
			if strings.Contains(string(body), want) {
				return
			}
		}
		time.Sleep(pollPort)
	}
	require.FailNow(f.b, "the worker did not find its placements again")
}

// processes are the ids of running programs by name.
func processes(b *testing.B, names ...string) []int {
	b.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/comm")
	require.NoError(b, err)
	var pids []int
	for _, file := range files {
		name, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		for _, want := range names {
			if strings.TrimSpace(string(name)) == want {
				pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
				require.NoError(b, err)
				pids = append(pids, pid)
			}
		}
	}
	require.NotEmpty(b, pids, "no process is called %v", names)
	return pids
}

// cpuPercent is the processor time that processes, and the children they waited for, take in a while, in percent of one core.
func cpuPercent(b *testing.B, while time.Duration, pids ...int) []float64 {
	b.Helper()
	before, began := make([]uint64, len(pids)), time.Now()
	for i, pid := range pids {
		before[i] = cpuTicks(b, pid)
	}
	time.Sleep(while)
	took := time.Since(began).Seconds()
	percent := make([]float64, len(pids))
	for i, pid := range pids {
		percent[i] = 100 * float64(cpuTicks(b, pid)-before[i]) / ticks / took
	}
	return percent
}

func cpuTicks(b *testing.B, pid int) uint64 {
	b.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(b, err)
	// The name, in brackets, may hold anything; the state is the third field.
	_, rest, _ := strings.Cut(string(raw[strings.LastIndexByte(string(raw), ')'):]), " ")
	fields := strings.Fields(rest)
	const user, childSystem = 14 - 3, 17 - 3
	var sum uint64
	for _, field := range fields[user : childSystem+1] {
		n, err := strconv.ParseUint(field, 10, 64)
		require.NoError(b, err)
		sum += n
	}
	return sum
}

// rssMiB is the memory a process holds.
func rssMiB(b *testing.B, pid int) float64 {
	b.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(b, err)
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			require.NoError(b, err)
			return kib / 1024
		}
	}
	require.FailNow(b, "the kernel does not say how much memory it holds")
	return 0
}

func sum(all []float64) float64 {
	total := 0.0
	for _, one := range all {
		total += one
	}
	return total
}
