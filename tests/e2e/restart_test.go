package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/tests/stack"
)

// outage is how long the chain stands still: several times the silence limit, by the clock on the wall.
const outage = time.Minute

// A chain that was stopped for longer than any limit goes on from its data, and so does what runs on it: by the chain's clock
// no time has passed. Its workers cannot know that, and freeze their containers before the limit until it answers again.
func TestChainRestart(t *testing.T) {
	f := newFixture(t)
	worker := f.join("worker-1", "operator", "1000000")
	f.publish()
	before := f.holdings("operator")
	lease := f.deploy(1, "5")
	placement := lease.Running()[0]

	f.await(lease.Lease, "an hour is billed", func(l stack.Lease) bool { return l.Bill.Periods >= 1 })
	container := f.awaitContainers(worker.Node, 1)[0]
	lost := f.unserved(worker)
	require.NoError(t, f.StopChain())
	began := time.Now()
	f.awaitAnswer(placement) // the tenant's service does not need the chain
	f.awaitStatus(container, "paused")
	frozen := time.Since(began)
	require.Less(t, frozen, silence, "too late: the chain would have placed it elsewhere")
	require.Greater(t, frozen, silence/2, "too early: a chain that hesitates stops nobody's service")
	time.Sleep(time.Until(began.Add(outage))) // the fault itself
	require.NoError(t, f.StartChain())
	stopped := f.awaitHeight(before.height + 1)

	f.awaitHeight(stopped + 2)
	f.requireGoesOn(lease, placement, worker)
	require.Equal(t, []string{container}, f.awaitContainers(worker.Node, 1))
	require.Less(t, f.unserved(worker)-lost, silence, "the minute did not pass for the chain")
	closed := f.close(lease.Lease)
	f.requirePaid(before, f.holdings("operator"), []stack.Bill{closed.Bill}, "operator")
}

// awaitHeight waits for a block and gives the newest height.
func (f *fixture) awaitHeight(least int64) int64 {
	f.t.Helper()
	var height int64
	err := stack.Eventually(f.ctx, patience, func() (bool, error) {
		var err error
		height, err = f.Height(f.ctx)
		return height >= least, err
	})
	require.NoError(f.t, err, "the chain is at %d", height)
	return height
}

// requireGoesOn says that a lease is served and billed by the same placement as before.
func (f *fixture) requireGoesOn(lease stack.Lease, placement stack.Placement, w *stack.Worker) {
	f.t.Helper()
	f.awaitMode(w, "active")
	f.awaitAnswer(placement)
	was := f.inspect(lease.Lease).Bill
	f.await(lease.Lease, "hours go on", func(l stack.Lease) bool {
		return l.Bill.Periods >= was.Periods+2 && uisc(f.t, l.Bill.PaidOperators).GT(uisc(f.t, was.PaidOperators))
	})
	f.same(placement, lease.Lease)
	f.awaitContainers(placement.Node, 1)
}

// exported is the genesis that `isunchaind export` writes, as far as the test looks.
type exported struct {
	ChainID       string      `json:"chain_id"`
	InitialHeight json.Number `json:"initial_height"`
	AppState      struct {
		Bank struct {
			Balances []struct {
				Address string
				Coins   []struct{ Denom, Amount string }
			}
		}
		Lease struct{ Leases, Placements []json.RawMessage }
		Suns  struct{ Nodes []json.RawMessage }
	} `json:"app_state"`
}

// balance is an account's uisc in the export.
func (e exported) balance(address string) string {
	for _, b := range e.AppState.Bank.Balances {
		if b.Address == address {
			for _, c := range b.Coins {
				if c.Denom == "uisc" {
					return c.Amount
				}
			}
		}
	}
	return "0"
}

// A chain that was exported while a lease ran is started from the export by the same validator in a fresh home, and everything
// is as it was: what people have, what they ordered, where it runs, and that it is billed.
func TestExportStart(t *testing.T) {
	f := newFixture(t)
	worker := f.join("worker-1", "operator", "1000000")
	f.publish()
	lease := f.deploy(1, "5")
	lease = f.await(lease.Lease, "an hour is billed", func(l stack.Lease) bool { return l.Bill.Periods >= 1 })
	placement := lease.Running()[0]
	node := f.queryNode(worker)

	var genesis exported
	f.step("export", func(f *fixture) { genesis = f.exportAndStart() })
	f.step("the same people", func(f *fixture) {
		height := f.awaitHeight(initialHeight(f, genesis))
		for _, name := range []string{"tenant", "tenant2", "publisher"} {
			balance, err := f.Balance(f.ctx, f.Chain.Accounts[name], stack.At(height))
			require.NoError(f.t, err)
			require.Equal(f.t, genesis.balance(f.Chain.Accounts[name]), balance.String(), name)
		}
		require.Equal(f.t, node, f.queryNode(worker))
	})
	f.step("the same lease", func(f *fixture) {
		after := f.inspect(lease.Lease)
		require.Equal(f.t, "active", after.Status)
		require.Equal(f.t, lease.Bill.Deposited, after.Bill.Deposited)
		require.GreaterOrEqual(f.t, after.Bill.Periods, lease.Bill.Periods)
		f.requireGoesOn(lease, placement, worker)
	})
	f.step("close", func(f *fixture) {
		closed := f.close(lease.Lease)
		f.requireBill(closed.Bill)
		after := f.holdings()
		fees, err := f.FeesPaid(f.ctx, f.Chain.Accounts["tenant"], initialHeight(f, genesis), after.height)
		require.NoError(f.t, err)
		want := uisc(f.t, genesis.balance(f.Chain.Accounts["tenant"])).Add(uisc(f.t, closed.Bill.Refunded)).Sub(fees)
		require.Equal(f.t, want.String(), after.tenant.String(), "the refund came back")
		require.Equal(f.t, "0", after.escrow.String())
	})
}

func initialHeight(f *fixture, genesis exported) int64 {
	f.t.Helper()
	height, err := strconv.ParseInt(genesis.InitialHeight.String(), 10, 64)
	require.NoError(f.t, err)
	return height
}

// queryNode is what the chain keeps of a node for good: who, what, how much, for how much.
func (f *fixture) queryNode(w *stack.Worker) map[string]any {
	f.t.Helper()
	var answer struct {
		Node struct{ Node map[string]any }
	}
	require.NoError(f.t, f.Query(f.ctx, &answer, "suns", "node", f.Chain.Accounts[w.Operator], "1"))
	require.Equal(f.t, "NODE_STATUS_ACTIVE", answer.Node.Node["status"])
	return answer.Node.Node
}

// exportAndStart stops the chain, exports it, and starts the export in a fresh home with the validator's keys and settings.
func (f *fixture) exportAndStart() exported {
	f.t.Helper()
	require.NoError(f.t, f.StopChain())
	old, fresh := f.Chain.Home, filepath.Join(f.Dir, "fresh")
	document := filepath.Join(f.Dir, "exported.json")
	_, err := f.Run(f.ctx, "isunchaind", "export", "--home", old, "--output-document", document)
	require.NoError(f.t, err)
	_, err = f.Run(f.ctx, "isunchaind", "init", "moved", "--home", fresh, "--chain-id", f.Chain.ChainID)
	require.NoError(f.t, err)
	for _, name := range []string{"priv_validator_key.json", "node_key.json", "config.toml", "app.toml", "client.toml"} {
		copyFile(f.t, filepath.Join(old, "config", name), filepath.Join(fresh, "config", name))
	}
	copyFile(f.t, document, filepath.Join(fresh, "config", "genesis.json"))
	_, err = f.Run(f.ctx, "isunchaind", "genesis", "validate", "--home", fresh)
	require.NoError(f.t, err)
	var genesis exported
	raw, err := os.ReadFile(document)
	require.NoError(f.t, err)
	require.NoError(f.t, json.Unmarshal(raw, &genesis))
	require.Equal(f.t, f.Chain.ChainID, genesis.ChainID)
	require.Len(f.t, genesis.AppState.Lease.Leases, 1)
	require.Len(f.t, genesis.AppState.Suns.Nodes, 1)
	require.NoError(f.t, f.StartNode(fresh))
	return genesis
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	raw, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, raw, 0o600))
}
