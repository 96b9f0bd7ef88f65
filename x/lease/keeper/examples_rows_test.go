package keeper_test

import (
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// half an hour and an hour with the grace in which it settles.
const (
	half    = 30 * time.Minute
	settled = 66 * time.Minute
)

func workedExamples() []example {
	return slices.Concat(hourExamples(), tenantExamples(), nodeExamples(), waitingExamples(), rateExamples())
}

// hourExamples: what an hour reserves, and how it settles. Of 2572 reserved, an hour that is served in full pays
// charge 2502: operator floor(2251.8) = 2251, audit 2502 − 2251 = 251, royalty 70.
func hourExamples() []example {
	return []example{
		{
			// 10000 − 2572 = 7428
			rule: "reserved at the match",
			run:  func(x *exampleRun) { x.match() },
			want: figures{tenant: -10_000, balance: 7_428, reserved: 2_572},
		},
		{
			// At 3600 s the second hour is reserved, the first waits for its grace: 10000 − 2 · 2572 = 4856.
			rule: "the next hour is reserved first",
			run:  func(x *exampleRun) { x.begin(); x.serveFor(time.Hour) },
			want: figures{tenant: -10_000, balance: 4_856, reserved: 5_144},
		},
		{
			rule: "a full hour",
			run:  func(x *exampleRun) { x.begin(); x.serveFor(settled) },
			want: figures{tenant: -10_000, operator: 2_251, audit: 251, owner: 70, balance: 4_856, reserved: 2_572},
		},
		{
			// 3300 s: charge floor(2293.96) = 2293, operator floor(2063.7) = 2063, audit 230, royalty floor(64.17) = 64; returned
			// 2572 − 2293 − 64 = 215, so 4856 + 215 = 5071.
			rule: "unserved seconds return",
			run: func(x *exampleRun) {
				x.begin()
				x.serveFor(55 * time.Minute)
				x.idleFor(11 * time.Minute)
			},
			want: figures{tenant: -10_000, operator: 2_063, audit: 230, owner: 64, balance: 5_071, reserved: 2_572},
		},
		{
			// The first hour settles with 300 s: charge floor(208.54) = 208, operator floor(187.2) = 187, audit 21, royalty
			// floor(5.83) = 5, returned 2572 − 213 = 2359. Then 3660 s more are claimed at once: those of the first hour are lost,
			// the second is whole. Operator 187 + 2251, audit 21 + 251, owner 5 + 70; 10000 − 3 · 2572 + 2359 = 4643.
			rule: "attested after the hour settled: lost",
			run: func(x *exampleRun) {
				x.begin()
				x.serveFor(5 * time.Minute)
				x.idleFor(settled - 5*time.Minute)
				x.NextBlock(time.Second)
				_, err := x.attest(x.placement(x.id), settled-5*time.Minute+time.Second)
				require.NoError(x.T, err)
				x.serveFor(time.Hour - time.Second)
			},
			want: figures{tenant: -10_000, operator: 2_438, audit: 272, owner: 75, balance: 4_643, reserved: 2_572},
		},
		{
			// An hour is claimed after 600 s: 600 s count. Charge floor(417.08) = 417, operator floor(375.3) = 375, audit 42, royalty
			// floor(11.67) = 11, returned 2572 − 428 = 2144: 4856 + 2144 = 7000.
			rule: "more claimed than time passed: lost",
			run: func(x *exampleRun) {
				x.begin()
				x.idleFor(10 * time.Minute)
				_, err := x.attest(x.placement(x.id), time.Hour)
				require.NoError(x.T, err)
				x.idleFor(settled - 10*time.Minute)
			},
			want: figures{tenant: -10_000, operator: 375, audit: 42, owner: 11, balance: 7_000, reserved: 2_572},
		},
		{
			// The node asks twice as much from 1800 s on. Two hours: operator 2 · 2251, audit 2 · 251, owner 2 · 70;
			// 10000 − 3 · 2572 = 2284.
			rule: "the price of the match holds",
			run: func(x *exampleRun) {
				x.begin()
				x.serveFor(half)
				x.changeAsk(x.node, 2_002)
				x.serveFor(time.Hour + settled - half)
			},
			want: figures{tenant: -10_000, operator: 4_502, audit: 502, owner: 140, balance: 2_284, reserved: 2_572},
		},
		{
			// 2573 pays the first hour and leaves 1, which is no second hour.
			rule:  "spent at the hour's end",
			order: func(m *types.MsgCreateLease) { m.Deposit = testkit.Coin(2_573) },
			run:   func(x *exampleRun) { x.begin(); x.serveFor(settled) },
			want:  figures{tenant: -2_573, operator: 2_251, audit: 251, owner: 70, balance: 1},
		},
	}
}

// tenantExamples: the tenant ends a placement. At 1800 s, after the trial, the seconds before cost floor(1251.25) = 1251,
// operator floor(1125.9) = 1125, audit 126, royalty 35; the 1800 s after it cost floor(1251.25) = 1251 for the audit pool, and
// 2572 − 1251 − 35 − 1251 = 35, their royalty, returns.
func tenantExamples() []example {
	return []example{
		{
			rule: "closed unstarted",
			run:  func(x *exampleRun) { x.match(); x.close(x.id); x.NextBlock(time.Second) },
			want: figures{},
		},
		{
			// 300 s: charge floor(208.54) = 208, operator floor(187.2) = 187, audit 21, royalty floor(5.83) = 5.
			rule: "closed within the trial",
			run: func(x *exampleRun) {
				x.begin()
				x.serveFor(5 * time.Minute)
				x.close(x.id)
				x.silentFor(7 * time.Minute)
			},
			want: figures{tenant: -213, operator: 187, audit: 21, owner: 5},
		},
		{
			// audit 126 + 1251
			rule: "closed after the trial",
			run:  func(x *exampleRun) { x.begin(); x.serveFor(half); x.close(x.id); x.silentFor(7 * time.Minute) },
			want: figures{tenant: -2_537, operator: 1_125, audit: 1_377, owner: 35},
		},
		{
			// 1800.7 s: 1799 whole seconds are left, for floor(1250.56) = 1250; the 1801 before them keep floor(1251.95) = 1251 and 35.
			// 1800 whole seconds were served: charge 1251, royalty 35. Back: 2572 − 1250 − 1251 − 35 = 36.
			rule: "closed between two seconds",
			run: func(x *exampleRun) {
				x.begin()
				x.serveFor(half + 700*time.Millisecond)
				x.close(x.id)
				x.silentFor(7 * time.Minute)
			},
			want: figures{tenant: -2_536, operator: 1_125, audit: 1_376, owner: 35},
		},
		{
			// 100 s into the second hour, the first still open: the first pays 2251, 251 and 70. Of the second, 100 s: charge
			// floor(69.51) = 69, operator floor(62.1) = 62, audit 7, royalty 1; the 3500 s after it floor(2432.99) = 2432 to the audit
			// pool. Tenant 2572 + 69 + 1 + 2432 = 5074.
			rule: "closed while two hours are open",
			run: func(x *exampleRun) {
				x.begin()
				x.serveFor(time.Hour + 100*time.Second)
				x.close(x.id)
				x.silentFor(7 * time.Minute)
			},
			want: figures{tenant: -5_074, operator: 2_313, audit: 2_690, owner: 71},
		},
		{
			// One of two replicas goes at 1800 s: 1125, 126 + 1251, 35. The other's hour is served: 2251, 251, 70, and its next is
			// reserved: 10000 − 3 · 2572 + 35 = 2319.
			rule:  "scaled down",
			order: func(m *types.MsgCreateLease) { m.Replicas = 2 },
			run: func(x *exampleRun) {
				x.begin()
				x.serveFor(half)
				x.update(x.id, func(m *types.MsgUpdateLease) { m.Replicas = 1 })
				x.serveFor(settled - half)
			},
			want: figures{tenant: -10_000, operator: 3_376, audit: 1_628, owner: 105, balance: 2_319, reserved: 2_572},
		},
		{
			// The rest of the old hour is forfeited and the other node's reserved: 10000 − 2572 + 35 − 2575 = 4888.
			rule:  "migrated",
			order: func(m *types.MsgCreateLease) { m.MaxPrice = 2_600 },
			run: func(x *exampleRun) {
				x.addSpare()
				x.begin()
				x.serveFor(half)
				x.migrate(x.id, 0)
				x.NextBlock(time.Second)
				x.startAll()
				x.silentFor(7 * time.Minute)
			},
			want: figures{tenant: -10_000, operator: 1_125, audit: 1_377, owner: 35, balance: 4_888, reserved: 2_575},
		},
		{
			// The same with an image without royalty, whose hour is 2502, on the same node: 10000 − 2572 + 35 − 2502 = 4961.
			rule: "another image",
			run: func(x *exampleRun) {
				free := x.publish("free", 0, sunstypes.Demand{GeneralMilliSuns: 2_500})
				x.begin()
				x.serveFor(half)
				x.update(x.id, func(m *types.MsgUpdateLease) { m.Image = free })
				x.NextBlock(time.Second)
				x.startAll()
				x.silentFor(7 * time.Minute)
			},
			want: figures{tenant: -10_000, operator: 1_125, audit: 1_377, owner: 35, balance: 4_961, reserved: 2_502},
		},
		{
			// What anybody pays in is the tenant's: the refund of 15000 leaves it 5000 up.
			rule: "funded by a stranger",
			run: func(x *exampleRun) {
				x.addSpare()
				x.match()
				x.fund(x.id, testkit.Addr("another"), 5_000)
				x.close(x.id)
				x.NextBlock(time.Second)
			},
			want: figures{tenant: 5_000, another: -5_000},
		},
	}
}

// nodeExamples: the node ends a placement or leaves. What it served until 1800 s pays 1125, 126 and 35; the rest of the hour
// returns, and another node is reserved for 2575.
func nodeExamples() []example {
	atMost2600 := func(m *types.MsgCreateLease) { m.MaxPrice = 2_600 }
	return []example{
		{
			// Back: 2572 − 1251 − 35 = 1286; 10000 − 2572 + 1286 − 2575 = 6139.
			rule:  "rejected while it ran",
			order: atMost2600,
			run: func(x *exampleRun) {
				x.addSpare()
				x.begin()
				x.serveFor(half)
				x.rejectFirst()
				x.NextBlock(time.Second)
				x.startAll()
				x.silentFor(7 * time.Minute)
			},
			want: figures{tenant: -10_000, operator: 1_125, audit: 126, owner: 35, balance: 6_139, reserved: 2_575},
		},
		{
			// Silent from 1800 s, found at 2700 s: what was reserved for the 900 s since then returns at once, for the 900 s before,
			// in which nothing was attested, when the hour settles. The gap costs nothing: 6139 again.
			rule:  "silent",
			order: atMost2600,
			run: func(x *exampleRun) {
				x.addSpare()
				x.begin()
				x.serveFor(half)
				x.silentFor(20 * time.Minute)
				x.NextBlock(time.Second)
				x.startAll()
				x.silentFor(7 * time.Minute)
			},
			want: figures{tenant: -10_000, operator: 1_125, audit: 126, owner: 35, balance: 6_139, reserved: 2_575},
		},
		{
			rule:  "retired",
			order: atMost2600,
			run: func(x *exampleRun) {
				x.addSpare()
				x.begin()
				x.serveFor(half)
				x.retire(x.node)
				x.NextBlock(time.Second)
				x.startAll()
				x.silentFor(7 * time.Minute)
			},
			want: figures{tenant: -10_000, operator: 1_125, audit: 126, owner: 35, balance: 6_139, reserved: 2_575},
		},
		{
			// Nothing was served, so nothing is paid: 10000 − 2575 = 7425.
			rule:  "not started in time",
			order: atMost2600,
			run:   func(x *exampleRun) { x.addSpare(); x.match(); x.silentFor(5*time.Minute + time.Second) },
			want:  figures{tenant: -10_000, balance: 7_425, reserved: 2_575},
		},
		{
			// The first hour settles at 3960 s with nothing attested; the placement ends, and the 360 s of its second hour return in
			// their turn: 10000 − 2575 = 7425.
			rule:  "an hour without any service",
			order: atMost2600,
			run: func(x *exampleRun) {
				x.addSpare()
				x.begin()
				x.idleFor(settled)
				x.NextBlock(time.Second)
				x.startAll()
				x.silentFor(7 * time.Minute)
			},
			want: figures{tenant: -10_000, balance: 7_425, reserved: 2_575},
		},
		{
			// Drained at 1800 s, its replacement starts at 2100 s: charge floor(1459.79) = 1459, operator floor(1313.1) = 1313,
			// audit 146, royalty floor(40.83) = 40; 1500 s return: 2572 − 1459 − 40 = 1073, so 10000 − 2572 − 2575 + 1073 = 5926.
			rule:  "drained until the replacement starts",
			order: atMost2600,
			run: func(x *exampleRun) {
				x.addSpare()
				x.begin()
				x.serveFor(half)
				x.drain(x.node)
				x.serveFor(5 * time.Minute)
				x.startAll()
				x.silentFor(7 * time.Minute)
			},
			want: figures{tenant: -10_000, operator: 1_313, audit: 146, owner: 40, balance: 5_926, reserved: 2_575},
		},
		{
			// Nowhere to go: drained at 1800 s it runs until 5400 s. The first hour pays 2251, 251, 70, half of the second 1125, 126, 35;
			// 10000 − 2572 − 1286 = 6142.
			rule: "drained until the grace ends",
			run: func(x *exampleRun) {
				x.begin()
				x.serveFor(half)
				x.drain(x.node)
				x.serveFor(time.Hour)
				x.silentFor(7 * time.Minute)
			},
			want: figures{tenant: -10_000, operator: 3_376, audit: 377, owner: 105, balance: 6_142},
		},
		{
			// Three nodes reject it before it ever ran: suspended, for nothing.
			rule: "suspended",
			run: func(x *exampleRun) {
				for _, name := range []string{"second", "third"} {
					x.addNode(nodeSpec{operator: name, suns: 10, ask: 1_001})
				}
				x.match()
				for range 3 {
					x.rejectFirst()
					x.NextBlock(time.Second)
				}
				require.Equal(x.T, types.LEASE_STATUS_SUSPENDED, x.get(x.id).Lease.Lease.Status)
			},
			want: figures{tenant: -10_000, balance: 10_000},
		},
	}
}

// waitingExamples: a replica that no node takes.
func waitingExamples() []example {
	fee := func(p *types.Params) { p.RetryFee = 100 }
	unfit := func(m *types.MsgCreateLease) { m.MaxPrice = 2_572 }
	return []example{
		{
			// An hour costs 2502.5 + 70 = 2572.5 before rounding, which is above 2572.
			rule:  "the cap includes the royalty",
			order: unfit,
			run:   func(x *exampleRun) { x.match() },
			want:  figures{tenant: -10_000, balance: 10_000},
		},
		{
			// The first try is free; those after 10, 30 and 70 s cost 100 each.
			rule:   "retries cost the fee",
			params: fee,
			order:  unfit,
			run: func(x *exampleRun) {
				x.match()
				for range 8 {
					x.NextBlock(10 * time.Second)
				}
			},
			want: figures{tenant: -10_000, audit: 300, balance: 9_700},
		},
		{
			// 2772 pays two tries; the third would leave less than the 2572 of an hour at the cap: 2572 < 100 + 2572.
			rule:   "no retry without an hour's money",
			params: fee,
			order:  func(m *types.MsgCreateLease) { m.MaxPrice, m.Deposit = 2_572, testkit.Coin(2_772) },
			run: func(x *exampleRun) {
				x.match()
				for range 30 {
					x.NextBlock(10 * time.Second)
				}
				require.Equal(x.T, types.LEASE_STATUS_UNFUNDED, x.get(x.id).Lease.Lease.Status)
			},
			want: figures{tenant: -2_772, audit: 200, balance: 2_572},
		},
		{
			// With the fee: after 10, 30, 70, 150, 310, 630 and 1270 s, and closed at 1800 s: 700 of 10000 are gone.
			rule:   "waited too long",
			params: func(p *types.Params) { p.RetryFee, p.MaxWait = 100, 30*time.Minute },
			order:  unfit,
			run: func(x *exampleRun) {
				x.match()
				for range 182 {
					x.NextBlock(10 * time.Second)
				}
			},
			want: figures{tenant: -700, audit: 700},
		},
	}
}

// rateExamples: other rates than the usual.
func rateExamples() []example {
	return []example{
		{
			// 1 SUNS and a device of 5: floor(1001 · 6000 ÷ 1000) = 6006 an hour, operator floor(5405.4) = 5405, audit 601;
			// 20000 − 2 · 6006 = 7988. The image is free.
			rule: "the whole device is paid",
			order: func(m *types.MsgCreateLease) {
				m.Image = testkit.Addr("publisher").String() + "/web:1"
				m.Demand = &sunstypes.Demand{
					GeneralMilliSuns: 1_000,
					Accelerator:      &sunstypes.AcceleratorDemand{Kind: sunstypes.KindGPU, Count: 1, MilliSuns: 100},
				}
				m.MaxPrice, m.Deposit = 6_006, testkit.Coin(20_000)
			},
			run: func(x *exampleRun) {
				x.retire(x.node)
				x.node, x.nodes = x.addNode(nodeSpec{operator: "op", number: 2, ask: 1_001, devices: []sunstypes.Accelerator{{
					DeviceID: "gpu0", Kind: sunstypes.KindGPU, Vendor: "nvidia", Model: "G5",
					MemoryMiB: 8_192, MemoryBandwidthMbs: 5 * 33_600, Fp32Gflops: 2_000,
				}}}), 2
				x.begin()
				x.serveFor(settled)
			},
			want: figures{tenant: -20_000, operator: 5_405, audit: 601, balance: 7_988, reserved: 6_006},
		},
		{
			// 33.33 %: operator floor(833.92) = 833, audit 2502 − 833 = 1669.
			rule:   "the provider's share is rounded down",
			params: func(p *types.Params) { p.ProviderShareBps = 3_333 },
			run:    func(x *exampleRun) { x.begin(); x.serveFor(settled) },
			want:   figures{tenant: -10_000, operator: 833, audit: 1_669, owner: 70, balance: 4_856, reserved: 2_572},
		},
		{
			// From 90 to 50 % while the hour runs: operator 1251, audit 1251.
			rule: "the share of the day of settlement",
			run: func(x *exampleRun) {
				x.begin()
				x.serveFor(half)
				x.setParams(func(p *types.Params) { p.ProviderShareBps = 5_000 })
				x.serveFor(settled - half)
			},
			want: figures{tenant: -10_000, operator: 1_251, audit: 1_251, owner: 70, balance: 4_856, reserved: 2_572},
		},
		{
			// Sold while the hour runs: the new owner, here the other operator, gets all of it.
			rule: "the royalty of the day of settlement",
			run: func(x *exampleRun) {
				x.addSpare()
				x.begin()
				x.serveFor(half)
				x.transferImage(testkit.Addr("another"))
				x.serveFor(settled - half)
			},
			want: figures{tenant: -10_000, operator: 2_251, another: 70, audit: 251, balance: 4_856, reserved: 2_572},
		},
		{
			// 90 s reserve floor(62.56) = 62 and floor(1.75) = 1; served, operator floor(55.8) = 55, audit 7, owner 1;
			// 10000 − 2 · 63 = 9874.
			rule:   "hours of 90 seconds",
			params: func(p *types.Params) { p.BillingPeriod, p.SettleGrace = 90*time.Second, 30*time.Second },
			run:    func(x *exampleRun) { x.begin(); x.serveFor(2 * time.Minute) },
			want:   figures{tenant: -10_000, operator: 55, audit: 7, owner: 1, balance: 9_874, reserved: 63},
		},
		{
			// From an hour to 90 s while it runs: the placement keeps its hour.
			rule: "the period of the match holds",
			run: func(x *exampleRun) {
				x.begin()
				x.serveFor(half)
				x.setParams(func(p *types.Params) { p.BillingPeriod, p.SettleGrace = 90*time.Second, 30*time.Second })
				x.serveFor(half + time.Minute)
			},
			want: figures{tenant: -10_000, operator: 2_251, audit: 251, owner: 70, balance: 4_856, reserved: 2_572},
		},
	}
}
