package integration_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	"github.com/isuncoin/isuncoin/app"
	"github.com/isuncoin/isuncoin/tests/integration/chain"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// crowdSize is how many transactions meet in a block, and how many threads run them.
const crowdSize = 8

// crowd makes the transactions of a block meet: each has run all its messages before the first of them is written. So a
// transaction that reads anything that an earlier one of the block writes is found out every time, however threads are
// scheduled, and runs again; crowd counts how often each ran.
type crowd struct {
	armed atomic.Bool
	ran   [crowdSize]atomic.Int32
	met   sync.WaitGroup
	late  atomic.Bool
}

// watch puts the crowd around an application's transactions.
func (c *crowd) watch(a *app.App) {
	ante := a.AnteHandler()
	a.SetAnteHandler(func(ctx sdk.Context, tx sdk.Tx, simulate bool) (sdk.Context, error) {
		if c.armed.Load() && ctx.ExecMode() == sdk.ExecModeFinalize {
			c.ran[ctx.TxIndex()].Add(1)
		}
		return ante(ctx, tx, simulate)
	})
	a.SetPostHandler(func(ctx sdk.Context, _ sdk.Tx, _, _ bool) (sdk.Context, error) {
		if c.armed.Load() && ctx.ExecMode() == sdk.ExecModeFinalize && c.ran[ctx.TxIndex()].Load() == 1 {
			c.meet()
		}
		return ctx, nil
	})
}

// meet waits for the others. One that failed before its messages would never come, so the wait has an end.
func (c *crowd) meet() {
	c.met.Done()
	all := make(chan struct{})
	go func() { c.met.Wait(); close(all) }()
	select {
	case <-all:
	case <-time.After(10 * time.Second):
		c.late.Store(true)
	}
}

// executions runs a block and says how often its transactions ran, together.
func (c *crowd) executions(m *market, txs [][]byte) int {
	m.T.Helper()
	require.Len(m.T, txs, crowdSize)
	c.met.Add(crowdSize)
	c.armed.Store(true)
	m.mustRun(txs...)
	c.armed.Store(false)
	require.False(m.T, c.late.Load(), "a transaction did not come")
	var sum int
	for i := range c.ran {
		sum += int(c.ran[i].Load())
	}
	return sum
}

// crowdCases are blocks of transactions of one kind, each prepared on a market of its own.
var crowdCases = []struct {
	name string
	// disjoint says that no transaction needs to wait for another.
	disjoint bool
	block    func(m *market) [][]byte
}{
	{"sends", true, func(m *market) [][]byte {
		return m.each("tenant", func(i int) sdk.Msg {
			return banktypes.NewMsgSend(m.Address(nth("tenant", i)), m.Address(nth("publisher", i)), chain.Coins(1))
		})
	}},
	{"sends that make new accounts", true, func(m *market) [][]byte {
		return m.each("tenant", func(i int) sdk.Msg {
			return banktypes.NewMsgSend(m.Address(nth("tenant", i)), m.NewAccount(nth("new", i)), chain.Coins(1))
		})
	}},
	{"grants to new agents", true, func(m *market) [][]byte {
		for i := range m.size {
			m.NewAccount(nth("new", i))
		}
		return m.each("operator", func(i int) sdk.Msg { return m.agentGrant(nth("operator", i), nth("new", i)) })
	}},
	{"publishes by as many publishers", true, func(m *market) [][]byte {
		return m.each("publisher", func(i int) sdk.Msg {
			msg := publication(m.Chain, nth("publisher", i), "app", 0)
			msg.Digest = fmt.Sprintf("sha256:%064x", i+1) // equal contents share a count of references
			return msg
		})
	}},
	{"deprecations", true, func(m *market) [][]byte {
		m.mustRun(m.each("publisher", func(i int) sdk.Msg { return publication(m.Chain, nth("publisher", i), "app", 0) })...)
		return m.each("publisher", func(i int) sdk.Msg {
			owner := m.text(nth("publisher", i))
			return &uaitypes.MsgDeprecateImage{Owner: owner, Image: owner + "/app:1"}
		})
	}},
	{"transfers of images", true, func(m *market) [][]byte {
		m.mustRun(m.each("publisher", func(i int) sdk.Msg { return publication(m.Chain, nth("publisher", i), "app", 0) })...)
		return m.each("publisher", func(i int) sdk.Msg {
			owner := m.text(nth("publisher", i))
			return &uaitypes.MsgTransferImage{Owner: owner, Image: owner + "/app:1", NewOwner: m.text(nth("spare", i))}
		})
	}},
	{"registrations by as many operators", true, func(m *market) [][]byte {
		return m.each("operator", func(i int) sdk.Msg {
			return registration(m.Chain, nth("operator", i), nth("spare", i), 2, 4, exampleAsk)
		})
	}},
	{"updates of nodes", true, func(m *market) [][]byte {
		return m.each("operator", func(i int) sdk.Msg {
			return &sunstypes.MsgUpdateNode{Operator: m.text(nth("operator", i)), Number: 1, AskPrice: exampleAsk + 1}
		})
	}},
	{"new agents of nodes", true, func(m *market) [][]byte {
		return m.each("operator", func(i int) sdk.Msg {
			fresh := registration(m.Chain, nth("operator", i), nth("spare", i), 1, 4, exampleAsk)
			return &sunstypes.MsgUpdateNode{
				Operator: fresh.Operator, Number: 1, AgentPubKey: fresh.AgentPubKey, AgentSignature: fresh.AgentSignature,
			}
		})
	}},
	{"drains", true, func(m *market) [][]byte { return m.each("operator", m.drain) }},
	{"ends of drains", true, func(m *market) [][]byte {
		m.mustRun(m.each("operator", m.drain)...)
		return m.each("operator", func(i int) sdk.Msg {
			return &sunstypes.MsgResumeNode{Operator: m.text(nth("operator", i)), Number: 1}
		})
	}},
	{"retirements", true, func(m *market) [][]byte {
		return m.each("operator", func(i int) sdk.Msg {
			return &sunstypes.MsgRetireNode{Operator: m.text(nth("operator", i)), Number: 1}
		})
	}},
	{"withdrawals", true, func(m *market) [][]byte {
		for range 2 {
			m.run(40 * time.Second)
			m.mustRun(m.each("agent", m.checkIn)...)
		}
		return m.each("operator", func(i int) sdk.Msg {
			return &sunstypes.MsgWithdrawRewards{Operator: m.text(nth("operator", i)), Number: 1}
		})
	}},
	{"check-ins", true, func(m *market) [][]byte { return m.each("agent", m.checkIn) }},
	{"leases of as many tenants", true, func(m *market) [][]byte {
		return m.each("tenant", func(i int) sdk.Msg { return m.order(i) })
	}},
	{"strangers' funds for as many leases", true, func(m *market) [][]byte {
		return m.each("publisher", func(i int) sdk.Msg { return m.fund(nth("publisher", i), i) })
	}},
	{"changes of leases", true, func(m *market) [][]byte {
		return m.each("tenant", func(i int) sdk.Msg {
			return &leasetypes.MsgUpdateLease{
				Tenant: m.text(nth("tenant", i)), Number: 1, Replicas: marketReplicas + 1, MaxPrice: marketCap,
			}
		})
	}},
	{"migrations", true, func(m *market) [][]byte {
		m.mustRun(m.each("tenant", func(i int) sdk.Msg {
			order := m.order(i)
			order.Rules.Node = nil
			return order
		})...)
		m.run(time.Second)
		return m.each("tenant", func(i int) sdk.Msg {
			return &leasetypes.MsgMigratePlacement{Tenant: m.text(nth("tenant", i)), Number: 2}
		})
	}},
	{"ends of leases", true, func(m *market) [][]byte {
		return m.each("tenant", func(i int) sdk.Msg {
			return &leasetypes.MsgCloseLease{Tenant: m.text(nth("tenant", i)), Number: 1}
		})
	}},
	{"starts", true, func(m *market) [][]byte {
		return m.each("agent", func(i int) sdk.Msg { return m.startMsg(i, 0) })
	}},
	{"rejections", true, func(m *market) [][]byte {
		return m.each("agent", func(i int) sdk.Msg {
			return &leasetypes.MsgRejectPlacement{
				Agent: m.text(nth("agent", i)), ID: m.placementsOn(i, leasetypes.PLACEMENT_STATUS_ASSIGNED)[0].ID, Reason: "full",
			}
		})
	}},
	{"attestations of several placements", true, func(m *market) [][]byte {
		m.startAll()
		m.run(5 * time.Second)
		return m.each("agent", func(i int) sdk.Msg { return m.attestMsg(i) })
	}},
	{"attestations paid by as many operators", true, func(m *market) [][]byte {
		m.mustRun(m.each("operator", func(i int) sdk.Msg { return m.agentGrant(nth("operator", i), nth("agent", i)) })...)
		m.startAll()
		var txs [][]byte
		for i := range m.size {
			txs = append(txs, m.Tx(nth("agent", i), []sdk.Msg{m.attestMsg(i)},
				chain.WithFeeGranter(m.Address(nth("operator", i)))))
		}
		return txs
	}},
	{"check-ins of one operator's nodes", true, func(m *market) [][]byte {
		m.ownFleet()
		return m.each("spare", func(i int) sdk.Msg { return &sunstypes.MsgCheckIn{Agent: m.text(nth("spare", i))} })
	}},

	// What follows has to wait: the transactions change one and the same thing.
	{"check-ins paid by one operator", false, func(m *market) [][]byte {
		m.ownFleet()
		for i := range m.size {
			m.mustRun(m.Tx("owner", []sdk.Msg{m.agentGrant("owner", nth("spare", i))}))
		}
		return m.each("spare", func(i int) sdk.Msg { return &sunstypes.MsgCheckIn{Agent: m.text(nth("spare", i))} },
			chain.WithFeeGranter(m.Address("owner")))
	}},
	{"strangers' funds for one lease", false, func(m *market) [][]byte {
		return m.each("publisher", func(i int) sdk.Msg { return m.fund(nth("publisher", i), 0) })
	}},
	{"sends to one account", false, func(m *market) [][]byte {
		return m.each("tenant", func(i int) sdk.Msg {
			return banktypes.NewMsgSend(m.Address(nth("tenant", i)), m.Address("owner"), chain.Coins(1))
		})
	}},
}

func (m *market) drain(i int) sdk.Msg {
	return &sunstypes.MsgDrainNode{Operator: m.text(nth("operator", i)), Number: 1}
}

func (m *market) checkIn(i int) sdk.Msg { return &sunstypes.MsgCheckIn{Agent: m.text(nth("agent", i))} }

func (m *market) fund(from string, lease int) sdk.Msg {
	return &leasetypes.MsgFundLease{
		Funder: m.text(from), Tenant: m.text(nth("tenant", lease)), Number: 1, Amount: chain.Coins(7)[0],
	}
}

// ownFleet registers as many nodes of one owner, with the spare agents.
func (m *market) ownFleet() {
	m.T.Helper()
	for i := range m.size {
		m.mustRun(m.Tx("owner", []sdk.Msg{registration(m.Chain, "owner", nth("spare", i), uint64(i+1), 1, exampleAsk)}))
	}
}

// Transactions of different senders run once each, though all of them read what they read before any of them has written:
// they share nothing. Those that share something are run again, which also shows that the count would notice.
func TestDisjointTransactionsRunOnce(t *testing.T) {
	for _, c := range crowdCases {
		t.Run(c.name, func(t *testing.T) {
			var watch crowd
			m := newMarket(t, crowdSize, chain.WithExecutor("block-stm"), chain.WithWorkers(crowdSize),
				chain.WithPreparation(watch.watch))
			ran := watch.executions(m, c.block(m))
			t.Logf("%d transactions ran %d times", crowdSize, ran)
			if c.disjoint {
				require.Equal(t, crowdSize, ran)
			} else {
				require.Greater(t, ran, crowdSize, "nothing is shared here any more: say so in docs/validators.md")
			}
		})
	}
}
