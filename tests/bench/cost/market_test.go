package cost

import (
	"crypto/sha256"
	"fmt"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	abci "github.com/cometbft/cometbft/abci/types"

	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"

	"github.com/isuncoin/isuncoin/app"
	"github.com/isuncoin/isuncoin/tests/integration/chain"
	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

const (
	// perNode is how many placements a node of the benchmark runs; one attestation speaks for all of them.
	perNode = 50
	// hourPrice is what a placement of one SUNS costs.
	hourPrice = 3_600
	deposit   = 3 * hourPrice
	hour      = time.Hour
)

// market is a chain with tenants who each rent one replica, and just enough nodes for them. A transaction is its signer's
// only one in a block.
type market struct {
	*chain.Chain
	tenants, operators, agents []string
	image                      string
	placements                 map[string][]leasetypes.PlacementID // by agent
	sequence                   uint64
}

func newMarket(b *testing.B, executor string, leases int) *market {
	b.Helper()
	m := &market{placements: map[string][]leasetypes.PlacementID{}}
	for i := range leases {
		m.tenants = append(m.tenants, fmt.Sprintf("tenant %d", i))
		if i%perNode == 0 {
			m.operators = append(m.operators, fmt.Sprintf("operator %d", i/perNode))
			m.agents = append(m.agents, fmt.Sprintf("agent %d", i/perNode))
		}
	}
	accounts := append(append(append([]string{}, m.tenants...), m.operators...), m.agents...)
	m.Chain = chain.New(b, chain.WithExecutor(executor), chain.WithFixedKeys(), chain.WithoutInvariants(),
		chain.WithAccounts(accounts...), chain.WithGenesis(longGaps))
	m.registerNodes()
	m.publish()
	return m
}

// longGaps lets a block advance the clock by as much as an attestation interval, and forgets leases soon, so that an hour
// and what follows it are a few blocks.
func longGaps(cdc codec.JSONCodec, state app.GenesisState) error {
	err := app.EditGenesis(cdc, state, sunstypes.ModuleName, func(g *sunstypes.GenesisState) {
		g.Params.MaxGap = hour
		g.Params.EpochDuration = 168 * hour // rewards are not a lease's
	})
	if err != nil {
		return err
	}
	return app.EditGenesis(cdc, state, leasetypes.ModuleName, func(g *leasetypes.GenesisState) { g.Params.Retention = hour })
}

func (m *market) registerNodes() {
	m.T.Helper()
	var txs [][]byte
	for i, operator := range m.operators {
		txs = append(txs, m.Tx(operator, []sdk.Msg{m.registration(operator, m.agents[i]), m.grant(operator, m.agents[i])}))
	}
	m.block(time.Second, txs)
}

func (m *market) registration(operator, agent string) *sunstypes.MsgRegisterNode {
	m.T.Helper()
	address := m.Address(operator).String()
	signature, key, err := m.Keys.Sign(agent, sunstypes.AgentSignBytes(chain.ID, address, 1), signing.SignMode_SIGN_MODE_DIRECT)
	require.NoError(m.T, err)
	digest := sha256.Sum256([]byte(operator))
	return &sunstypes.MsgRegisterNode{
		Operator: address, Number: 1, Moniker: agent, AskPrice: hourPrice, Country: "TW",
		Report: sunstypes.BenchmarkReport{
			Version: 1, Digest: digest[:], Architecture: "amd64", MilliSuns: perNode * 1000,
			Capacity: sunstypes.ResourcesOf(sunstypes.DefaultParams().Bundle, perNode*1000),
		},
		Bond:        chain.Coins(perNode * sunstypes.BaseUnitsPerCoin)[0],
		AgentPubKey: key.Bytes(), AgentSignature: signature,
	}
}

// grant pays an agent's fees as `isun-worker join` has its operator do.
func (m *market) grant(operator, agent string) *feegrant.MsgGrantAllowance {
	m.T.Helper()
	limit := chain.Coins(1_000_000)
	allowance, err := feegrant.NewAllowedMsgAllowance(
		&feegrant.PeriodicAllowance{Period: 24 * hour, PeriodSpendLimit: limit, PeriodCanSpend: limit},
		[]string{
			sdk.MsgTypeURL(&leasetypes.MsgStartPlacement{}), sdk.MsgTypeURL(&leasetypes.MsgRejectPlacement{}),
			sdk.MsgTypeURL(&audittypes.MsgAttestUsage{}), sdk.MsgTypeURL(&sunstypes.MsgCheckIn{}),
		})
	require.NoError(m.T, err)
	packed, err := codectypes.NewAnyWithValue(allowance)
	require.NoError(m.T, err)
	return &feegrant.MsgGrantAllowance{
		Granter: m.Address(operator).String(), Grantee: m.Address(agent).String(), Allowance: packed,
	}
}

func (m *market) publish() {
	m.T.Helper()
	publisher := m.Address("publisher").String()
	m.Do("publisher", &uaitypes.MsgPublishImage{
		Publisher: publisher, Name: "web", Tag: "1",
		Digest: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("web"))), SizeBytes: 1 << 20,
		Platforms: []string{"linux/amd64"}, Demand: sunstypes.Demand{GeneralMilliSuns: 1000}, Licence: "MIT",
	})
	m.image = publisher + "/web:1"
}

// block checks transactions and runs a block of them, all of which must succeed.
func (m *market) block(pause time.Duration, txs [][]byte) spent {
	m.T.Helper()
	checked := m.Check(txs...)
	block := m.BlockAfter(pause, txs...)
	for _, result := range block.Results {
		require.Zero(m.T, result.Code, result.Log)
	}
	return spent{
		checked: checked, executed: block.CPU, elapsed: block.Elapsed, gas: totalGas(block.Results), txs: len(block.Results),
	}
}

// collectBetweenSteps leaves the collection of garbage to run, which asks for it between the steps that it measures.
func collectBetweenSteps(b *testing.B) {
	b.Helper()
	before := debug.SetGCPercent(-1)
	b.Cleanup(func() { debug.SetGCPercent(before) })
}

// each signs a transaction for every name.
func (m *market) each(names []string, gas uint64, message func(i int) sdk.Msg, opts ...chain.TxOption) [][]byte {
	m.T.Helper()
	txs := make([][]byte, len(names))
	for i, name := range names {
		txs[i] = m.Tx(name, []sdk.Msg{message(i)}, append([]chain.TxOption{chain.WithGas(gas)}, opts...)...)
	}
	return txs
}

func (m *market) sends() [][]byte {
	return m.each(m.tenants, 150_000, func(i int) sdk.Msg {
		to := m.tenants[(i+1)%len(m.tenants)]
		return banktypes.NewMsgSend(m.Address(m.tenants[i]), m.Address(to), chain.Coins(1))
	})
}

func (m *market) creates() [][]byte {
	return m.each(m.tenants, 300_000, func(i int) sdk.Msg {
		return &leasetypes.MsgCreateLease{
			Tenant: m.Address(m.tenants[i]).String(), Image: m.image, Replicas: 1,
			MaxPrice: hourPrice, Deposit: chain.Coins(deposit)[0],
		}
	})
}

func (m *market) closes(number uint64) [][]byte {
	return m.each(m.tenants, 300_000, func(i int) sdk.Msg {
		return &leasetypes.MsgCloseLease{Tenant: m.Address(m.tenants[i]).String(), Number: number}
	})
}

// findPlacements notes what runs on which agent's node.
func (m *market) findPlacements() {
	m.T.Helper()
	clear(m.placements)
	agents := map[string]string{}
	for i, operator := range m.operators {
		agents[m.Address(operator).String()] = m.agents[i]
	}
	err := m.App.LeaseKeeper.Placements.Walk(m.Ctx(), nil, func(_ leasetypes.PlacementKey, p leasetypes.Placement) (bool, error) {
		agent := agents[p.Node.Operator]
		m.placements[agent] = append(m.placements[agent], p.ID)
		return false, nil
	})
	require.NoError(m.T, err)
	for _, agent := range m.agents {
		require.Len(m.T, m.placements[agent], perNode)
	}
}

func (m *market) granter(agent int) chain.TxOption {
	return chain.WithFeeGranter(m.Address(m.operators[agent]))
}

// starts gives the i-th start of every node: an agent signs one transaction for each of its placements, in turn.
func (m *market) starts() [][]byte {
	m.T.Helper()
	var txs [][]byte
	for i := range perNode {
		for n, agent := range m.agents {
			txs = append(txs, m.Tx(agent, []sdk.Msg{&leasetypes.MsgStartPlacement{
				Agent: m.Address(agent).String(), ID: m.placements[agent][i],
				Endpoints: []leasetypes.Endpoint{{
					Name: "http", Protocol: "http", Address: "192.0.2.1:30000", ContainerPort: 80,
				}},
			}}, chain.WithGas(300_000), m.granter(n)))
		}
	}
	return txs
}

func (m *market) attests(served time.Duration) [][]byte {
	m.T.Helper()
	m.sequence++
	var txs [][]byte
	for n, agent := range m.agents {
		msg := &audittypes.MsgAttestUsage{Agent: m.Address(agent).String(), Version: 1, Sequence: m.sequence}
		for _, id := range m.placements[agent] {
			msg.Entries = append(msg.Entries, audittypes.UsageEntry{
				ID: id, ServedMs: uint64(served.Milliseconds()), CpuMs: uint64(served.Milliseconds()) / 3,
				MemoryMiBSeconds: uint64(served.Seconds()) * 64, BytesIn: 123_456, BytesOut: 7_654_321,
			})
		}
		txs = append(txs, m.Tx(agent, []sdk.Msg{msg}, chain.WithGas(10_000_000), m.granter(n)))
	}
	return txs
}

// totalGas is what a block's transactions used.
func totalGas(results []*abci.ExecTxResult) (gas float64) {
	for _, result := range results {
		gas += float64(result.GasUsed)
	}
	return gas
}
