package integration_test

import (
	"fmt"
	"math/rand"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	clienttx "github.com/cosmos/cosmos-sdk/client/tx"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"

	"github.com/isuncoin/isuncoin/tests/integration/chain"
	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

const (
	mixedSize      = 20
	mixedBlocks    = 10
	mixedBlockSize = 100
)

// mixed draws blocks in which everybody does everything, much of it with others and some of it wrongly.
type mixed struct {
	*market
	r *rand.Rand
	// attested are the nodes whose attestation of this block is drawn already; sequences must rise.
	attested map[int]bool
	txs      [][]byte
}

// draw makes the next block's transactions.
func (m *mixed) draw() [][]byte {
	m.txs, m.attested = nil, map[int]bool{}
	for len(m.txs) < mixedBlockSize {
		m.actions()[m.r.Intn(len(m.actions()))](m.r.Intn(m.size))
	}
	return m.txs
}

// add signs a transaction of an account.
func (m *mixed) add(signer string, msg sdk.Msg, opts ...chain.TxOption) {
	m.txs = append(m.txs, m.Tx(signer, []sdk.Msg{msg}, opts...))
}

// byAgent signs as the i-th agent; its operator pays, or, for every fourth, the one owner of all of these.
func (m *mixed) byAgent(i int, msg sdk.Msg) {
	granter := nth("operator", i)
	switch m.r.Intn(5) {
	case 0:
		m.add(nth("agent", i), msg)
		return
	case 1:
		granter = nth("publisher", i) // who grants nothing
	}
	if i%4 == 0 {
		granter = "owner"
	}
	m.add(nth("agent", i), msg, chain.WithFeeGranter(m.Address(granter)))
}

// actions are what the i-th of everybody may do. What happens most stands there more than once.
func (m *mixed) actions() []func(i int) {
	return []func(i int){
		m.send, m.send, m.publish, m.order, m.order, m.fund, m.fund, m.update, m.closeLease, m.migrate,
		m.start, m.start, m.start, m.start, m.reject, m.attest, m.attest, m.attest, m.attest, m.checkIn, m.checkIn,
		m.register, m.reprice, m.drainOrResume, m.withdraw, m.retire, m.regrant, m.deprecate,
		m.outOfGas, m.wrongSequence, m.tooDear, m.tooMuch, m.foreign,
	}
}

func (m *mixed) send(i int) {
	m.add(nth("tenant", i), banktypes.NewMsgSend(
		m.Address(nth("tenant", i)), m.Address(nth("tenant", m.r.Intn(m.size))), chain.Coins(1+m.r.Int63n(1000))))
}

func (m *mixed) publish(i int) {
	m.add(nth("publisher", i), publication(m.Chain, nth("publisher", i), fmt.Sprintf("app-%d", m.r.Intn(5)), 7))
}

func (m *mixed) deprecate(i int) {
	owner := m.text(nth("publisher", i))
	m.add(nth("publisher", i), &uaitypes.MsgDeprecateImage{Owner: owner, Image: owner + "/app-0:1"})
}

func (m *mixed) order(i int) {
	order := m.market.order(i)
	if m.r.Intn(3) > 0 {
		order.Rules = leasetypes.PlacementRules{SpreadOperators: m.r.Intn(2) == 0}
	}
	order.Deposit = chain.Coins(500 + m.r.Int63n(5000))[0]
	m.add(nth("tenant", i), order)
}

// fund pays into one of three leases, so that strangers meet.
func (m *mixed) fund(i int) {
	from := nth("publisher", i)
	m.add(from, m.market.fund(from, m.r.Intn(3)))
}

func (m *mixed) update(i int) {
	m.add(nth("tenant", i), &leasetypes.MsgUpdateLease{
		Tenant: m.text(nth("tenant", i)), Number: uint64(1 + m.r.Intn(2)),
		Replicas: uint32(1 + m.r.Intn(4)), MaxPrice: marketCap + uint64(m.r.Intn(3)),
	})
}

func (m *mixed) closeLease(i int) {
	m.add(nth("tenant", i), &leasetypes.MsgCloseLease{
		Tenant: m.text(nth("tenant", i)), Number: uint64(1 + m.r.Intn(3)),
	})
}

func (m *mixed) migrate(i int) {
	m.add(nth("tenant", i), &leasetypes.MsgMigratePlacement{
		Tenant: m.text(nth("tenant", i)), Number: uint64(2 + m.r.Intn(2)), Replica: uint32(m.r.Intn(2)),
	})
}

// start starts something on the first node from the i-th on that has something to start.
func (m *mixed) start(i int) {
	for next := range m.size {
		node := (i + next) % m.size
		if waiting := m.placementsOn(node, leasetypes.PLACEMENT_STATUS_ASSIGNED); len(waiting) > 0 {
			m.byAgent(node, m.startMsg(node, m.r.Intn(len(waiting))))
			return
		}
	}
}

func (m *mixed) reject(i int) {
	if waiting := m.placementsOn(i, leasetypes.PLACEMENT_STATUS_ASSIGNED); len(waiting) > 0 && m.r.Intn(2) == 0 {
		m.byAgent(i, &leasetypes.MsgRejectPlacement{Agent: m.text(nth("agent", i)), ID: waiting[0].ID, Reason: "full"})
	}
}

func (m *mixed) attest(i int) {
	if m.attested[i] {
		return
	}
	m.attested[i] = true
	m.byAgent(i, m.attestMsg(i))
}

func (m *mixed) checkIn(i int) { m.byAgent(i, m.market.checkIn(i)) }

func (m *mixed) register(i int) {
	operator := nth("operator", i)
	m.add(operator, registration(m.Chain, operator, nth("spare", i), uint64(2+m.r.Intn(2)), 4, exampleAsk))
}

func (m *mixed) reprice(i int) {
	m.add(nth("operator", i), &sunstypes.MsgUpdateNode{
		Operator: m.text(nth("operator", i)), Number: 1, AskPrice: exampleAsk - uint64(m.r.Intn(200)),
	})
}

func (m *mixed) drainOrResume(i int) {
	if m.r.Intn(2) == 0 {
		m.add(nth("operator", i), &sunstypes.MsgResumeNode{Operator: m.text(nth("operator", i)), Number: 1})
		return
	}
	m.add(nth("operator", i), m.drain(i))
}

func (m *mixed) withdraw(i int) {
	m.add(nth("operator", i), &sunstypes.MsgWithdrawRewards{Operator: m.text(nth("operator", i)), Number: 1})
}

func (m *mixed) retire(i int) {
	if i%7 == 0 {
		m.add(nth("operator", i), &sunstypes.MsgRetireNode{Operator: m.text(nth("operator", i)), Number: uint64(1 + m.r.Intn(2))})
	}
}

// regrant takes a grant back or gives it again, while the agent may be using it.
func (m *mixed) regrant(i int) {
	granter, grantee := nth("operator", i), nth("agent", i)
	if m.r.Intn(2) == 0 {
		m.add(granter, m.agentGrant(granter, grantee))
		return
	}
	revoke := feegrant.NewMsgRevokeAllowance(m.Address(granter), m.Address(grantee))
	m.add(granter, &revoke)
}

func (m *mixed) outOfGas(i int) {
	m.add(nth("tenant", i), m.market.order(i), chain.WithGas(uint64(50_000+m.r.Intn(100_000))))
}

func (m *mixed) wrongSequence(i int) {
	m.add(nth("spare", i), m.market.fund(nth("spare", i), i), func(f *clienttx.Factory) {
		*f = f.WithSequence(f.Sequence() + 5)
	})
}

func (m *mixed) tooDear(i int) {
	m.add(nth("spare", i), m.market.fund(nth("spare", i), i), func(f *clienttx.Factory) {
		*f = f.WithFees(chain.Coins(2 * chain.Funds).String())
	})
}

func (m *mixed) tooMuch(i int) {
	m.add(nth("tenant", i), banktypes.NewMsgSend(
		m.Address(nth("tenant", i)), m.Address("owner"), chain.Coins(2*chain.Funds)))
}

// foreign attests and starts what runs elsewhere.
func (m *mixed) foreign(i int) {
	other := (i + 1) % m.size
	if running := m.placementsOn(other, leasetypes.PLACEMENT_STATUS_RUNNING); len(running) > 0 && m.r.Intn(2) == 0 {
		m.add(nth("spare", i), &leasetypes.MsgStartPlacement{Agent: m.text(nth("spare", i)), ID: running[0].ID})
		return
	}
	m.add(nth("spare", i), &audittypes.MsgAttestUsage{Agent: m.text(nth("spare", i)), Version: 1, Sequence: 1})
}

// newMixed is a market whose agents' fees are paid by their operators, and of every fourth by one owner.
func newMixed(t *testing.T) *mixed {
	t.Helper()
	m := &mixed{market: newMarket(t, mixedSize), r: rand.New(rand.NewSource(1))}
	m.mustRun(m.each("operator", func(i int) sdk.Msg { return m.agentGrant(nth("operator", i), nth("agent", i)) })...)
	var txs [][]byte
	for i := 0; i < m.size; i += 4 {
		txs = append(txs, m.Tx("owner", []sdk.Msg{m.agentGrant("owner", nth("agent", i))}))
	}
	m.mustRun(txs...)
	return m
}

// A thousand transactions of every kind, with fees, fee grants and failures, give the same results, events and state after
// every block in order and in parallel, with and without estimates, on however many threads and processors.
func TestExecutorsAgreeOnMixedBlocks(t *testing.T) {
	m := newMixed(t)
	for i := range mixedBlocks {
		pause := 4 * time.Second
		if i%4 == 3 {
			pause = 70 * time.Second // hours end, epochs turn and deadlines pass
		}
		m.run(pause, m.draw()...)
	}
	m.requireVariety(t)

	for _, variant := range []struct {
		name       string
		processors int
		opts       []chain.Option
	}{
		{"in order on one processor", 1, nil},
		{"parallel with one worker", 0, []chain.Option{chain.WithExecutor("block-stm"), chain.WithWorkers(1)}},
		{"parallel with two workers", 0, []chain.Option{chain.WithExecutor("block-stm"), chain.WithWorkers(2)}},
		{"parallel with eight workers", 8, []chain.Option{chain.WithExecutor("block-stm")}},
		{"parallel on one processor", 1, []chain.Option{chain.WithExecutor("block-stm")}},
		{"estimates with two workers", 0, []chain.Option{
			chain.WithExecutor("block-stm"), chain.WithEstimates(), chain.WithWorkers(2),
		}},
		{"estimates with eight workers", 8, []chain.Option{chain.WithExecutor("block-stm"), chain.WithEstimates()}},
	} {
		t.Run(variant.name, func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(variant.processors))
			m.repeat(t, variant.opts...)
		})
	}
}

// repeat runs the same blocks on another chain, and compares everything after each.
func (m *market) repeat(t *testing.T, opts ...chain.Option) {
	t.Helper()
	// The same state was checked when the blocks were made.
	c := chain.New(t, marketOptions(m.size, append(opts, chain.WithoutInvariants())...)...)
	for _, ran := range m.ran {
		block := c.BlockAfter(ran.pause, ran.txs...)
		for i, want := range ran.block.Results {
			// Codes, codespaces, data, gas, logs and events.
			require.Equal(t, want, block.Results[i], "block %d, transaction %d", block.Height, i)
		}
		require.Equal(t, ran.block.Events, block.Events, "block %d", block.Height)
		require.Equal(t, ran.block.AppHash, block.AppHash, "block %d", block.Height)
	}
	require.Equal(t, string(m.Export(false).AppState), string(c.Export(false).AppState))
}

// requireVariety says that the blocks were worth comparing: every kind of message succeeded, and every kind of failure came.
func (m *mixed) requireVariety(t *testing.T) {
	t.Helper()
	succeeded, failed := map[string]int{}, map[string]int{}
	total, events := 0, map[string]int{}
	for _, ran := range m.ran[len(m.ran)-mixedBlocks:] {
		for i, result := range ran.block.Results {
			total++
			tx, err := m.App.TxDecode(ran.txs[i])
			require.NoError(t, err)
			if result.Code == 0 {
				succeeded[sdk.MsgTypeURL(tx.GetMsgs()[0])]++
			} else {
				failed[fmt.Sprintf("%s %d", result.Codespace, result.Code)]++
			}
			for _, event := range result.Events {
				events[event.Type]++
			}
		}
		for _, event := range ran.block.Events {
			events[event.Type]++
		}
	}
	t.Logf("%d transactions, succeeded: %v, failed: %v, events: %v", total, succeeded, failed, events)
	require.Equal(t, mixedBlocks*mixedBlockSize, total)
	for _, msg := range []sdk.Msg{
		&banktypes.MsgSend{}, &uaitypes.MsgPublishImage{}, &uaitypes.MsgDeprecateImage{},
		&leasetypes.MsgCreateLease{}, &leasetypes.MsgFundLease{}, &leasetypes.MsgUpdateLease{}, &leasetypes.MsgCloseLease{},
		&leasetypes.MsgMigratePlacement{}, &leasetypes.MsgStartPlacement{}, &leasetypes.MsgRejectPlacement{},
		&audittypes.MsgAttestUsage{}, &sunstypes.MsgCheckIn{}, &sunstypes.MsgRegisterNode{}, &sunstypes.MsgUpdateNode{},
		&sunstypes.MsgDrainNode{}, &sunstypes.MsgResumeNode{}, &sunstypes.MsgRetireNode{}, &sunstypes.MsgWithdrawRewards{},
		&feegrant.MsgGrantAllowance{}, &feegrant.MsgRevokeAllowance{},
	} {
		require.Positive(t, succeeded[sdk.MsgTypeURL(msg)], sdk.MsgTypeURL(msg))
	}
	for _, code := range []uint32{
		sdkerrors.ErrOutOfGas.ABCICode(), sdkerrors.ErrWrongSequence.ABCICode(), sdkerrors.ErrInsufficientFunds.ABCICode(),
	} {
		require.Positive(t, failed[fmt.Sprintf("sdk %d", code)], "sdk %d", code)
	}
	require.Positive(t, failed["undefined 1"], "fees from one who grants nothing")
	for _, event := range []string{
		feegrant.EventTypeUseFeeGrant, "isun.lease.v1.EventPlacementMatched", "isun.lease.v1.EventPeriodSettled",
		"isun.suns.v1.EventEpochClosed",
	} {
		require.Positive(t, events[event], event)
	}
}
