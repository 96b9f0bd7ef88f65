package market

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	sdk "github.com/cosmos/cosmos-sdk/types"

	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

const funds = 1_000_000_000_000

var (
	tenants   = []string{"tina", "tom", "theo", "tara", "ted", "tess"}
	operators = []string{"olga", "otto", "omar", "ona"}
	authors   = []string{"ann", "abe", "ada"}
)

// world is the chain, the books that follow it, and the sequence that drives both.
type world struct {
	*chain
	*books
	rt *rapid.T
	// matchedNow are the block's new placements, whose devices are to be read.
	matchedNow []*placement
	// named counts what got a name of its own: agents and images.
	named int
}

func newWorld(t testing.TB, rt *rapid.T, tally *tally) *world {
	params := firstParams()
	w := &world{
		chain: newChain(sequenceTB{t, rt}, params), rt: rt,
		books: &books{
			params: params, held: map[string]int64{}, images: map[string]*image{},
			placements: map[leasetypes.PlacementID]*placement{}, tally: tally,
		},
	}
	for _, account := range []string{escrowAccount, auditAccount, bondAccount, rewardAccount} {
		w.held[account] = 0
	}
	for _, name := range slices.Concat(tenants, operators, authors) {
		w.Fund(people[name], funds)
		w.held[people[name].String()] = funds
	}
	return w
}

// people are the accounts with names. Keys cost more than everything else here, so they are made once.
var people, names = func() (map[string]sdk.AccAddress, map[string]string) {
	people, names := map[string]sdk.AccAddress{}, map[string]string{}
	for _, name := range slices.Concat(tenants, operators, authors) {
		people[name] = testkit.Addr(name)
		names[people[name].String()] = name
	}
	return people, names
}()

// nick is the name behind an address, or the address.
func nick(address string) string {
	if name, known := names[address]; known {
		return name
	}
	return address
}

// pick draws one of the numbers below n; the shrinker prefers low ones.
func (w *world) pick(n int, label string) int { return rapid.IntRange(0, n-1).Draw(w.rt, label) }

// oneOf draws one of the items.
func oneOf[T any](w *world, label string, items ...T) T { return items[w.pick(len(items), label)] }

// chance is true once in n.
func (w *world) chance(n int, label string) bool { return w.pick(n, label) == n-1 }

// send delivers a message as a transaction, notes how it went and holds failures to registered errors.
func send[M, R any](
	w *world, kind string, handler func(context.Context, M) (R, error), msg M, detail string, args ...any,
) (response R, err error) {
	_, err = w.Deliver(func(ctx sdk.Context) error {
		response, err = handler(ctx, msg)
		return err
	})
	w.rt.Logf("%d ms: %s %s: %v", w.now, kind, fmt.Sprintf(detail, args...), outcome(err))
	if err == nil {
		w.tally.accept(kind)
		return response, nil
	}
	name, known := registered(err)
	require.True(w.T, known, "%s failed with an error nobody registered: %v", kind, err)
	w.tally.refuse(kind, name)
	return response, err
}

func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	return "refused, " + err.Error()
}

// block ends the running block, compares the books with the chain, and begins the next one.
func (w *world) block(gap time.Duration) {
	events, err := parseEvents(w.EndBlock())
	require.NoError(w.T, err)
	for _, event := range events {
		w.rt.Logf("%d ms: %s %v", w.now, strings.TrimPrefix(sdk.MsgTypeURL(event), "/isun."), event)
		require.NoError(w.T, w.apply(event), "block %d at %d ms", w.Ctx.BlockHeight(), w.now)
		if e, ok := event.(*leasetypes.EventPlacementMatched); ok {
			w.matchedNow = append(w.matchedNow, w.placementOf(e.Tenant, e.Number, e.Replica, e.Generation))
		}
	}
	w.readDevices()
	w.compare()
	w.forget()
	w.tally.blocks++
	w.Commit(gap)
	w.BeginBlock()
	w.tick(uint64(gap.Milliseconds()))
}

// readDevices notes which devices the block's placements hold, and that they pay for exactly those.
func (w *world) readDevices() {
	for _, p := range w.matchedNow {
		_, placed, err := w.leaseKeeper.GetPlacement(w.Ctx, p.id)
		require.NoError(w.T, err)
		size := p.general
		p.devices = placed.DeviceIDs()
		for _, id := range p.devices {
			size += p.node.spec.devices[id]
		}
		require.Equal(w.T, size, p.milliSuns, "%s pays for other devices than it holds", p)
		want := p.lease.demand.Devices()
		require.EqualValues(w.T, want, len(p.devices), "%s", p)
	}
	w.matchedNow = nil
}

// compare holds every account, every lease's balance, every node's load and the clock to the books.
func (w *world) compare() {
	require.NoError(w.T, w.oversold())
	now, err := w.sunsKeeper.NowMs(w.Ctx)
	require.NoError(w.T, err)
	require.Equal(w.T, w.now, now, "chain clock")
	for name, address := range people {
		require.Equal(w.T, w.held[address.String()], w.Balance(address), "what %s holds", name)
	}
	for _, name := range []string{leasetypes.ModuleName, audittypes.ModuleName, sunstypes.ModuleName, sunstypes.RewardPoolName} {
		require.Equal(w.T, w.held[moduleAddr(name)], w.ModuleBalance(name), "what module account %s holds", name)
	}
	require.Equal(w.T, w.escrow(), w.held[escrowAccount], "escrow is not what leases and hours hold")
	for _, p := range w.placements {
		require.LessOrEqual(w.T, len(p.spans), 2, "open hours of %s", p)
	}
	for _, l := range w.leases {
		key, err := l.id.Key()
		require.NoError(w.T, err)
		money, err := w.leaseKeeper.Money.Get(w.Ctx, key)
		require.NoError(w.T, err)
		require.Equal(w.T, l.balance, money.Balance.Int64(), "balance of %s", l)
	}
}

func ms(d time.Duration) uint64 { return uint64(d.Milliseconds()) }

// nodeSpec is a machine: what its report says and where it stands.
type nodeSpec struct {
	suns             uint64
	arch             string
	country, zone    string
	gpus             []uint64
	generalMilliSuns uint64
	// devices: id -> milli-SUNS by the params of its last report
	devices map[string]uint64
}

// report is the machine's benchmark report under the params of the day, with the SUNS computed here.
func (s *nodeSpec) report(params sunstypes.Params) sunstypes.BenchmarkReport {
	capacity := sunstypes.Capacity{
		CpuPoints: 1_000 * s.suns, MemoryMiB: 2_048 * s.suns, StorageMiB: 16_384 * s.suns, BandwidthMbps: 20 * s.suns,
	}
	s.generalMilliSuns = min(
		1_000*capacity.CpuPoints/params.Bundle.CpuPoints, 1_000*capacity.MemoryMiB/params.Bundle.MemoryMiB,
		1_000*capacity.StorageMiB/params.Bundle.StorageMiB, 1_000*capacity.BandwidthMbps/params.Bundle.BandwidthMbps)
	report := sunstypes.BenchmarkReport{
		Version: 1, Digest: testkit.Digest("report"), Architecture: s.arch, Capacity: capacity, MilliSuns: s.generalMilliSuns,
	}
	s.devices = map[string]uint64{}
	bundle := params.AcceleratorBundle
	for i, size := range s.gpus {
		device := sunstypes.Accelerator{
			DeviceID: fmt.Sprintf("gpu%d", i), Kind: sunstypes.KindGPU, Vendor: "nvidia", Model: fmt.Sprintf("G%d", size),
			MemoryMiB: 1_024 * size, MemoryBandwidthMbs: 33_600 * size, Fp32Gflops: 200 * size,
		}
		milli := min(
			device.MemoryMiB*1_024*1_000/bundle.MemoryKiB, 1_000*device.MemoryBandwidthMbs/bundle.MemoryBandwidthMbs,
			1_000*device.Fp32Gflops/bundle.Fp32Gflops)
		s.devices[device.DeviceID] = milli
		report.Accelerators = append(report.Accelerators, device)
		report.MilliSuns += milli
	}
	return report
}
