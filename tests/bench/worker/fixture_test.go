package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	dockerclient "github.com/docker/docker/client"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/tests/stack"
	"github.com/isuncoin/isuncoin/worker/config"
)

const (
	// binEnv names the folder of the programs to measure.
	binEnv = "ISUN_BIN"
	// service is what tenants run: a small static HTTP server. Its first answer is what is waited for.
	service = "github.com/isuncoin/isuncoin/scripts/demo/webservice"
	// servicePort is where it listens inside its container.
	servicePort = 8080
	image       = "hello:1"
	askPrice    = "1000000" // uisc per SUNS-hour
	// patience is for one step that takes seconds.
	patience = 2 * time.Minute
)

// once measures a single time, however often the benchmark is to be repeated: it takes minutes and finds medians itself.
func once(b *testing.B, measure func()) {
	b.Helper()
	for done := false; b.Loop(); done = true {
		if !done {
			measure()
		}
	}
}

// fixture is a chain with one worker, for one benchmark.
type fixture struct {
	*stack.Stack
	b      *testing.B
	ctx    context.Context
	docker stack.Docker
	engine *dockerclient.Client
	worker *stack.Worker
	layout string
}

// newFixture runs a chain with the periods of a real one and packs the service. All of it is ended with the benchmark, however
// that ends.
func newFixture(b *testing.B, setUp ...func(*fixture)) *fixture {
	b.Helper()
	bin := os.Getenv(binEnv)
	if bin == "" {
		b.Skip(binEnv + " names no folder with isunchaind, isun-worker and isun: `make bench` builds them and sets it")
	}
	bin, err := filepath.Abs(bin)
	require.NoError(b, err)
	for _, program := range []string{"isunchaind", "isun-worker", "isun"} {
		require.FileExists(b, filepath.Join(bin, program), "%s is %s", binEnv, bin)
	}
	f := &fixture{b: b, ctx: b.Context()}
	f.docker, err = stack.NewDocker(f.ctx)
	require.NoError(b, err)
	f.engine, err = dockerclient.NewClientWithOpts(dockerclient.FromEnv, dockerclient.WithAPIVersionNegotiation())
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, f.engine.Close()) })
	chainID := fmt.Sprintf("isun-bench-%d-%d", os.Getpid(), time.Now().UnixNano())
	f.Stack, err = stack.Start(b.TempDir(), bin, "--chain-id", chainID)
	if f.Stack != nil {
		b.Cleanup(func() { f.cleanUp(chainID) })
	}
	require.NoError(b, err)
	for _, step := range setUp {
		step(f)
	}
	f.layout = filepath.Join(f.Dir, "images")
	_, err = stack.PackService(f.ctx, f.Dir, f.layout, service)
	require.NoError(b, err)
	return f
}

// cleanUp ends all processes and takes away containers, networks and disks, also of a worker that could not do it itself.
func (f *fixture) cleanUp(chainID string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := errors.Join(f.Stop(), f.docker.Remove(ctx, chainID), f.Unmount()); err != nil {
		f.b.Error("clean up:", err)
	}
	if f.b.Failed() {
		for _, log := range f.Logs() {
			f.b.Logf("the end of %s:\n%s", log, stack.Tail(log))
		}
	}
}

// join registers a worker that offers the whole machine, after change has had its config, and runs it.
func (f *fixture) join(change func(*config.Config)) {
	f.b.Helper()
	var err error
	f.worker, err = f.Join(f.ctx, stack.JoinOptions{
		Name: "worker", Operator: "operator", Offer: "100%", AskPrice: askPrice, Layouts: []string{f.layout},
	})
	require.NoError(f.b, err)
	path := config.Home(f.worker.Home).Config()
	cfg, err := config.Load(path)
	require.NoError(f.b, err)
	change(&cfg)
	require.NoError(f.b, os.Remove(path))
	require.NoError(f.b, config.Write(path, cfg))
	require.NoError(f.b, f.worker.Start())
}

// publish publishes the service for replicas of so many SUNS.
func (f *fixture) publish(suns string) {
	f.b.Helper()
	require.NoError(f.b, f.Isun(f.ctx, "publisher", nil, "image", "publish", image, "--layout", f.layout,
		"--suns", suns, "--port", fmt.Sprintf("web:http:%d", servicePort), "--licence", "Apache-2.0"))
}

// ref is the published image's full name.
func (f *fixture) ref() string { return f.Chain.Accounts["publisher"] + "/" + image }

// close ends a lease and waits until its containers are gone.
func (f *fixture) close(lease string) {
	f.b.Helper()
	require.NoError(f.b, f.Isun(f.ctx, "tenant", nil, "close", lease, "--wait=false"))
	f.awaitContainers(0)
}

// awaitContainers waits until the chain has so many containers, and gives them.
func (f *fixture) awaitContainers(count int) []string {
	f.b.Helper()
	var ids []string
	err := stack.Eventually(f.ctx, patience, func() (bool, error) {
		var err error
		ids, err = f.docker.Containers(f.ctx, f.Chain.ChainID, "")
		return len(ids) == count, err
	})
	require.NoError(f.b, err, "%d containers wanted, there are %d", count, len(ids))
	return ids
}

// load is the machine's load average over the last minute: figures mean little on a busy one.
func load(b *testing.B) string {
	b.Helper()
	raw, err := os.ReadFile("/proc/loadavg")
	require.NoError(b, err)
	return strings.Fields(string(raw))[0]
}
