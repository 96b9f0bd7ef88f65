package integration_test

import (
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cosmos/gogoproto/proto"
	"github.com/stretchr/testify/require"

	"cosmossdk.io/collections"
	collcodec "cosmossdk.io/collections/codec"
	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/app"
	"github.com/isuncoin/isuncoin/tests/integration/chain"
	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	"github.com/isuncoin/isuncoin/x/duequeue"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// damage is how an item of a queue is made to fail.
type damage struct {
	// queue is the module's and the queue's name.
	queue string
	// strike breaks a record that the item's handler reads, puts the item in its queue as due now, and gives how to repair
	// the record. The context writes to committed state.
	strike func(b *busy, ctx sdk.Context) (repair func())
	// prepare runs before, in blocks of its own.
	prepare func(b *busy)
	// panics says that the handler does not fail but panics.
	panics bool
	// hopeless says that the item itself is broken, so that no repair lets it through.
	hopeless bool
}

// unreadable is no encoding of any record.
var unreadable = []byte{0xff}

// spoil overwrites a record and gives how to put back what was there.
func spoil[K any](
	b *busy, ctx sdk.Context, store string, prefix collections.Prefix, keys collcodec.KeyCodec[K], key K, value []byte,
) (repair func()) {
	b.T.Helper()
	raw, err := collections.EncodeKeyWithPrefix(prefix, keys, key)
	require.NoError(b.T, err)
	v := &town{Chain: b.Chain}
	kv := ctx.KVStore(v.storeKey(store))
	good := kv.Get(raw)
	kv.Set(raw, value)
	return func() {
		kv := v.Uncached().KVStore(v.storeKey(store))
		if good == nil {
			kv.Delete(raw)
			return
		}
		kv.Set(raw, good)
	}
}

func (b *busy) nodeKey(operator string, number uint64) sunstypes.NodeKey {
	return collections.Join(b.Address(operator), number)
}

func (b *busy) leaseKey(tenant string, number uint64) leasetypes.LeaseKey {
	return collections.Join(b.Address(tenant), number)
}

func (b *busy) placementKey(tenant string, number uint64) leasetypes.PlacementKey {
	b.T.Helper()
	key, err := b.placement(tenant, number).ID.Key()
	require.NoError(b.T, err)
	return key
}

func (b *busy) now() uint64 {
	b.T.Helper()
	now, err := b.App.SunsKeeper.NowMs(b.Ctx())
	require.NoError(b.T, err)
	return now
}

// hasten moves an item to the front of its queue.
func hasten[K any](b *busy, ctx sdk.Context, queue duequeue.Queue[K], item K) {
	b.T.Helper()
	entries, err := queue.Due(ctx, ^uint64(0), ^uint32(0))
	require.NoError(b.T, err)
	for _, entry := range entries {
		if reflect.DeepEqual(entry.K2(), item) {
			require.NoError(b.T, queue.Remove(ctx, entry.K1(), item))
		}
	}
	require.NoError(b.T, queue.Push(ctx, b.now(), item))
}

// damages has a case for every queue of every module; see TestEveryQueueIsDamaged.
func damages() []damage { return slices.Concat(nodeDamages(), leaseDamages(), placementDamages()) }

// nodeDamages strike the first node of operator, and its second once it is retired.
func nodeDamages() []damage {
	keys := sunstypes.NodeKeyCodec
	return []damage{
		{queue: "suns/deadline_queue", strike: func(b *busy, ctx sdk.Context) func() {
			k, node := b.App.SunsKeeper, b.nodeKey("operator", 1)
			hasten(b, ctx, k.DeadlineQueue, node)
			require.NoError(b.T, k.Deadlines.Set(ctx, node, b.now()))
			return spoil(b, ctx, sunstypes.StoreKey, sunstypes.CheckInsPrefix, keys, node, unreadable)
		}},
		{queue: "suns/unbonding_queue", prepare: func(b *busy) {
			b.Do("operator", &sunstypes.MsgRetireNode{Operator: b.addr("operator"), Number: 2})
		}, strike: func(b *busy, ctx sdk.Context) func() {
			node := b.nodeKey("operator", 2)
			hasten(b, ctx, b.App.SunsKeeper.UnbondingQueue, node)
			return spoil(b, ctx, sunstypes.StoreKey, sunstypes.RewardsPrefix, keys, node, unreadable)
		}},
		{queue: "suns/payout_queue", strike: func(b *busy, ctx sdk.Context) func() {
			node := b.nodeKey("operator", 1)
			require.NoError(b.T, b.App.SunsKeeper.PayoutQueue.Push(ctx, b.now(), node))
			return spoil(b, ctx, sunstypes.StoreKey, sunstypes.RewardsPrefix, keys, node, unreadable)
		}},
		{queue: "audit/payouts", strike: func(b *busy, ctx sdk.Context) func() {
			node := b.nodeKey("operator", 1)
			require.NoError(b.T, b.App.AuditKeeper.PayoutQueue.Push(ctx, b.now(), node))
			return spoil(b, ctx, audittypes.StoreKey, audittypes.RewardsPrefix, keys, node, unreadable)
		}},
		{queue: "lease/evictions_due", strike: func(b *busy, ctx sdk.Context) func() {
			node := b.nodeKey("operator", 1)
			require.NoError(b.T, b.App.LeaseKeeper.EvictionQueue.Push(ctx, b.now(), node))
			return spoil(b, ctx, leasetypes.StoreKey, leasetypes.EvictionsPrefix, keys, node, unreadable)
		}},
		{queue: "lease/node_backoffs", strike: func(b *busy, ctx sdk.Context) func() {
			node := b.nodeKey("operator", 1)
			require.NoError(b.T, b.App.LeaseKeeper.NodeBackoffQueue.Push(ctx, b.now(), node))
			return spoil(b, ctx, leasetypes.StoreKey, leasetypes.StandingsPrefix, keys, node, unreadable)
		}},
		{queue: "lease/reindexes", strike: func(b *busy, ctx sdk.Context) func() {
			node := b.nodeKey("operator", 1)
			require.NoError(b.T, b.App.LeaseKeeper.ReindexQueue.Push(ctx, b.now(), node))
			return spoil(b, ctx, leasetypes.StoreKey, leasetypes.IndexedNodesPrefix, keys, node, unreadable)
		}},
	}
}

// leaseDamages strike tenant's leases: the first runs, the second waits.
func leaseDamages() []damage {
	leases, requests := leasetypes.LeaseKeyCodec, leasetypes.RequestKeyCodec
	waiting := func(b *busy) leasetypes.RequestKey {
		return collections.Join3(b.Address("tenant"), uint64(2), uint32(0))
	}
	return []damage{
		{queue: "lease/lease_updates", strike: func(b *busy, ctx sdk.Context) func() {
			lease := b.leaseKey("tenant", 1)
			require.NoError(b.T, b.App.LeaseKeeper.LeaseUpdateQueue.Push(ctx, b.now(), lease))
			return spoil(b, ctx, leasetypes.StoreKey, leasetypes.MoneyPrefix, leases, lease, unreadable)
		}},
		{queue: "lease/due_leases", strike: func(b *busy, ctx sdk.Context) func() {
			lease := b.leaseKey("tenant", 2)
			require.NoError(b.T, b.App.LeaseKeeper.LeaseDueQueue.Push(ctx, b.now(), lease))
			return spoil(b, ctx, leasetypes.StoreKey, leasetypes.LeasesPrefix, leases, lease, unreadable)
		}},
		{queue: "lease/prune_leases", prepare: func(b *busy) {
			b.Do("tenant", &leasetypes.MsgCloseLease{Tenant: b.addr("tenant"), Number: 2})
		}, strike: func(b *busy, ctx sdk.Context) func() {
			lease := b.leaseKey("tenant", 2)
			hasten(b, ctx, b.App.LeaseKeeper.LeasePruneQueue, lease)
			return spoil(b, ctx, leasetypes.StoreKey, leasetypes.LeasesPrefix, leases, lease, unreadable)
		}},
		{queue: "lease/new_requests", strike: func(b *busy, ctx sdk.Context) func() {
			place, err := b.App.LeaseKeeper.Served.Get(ctx)
			require.NoError(b.T, err)
			item := collections.Join(uint64(1), waiting(b))
			require.NoError(b.T, b.App.LeaseKeeper.NewRequestQueue.Push(ctx, place, item))
			return spoil(b, ctx, leasetypes.StoreKey, leasetypes.RequestsPrefix, requests, waiting(b), unreadable)
		}},
		{queue: "lease/retries", strike: func(b *busy, ctx sdk.Context) func() {
			b.hastenRetry(ctx, waiting(b))
			return spoil(b, ctx, leasetypes.StoreKey, leasetypes.RequestsPrefix, requests, waiting(b), unreadable)
		}},
		{queue: "lease/retries", panics: true, strike: func(b *busy, ctx sdk.Context) func() {
			b.hastenRetry(ctx, waiting(b))
			empty := []byte{} // a record of amounts that are not even zero
			return spoil(b, ctx, leasetypes.StoreKey, leasetypes.MoneyPrefix, leases, b.leaseKey("tenant", 2), empty)
		}},
	}
}

// hastenRetry has a request tried again now.
func (b *busy) hastenRetry(ctx sdk.Context, key leasetypes.RequestKey) {
	b.T.Helper()
	k := b.App.LeaseKeeper
	request, err := k.Requests.Get(ctx, key)
	require.NoError(b.T, err)
	hasten(b, ctx, k.RetryQueue, key)
	request.RetryMs = b.now()
	require.NoError(b.T, k.Requests.Set(ctx, key, request))
}

// placementDamages strike the placement of tenant's first lease.
func placementDamages() []damage {
	keys := leasetypes.PlacementKeyCodec
	strikePlacement := func(b *busy, ctx sdk.Context, prefix collections.Prefix) func() {
		return spoil(b, ctx, leasetypes.StoreKey, prefix, keys, b.placementKey("tenant", 1), unreadable)
	}
	return []damage{
		{queue: "lease/endings", strike: func(b *busy, ctx sdk.Context) func() {
			require.NoError(b.T, b.App.LeaseKeeper.EndingQueue.Push(ctx, b.now(), b.placementKey("tenant", 1)))
			return strikePlacement(b, ctx, leasetypes.PlacementsPrefix)
		}},
		{queue: "lease/due_placements", strike: func(b *busy, ctx sdk.Context) func() {
			require.NoError(b.T, b.App.LeaseKeeper.PlacementDueQueue.Push(ctx, b.now(), b.placementKey("tenant", 1)))
			return strikePlacement(b, ctx, leasetypes.BillingsPrefix)
		}},
		{queue: "lease/prune_placements", hopeless: true, strike: func(b *busy, ctx sdk.Context) func() {
			// It reads no record, so its own key names nobody.
			nobody := collections.Join4(sdk.AccAddress{}, uint64(1), uint32(0), uint64(1))
			require.NoError(b.T, b.App.LeaseKeeper.PlacementPruneQueue.Push(ctx, b.now(), nobody))
			return func() {}
		}},
		{queue: "lease/evicted_placements", strike: func(b *busy, ctx sdk.Context) func() {
			node := b.nodeKey("operator", 1)
			id := sunstypes.NodeIDFromKey(node)
			eviction := leasetypes.NodeEviction{Node: id, Reason: leasetypes.END_REASON_NODE_DRAINED, SinceMs: b.now()}
			require.NoError(b.T, b.App.LeaseKeeper.Evictions.Set(ctx, node, eviction))
			require.NoError(b.T, b.App.LeaseKeeper.EvictionQueue.Push(ctx, b.now(), node))
			return strikePlacement(b, ctx, leasetypes.PlacementsPrefix)
		}},
	}
}

// queues lists the queues of every module, as the keepers have them.
func (b *busy) queues() (names []string) {
	b.T.Helper()
	for module, keeper := range map[string]any{
		sunstypes.ModuleName: *b.App.SunsKeeper, leasetypes.ModuleName: *b.App.LeaseKeeper,
		audittypes.ModuleName: b.App.AuditKeeper, "uai": b.App.UAIKeeper,
	} {
		fields := reflect.ValueOf(keeper)
		for i := range fields.NumField() {
			if !fields.Type().Field(i).IsExported() {
				continue
			}
			if queue, is := fields.Field(i).Interface().(duequeue.Returner); is {
				names = append(names, module+"/"+queue.Name())
			}
		}
	}
	require.NotEmpty(b.T, names)
	return names
}

// A queue that is added is damaged too.
func TestEveryQueueIsDamaged(t *testing.T) {
	covered := map[string]bool{}
	for _, d := range damages() {
		covered[d.queue] = true
	}
	for _, name := range newBusy(t).queues() {
		require.True(t, covered[name], "%s is a new queue: add an item of it that fails to damages", name)
	}
}

// One item of each queue fails, because a record is broken. It is set aside, with an event and an answer of the query; the
// chain goes on and others are served and billed to the coin; and once the record is repaired, the item goes through.
// Both executors agree in every block.
func TestFailingItemOfEveryQueueInTheWholeChain(t *testing.T) {
	for _, d := range damages() {
		name := d.queue
		if d.panics {
			name += " panics"
		}
		t.Run(name, func(t *testing.T) {
			var hashes [2][][]byte
			for i, executor := range executors {
				b := newBusy(t, chain.WithExecutor(executor), chain.WithoutInvariants())
				r := &strickenChain{busy: b}
				r.suffer(d)
				hashes[i] = r.hashes
			}
			require.Equal(t, hashes[0], hashes[1], "the executors differ")
		})
	}
}

// strickenChain is a chain with a broken record.
type strickenChain struct {
	*busy
	hashes [][]byte
}

// block runs a block whose transactions must succeed.
func (c *strickenChain) block(pause time.Duration, txs ...[]byte) chain.Block {
	c.T.Helper()
	block := c.BlockAfter(pause, txs...)
	for _, result := range block.Results {
		require.Zero(c.T, result.Code, result.Log)
	}
	c.hashes = append(c.hashes, block.AppHash)
	return block
}

func (c *strickenChain) suffer(d damage) {
	c.T.Helper()
	if d.prepare != nil {
		d.prepare(c.busy)
	}
	repair := d.strike(c.busy, c.Uncached())
	module, queue := splitQueue(d.queue)
	item := c.requireSetAside(module, queue, c.block(0))
	if d.panics {
		require.Contains(c.T, item.Error, "panic: ")
	}
	c.serveOthers()
	require.Contains(c.T, c.quarantined(module), item, "it stays until governance has it tried again")

	repair()
	for range 2 { // what came out of the quarantine may lead to more that waits
		c.retryAll()
		c.block(time.Second)
	}
	if d.hopeless {
		require.Len(c.T, c.quarantined(module), 2, "it fails again, and nothing else does")
	} else {
		require.Len(c.T, c.quarantined(module), 1)
	}
	c.CheckInvariants()
}

func splitQueue(name string) (module, queue string) {
	for i := range name {
		if name[i] == '/' {
			return name[:i], name[i+1:]
		}
	}
	return name, ""
}

// quarantined is what a module's query answers.
func (b *busy) quarantined(module string) []duequeue.QuarantinedItem {
	b.T.Helper()
	handler := b.App.GRPCQueryRouter().Route("/isun." + module + ".v1.Query/Quarantine")
	require.NotNil(b.T, handler)
	raw, err := handler(b.Ctx(), &abci.RequestQuery{})
	require.NoError(b.T, err)
	// The answers of all modules are encoded alike.
	var answer sunstypes.QueryQuarantineResponse
	require.NoError(b.T, proto.Unmarshal(raw.Value, &answer))
	return answer.Items
}

// requireSetAside finds the item of a queue that a block has just set aside.
func (b *busy) requireSetAside(module, queue string, block chain.Block) duequeue.QuarantinedItem {
	b.T.Helper()
	var found *duequeue.QuarantinedItem
	for _, item := range b.quarantined(module) {
		if item.Queue == queue && item.Height == block.Height {
			require.Nil(b.T, found, "one item alone fails")
			found = &item
		}
	}
	require.NotNil(b.T, found, "%s/%s has nothing in quarantine", module, queue)
	require.NotEmpty(b.T, found.Error)
	said := slices.ContainsFunc(block.Events, func(event abci.Event) bool {
		return event.Type == "isun."+module+".v1.EventItemQuarantined" &&
			slices.ContainsFunc(event.Attributes, func(a abci.EventAttribute) bool {
				return a.Key == "number" && a.Value == strconv.Quote(strconv.FormatUint(found.Number, 10))
			}) &&
			slices.ContainsFunc(event.Attributes, func(a abci.EventAttribute) bool {
				return a.Key == "queue" && a.Value == strconv.Quote(queue)
			})
	})
	require.True(b.T, said, "no event tells of it")
	return *found
}

// retryAll puts back what failed, except the items that setAside made up.
func (c *strickenChain) retryAll() {
	c.T.Helper()
	ctx := c.Uncached()
	by := app.Authority().String()
	for module, retry := range map[string]func(number uint64) sdk.Msg{
		sunstypes.ModuleName: func(n uint64) sdk.Msg { return &sunstypes.MsgRetryQuarantined{Authority: by, Number: n} },
		leasetypes.ModuleName: func(n uint64) sdk.Msg {
			return &leasetypes.MsgRetryQuarantined{Authority: by, Number: n}
		},
		audittypes.ModuleName: func(n uint64) sdk.Msg {
			return &audittypes.MsgRetryQuarantined{Authority: by, Number: n}
		},
	} {
		for _, item := range c.quarantined(module) {
			if item.Number == 1 {
				continue
			}
			msg := retry(item.Number)
			_, err := c.App.MsgServiceRouter().Handler(msg)(ctx, msg)
			require.NoError(c.T, err)
		}
	}
}

// serveOthers is the whole life of a stranger's lease on a node that nothing happened to: two hours and a half, as in
// TestWholeLease, and the same coins.
func (c *strickenChain) serveOthers() {
	c.T.Helper()
	tenant, agent := c.addr(stranger), c.addr("agent2")
	before := c.Balance(c.Address(stranger))
	node := sunstypes.NewNodeID(c.Address("operator2"), 1)
	c.block(time.Second, c.Tx(stranger, []sdk.Msg{&leasetypes.MsgCreateLease{
		Tenant: tenant, Image: c.image("web"), Replicas: 1, MaxPrice: exampleAsk + exampleRoyalty,
		Deposit: chain.Coins(exampleDeposit)[0],
		Rules:   leasetypes.PlacementRules{Avoid: []sunstypes.NodeID{sunstypes.NewNodeID(c.Address("operator"), 1)}},
	}}))
	c.block(time.Second)
	key := collections.Join4(c.Address(stranger), uint64(1), uint32(0), uint64(1))
	placement, err := c.App.LeaseKeeper.Placements.Get(c.Ctx(), key)
	require.NoError(c.T, err, "it is matched")
	require.Equal(c.T, node, placement.Node)
	c.block(time.Second, c.Tx("agent2", []sdk.Msg{&leasetypes.MsgStartPlacement{Agent: agent, ID: placement.ID}}))
	for served := uint64(10); served <= 150; served += 10 {
		c.block(10*time.Second, c.Tx("agent2", []sdk.Msg{&audittypes.MsgAttestUsage{
			Agent: agent, Version: 1, Sequence: 100 + served,
			Entries: []audittypes.UsageEntry{{ID: placement.ID, ServedMs: served * 1_000}},
		}}))
	}
	c.block(0, c.Tx(stranger, []sdk.Msg{&leasetypes.MsgCloseLease{Tenant: tenant, Number: 1}}))
	for range 3 {
		c.block(5 * time.Second)
	}
	lease, err := c.App.LeaseKeeper.Leases.Get(c.Ctx(), c.leaseKey(stranger, 1))
	require.NoError(c.T, err)
	require.Equal(c.T, leasetypes.LEASE_STATUS_CLOSED, lease.Status, "it is settled and closed")
	money, err := c.App.LeaseKeeper.Money.Get(c.Ctx(), c.leaseKey(stranger, 1))
	require.NoError(c.T, err)
	require.Equal(c.T, math.NewInt(135), money.Totals.PaidOperators)
	require.Equal(c.T, math.NewInt(45), money.Totals.PaidAudit)
	require.Equal(c.T, math.NewInt(75), money.Totals.PaidRoyalty)
	require.Equal(c.T, math.NewInt(745), money.Totals.Refunded)
	require.EqualValues(c.T, before-255-2*chain.TxFee, c.Balance(c.Address(stranger)))
}
