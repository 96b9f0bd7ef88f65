package keeper_test

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// figures are what accounts have at the end of an example, in uisc: the people more or less than at the start, the lease in
// all. Every coin is in one of them, so they add up to 0.
type figures struct{ tenant, operator, another, audit, owner, balance, reserved int64 }

func (f figures) row() []int64 {
	return []int64{f.tenant, f.operator, f.another, f.audit, f.owner, f.balance, f.reserved}
}

// example is a rule of billing at work: a row of the README's table, which holds the same figures.
type example struct {
	rule   string
	params func(*types.Params)
	order  func(*types.MsgCreateLease)
	run    func(*exampleRun)
	want   figures
}

// exampleRun has, unless an example says otherwise, the params of a new chain without retry fee and one node of 10 SUNS of the
// operator at 1,001 uisc per SUNS-hour; the image has a royalty of 70 uisc an hour, and the lease asks for 2.5 SUNS at no more
// than 2,573 uisc an hour and brings 10,000 uisc. So an hour reserves
//
//	floor(1001 · 2500 · 3600 ÷ 3,600,000) = floor(2502.5) = 2502, and 70 of royalty: 2572
//
// and s seconds of service cost floor(2,502,500 · s ÷ 3,600,000), that is 0.69514 uisc each, and floor(70 · s ÷ 3600).
type exampleRun struct {
	*fixture
	node  sunstypes.NodeID
	spare sunstypes.NodeID
	// nodes are how many the operator registered.
	nodes int64
	id    types.LeaseID
	order func(*types.MsgCreateLease)
}

const exampleDeposit = 10_000

func newExampleRun(t *testing.T, e example) *exampleRun {
	t.Helper()
	f := newFixture(t, func(p *types.Params) {
		*p = types.DefaultParams()
		p.RetryFee = 0
		if e.params != nil {
			e.params(p)
		}
	})
	suns, err := f.suns.Params.Get(f.Ctx)
	require.NoError(t, err)
	suns.MaxGap, suns.SilenceLimit = time.Hour, 15*time.Minute
	require.NoError(t, f.suns.Params.Set(f.Ctx, suns))
	f.image = f.publish("paid", 70, sunstypes.Demand{GeneralMilliSuns: 2_500})
	x := &exampleRun{fixture: f, order: e.order, nodes: 1}
	x.node = f.addNode(nodeSpec{operator: "op", suns: 10, ask: 1_001})
	for _, name := range []string{"another", "publisher"} {
		f.Fund(testkit.Addr(name), operatorFunds)
	}
	return x
}

// addSpare has another operator offer a node at 1,002 uisc: an hour of it reserves floor(2505) + 70 = 2575.
func (x *exampleRun) addSpare() {
	x.T.Helper()
	x.spare = x.addNode(nodeSpec{operator: "another", suns: 10, ask: 1_002})
}

// match creates the lease and ends the block that matches it.
func (x *exampleRun) match() {
	x.T.Helper()
	x.id = x.lease(func(m *types.MsgCreateLease) {
		m.MaxPrice, m.Deposit = 2_573, testkit.Coin(exampleDeposit)
		if x.order != nil {
			x.order(m)
		}
	})
	x.NextBlock(time.Second)
}

func (x *exampleRun) startAll() {
	x.T.Helper()
	for _, p := range x.live(x.id) {
		if p.StartedMs == 0 {
			x.start(p)
		}
	}
}

// begin matches the lease and starts what was matched: service begins now.
func (x *exampleRun) begin() {
	x.T.Helper()
	x.match()
	require.NotEmpty(x.T, x.live(x.id))
	x.startAll()
}

// pass passes time in blocks of at most five minutes.
func (x *exampleRun) pass(total time.Duration, each func(step time.Duration)) {
	x.T.Helper()
	for step := 5 * time.Minute; total > 0; total -= step {
		step = min(step, total)
		x.NextBlock(step)
		each(step)
	}
}

// serveFor passes time in which everything that runs is served and attested.
func (x *exampleRun) serveFor(total time.Duration) {
	x.T.Helper()
	x.pass(total, func(step time.Duration) {
		for _, p := range x.live(x.id) {
			if p.StartedMs != 0 {
				_, err := x.attest(p, step)
				require.NoError(x.T, err)
			}
		}
	})
}

// idleFor passes time in which the node lives and attests nothing.
func (x *exampleRun) idleFor(total time.Duration) {
	x.T.Helper()
	x.pass(total, func(time.Duration) { x.checkIn(x.node) })
}

func (x *exampleRun) silentFor(total time.Duration) {
	x.T.Helper()
	x.pass(total, func(time.Duration) {})
}

// owns gives what an account has more than at the start.
func (x *exampleRun) owns(name string, bonds int64) int64 {
	return x.Balance(testkit.Addr(name)) - operatorFunds*(1+bonds) + 10_000_000*bonds
}

// figures reads the accounts after the running block's end.
func (x *exampleRun) figures() figures {
	x.T.Helper()
	x.NextBlock(time.Millisecond)
	got := x.get(x.id)
	another := int64(0)
	if x.spare.Operator != "" {
		another = 1
	}
	f := figures{
		tenant: x.Balance(x.tenant) - tenantFunds, operator: x.earned("op", x.nodes), another: x.owns("another", another),
		audit: x.pool(), owner: x.owns("publisher", 0),
		balance: got.Lease.Money.Balance.Int64(), reserved: got.Reserved.Int64(),
	}
	require.Equal(x.T, x.ModuleBalance(types.ModuleName), f.balance+f.reserved, "escrow")
	return f
}

func TestWorkedExamples(t *testing.T) {
	for _, e := range workedExamples() {
		t.Run(e.rule, func(t *testing.T) {
			x := newExampleRun(t, e)
			e.run(x)
			require.Equal(t, e.want, x.figures())
			sum := int64(0)
			for _, part := range e.want.row() {
				sum += part
			}
			require.Zero(t, sum, "every coin is in one of the accounts")
		})
	}
}

// The README's table holds these examples, in this order, with these figures.
func TestReadmeListsWorkedExamples(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(readme), "\n### Worked examples\n")
	require.True(t, found)
	_, table, found := strings.Cut(section, "\n| --- ")
	require.True(t, found)
	lines := strings.Split(table, "\n")[1:]
	for i, e := range workedExamples() {
		cells := strings.Split(strings.Trim(lines[i], "| "), "|")
		require.Len(t, cells, 9, lines[i])
		require.Equal(t, e.rule, strings.TrimSpace(cells[0]))
		for j, want := range e.want.row() {
			require.Equal(t, strconv.FormatInt(want, 10), strings.TrimSpace(cells[j+2]), "%s, column %d", e.rule, j+3)
		}
	}
	require.False(t, strings.HasPrefix(lines[len(workedExamples())], "|"), "a row without an example")
}

func (x *exampleRun) rejectFirst() {
	x.T.Helper()
	x.reject(x.live(x.id)[0])
}

func (x *exampleRun) transferImage(to sdk.AccAddress) {
	x.T.Helper()
	_, err := x.Deliver(func(ctx sdk.Context) error {
		return x.images.Transfer(ctx, x.image, testkit.Addr("publisher").String(), to.String())
	})
	require.NoError(x.T, err)
}
