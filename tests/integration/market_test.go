package integration_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"

	"github.com/isuncoin/isuncoin/app"
	"github.com/isuncoin/isuncoin/tests/integration/chain"
	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// market is a chain with as many operators, nodes, tenants and leases as it was asked for. The i-th lease has two replicas on
// the i-th node, which are assigned and not started yet.
type market struct {
	*chain.Chain
	size  int
	image string
	// ran are the blocks since genesis, for another chain to repeat.
	ran []ranBlock
	// sequences are the last of the agents' attestations.
	sequences map[string]uint64
}

// ranBlock is a block with what came of it.
type ranBlock struct {
	pause time.Duration
	txs   [][]byte
	block chain.Block
}

const (
	marketReplicas = 2
	marketDeposit  = 1_000_000
	marketCap      = 2 * exampleAsk
)

// nth names the i-th account of a kind.
func nth(kind string, i int) string { return fmt.Sprintf("%s-%d", kind, i) }

// marketAccounts are a market's accounts beside the usual ones. Spare accounts, publishers and the owner have nothing yet but
// money.
func marketAccounts(size int) (names []string) {
	for _, kind := range []string{"operator", "agent", "spare", "tenant", "publisher"} {
		for i := range size {
			names = append(names, nth(kind, i))
		}
	}
	return append(names, "owner")
}

// marketOptions start a chain for a market, or repeat one.
func marketOptions(size int, opts ...chain.Option) []chain.Option {
	return append([]chain.Option{
		chain.WithFixedKeys(), chain.WithAccounts(marketAccounts(size)...), chain.WithGenesis(marketGenesis),
	}, opts...)
}

// marketGenesis has hours of a minute, and lets a block do all of a test's work.
func marketGenesis(cdc codec.JSONCodec, state app.GenesisState) error {
	if err := shortHours(cdc, state); err != nil {
		return err
	}
	return sunsParams(func(p *sunstypes.Params) {
		p.MaxGap, p.EpochDuration = 2*time.Minute, 30*time.Second
	})(cdc, state)
}

func newMarket(t *testing.T, size int, opts ...chain.Option) *market {
	t.Helper()
	m := &market{
		Chain: chain.New(t, marketOptions(size, opts...)...), size: size, sequences: map[string]uint64{},
	}
	image := publication(m.Chain, "publisher", "web", exampleRoyalty)
	m.image = image.Publisher + "/web:1"
	txs := [][]byte{m.Tx("publisher", []sdk.Msg{image})}
	for i := range size {
		txs = append(txs,
			m.Tx(nth("operator", i), []sdk.Msg{registration(m.Chain, nth("operator", i), nth("agent", i), 1, 16, exampleAsk)}))
	}
	m.mustRun(txs...)
	m.mustRun(m.each("tenant", func(i int) sdk.Msg { return m.order(i) })...)
	m.run(time.Second)
	require.Len(t, m.placements(leasetypes.PLACEMENT_STATUS_ASSIGNED), size*marketReplicas)
	return m
}

// run runs a block, and keeps it.
func (m *market) run(pause time.Duration, txs ...[]byte) chain.Block {
	m.T.Helper()
	block := m.BlockAfter(pause, txs...)
	m.ran = append(m.ran, ranBlock{pause: pause, txs: txs, block: block})
	return block
}

// mustRun runs a block whose transactions must all succeed.
func (m *market) mustRun(txs ...[]byte) {
	m.T.Helper()
	for i, result := range m.run(time.Second, txs...).Results {
		require.Zero(m.T, result.Code, "transaction %d: %s", i, result.Log)
	}
}

// each signs one transaction for every account of a kind.
func (m *market) each(kind string, msg func(i int) sdk.Msg, opts ...chain.TxOption) [][]byte {
	m.T.Helper()
	txs := make([][]byte, m.size)
	for i := range txs {
		txs[i] = m.Tx(nth(kind, i), []sdk.Msg{msg(i)}, opts...)
	}
	return txs
}

func (m *market) text(name string) string { return m.Address(name).String() }

// order is a lease of the i-th tenant on the i-th node.
func (m *market) order(i int) *leasetypes.MsgCreateLease {
	m.T.Helper()
	return &leasetypes.MsgCreateLease{
		Tenant: m.text(nth("tenant", i)), Image: m.image, Replicas: marketReplicas, MaxPrice: marketCap,
		Deposit: chain.Coins(marketDeposit)[0], Rules: leasetypes.PlacementRules{Node: m.node(i)},
	}
}

// node is the i-th operator's first.
func (m *market) node(i int) *sunstypes.NodeID {
	m.T.Helper()
	id := sunstypes.NewNodeID(m.Address(nth("operator", i)), 1)
	return &id
}

// placements are those of a status that nobody has ended.
func (m *market) placements(status leasetypes.PlacementStatus) (found []leasetypes.Placement) {
	m.T.Helper()
	err := m.App.LeaseKeeper.Placements.Walk(m.Ctx(), nil,
		func(_ leasetypes.PlacementKey, p leasetypes.Placement) (bool, error) {
			if p.Status == status && p.EndReason == leasetypes.END_REASON_UNSPECIFIED {
				found = append(found, p)
			}
			return false, nil
		})
	require.NoError(m.T, err)
	return found
}

// placementsOn are the placements of a status on the i-th node.
func (m *market) placementsOn(i int, status leasetypes.PlacementStatus) (found []leasetypes.Placement) {
	m.T.Helper()
	for _, p := range m.placements(status) {
		if p.Node == *m.node(i) {
			found = append(found, p)
		}
	}
	return found
}

// startMsg reports the j-th assigned placement of the i-th node as running.
func (m *market) startMsg(i, j int) *leasetypes.MsgStartPlacement {
	m.T.Helper()
	return &leasetypes.MsgStartPlacement{
		Agent: m.text(nth("agent", i)), ID: m.placementsOn(i, leasetypes.PLACEMENT_STATUS_ASSIGNED)[j].ID,
		Endpoints: []leasetypes.Endpoint{{Name: "http", Protocol: "http", Address: "127.0.0.1:8080", ContainerPort: 80}},
	}
}

// startAll starts every placement.
func (m *market) startAll() {
	m.T.Helper()
	var txs [][]byte
	for i := range m.size {
		txs = append(txs, m.Tx(nth("agent", i), []sdk.Msg{m.startMsg(i, 0), m.startMsg(i, 1)}))
	}
	m.mustRun(txs...)
}

// attestMsg says that everything that runs on the i-th node was served so far.
func (m *market) attestMsg(i int) *audittypes.MsgAttestUsage {
	m.T.Helper()
	agent := nth("agent", i)
	m.sequences[agent]++
	msg := &audittypes.MsgAttestUsage{
		Agent: m.text(agent), Version: audittypes.AttestationVersion, Sequence: m.sequences[agent],
	}
	for _, p := range m.placementsOn(i, leasetypes.PLACEMENT_STATUS_RUNNING) {
		now, err := m.App.LeaseKeeper.NowMs(m.Ctx())
		require.NoError(m.T, err)
		msg.Entries = append(msg.Entries, audittypes.UsageEntry{ID: p.ID, ServedMs: now - p.StartedMs})
	}
	return msg
}

// agentGrant pays an agent's fees, as isun-worker's operator does: for the agent's own messages, so much a period.
func (m *market) agentGrant(granter, grantee string) sdk.Msg {
	m.T.Helper()
	daily := chain.Coins(20 * chain.TxFee)
	allowance, err := feegrant.NewAllowedMsgAllowance(
		&feegrant.PeriodicAllowance{
			Period: 24 * time.Hour, PeriodSpendLimit: daily, PeriodCanSpend: daily, PeriodReset: m.Time,
		},
		[]string{
			sdk.MsgTypeURL(&sunstypes.MsgCheckIn{}), sdk.MsgTypeURL(&leasetypes.MsgStartPlacement{}),
			sdk.MsgTypeURL(&leasetypes.MsgRejectPlacement{}), sdk.MsgTypeURL(&audittypes.MsgAttestUsage{}),
		})
	require.NoError(m.T, err)
	grant, err := feegrant.NewMsgGrantAllowance(allowance, m.Address(granter), m.Address(grantee))
	require.NoError(m.T, err)
	return grant
}
