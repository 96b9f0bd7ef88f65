package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/tests/stack"
)

// A hardware owner joins, a publisher publishes, a tenant rents, changes and ends a lease; then the same by hand with
// isunchaind. What everybody paid and got adds up.
func TestLeaseLifecycle(t *testing.T) {
	f := newFixture(t)
	operators := []string{"operator", "operator2"}
	var first, second *stack.Worker
	f.step("join", func(f *fixture) {
		first = f.join("worker-1", operators[0], "1000000")
		second = f.join("worker-2", operators[1], "1200000")
		f.testJoinAgain(first)
	})
	f.step("doctor", func(f *fixture) { f.testDoctor(first) })
	f.step("publish", (*fixture).testPublish)
	f.step("market", func(f *fixture) { f.testMarket(first, second) })

	before := f.holdings(operators...)
	var bills []stack.Bill
	var lease stack.Lease
	f.step("deploy", func(f *fixture) { lease = f.testDeploy(first) })
	f.step("look", func(f *fixture) { f.testLook(lease) })
	f.step("fund", func(f *fixture) { f.testFund(lease) })
	f.step("scale", func(f *fixture) { f.testScale(lease) })
	f.step("migrate", func(f *fixture) { f.testMigrate(lease, second) })
	f.step("close", func(f *fixture) { bills = append(bills, f.testClose(lease)) })
	f.step("by hand", func(f *fixture) { bills = append(bills, f.testByHand()) })
	f.step("money", func(f *fixture) { f.requirePaid(before, f.holdings(operators...), bills, operators...) })
}

// Joining again finds the node that is there, in words and in JSON.
func (f *fixture) testJoinAgain(w *stack.Worker) {
	args := append([]string{"join"}, w.OperatorFlags()...)
	out, err := w.Run(f.ctx, args...)
	require.NoError(f.t, err)
	require.Contains(f.t, string(out), "joined already: node "+w.Node)
	var again struct {
		Node    string `json:"node"`
		Already bool   `json:"already_joined"`
		TxHash  string `json:"tx_hash"`
	}
	require.NoError(f.t, w.JSON(f.ctx, &again, args...))
	require.True(f.t, again.Already)
	require.Empty(f.t, again.TxHash)
	require.Equal(f.t, w.Node, again.Node)
}

func (f *fixture) testDoctor(w *stack.Worker) {
	var result struct {
		Healthy  bool `json:"healthy"`
		Findings []struct {
			Check, Grade, Detail, Mend string
		} `json:"findings"`
	}
	require.NoError(f.t, w.JSON(f.ctx, &result, "doctor"))
	require.True(f.t, result.Healthy)
	require.NotEmpty(f.t, result.Findings)
	for _, finding := range result.Findings {
		require.NotEqual(f.t, "fail", finding.Grade, "%+v", finding)
		if finding.Grade != "ok" {
			require.NotEmpty(f.t, finding.Mend, "%s does not say how to mend it", finding.Check)
		}
	}
	out, err := w.Run(f.ctx, "doctor")
	require.NoError(f.t, err)
	require.Contains(f.t, string(out), "engine")
}

func (f *fixture) testPublish() {
	f.publish()
	var images struct {
		Images []struct{ Image, Status string } `json:"images"`
	}
	require.NoError(f.t, f.Isun(f.ctx, "tenant", &images, "image", "ls"))
	require.Len(f.t, images.Images, 1)
	require.Equal(f.t, f.ref(), images.Images[0].Image)
	out, err := f.IsunText(f.ctx, "publisher", "image", "show", image)
	require.NoError(f.t, err)
	require.Contains(f.t, out, "web:http:8080")
	// A tag never changes.
	err = f.Isun(f.ctx, "publisher", nil, "image", "publish", image, "--layout", shared.layout, "--suns", "0.2")
	require.ErrorContains(f.t, err, "a tag is immutable, publish another tag")
}

func (f *fixture) testMarket(cheap, dear *stack.Worker) {
	var nodes struct {
		Nodes []struct {
			Node, Moniker, Status, Country string
			MilliSuns                      uint64 `json:"milli_suns"`
		} `json:"nodes"`
	}
	require.NoError(f.t, f.Isun(f.ctx, "tenant", &nodes, "nodes"))
	require.Len(f.t, nodes.Nodes, 2)
	for _, n := range nodes.Nodes {
		require.Equal(f.t, "active", n.Status)
		require.Equal(f.t, "TW", n.Country)
		require.Positive(f.t, n.MilliSuns)
	}
	var offers struct {
		Offers []struct {
			Node      string
			HourPrice uint64 `json:"hour_price_uisc,string"`
		} `json:"offers"`
	}
	require.NoError(f.t, f.Isun(f.ctx, "tenant", &offers, "price", f.ref()))
	require.Len(f.t, offers.Offers, 2)
	require.Equal(f.t, cheap.Node, offers.Offers[0].Node, "the cheapest comes first")
	require.Equal(f.t, dear.Node, offers.Offers[1].Node)
	require.EqualValues(f.t, 1_000_000*replicaMilliSuns/1_000, offers.Offers[0].HourPrice)
	for _, args := range [][]string{{"nodes"}, {"price", "--suns", "0.2"}} {
		out, err := f.IsunText(f.ctx, "tenant", args...)
		require.NoError(f.t, err)
		require.Contains(f.t, out, cheap.Node)
	}
}

func (f *fixture) testDeploy(cheap *stack.Worker) stack.Lease {
	lease := f.deploy(1, "5")
	require.Equal(f.t, "active", lease.Status)
	require.Len(f.t, lease.Running(), 1)
	p := lease.Running()[0]
	require.Equal(f.t, cheap.Node, p.Node, "the cheapest node gets it")
	f.awaitAnswer(p)
	require.Len(f.t, f.awaitContainers(cheap.Node, 1), 1)
	return lease
}

func (f *fixture) testLook(lease stack.Lease) {
	var list struct {
		Tenant string
		Leases []stack.Lease
	}
	require.NoError(f.t, f.Isun(f.ctx, "tenant", &list, "ps"))
	require.Equal(f.t, f.Chain.Accounts["tenant"], list.Tenant)
	require.Len(f.t, list.Leases, 1)
	require.Equal(f.t, lease.Lease, list.Leases[0].Lease)
	out, err := f.IsunText(f.ctx, "tenant", "ps")
	require.NoError(f.t, err)
	require.Len(f.t, lines(out), 2)
	out, err = f.IsunText(f.ctx, "tenant", "inspect", fmt.Sprint(lease.Number))
	require.NoError(f.t, err)
	for _, want := range []string{lease.Lease, "1 of 1 run", "GREETING=" + greeting, lease.Running()[0].URL(), "deposited"} {
		require.Contains(f.t, out, want)
	}
}

func (f *fixture) testFund(lease stack.Lease) {
	// Anybody may fund a lease, by its full name.
	var funded struct {
		Amount string `json:"amount_uisc"`
	}
	require.NoError(f.t, f.Isun(f.ctx, "tenant", &funded, "fund", lease.Lease, "0.5"))
	require.Equal(f.t, "500000", funded.Amount)
	require.Equal(f.t, "5500000", f.inspect(lease.Lease).Bill.Deposited)
}

func (f *fixture) testScale(lease stack.Lease) {
	var scaled struct{ Ready bool }
	require.NoError(f.t, f.Isun(f.ctx, "tenant", &scaled, "scale", lease.Lease, "3", "--wait-timeout", patience.String()))
	require.True(f.t, scaled.Ready)
	more := f.inspect(lease.Lease)
	require.Len(f.t, more.Running(), 3)
	for _, p := range more.Running() {
		f.awaitAnswer(p)
	}
	f.awaitContainers("", 3)
	kept := replica(more, 0)
	require.Equal(f.t, lease.Running()[0].Generation, kept.Generation, "the first replica was not touched")

	require.NoError(f.t, f.Isun(f.ctx, "tenant", nil, "scale", lease.Lease, "1", "--wait-timeout", patience.String()))
	f.awaitContainers("", 1)
	fewer := f.inspect(lease.Lease)
	require.Len(f.t, fewer.Running(), 1)
	require.Equal(f.t, kept.Generation, fewer.Running()[0].Generation)
	f.awaitAnswer(fewer.Running()[0])
}

// replica is the running placement of a replica, or none.
func replica(lease stack.Lease, number uint32) stack.Placement {
	for _, p := range lease.Running() {
		if p.Replica == number {
			return p
		}
	}
	return stack.Placement{}
}

func (f *fixture) testMigrate(lease stack.Lease, to *stack.Worker) {
	before := f.inspect(lease.Lease).Running()[0]
	require.NoError(f.t, f.Isun(f.ctx, "tenant", nil, "migrate", lease.Lease, "0"))
	after := f.await(lease.Lease, "the replica moves", func(l stack.Lease) bool { return len(l.On(to.Node)) == 1 })
	p := after.On(to.Node)[0]
	require.Greater(f.t, p.Generation, before.Generation)
	f.awaitAnswer(p)
	f.awaitContainers(before.Node, 0)
	// A replica that is not there cannot move.
	err := f.Isun(f.ctx, "tenant", nil, "migrate", lease.Lease, "7")
	require.ErrorContains(f.t, err, "replica")
}

func (f *fixture) testClose(lease stack.Lease) stack.Bill {
	// At least one hour ends as hours do, and not by the tenant's will.
	f.await(lease.Lease, "an hour is billed", func(l stack.Lease) bool { return l.Bill.Periods >= 2 && l.Bill.Paid != "0" })
	closed := f.close(lease.Lease)
	// Closing again is harmless, and gives the same bill.
	again := f.close(lease.Lease)
	require.Equal(f.t, closed.Bill, again.Bill)
	out, err := f.IsunText(f.ctx, "tenant", "ps")
	require.NoError(f.t, err)
	require.True(f.t, strings.HasPrefix(out, "no leases"), out)
	out, err = f.IsunText(f.ctx, "tenant", "ps", "--all")
	require.NoError(f.t, err)
	require.Contains(f.t, out, "closed")
	return closed.Bill
}
