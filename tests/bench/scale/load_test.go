package scale

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/store/v2/rootmulti"
	sdk "github.com/cosmos/cosmos-sdk/types"

	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasekeeper "github.com/isuncoin/isuncoin/x/lease/keeper"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

const (
	// batchNodes are committed at a time: more at once make the block's cache slow, fewer make more commits.
	batchNodes = 2_000
	// loadGCPercent is how much the heap may grow, while a market is loaded, before it is collected.
	loadGCPercent = 200
	// nodesPerOperator keeps one operator from owning the market.
	nodesPerOperator = 100
	// replicas is how many placements a lease has, leasesPerTenant how many leases a tenant.
	replicas, leasesPerTenant = 10, 10

	// placedMilliSuns is what every placement takes: all of nine in ten nodes, half of the tenth.
	placedMilliSuns = 4_000
	maxPrice        = 1_000_000
	deposit         = 1_000_000_000
	bond            = 1_000_000

	// loadedMs is the chain clock of a loaded market. The duePerBlock first placements started half an hour before, all
	// others within the last ten minutes.
	loadedMs  = 36_000_000
	dueFromMs = loadedMs + 1_800_000
)

var countries = []string{"TW", "JP", "DE", "US", "FR", "KR", "CA", "BR", "IN", "ZA"}

// spec says what market to load.
type spec struct {
	nodes int
	// oneOwner gives nine in ten nodes to one operator.
	oneOwner bool
}

// market is a chain with nodes and as many running placements, nine in ten of the nodes full.
type market struct {
	*testChain
	spec   spec
	tenant sdk.AccAddress
	image  uaitypes.Image
	// numbers counts the nodes of each operator.
	numbers map[string]uint64

	loadTime time.Duration
	heap     uint64
}

// markets are loaded once and shared by all benchmarks of a run.
var markets = map[spec]*market{}

func marketOf(tb testing.TB, s spec) *market {
	tb.Helper()
	if m := markets[s]; m != nil {
		return m
	}
	before := heapInUse()
	// A heap that grows by gigabytes would be collected again and again.
	defer debug.SetGCPercent(debug.SetGCPercent(loadGCPercent))
	start := time.Now()
	m := &market{testChain: newTestChain(tb), spec: s, tenant: testkit.Addr("tenant"), numbers: map[string]uint64{}}
	m.block(m.open)
	for from := 0; from < s.nodes; from += batchNodes {
		m.block(func(ctx sdk.Context) error { return m.load(ctx, from, min(from+batchNodes, s.nodes)) })
	}
	m.block(nil)
	m.loadTime = time.Since(start)
	m.heap = heapInUse() - before
	tb.Logf("loaded %+v in %s, %d MiB", s, m.loadTime.Round(time.Millisecond), m.heap>>20)
	markets[s] = m
	return m
}

// heapInUse is what lives on the heap, in bytes.
func heapInUse() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapInuse
}

// open sets the clock, publishes the image that all leases run and funds a tenant.
func (m *market) open(ctx sdk.Context) error {
	clock, err := m.app.SunsKeeper.Clock.Get(ctx)
	if err != nil {
		return err
	}
	clock.NowMs = loadedMs
	if err := m.app.SunsKeeper.Clock.Set(ctx, clock); err != nil {
		return err
	}
	m.image = uaitypes.NewImage(&uaitypes.MsgPublishImage{
		Publisher: testkit.Addr("publisher").String(), Name: "web", Tag: "1",
		Digest: fmt.Sprintf("sha256:%x", testkit.Digest("web")), SizeBytes: 1, Platforms: []string{"linux/amd64"},
		Demand: sunstypes.Demand{GeneralMilliSuns: 1_000}, Licence: "MIT",
	}, 1)
	if err := m.app.UAIKeeper.Publish(ctx, m.image); err != nil {
		return err
	}
	return m.app.BankKeeper.SendCoins(ctx, bank, m.tenant, testkit.Coins(bankUisc/1_000))
}

// load writes nodes and, of each, a placement, and pays what they hold into the modules' accounts.
func (m *market) load(ctx sdk.Context, from, to int) error {
	escrow := math.ZeroInt()
	for i := from; i < to; i++ {
		node, err := m.loadNode(ctx, i)
		if err != nil {
			return err
		}
		if i%replicas == 0 {
			if err := m.loadLease(ctx, i); err != nil {
				return err
			}
			escrow = escrow.AddRaw(deposit)
		}
		reserved, err := m.loadPlacement(ctx, i, node)
		if err != nil {
			return err
		}
		escrow = escrow.Add(reserved)
	}
	bonds := math.NewInt(bond).MulRaw(int64(to - from))
	if err := m.app.BankKeeper.SendCoinsFromAccountToModule(ctx, bank, sunstypes.ModuleName, leasetypes.Coins(bonds)); err != nil {
		return err
	}
	return m.app.BankKeeper.SendCoinsFromAccountToModule(ctx, bank, leasetypes.ModuleName, leasetypes.Coins(escrow))
}

// full says whether a node has no room left. It follows nothing that the owner follows.
func full(i int) bool { return i/10%10 != 0 }

func (m *market) operator(i int) sdk.AccAddress {
	if m.spec.oneOwner && i%10 != 0 {
		return address("operator", 0)
	}
	return address("operator", 1+i/nodesPerOperator)
}

// address is an account nobody signs for.
func address(kind string, i int) sdk.AccAddress {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", kind, i))
	return sum[:20]
}

// loadNode writes what a registered node that has attested has in state.
func (m *market) loadNode(ctx sdk.Context, i int) (sunstypes.Node, error) {
	operator := m.operator(i)
	m.numbers[operator.String()]++
	id := sunstypes.NewNodeID(operator, m.numbers[operator.String()])
	milliSuns := uint64(placedMilliSuns)
	if !full(i) {
		milliSuns *= 2
	}
	params := sunstypes.DefaultParams()
	node := sunstypes.Node{
		ID: id, Agent: address("agent", i).String(), Moniker: "node", Architecture: "amd64",
		Capacity: sunstypes.ResourcesOf(params.Bundle, milliSuns), GeneralMilliSuns: milliSuns, MilliSuns: milliSuns,
		AskPrice: 3_600 + uint64(i*7_919%1_000), Country: countries[i*31%len(countries)], ReportVersion: 1,
		ReportDigest: testkit.Digest("report"), Bond: math.NewInt(bond), Status: sunstypes.NODE_STATUS_ACTIVE,
		RegisteredMs: 1, RegisteredEpoch: 1,
	}
	key := collections.Join(operator, id.Number)
	heard := uint64(loadedMs - i*37%120_000)
	load := sunstypes.NodeLoad{ReservedGeneralMilliSuns: placedMilliSuns, Placements: 1, BusySinceMs: startedMs(i)}
	silentAt := params.SilentAtMs(heard, load)
	suns := m.app.SunsKeeper
	return node, firstError(
		func() error { return suns.Nodes.Set(ctx, key, node) },
		func() error { return suns.Operators.Set(ctx, operator, id.Number) },
		func() error { return suns.Loads.Set(ctx, key, load) },
		func() error { return suns.CheckIns.Set(ctx, key, heard) },
		func() error { return suns.Deadlines.Set(ctx, key, silentAt) },
		func() error { return suns.DeadlineQueue.Push(ctx, silentAt, key) },
		func() error { return suns.Rewards.Set(ctx, key, sunstypes.NodeReward{Accrued: math.ZeroInt()}) },
		func() error {
			return m.app.AuditKeeper.Attestations.Set(ctx, key, audittypes.NodeAttestation{Sequence: 1, AttestedMs: heard})
		},
		// The first payment to an account creates it, which is no part of what is measured.
		func() error { return m.fundOnce(ctx, operator, id.Number) },
		func() error { return m.app.LeaseKeeper.SunsHooks().AfterNodeChanged(ctx, id) },
	)
}

func (m *market) fundOnce(ctx sdk.Context, operator sdk.AccAddress, number uint64) error {
	if number > 1 {
		return nil
	}
	return m.app.BankKeeper.SendCoins(ctx, bank, operator, testkit.Coins(1))
}

func firstError(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// placementID is the only placement of a node.
func placementID(i int) leasetypes.PlacementID {
	lease := i / replicas
	return leasetypes.PlacementID{
		Tenant: address("tenant", lease/leasesPerTenant).String(), Number: uint64(1 + lease%leasesPerTenant),
		Replica: uint32(i % replicas), Generation: uint64(1 + i%replicas),
	}
}

// startedMs is when a placement began its first hour.
func startedMs(i int) uint64 {
	if i < duePerBlock {
		return dueFromMs - leasetypes.Ms(time.Hour)
	}
	return uint64(loadedMs - 1 - i*53%600_000)
}

// loadLease writes the lease whose first replica a placement is.
func (m *market) loadLease(ctx sdk.Context, i int) error {
	id := placementID(i).Lease()
	key, err := id.Key()
	if err != nil {
		return err
	}
	count := uint32(min(replicas, m.spec.nodes-i))
	created := startedMs(i)
	lease := leasetypes.Lease{
		ID: id, Image: m.image.Ref(), Demand: sunstypes.Demand{GeneralMilliSuns: placedMilliSuns}, Replicas: count,
		MaxPrice: maxPrice, Status: leasetypes.LEASE_STATUS_ACTIVE, CreatedMs: created, NextGeneration: uint64(count) + 1,
		Started: true, Revision: 1, SpecRevision: 1, ReconciledReplicas: count, OpenPlacements: count, LivePlacements: count,
	}
	keeper := m.app.LeaseKeeper
	return firstError(
		func() error { return keeper.Leases.Set(ctx, key, lease) },
		func() error { return keeper.Money.Set(ctx, key, leasetypes.NewMoney(math.NewInt(deposit))) },
		func() error { return keeper.Sequences.Set(ctx, key.K1(), id.Number) },
		// It waited when it was created, and the queue still holds that.
		func() error {
			return keeper.LeaseDueQueue.Push(ctx, loadedMs+leasetypes.Ms(leasetypes.DefaultParams().MaxWait), key)
		},
	)
}

// loadPlacement writes a running placement that has served all of its time, and gives what it reserves.
func (m *market) loadPlacement(ctx sdk.Context, i int, node sunstypes.Node) (math.Int, error) {
	id := placementID(i)
	key, err := id.Key()
	if err != nil {
		return math.Int{}, err
	}
	started, hour := startedMs(i), leasetypes.Ms(time.Hour)
	p := leasetypes.Placement{
		ID: id, Node: node.ID, Status: leasetypes.PLACEMENT_STATUS_RUNNING, Image: m.image.Ref(), Digest: m.image.Digest,
		Price: node.AskPrice, GeneralMilliSuns: placedMilliSuns, MilliSuns: placedMilliSuns, PeriodMs: hour,
		MatchedMs: started, StartDeadlineMs: started, StartedMs: started, TrialEndMs: started, SpecRevision: 1,
		Endpoints: []leasetypes.Endpoint{{Name: "80", Protocol: "tcp", Address: "203.0.113.7:30080", ContainerPort: 80}},
	}
	served := loadedMs - started
	billing := leasetypes.NewBilling(p.Rate().Reserve(started, started+hour))
	billing.Spans[0].AttestedMs, billing.ServedMs, billing.AttestedUntilMs = served, served, loadedMs
	keeper := m.app.LeaseKeeper
	return billing.Reserved(), firstError(
		func() error { return keeper.Placements.Set(ctx, key, p) },
		func() error { return keeper.Billings.Set(ctx, key, billing) },
		func() error { return keeper.PlacementDueQueue.Push(ctx, started+hour, key) },
		func() error {
			return m.app.AuditKeeper.Usages.Set(ctx, key, audittypes.UsageEntry{
				ID: id, ServedMs: served, CpuMs: served, MemoryMiBSeconds: 1 << 20, BytesIn: 1 << 20, BytesOut: 1 << 20,
			})
		},
	)
}

// keys counts what the market's nodes and placements have in the stores, node by node and placement by placement.
func (m *market) keys() (perNode, perPlacement float64) {
	m.tb.Helper()
	ofPlacements := map[string][]collections.Prefix{
		leasetypes.StoreKey: {
			leasetypes.LeasesPrefix, leasetypes.MoneyPrefix, leasetypes.SequencesPrefix, leasetypes.PlacementsPrefix,
			leasetypes.PlacementsByNodePrefix, leasetypes.BillingsPrefix, leasetypes.PlacementDueQueuePrefix,
			leasetypes.LeaseDueQueuePrefix,
		},
		audittypes.StoreKey: {audittypes.UsagesPrefix},
		sunstypes.StoreKey:  {},
	}
	stores, ok := m.app.CommitMultiStore().(*rootmulti.Store)
	require.True(m.tb, ok)
	var nodes, placements int
	ctx := m.next()
	for name, prefixes := range ofPlacements {
		counts := map[byte]int{}
		it := ctx.KVStore(stores.StoreKeysByName()[name]).Iterator(nil, nil)
		for ; it.Valid(); it.Next() {
			counts[it.Key()[0]]++
			nodes++
		}
		require.NoError(m.tb, it.Close())
		for _, prefix := range prefixes {
			nodes -= counts[prefix.Bytes()[0]]
			placements += counts[prefix.Bytes()[0]]
		}
	}
	return float64(nodes) / float64(m.spec.nodes), float64(placements) / float64(m.spec.nodes)
}

// order creates a lease of one replica, as a transaction of the block would; the block's end matches it.
func (m *market) order(ctx sdk.Context) error {
	_, err := leasekeeper.NewMsgServer(m.app.LeaseKeeper).CreateLease(ctx, &leasetypes.MsgCreateLease{
		Tenant: m.tenant.String(), Image: m.image.Ref(), Replicas: 1, MaxPrice: maxPrice, Deposit: testkit.Coin(10_000_000),
	})
	return err
}
