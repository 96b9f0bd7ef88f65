package runtimetest

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest/program"
)

// Chain is the chain id of every placement in the suite.
const Chain = "conformance-1"

// caseTimeout bounds one case: a busy machine takes seconds to start a
// container, a hung engine takes for ever.
const caseTimeout = 2 * time.Minute

// Harness connects the suite to an implementation.
type Harness struct {
	// Open connects a runtime for a node of Chain, as the start of a worker
	// does. Opened again for the same node it must find what is there.
	Open func(t *testing.T, node string) runtime.Runtime
	// Image is a local reference whose entry point is the probe binary and
	// which declares the volume ImageVolume.
	Image string
	// Node plugs in a character device that only root and one group may use,
	// and gives its path. It is unplugged by the test, or after it.
	Node func(t *testing.T) (path string, unplug func())
}

// ImageVolume is the folder that the suite's image declares as a volume.
const ImageVolume = "/image-volume"

// Conformance checks everything that package runtime promises and the
// reconciler relies on. Its cases run in parallel, so what a caller checks
// afterwards belongs after a t.Run around it.
func Conformance(t *testing.T, h Harness) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, *bench)
	}{
		{"ensure is idempotent", testEnsureIdempotent},
		{"ensure races with itself", testEnsureConcurrent},
		{"nodes do not see each other", testIsolation},
		{"a new client finds the same containers", testReopen},
		{"exit code and logs", testExitAndLogs},
		{"an exited placement starts again", testRestart},
		{"another spec conflicts", testConflict},
		{"an absent image is named", testImageMissing},
		{"hostile specs are refused", testHostileSpecs},
		{"stop asks, then kills", testStop},
		{"remove is complete and repeatable", testRemove},
		{"pause and unpause", testPause},
		{"resize", testResize},
		{"events", testEvents},
		{"endpoints answer", testEndpoints},
		{"environment", testEnvironment},
		{"memory limit", testMemoryLimit},
		{"pids limit", testPidsLimit},
		{"disk limits", testDiskLimits},
		{"volumes are filled and read from the host", testVolumes},
		{"privileges", testPrivileges},
		{"devices", testDevices},
		{"a device that has gone", testDeviceGone},
		{"info", testInfo},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // each has a node of its own
			c.run(t, newBench(t, h))
		})
	}
}

// bench is one case's runtime and node.
type bench struct {
	harness Harness
	node    string
	rt      runtime.Runtime
	ctx     context.Context
}

// newBench opens a node of its own for a case; the process id keeps runs on
// one machine apart.
func newBench(t *testing.T, h Harness) *bench {
	ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
	t.Cleanup(cancel)
	b := &bench{harness: h, ctx: ctx}
	b.node, b.rt = b.open(t, uniqueNode())
	return b
}

var nodeCount atomic.Int64

func uniqueNode() string {
	return fmt.Sprintf("operator%d/%d", os.Getpid(), nodeCount.Add(1))
}

// open connects to a node and removes what the case leaves on it.
func (b *bench) open(t *testing.T, node string) (string, runtime.Runtime) {
	rt := b.harness.Open(t, node)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), caseTimeout)
		defer cancel()
		states, err := rt.List(ctx)
		require.NoError(t, err)
		for _, s := range states {
			require.NoError(t, rt.Remove(ctx, s.ID, 0))
		}
		require.NoError(t, rt.Close())
	})
	return node, rt
}

// spec is a small placement that runs the given program.
func (b *bench) spec(args ...string) runtime.Spec {
	return runtime.Spec{
		ID:    runtime.ID{Chain: Chain, Node: b.node, Lease: "tenant/7", Generation: 1},
		Image: b.harness.Image,
		Args:  args,
		Limits: runtime.Limits{
			MilliCPU: 1000, MemoryMiB: 64, StorageMiB: 16, Pids: 64,
		},
	}
}

func (b *bench) ensure(t *testing.T, spec runtime.Spec) runtime.State {
	state, err := b.rt.Ensure(b.ctx, spec)
	require.NoError(t, err)
	require.Equal(t, spec.ID, state.ID)
	return state
}

// await looks again at every hint until the state is as wanted. A slow tick
// stands in for hints that were lost, as the contract allows.
func (b *bench) await(t *testing.T, id runtime.ID, want func(runtime.State) bool) runtime.State {
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	events, err := b.rt.Events(ctx)
	require.NoError(t, err)
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		state, err := b.rt.Inspect(b.ctx, id)
		require.NoError(t, err)
		if want(state) {
			return state
		}
		select {
		case <-events:
		case <-tick.C:
		case <-b.ctx.Done():
			require.FailNow(t, "timed out", "last state %+v", state)
		}
	}
}

func (b *bench) awaitExit(t *testing.T, id runtime.ID) runtime.State {
	return b.await(t, id, func(s runtime.State) bool { return s.Status == runtime.StatusExited })
}

// outcome runs a program to its end.
func (b *bench) outcome(t *testing.T, spec runtime.Spec) runtime.State {
	b.ensure(t, spec)
	return b.awaitExit(t, spec.ID)
}

func hangSpec(b *bench) runtime.Spec { return b.spec(program.Hang) }
