package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cosmossdk.io/math"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/tests/stack"
)

const (
	// patience is for what takes a few seconds on an idle machine: a block or two, a container, an hour of the tests.
	patience = 60 * time.Second
	// testTime bounds a test, so that one that hangs says where and still cleans up.
	testTime = 4 * time.Minute

	image    = "hello:1"
	greeting = "hello from the tests"
	demand   = "0.1" // SUNS
	maxPrice = "2"   // ISC per placement-hour
	// offer leaves a third of the machine to itself, with two workers on it.
	offer = "33%"
	// replicaMilliSuns is demand in thousandths.
	replicaMilliSuns = 100
)

// hour are the flags of a chain whose hours last seconds. The silence limit leaves room for a machine that does other things
// too: only what needs a node to fall silent waits for it.
func hour() []string {
	return []string{
		"--billing-period", "8s", "--attest-interval", "1s", "--settle-grace", "3s", "--silence-limit", silence.String(),
		"--epoch", "10s", "--start-deadline", "20s",
	}
}

// silence is how long a chain of the tests waits for a node.
const silence = 12 * time.Second

// fixture is a chain with its workers, for one test.
type fixture struct {
	*stack.Stack
	t      *testing.T
	ctx    context.Context
	docker stack.Docker
}

// stacks counts the chains of this run: each has ports of its own for its workers.
var stacks atomic.Int32

// portsPerStack is room for three workers.
const portsPerStack = 600

// newFixture starts a chain beside those of other tests, and ends everything of it when the test does.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	docker := requireDocker(t)
	ctx, cancel := context.WithTimeout(t.Context(), testTime)
	t.Cleanup(cancel)
	dir := t.TempDir()
	// A chain id of its own keeps this test's containers apart from those of every other.
	chainID := fmt.Sprintf("isun-e2e-%d-%d", os.Getpid(), time.Now().UnixNano())
	s, err := stack.Start(dir, shared.bin, append(hour(), "--chain-id", chainID)...)
	if s != nil {
		s.DockerHost = os.Getenv("DOCKER_HOST") // the engine that the test looks at
		s.FirstPort = 30_000 + portsPerStack*int(stacks.Add(1)-1)
	}
	f := &fixture{Stack: s, t: t, ctx: ctx, docker: docker}
	if s != nil {
		t.Cleanup(func() { f.cleanUp(chainID) })
	}
	require.NoError(t, err)
	return f
}

// requireDocker gives the engine. A machine without one fails the test, unless it is told to skip.
func requireDocker(t *testing.T) stack.Docker {
	t.Helper()
	docker, err := stack.NewDocker(t.Context())
	if err != nil && os.Getenv(skipDocker) == "1" {
		t.Skip(skipDocker+"=1:", err)
	}
	require.NoError(t, err, skipDocker+"=1 skips what needs an engine")
	return docker
}

// cleanUp ends all processes and removes all containers, also when the test has failed.
func (f *fixture) cleanUp(chainID string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := errors.Join(f.Stop(), f.docker.Remove(ctx, chainID), f.Unmount())
	if err != nil {
		f.t.Error("clean up:", err)
	}
	if !f.t.Failed() {
		return
	}
	for _, log := range f.Logs() {
		f.t.Logf("the end of %s:\n%s", log, stack.Tail(log))
	}
}

// step runs a part of the test under a name of its own; the parts after a failed one would only fail too.
func (f *fixture) step(name string, run func(f *fixture)) {
	f.t.Helper()
	ok := f.t.Run(name, func(t *testing.T) {
		inner := *f
		inner.t = t
		run(&inner)
	})
	if !ok {
		f.t.FailNow()
	}
}

// join registers and starts a worker that asks so many uisc per SUNS-hour.
func (f *fixture) join(name, operator, askPrice string) *stack.Worker {
	f.t.Helper()
	worker, err := f.Join(f.ctx, stack.JoinOptions{
		Name: name, Operator: operator, Offer: offer, AskPrice: askPrice, Layouts: []string{shared.layout},
	})
	require.NoError(f.t, err)
	require.NoError(f.t, worker.Start())
	return worker
}

// publish publishes the service as the publisher.
func (f *fixture) publish() {
	f.t.Helper()
	require.NoError(f.t, f.Isun(f.ctx, "publisher", nil, "image", "publish", image, "--layout", shared.layout,
		"--suns", demand, "--port", "web:http:8080", "--licence", "Apache-2.0"))
}

// ref is the published image's full name.
func (f *fixture) ref() string { return f.Chain.Accounts["publisher"] + "/" + image }

// deploy orders replicas as the tenant and waits until they answer.
func (f *fixture) deploy(replicas int, deposit string) stack.Lease {
	f.t.Helper()
	var lease stack.Lease
	require.NoError(f.t, f.Isun(f.ctx, "tenant", &lease, "deploy", f.ref(), "--replicas", fmt.Sprint(replicas),
		"--max-price", maxPrice, "--deposit", deposit, "--env", "GREETING="+greeting, "--wait-timeout", patience.String()))
	return f.inspect(lease.Lease)
}

// inspect reads a lease, with its history.
func (f *fixture) inspect(id string) stack.Lease {
	f.t.Helper()
	var lease stack.Lease
	require.NoError(f.t, f.Isun(f.ctx, "tenant", &lease, "inspect", id, "--history"))
	require.True(f.t, lease.Bill.AddsUp, "the bill does not add up: %+v", lease.Bill)
	return lease
}

// await reads a lease until it is as expected.
func (f *fixture) await(id, what string, expected func(stack.Lease) bool) stack.Lease {
	f.t.Helper()
	var lease stack.Lease
	err := stack.Eventually(f.ctx, patience, func() (bool, error) {
		lease = f.inspect(id)
		return expected(lease), nil
	})
	require.NoError(f.t, err, "%s: %+v", what, lease)
	return lease
}

// awaitContainers waits until a node, or the whole chain if that is empty, has so many containers, and gives their ids.
func (f *fixture) awaitContainers(node string, count int) []string {
	f.t.Helper()
	var ids []string
	err := stack.Eventually(f.ctx, patience, func() (bool, error) {
		var err error
		ids, err = f.docker.Containers(f.ctx, f.Chain.ChainID, node)
		return len(ids) == count, err
	})
	require.NoError(f.t, err, "%d containers wanted, there are %v", count, ids)
	return ids
}

// awaitAnswer waits until a placement answers with the greeting that the tenant ordered.
func (f *fixture) awaitAnswer(p stack.Placement) {
	f.t.Helper()
	var body string
	err := stack.Eventually(f.ctx, patience, func() (bool, error) {
		status, text, err := stack.Get(f.ctx, p.URL())
		body = text
		return status == 200, err
	})
	require.NoError(f.t, err, "%s answered %q", p.URL(), body)
	require.Contains(f.t, body, greeting)
}

// close closes a lease and waits for its bill and for its containers to be gone.
func (f *fixture) close(id string) stack.Lease {
	f.t.Helper()
	require.NoError(f.t, f.Isun(f.ctx, "tenant", nil, "close", id, "--wait-timeout", patience.String()))
	lease := f.inspect(id)
	require.Equal(f.t, "closed", lease.Status)
	f.requireServedOnce(lease)
	f.awaitNothingLeft()
	return lease
}

// awaitNothingLeft waits until no placement has left anything: container, network, mount, loop device or disk image.
func (f *fixture) awaitNothingLeft() {
	f.t.Helper()
	f.awaitContainers("", 0)
	var left []string
	err := stack.Eventually(f.ctx, patience, func() (bool, error) {
		networks, err := f.docker.Networks(f.ctx, f.Chain.ChainID)
		if err != nil {
			return false, err
		}
		left, err = f.Leftovers()
		left = append(left, networks...)
		return len(left) == 0, err
	})
	require.NoError(f.t, err, "left behind: %v", left)
}

// requireServedOnce says that no second was paid twice: no placement was paid for longer than it ran, the second aside in which
// it began; a closed lease's hours are looked at one by one.
func (f *fixture) requireServedOnce(lease stack.Lease) {
	f.t.Helper()
	require.NotEmpty(f.t, lease.History)
	for _, p := range lease.History {
		require.LessOrEqual(f.t, p.BilledSeconds, p.RunSeconds+1, "replica %d, generation %d: %+v", p.Replica, p.Generation, p)
	}
	if lease.Status == "closed" {
		f.requireExact(lease)
	}
}

// requireBill says that a closed lease's money is all accounted for.
func (f *fixture) requireBill(bill stack.Bill) {
	f.t.Helper()
	paid := uisc(f.t, bill.PaidOperators).Add(uisc(f.t, bill.PaidAudit)).Add(uisc(f.t, bill.PaidRoyalty)).Add(uisc(f.t, bill.RetryFees))
	require.Equal(f.t, bill.Paid, paid.String(), "the shares of what was paid")
	require.Equal(f.t, bill.Deposited, paid.Add(uisc(f.t, bill.Refunded)).String(), "paid and refunded of the deposit")
	require.Equal(f.t, "0", bill.Balance)
	require.Equal(f.t, "0", bill.Reserved)
}

// uisc reads an amount.
func uisc(t *testing.T, text string) math.Int {
	t.Helper()
	amount, ok := math.NewIntFromString(text)
	require.True(t, ok, "%q is no amount", text)
	return amount
}

// nodeStatus is a node's status on the chain, as its worker shows it.
func nodeStatus(f *fixture, w *stack.Worker) string {
	f.t.Helper()
	var status struct {
		Chain struct {
			Status string `json:"status"`
		} `json:"chain"`
	}
	require.NoError(f.t, w.JSON(f.ctx, &status, "status"))
	return status.Chain.Status
}

// lines are the lines of a command's output.
func lines(text string) []string { return strings.Split(strings.TrimSpace(text), "\n") }
