package command_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/client/chain/chaintest"
	"github.com/isuncoin/isuncoin/client/tenant"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
)

// deployed is the JSON of deploy and scale.
type deployed struct {
	Lease     string     `json:"lease"`
	Tenant    string     `json:"tenant"`
	Number    uint64     `json:"number"`
	Image     string     `json:"image"`
	Replicas  uint32     `json:"replicas"`
	MaxPrice  string     `json:"max_price_uisc"`
	Deposit   string     `json:"deposit_uisc"`
	Tx        string     `json:"tx"`
	Height    int64      `json:"height"`
	Ready     bool       `json:"ready"`
	ElapsedMs int64      `json:"elapsed_ms"`
	Endpoints []endpoint `json:"endpoints"`
}

type endpoint struct {
	Replica       uint32 `json:"replica"`
	Node          string `json:"node"`
	Name          string `json:"name"`
	Protocol      string `json:"protocol"`
	Address       string `json:"address"`
	ContainerPort uint32 `json:"container_port"`
	URL           string `json:"url"`
}

func TestDeployWaitsUntilItAnswers(t *testing.T) {
	b := newBench(t)
	done := b.run("deploy", "hello:1", "--replicas", "2", "--yes").ok()
	golden(t, "deploy.out.txt", done.out)
	golden(t, "deploy.err.txt", maskTx(done.err))

	order := b.market.Created()[0]
	require.Equal(t, b.tenant.String()+"/hello:1", order.Image)
	require.EqualValues(t, 500, order.Demand.GeneralMilliSuns, "the image's demand")
	require.EqualValues(t, 300_000, order.MaxPrice, "the quote of 0.25 ISC and a fifth")
	require.Equal(t, "14400000uisc", order.Deposit.String(), "24 hours of 2 replicas at 0.3 ISC")
	require.EqualValues(t, 2, b.market.Quotes()[0].Limit)
}

func TestDeployJSON(t *testing.T) {
	b := newBench(t)
	var got deployed
	done := b.run("deploy", "hello:1", "-y", "-o", "json").ok()
	done.json(&got)
	golden(t, "deploy.json", maskTx(done.out))
	require.True(t, got.Ready)
	require.EqualValues(t, 1, got.Number)
	require.Equal(t, "300000", got.MaxPrice)
	require.Len(t, got.Tx, 64)
	require.Equal(t, []endpoint{{
		Replica: 0, Node: got.Endpoints[0].Node, Name: "web", Protocol: "http", Address: "SERVICE", ContainerPort: 8080, URL: "http://SERVICE/",
	}}, got.Endpoints)
}

func TestDeployTakesEveryWish(t *testing.T) {
	b := newBench(t)
	node := b.run("nodes", "-o", "json").ok()
	var nodes struct{ Nodes []tenant.Node }
	node.json(&nodes)
	b.run("deploy", b.tenant.String()+"/hello:1", "--general", "4", "--gpu", "gpu:1:26:RTX 4090", "--max-price", "0.8", "--deposit",
		"50000000uisc", "--country", "tw,JP", "--zone", "taipei", "--arch", "amd64", "--spread", "--avoid", nodes.Nodes[0].Node,
		"--env", "A=b=c", "-e", "EMPTY", "--arg", "serve", "--arg=--port=8080", "--wait=false", "--yes").ok()

	order := b.market.Created()[0]
	require.EqualValues(t, 4_000, order.Demand.GeneralMilliSuns)
	require.EqualValues(t, 26_000, order.Demand.Accelerator.MilliSuns)
	require.Equal(t, "RTX 4090", order.Demand.Accelerator.Model)
	require.EqualValues(t, 800_000, order.MaxPrice)
	require.Equal(t, "50000000uisc", order.Deposit.String())
	require.Equal(t, []string{"TW", "JP"}, order.Rules.Countries)
	require.Equal(t, []string{"taipei"}, order.Rules.Zones)
	require.True(t, order.Rules.SpreadOperators)
	require.Equal(t, nodes.Nodes[0].Node, order.Rules.Avoid[0].String())
	require.Equal(t, []leasetypes.EnvVar{{Name: "A", Value: "b=c"}, {Name: "EMPTY"}}, order.Env)
	require.Equal(t, []string{"serve", "--port=8080"}, order.Args)
}

func TestDeployAsksBeforeItSpends(t *testing.T) {
	b := newBench(t)
	b.run("deploy", "hello:1").fails("Nobody is there to answer: say --yes")
	b.in = "n\n"
	b.run("deploy", "hello:1").fails("deposit  7.2 ISC, enough for 1d of all replicas", "Order it? [y/N]", "nothing was done")
	require.Empty(t, b.market.Created())
	b.in = "y\n"
	b.run("deploy", "hello:1").ok()
	require.Len(t, b.market.Created(), 1)
}

func TestDeployRefusesNonsense(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"deploy"}, "IMAGE is missing"},
		{[]string{"deploy", "a:1", "b:1"}, `"b:1" is one argument too many`},
		{[]string{"deploy", "hello"}, "has no tag"},
		{[]string{"deploy", "other:1"}, "isun uai ls"},
		{[]string{"deploy", "hello:1", "--replicas", "0"}, "at least one"},
		{[]string{"deploy", "hello:1", "--suns", "lots"}, `SUNS "lots"`},
		{[]string{"deploy", "hello:1", "--suns", "0"}, "more than 0 SUNS"},
		{[]string{"deploy", "hello:1", "--suns", "1", "--general", "1"}, "suns"},
		{[]string{"deploy", "hello:1", "--gpu", "1:26"}, "kind:count:suns"},
		{[]string{"deploy", "hello:1", "--max-price", "cheap"}, "--max-price"},
		{[]string{"deploy", "hello:1", "--max-price", "0"}, "free of charge"},
		{[]string{"deploy", "hello:1", "--deposit", "-1"}, "--deposit"},
		{[]string{"deploy", "hello:1", "--country", "Taiwan"}, "TAIWAN"},
		{[]string{"deploy", "hello:1", "--avoid", "n1"}, "`isun nodes` lists them"},
		{[]string{"deploy", "hello:1", "--target-node", "n1/1"}, "--target-node"},
		{[]string{"deploy", "hello:1", "--env", "=x"}, "NAME=VALUE"},
		{[]string{"deploy", "hello:1", "--deposit", "0.1"}, "deposit is less than one period"},
		{[]string{"deploy", "hello:1", "--from", "bob"}, "it has tenant"},
		{[]string{"deploy", "hello:1", "--chain-id", "isun-9"}, "wrong chain"},
	} {
		b.run(append(c.args, "--yes")...).fails(c.says)
	}
	require.Empty(t, b.market.Created())
}

func TestDeploySaysWhenNothingFits(t *testing.T) {
	b := newBench(t)
	b.run("deploy", "hello:1", "--max-price", "0.1", "--wait=false", "--yes").ok()
	b.in = "n\n"
	b.run("deploy", "hello:1", "--max-price", "0.1").fails("no machine fits that now, it will wait for one")
}

func TestDeploySaysWhyALeaseCannotRun(t *testing.T) {
	for status, says := range map[leasetypes.LeaseStatus]string{
		leasetypes.LEASE_STATUS_SUSPENDED: "the lease is suspended",
		leasetypes.LEASE_STATUS_UNFUNDED:  "`isun fund 1 AMOUNT` lets it go on",
		leasetypes.LEASE_STATUS_CLOSED:    "no node was found in time",
	} {
		t.Run(status.String(), func(t *testing.T) {
			b := newBench(t)
			b.market.EndIn(status, "no node was found in time")
			var got deployed
			done := b.run("deploy", "hello:1", "-y", "-o", "json").fails(says)
			done.json(&got)
			require.False(t, got.Ready, "the lease is there all the same")
			require.EqualValues(t, 1, got.Number)
		})
	}
}

func TestDeployLeavesTheLeaseWhenInterrupted(t *testing.T) {
	b := newBench(t)
	b.market.SetStuck(true)
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		for b.market.Node.Calls("abci_query") < 12 && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		interrupt()
	}()
	done := b.runContext(ctx, "deploy", "hello:1", "--yes")
	require.Equal(t, 130, done.code)
	require.Contains(t, done.err, "`isun close 1` ends it")
	require.Contains(t, done.err, "isun: interrupted")
}

func TestDeployNamesTheTransactionWhenInterrupted(t *testing.T) {
	b := newBench(t)
	b.market.Chain.SetManual(true)
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		for b.market.Node.Calls("tx") == 0 && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		interrupt()
	}()
	done := b.runContext(ctx, "deploy", "hello:1", "--yes")
	require.Equal(t, 130, done.code)
	require.Contains(t, maskTx(done.err), "transaction TX was sent but is in no block yet")
}

func TestDeployGivesUpWaiting(t *testing.T) {
	b := newBench(t)
	b.market.SetStuck(true)
	b.run("deploy", "hello:1", "--yes", "--wait-timeout", "50ms").fails("waited 50ms", "`isun close 1` ends it")
}

func TestDeployWaitsForTheServiceItself(t *testing.T) {
	b := newBench(t)
	b.service.Close()
	b.run("deploy", "hello:1", "--yes", "--wait-timeout", "500ms").fails("1 of 1 replicas run, 0 answer; http://SERVICE/ does not answer yet")
}

func TestDeploySurvivesANodeOfTheChain(t *testing.T) {
	b := newBench(t)
	second := chaintest.NewNode(t, b.market.Chain)
	b.market.Node.Fail(chaintest.Breaks, "abci_query")
	b.run("deploy", "hello:1", "--yes", "--node", second.URL()).ok()
}

func TestLeaseLife(t *testing.T) {
	b := newBench(t)
	golden(t, "ps.none.txt", b.run("ps").ok().out)
	b.run("deploy", "hello:1", "--replicas", "2", "--yes", "--env", "GREETING=hi").ok()
	golden(t, "ps.txt", b.run("ps").ok().out)
	golden(t, "ps.json", b.run("ps", "-o", "json").ok().out)
	golden(t, "inspect.txt", b.run("inspect", "1").ok().out)
	golden(t, "inspect.history.txt", b.run("inspect", b.tenant.String()+"/1", "--history").ok().out)

	golden(t, "fund.json", maskTx(b.run("fund", "1", "1uisc", "-y", "-o", "json").ok().out))
	golden(t, "fund.txt", maskTx(b.run("fund", "1", "2.5", "--yes").ok().out))
	golden(t, "scale.txt", b.run("scale", "1", "3", "--yes").ok().out)
	var scaled deployed
	b.run("scale", "1", "--suns", "1", "--image", "hello:1", "--max-price", "1", "-y", "-o", "json").ok().json(&scaled)
	require.True(t, scaled.Ready)
	require.EqualValues(t, 3, scaled.Replicas)
	require.Equal(t, "1000000", scaled.MaxPrice)
	require.Empty(t, scaled.Deposit)
	golden(t, "migrate.txt", maskTx(b.run("migrate", "1", "2", "--yes").ok().out))

	golden(t, "close.txt", b.run("close", "1", "--yes").ok().out)
	golden(t, "close.json", maskTx(b.run("close", "1", "-o", "json").ok().out))
	golden(t, "ps.none.txt", b.run("ps").ok().out)
	golden(t, "ps.all.txt", b.run("ps", "--all").ok().out)
}

func TestCloseShowsABillThatAddsUp(t *testing.T) {
	b := newBench(t)
	b.run("deploy", "hello:1", "--yes").ok()
	var got struct {
		Lease   string      `json:"lease"`
		Status  string      `json:"status"`
		Settled bool        `json:"settled"`
		Bill    tenant.Bill `json:"bill"`
		Tx      string      `json:"tx"`
		Height  int64       `json:"height"`
	}
	b.run("close", "1", "--yes", "-o", "json").ok().json(&got)
	require.True(t, got.Settled)
	require.True(t, got.Bill.AddsUp)
	// One second of 0.5 SUNS at 0.5 ISC per SUNS-hour: 500,000 · 500 · 1 ÷ 3,600,000 = 69 uisc, of which 90 % are 62.
	require.Equal(t, "62", got.Bill.PaidOperators)
	require.Equal(t, "7", got.Bill.PaidAudit)
	require.Equal(t, "7199931", got.Bill.Refunded)
}

func TestCloseWithoutWaiting(t *testing.T) {
	b := newBench(t)
	b.run("deploy", "hello:1", "--yes").ok()
	b.market.SetStuck(true)
	require.Contains(t, b.run("close", "1", "--yes", "--wait=false").ok().out, "`isun close 1` waits for its bill")
	b.run("close", "1", "--yes", "--wait-timeout", "20ms").fails("`isun close 1` waits again")
	b.market.SetStuck(false)
	require.Contains(t, b.run("close", "1").ok().out, "lease 1 is closed")
}

func TestLeaseCommandsRefuseNonsense(t *testing.T) {
	b := newBench(t)
	stranger := b.addKey("stranger", 1)
	b.market.Chain.AddAccount(stranger, 0)
	b.run("deploy", "hello:1", "--yes").ok()
	lease := b.tenant.String() + "/1"
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"inspect", "9"}, "lease not found"},
		{[]string{"inspect", "zero"}, "neither a number"},
		{[]string{"inspect", "a/b"}, "invalid id"},
		{[]string{"fund", "1"}, "AMOUNT is missing"},
		{[]string{"fund", "1", "0"}, "nothing"},
		{[]string{"fund", "1", "ten"}, `amount "ten"`},
		{[]string{"fund", "9", "1"}, "`isun ps --all` lists your leases"},
		{[]string{"scale", "1"}, "nothing to change"},
		{[]string{"scale", "1", "0"}, "`isun close 1` ends the lease"},
		{[]string{"scale", "1", "many"}, `REPLICAS is "many"`},
		{[]string{"scale", lease, "2", "--from", "stranger"}, "choose the tenant's key"},
		{[]string{"close", lease, "--from", "stranger"}, "choose the tenant's key"},
		{[]string{"migrate", "1", "5"}, "replica has no placement to migrate"},
		{[]string{"migrate", "1", "x"}, "say its number, from 0"},
		{[]string{"ps", "--tenant", "bob"}, "--tenant"},
	} {
		b.run(append(c.args, "--yes")...).fails(c.says)
	}
	b.run("fund", lease, "1", "--from", "stranger", "--yes").ok()
}

func TestKeysAreChosen(t *testing.T) {
	b := newBench(t)
	other := b.addKey("other", 1)
	var list struct {
		Tenant string         `json:"tenant"`
		Leases []tenant.Lease `json:"leases"`
	}
	b.run("ps", "-o", "json").ok().json(&list)
	require.Equal(t, b.tenant.String(), list.Tenant, "the key called tenant is used among several")
	b.run("ps", "-o", "json", "--from", "other").ok().json(&list)
	require.Equal(t, other.String(), list.Tenant)
	t.Setenv("ISUN_FROM", "other")
	t.Setenv("ISUN_OUTPUT", "json")
	b.run("ps").ok().json(&list)
	require.Equal(t, other.String(), list.Tenant)
	b.run("ps", "--from", "tenant").ok().json(&list)
	require.Equal(t, b.tenant.String(), list.Tenant, "a flag comes before the environment")

	b.home = t.TempDir()
	t.Setenv("ISUN_FROM", "")
	b.run("ps").fails("isunchaind keys add tenant")
	b.addKey("alice", 0)
	b.addKey("bob", 1)
	b.run("ps").fails("say --from with one of alice, bob")
}
