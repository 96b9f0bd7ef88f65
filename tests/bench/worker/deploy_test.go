package worker

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	rpchttp "github.com/cometbft/cometbft/rpc/client/http"
	cmttypes "github.com/cometbft/cometbft/types"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/tests/bench/report"
	"github.com/isuncoin/isuncoin/tests/stack"
	"github.com/isuncoin/isuncoin/worker/config"
)

const (
	// deployRounds is how many orders and runs by hand take turns; their medians are the figures.
	deployRounds = 7
	// deploySuns is what a replica has: a half SUNS, so that its processor limit does not decide how soon it answers.
	deploySuns = "0.5"
	// pollPort is how often the port is tried: well below what is measured.
	pollPort = 5 * time.Millisecond
)

// trace is when things of one order happened, each since the start of `isun deploy`.
type trace struct {
	block, seen, network, created, started, answered, reported, told time.Duration
}

// BenchmarkDeploy measures the time from the start of `isun deploy` to the first answer over HTTP at the replica's port, beside
// `docker run` of the same image, which the engine has in both cases. The worker publishes at one port only, so the port can be
// asked before anybody says that it is there.
func BenchmarkDeploy(b *testing.B) { once(b, func() { measureDeploy(b) }) }

func measureDeploy(b *testing.B) {
	b.Helper()
	f := newFixture(b)
	port := freePort(b)
	f.join(func(cfg *config.Config) {
		cfg.Network.PortFirst, cfg.Network.PortLast, cfg.Log.Level = port, port, "debug"
	})
	f.publish(deploySuns)
	watch := f.watch()
	local := f.firstDeploy() // the engine takes the image in
	var traces []trace
	var byHand []time.Duration
	for range deployRounds {
		traces = append(traces, f.deploy(port, watch))
		byHand = append(byHand, f.runByHand(local, port))
	}
	b.Logf("load average %s", load(b))
	report.Figure(b, "docker_run_to_http_ms", ms(median(byHand)))
	for name, of := range figures {
		var all []time.Duration
		for _, t := range traces {
			all = append(all, of(t))
		}
		report.Figure(b, name, ms(median(all)))
	}
}

// figures are what is said of a trace, by the figure's name.
var figures = map[string]func(trace) time.Duration{
	"deploy_to_http_ms":                func(t trace) time.Duration { return t.answered },
	"deploy_command_ms":                func(t trace) time.Duration { return t.told },
	"deploy_phase_1_order_in_block_ms": func(t trace) time.Duration { return t.block },
	"deploy_phase_2_worker_acts_ms":    func(t trace) time.Duration { return t.seen - t.block },
	"deploy_phase_3_network_ms":        func(t trace) time.Duration { return t.network - t.seen },
	"deploy_phase_4_created_ms":        func(t trace) time.Duration { return t.created - t.network },
	"deploy_phase_5_started_ms":        func(t trace) time.Duration { return t.started - t.created },
	"deploy_phase_6_answers_ms":        func(t trace) time.Duration { return t.answered - t.started },
	"deploy_phase_7_start_in_block_ms": func(t trace) time.Duration { return t.reported - t.answered },
	"deploy_phase_8_command_ends_ms":   func(t trace) time.Duration { return t.told - t.reported },
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// freePort is a port that nobody uses now.
func freePort(b *testing.B) uint16 {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer listener.Close()
	address, ok := listener.Addr().(*net.TCPAddr)
	require.True(b, ok)
	return uint16(address.Port)
}

func median(all []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// firstDeploy runs the image once and gives its id in the engine.
func (f *fixture) firstDeploy() string {
	f.b.Helper()
	var lease stack.Lease
	require.NoError(f.b, f.Isun(f.ctx, "tenant", &lease, "deploy", f.ref()))
	container, err := f.engine.ContainerInspect(f.ctx, f.awaitContainers(1)[0])
	require.NoError(f.b, err)
	f.close(lease.Lease)
	return container.Image
}

// deploy orders a replica as a tenant does, follows it to its answer, and closes it.
func (f *fixture) deploy(port uint16, w *watch) trace {
	f.b.Helper()
	w.reset()
	began := time.Now()
	answered := f.await(port)
	args := append([]string{"deploy", f.ref(), "--output", "json"}, f.IsunFlags("tenant")...)
	out, err := f.Run(f.ctx, "isun", args...)
	told := time.Since(began)
	require.NoError(f.b, err)
	var order struct {
		Lease  string `json:"lease"`
		Height int64  `json:"height"`
	}
	require.NoError(f.b, json.Unmarshal(out, &order))
	t := trace{told: told, answered: (<-answered).Sub(began)}
	t.block = w.at(f.b, fmt.Sprintf("block %d", order.Height)).Sub(began)
	container, err := f.engine.ContainerInspect(f.ctx, f.awaitContainers(1)[0])
	require.NoError(f.b, err)
	// A placement's container and its network have one name.
	name := strings.TrimPrefix(container.Name, "/")
	for what, at := range map[string]*time.Duration{
		"act": &t.seen, "network create " + name: &t.network, "container create " + name: &t.created,
		"container start " + name: &t.started, "report in block": &t.reported,
	} {
		*at = w.at(f.b, what).Sub(began)
	}
	f.close(order.Lease)
	return t
}

// runByHand runs the image with `docker run` and gives the time to its first answer.
func (f *fixture) runByHand(local string, port uint16) time.Duration {
	f.b.Helper()
	began := time.Now()
	answered := f.await(port)
	publish := fmt.Sprintf("127.0.0.1:%d:%d", port, servicePort)
	out, err := exec.CommandContext(f.ctx, "docker", "run", "-d", "-p", publish, "--label", "isun.chain="+f.Chain.ChainID, local).CombinedOutput()
	require.NoError(f.b, err, string(out))
	took := (<-answered).Sub(began)
	out, err = exec.CommandContext(f.ctx, "docker", "rm", "-f", strings.TrimSpace(string(out))).CombinedOutput()
	require.NoError(f.b, err, string(out))
	return took
}

// await asks a port until it answers HTTP, and then says when.
func (f *fixture) await(port uint16) <-chan time.Time {
	answered := make(chan time.Time, 1)
	url := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port)))
	go func() {
		defer close(answered)
		ctx, cancel := context.WithTimeout(f.ctx, patience)
		defer cancel()
		for ctx.Err() == nil {
			if status, _, err := stack.Get(ctx, url); err == nil && status == 200 {
				answered <- time.Now()
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(pollPort):
			}
		}
	}()
	return answered
}

// watch notes when the chain, the worker and the engine did something, by name; the first time counts.
type watch struct {
	notes chan note
	first map[string]time.Time
}

type note struct {
	what string
	at   time.Time
}

// notesKept is more than one order and what it leaves make.
const notesKept = 10_000

func (f *fixture) watch() *watch {
	f.b.Helper()
	w := &watch{notes: make(chan note, notesKept)}
	f.watchBlocks(w)
	f.watchEngine(w)
	f.watchLog(w)
	return w
}

func (w *watch) reset() {
	w.first = map[string]time.Time{}
	for {
		select {
		case <-w.notes:
		default:
			return
		}
	}
}

// at is when something first happened since the reset; it waits for it.
func (w *watch) at(b *testing.B, what string) time.Time {
	b.Helper()
	late := time.After(patience)
	for {
		if at, ok := w.first[what]; ok {
			return at
		}
		select {
		case n := <-w.notes:
			if _, ok := w.first[n.what]; !ok {
				w.first[n.what] = n.at
			}
		case <-late:
			require.FailNow(b, "it never happened: "+what)
		}
	}
}

// watchBlocks notes when each block's state can be asked for.
func (f *fixture) watchBlocks(w *watch) {
	f.b.Helper()
	rpc, err := rpchttp.New(f.Chain.RPC, "/websocket")
	require.NoError(f.b, err)
	require.NoError(f.b, rpc.Start())
	f.b.Cleanup(func() { require.NoError(f.b, rpc.Stop()) })
	blocks, err := rpc.Subscribe(f.ctx, "bench", cmttypes.EventQueryNewBlockHeader.String(), notesKept)
	require.NoError(f.b, err)
	go func() {
		for e := range blocks {
			if header, ok := e.Data.(cmttypes.EventDataNewBlockHeader); ok {
				w.notes <- note{fmt.Sprintf("block %d", header.Header.Height), time.Now()}
			}
		}
	}()
}

// watchEngine notes what becomes of containers and networks, by name and by the engine's own clock.
func (f *fixture) watchEngine(w *watch) {
	messages, _ := f.engine.Events(f.ctx, events.ListOptions{Filters: filters.NewArgs()})
	go func() {
		for {
			select {
			case <-f.ctx.Done():
				return
			case m := <-messages:
				w.notes <- note{fmt.Sprintf("%s %s %s", m.Type, m.Action, m.Actor.Attributes["name"]), time.Unix(0, m.TimeNano)}
			}
		}
	}()
}

// watchLog notes when the worker begins to start a container, and when its report of that is in a block.
func (f *fixture) watchLog(w *watch) {
	f.b.Helper()
	file, err := os.Open(filepath.Join(f.Dir, "worker.log"))
	require.NoError(f.b, err)
	f.b.Cleanup(func() { require.NoError(f.b, file.Close()) })
	go func() {
		lines := bufio.NewReader(file)
		var part string
		for f.ctx.Err() == nil {
			line, err := lines.ReadString('\n')
			part += line
			if err == io.EOF {
				time.Sleep(pollPort) // a file says nothing when it grows
				continue
			}
			if err != nil {
				return
			}
			if what := meaning(part); what != "" {
				if at, ok := logTime(part); ok {
					w.notes <- note{what, at}
				}
			}
			part = ""
		}
	}()
}

// meaning is what a line of the worker's log is noted as.
func meaning(line string) string {
	switch {
	case strings.Contains(line, "msg=reconcile") && strings.Contains(line, "action=start"):
		return "act"
	case strings.Contains(line, "msg=done") && strings.Contains(line, "action=report"):
		return "report in block"
	}
	return ""
}

func logTime(line string) (time.Time, bool) {
	text, _, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
	at, err := time.Parse(time.RFC3339Nano, text)
	return at, err == nil
}
