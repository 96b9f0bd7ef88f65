package scale

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/tests/bench/report"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// largest is the size of the largest market.
func largest(tb testing.TB) int {
	tb.Helper()
	text := os.Getenv("BENCH_NODES")
	if text == "" {
		return 100_000
	}
	nodes, err := strconv.Atoi(text)
	require.NoError(tb, err, "BENCH_NODES")
	return nodes
}

// power writes a size as figures name it: 1e5.
func power(nodes int) string {
	return strings.Replace(strconv.FormatFloat(float64(nodes), 'e', -1, 64), "e+0", "e", 1)
}

// samples are what was measured of each market.
type samples map[*market][]float64

// best is what a market can do: everything slower is what else ran on the machine (docs/benchmarks.md).
func (s samples) best(m *market) float64 { return slices.Min(s[m]) }

// compare reports a figure of each market and how the larger ones compare with the first.
func (s samples) compare(b *testing.B, name, unit string, all []*market) {
	b.Helper()
	for i, m := range all {
		report.Figure(b, fmt.Sprintf("%s_%s_%s", name, power(m.spec.nodes), unit), s.best(m))
		if i > 0 {
			report.Figure(b, fmt.Sprintf("%s_%s_vs_%s", name, power(m.spec.nodes), power(all[0].spec.nodes)),
				s.best(m)/s.best(all[0]))
		}
	}
}

func marketsOf(b *testing.B, oneOwner bool, sizes ...int) []*market {
	b.Helper()
	var all []*market
	for _, nodes := range append(sizes, largest(b)) {
		all = append(all, marketOf(b, spec{nodes: nodes, oneOwner: oneOwner}))
	}
	return all
}

// takeTurns measures every market in every round, as often as the benchmark's time allows, a few times in a row: the first
// time pays for the processor's caches, which the other markets filled. The collector rests, since the largest market's heap
// would otherwise be paid for by whoever is measured while it runs.
func takeTurns(b *testing.B, rounds, tries int, all []*market, measure func(m *market) float64) samples {
	b.Helper()
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	found := samples{}
	for _, m := range all {
		measure(m) // fills what is cached
	}
	for b.Loop() {
		for range rounds {
			for _, m := range all {
				for range tries {
					found[m] = append(found[m], measure(m))
				}
			}
		}
	}
	return found
}

// microseconds that work takes.
func microseconds(tb testing.TB, work func() error) float64 {
	tb.Helper()
	start := time.Now()
	err := work()
	taken := time.Since(start)
	require.NoError(tb, err)
	return float64(taken.Nanoseconds()) / 1_000
}

// blockWork is what our modules do at the beginning and the end of every block.
func (m *market) blockWork(ctx sdk.Context) error {
	for _, work := range []func(context.Context) error{
		m.app.SunsKeeper.BeginBlock, m.app.LeaseKeeper.EndBlocker, m.app.AuditKeeper.EndBlock, m.app.SunsKeeper.EndBlock,
	} {
		if err := work(ctx); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkLoad is what the largest market takes to load, and what each node and placement puts into the stores.
func BenchmarkLoad(b *testing.B) {
	m := marketOf(b, spec{nodes: largest(b)})
	report.Figure(b, fmt.Sprintf("load_%s_seconds", power(m.spec.nodes)), m.loadTime.Seconds())
	report.Figure(b, fmt.Sprintf("load_%s_mib", power(m.spec.nodes)), float64(m.heap>>20))
	perNode, perPlacement := m.keys()
	report.Figure(b, "keys_per_node", perNode)
	report.Figure(b, "keys_per_placement", perPlacement)
}

// BenchmarkIdleBlock is the work of our modules in a block in which nothing is due.
func BenchmarkIdleBlock(b *testing.B) {
	all := marketsOf(b, false, 10, 10_000)
	takeTurns(b, 20, 10, all, func(m *market) float64 {
		ctx := m.next()
		return microseconds(b, func() error { return m.blockWork(ctx) })
	}).compare(b, "idle_block", "us", all)
}

// BenchmarkIdleBlockMemory is what that work allocates.
func BenchmarkIdleBlockMemory(b *testing.B) {
	all := marketsOf(b, false, 10, 10_000)
	allocated := samples{}
	takeTurns(b, 10, 1, all, func(m *market) float64 {
		ctx := m.next()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := m.blockWork(ctx)
		runtime.ReadMemStats(&after)
		require.NoError(b, err)
		allocated[m] = append(allocated[m], float64(after.TotalAlloc-before.TotalAlloc)/1024)
		return float64(after.Mallocs - before.Mallocs)
	}).compare(b, "idle_block_allocs", "count", all)
	allocated.compare(b, "idle_block_memory", "kib", all)
}

// BenchmarkIdleCommit is a whole idle block: all modules, the hash of the stores and the commit.
func BenchmarkIdleCommit(b *testing.B) {
	all := marketsOf(b, false, 10, 10_000)
	takeTurns(b, 10, 5, all, func(m *market) float64 {
		return microseconds(b, func() error { m.block(nil); return nil })
	}).compare(b, "idle_commit", "us", all)
}

// due measures a block's end in which the first placements are due at a time, per placement.
func due(b *testing.B, name string, atMs uint64) {
	b.Helper()
	all := marketsOf(b, false, duePerBlock, 10_000)
	takeTurns(b, 3, 1, all, func(m *market) float64 {
		ctx := m.next()
		require.NoError(b, m.setClock(ctx, atMs))
		return microseconds(b, func() error { return m.app.LeaseKeeper.EndBlocker(ctx) }) / duePerBlock
	}).compare(b, name, "us", all)
}

func (m *market) setClock(ctx sdk.Context, ms uint64) error {
	clock, err := m.app.SunsKeeper.Clock.Get(ctx)
	if err != nil {
		return err
	}
	clock.NowMs = ms
	return m.app.SunsKeeper.Clock.Set(ctx, clock)
}

// BenchmarkReserveHour is the end of an hour of 1,000 placements: the next one is reserved.
func BenchmarkReserveHour(b *testing.B) { due(b, "reserve_hour", dueFromMs) }

// BenchmarkDuePlacement is all that an hour of 1,000 placements asks for at once: the next is reserved and it is settled.
func BenchmarkDuePlacement(b *testing.B) {
	due(b, "due_placement", dueFromMs+leasetypes.Ms(leasetypes.DefaultParams().SettleGrace))
}

// match measures a block's end in which one replica is matched.
func match(b *testing.B, name string, oneOwner bool, sizes ...int) {
	b.Helper()
	all := marketsOf(b, oneOwner, sizes...)
	takeTurns(b, 20, 3, all, func(m *market) float64 {
		ctx := m.next()
		require.NoError(b, m.order(ctx))
		taken := microseconds(b, func() error { return m.app.LeaseKeeper.EndBlocker(ctx) })
		require.True(b, m.matched(ctx))
		return taken
	}).compare(b, name, "us", all)
}

// matched says whether the tenant's order got its node.
func (m *market) matched(ctx sdk.Context) bool {
	m.tb.Helper()
	lease, err := m.app.LeaseKeeper.Leases.Get(ctx, collections.Join(m.tenant, uint64(1)))
	require.NoError(m.tb, err)
	return lease.LivePlacements == 1
}

// BenchmarkMatch is a match in a market of which nine in ten nodes are full.
func BenchmarkMatch(b *testing.B) { match(b, "match", false, 100, 10_000) }

// BenchmarkMatchOneOwner is a match in a market of which one operator owns nine in ten nodes besides.
func BenchmarkMatchOneOwner(b *testing.B) {
	clear(markets) // two large ones are too much for many a machine
	match(b, "match_one_owner", true, 100, 10_000)
}

// BenchmarkCharge is the arithmetic of one settlement.
func BenchmarkCharge(b *testing.B) {
	rate := leasetypes.Rate{Price: 1_000_003, MilliSuns: 2_500, Royalty: 70}
	span := rate.Reserve(0, 3_600_000)
	span.AttestedMs = 3_599_999
	for b.Loop() {
		rate.Settle(span, 9_000)
	}
}

// A small market is loaded as a large one is, holds the chain's invariants, and is billed and matched as expected.
func TestSmallMarket(t *testing.T) {
	for _, oneOwner := range []bool{false, true} {
		m := marketOf(t, spec{nodes: 50, oneOwner: oneOwner})
		require.NoError(t, m.app.CheckInvariants(m.next()))
		perNode, perPlacement := m.keys()
		require.Greater(t, perNode, 9.0)
		require.Greater(t, perPlacement, 5.0)
		require.Equal(t, int64(4), m.app.LastBlockHeight())

		ctx := m.next()
		require.NoError(t, m.blockWork(ctx))
		require.Empty(t, ctx.EventManager().Events(), "nothing is due")

		ctx = m.next()
		require.NoError(t, m.setClock(ctx, dueFromMs+leasetypes.Ms(leasetypes.DefaultParams().SettleGrace)))
		require.NoError(t, m.app.LeaseKeeper.EndBlocker(ctx))
		require.Len(t, testkit.EventsOf[leasetypes.EventPeriodReserved](t, ctx.EventManager().Events()), 50)
		require.Len(t, testkit.EventsOf[leasetypes.EventPeriodSettled](t, ctx.EventManager().Events()), 50)
		require.NoError(t, m.app.CheckInvariants(ctx))

		ctx = m.next()
		require.NoError(t, m.order(ctx))
		require.NoError(t, m.app.LeaseKeeper.EndBlocker(ctx))
		require.True(t, m.matched(ctx))
	}
}
