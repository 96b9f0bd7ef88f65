package integration_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/collections"
	"cosmossdk.io/collections/codec"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	"github.com/isuncoin/isuncoin/tests/integration/chain"
	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// bigReplicas run on the town's big node: more than an eviction moves in two blocks.
const bigReplicas = 90

// fullTown is a town in which everything that state can hold is there at once: see TestExportInFullLife.
func fullTown(t *testing.T, seed int64) *town {
	t.Helper()
	v := newTown(t, seed, chain.WithAccounts("agent8", "agent9"))
	v.register(townNodes, 2*bigReplicas)
	big := v.nodes[townNodes]
	// Nobody pays what this one asks, so there is always a node that could be matched.
	v.nodes = append(v.nodes, &townNode{operator: "operator", agent: "agent9", number: 1})
	v.queue("operator", registration(v.Chain, "operator", "agent9", 1, 5, 50_000))
	v.block(time.Second)
	v.crowd(big)
	for range 150 {
		v.day()
	}
	v.civics()
	v.slowDown()
	v.failStarts()
	v.failItems()
	v.keepThings()
	v.flood(big)
	v.CheckInvariants()
	return v
}

// crowd fills the big node with one lease.
func (v *town) crowd(big *townNode) {
	v.T.Helper()
	node := sunstypes.NewNodeID(v.Address(big.operator), big.number)
	v.queue("tenant", &leasetypes.MsgCreateLease{
		Tenant: v.Address("tenant").String(), Image: v.images[0], Replicas: bigReplicas, MaxPrice: 5_400,
		Deposit: chain.Coins(100_000_000)[0], Rules: leasetypes.PlacementRules{Node: &node},
	})
	v.block(time.Second)
	v.until("a crowded node", func() bool { return len(v.placements()[node]) >= bigReplicas })
	v.queue(big.agent, &sunstypes.MsgCheckIn{Agent: v.Address(big.agent).String()})
	for i, p := range v.placements()[node] {
		v.queue(big.agent, &leasetypes.MsgStartPlacement{Agent: v.Address(big.agent).String(), ID: p.ID})
		if i%30 == 29 {
			v.block(time.Second)
		}
	}
}

// until lets days pass until something is so.
func (v *town) until(what string, so func() bool) {
	v.T.Helper()
	for range 400 {
		if so() {
			return
		}
		v.day()
	}
	require.Fail(v.T, "it never came to this", what)
}

// civics leaves stake on its way out and between validators, a proposal in deposit, a fee grant.
func (v *town) civics() {
	v.T.Helper()
	stake := chain.Coins(5_000_000)[0]
	validator := func(i int) string { return sdk.ValAddress(v.Address(fmt.Sprintf("validator%d", i))).String() }
	who := v.Address("tenant2").String()
	grant, err := feegrant.NewMsgGrantAllowance(
		&feegrant.BasicAllowance{SpendLimit: chain.Coins(10_000)}, v.Address("tenant2"), v.Address("publisher"))
	require.NoError(v.T, err)
	v.queue("tenant2", stakingtypes.NewMsgDelegate(who, validator(0), stake), grant)
	v.block(time.Second)
	v.queue("tenant2", stakingtypes.NewMsgUndelegate(who, validator(0), stake.SubAmount(stake.Amount.QuoRaw(2))),
		stakingtypes.NewMsgBeginRedelegate(who, validator(0), validator(1), stake.SubAmount(stake.Amount.QuoRaw(2))))
	v.block(time.Second)
}

// keepThings has the big node hold content for the network, keep a key and save what runs on it.
func (v *town) keepThings() {
	v.T.Helper()
	big := v.nodes[townNodes]
	node := sunstypes.NewNodeID(v.Address(big.operator), big.number)
	agent, publisher, tenant := v.Address(big.agent).String(), v.Address("publisher").String(), v.Address("tenant").String()
	image := publication(v.Chain, "publisher", "kept", 0)
	v.queue(big.agent,
		&sunstypes.MsgCheckIn{Agent: agent},
		&sunstypes.MsgSetContact{Agent: agent, EncryptionKey: bytes.Repeat([]byte{9}, sunstypes.EncryptionKeyBytes)},
		&uaitypes.MsgAnnounceHolding{Agent: agent, Digests: []string{image.Digest}},
	)
	v.queue("publisher", image,
		&uaitypes.MsgSetAccess{
			Owner: publisher, Image: publisher + "/" + image.Name + ":1", Restricted: true, Grant: []string{tenant},
		},
		&uaitypes.MsgPutObject{Owner: publisher, Name: "results", Digest: image.Digest, SizeBytes: image.SizeBytes},
	)
	v.block(time.Second)
	v.queue("publisher", keyHolders(publisher, "image/"+publisher+"/"+image.Name+":1", node))
	v.block(time.Second)
	p, err := v.App.LeaseKeeper.Placements.Get(v.Ctx(), v.runningPlacement())
	require.NoError(v.T, err)
	worker := v.nodeOf(p)
	v.queue(worker.agent, &leasetypes.MsgRecordSnapshot{
		Agent: v.Address(worker.agent).String(), Placement: p.ID, Digest: image.Digest, SizeBytes: image.SizeBytes, TakenMs: p.StartedMs,
	})
	v.block(time.Second)
}

// nodeOf is the node that a placement is on.
func (v *town) nodeOf(p leasetypes.Placement) *townNode {
	v.T.Helper()
	i := slices.IndexFunc(v.nodes, func(n *townNode) bool { return sunstypes.NewNodeID(v.Address(n.operator), n.number) == p.Node })
	require.GreaterOrEqual(v.T, i, 0, "node %s", p.Node)
	return v.nodes[i]
}

// setLease changes the params of x/lease behind governance's back.
func (v *town) setLease(change func(*leasetypes.Params)) {
	v.T.Helper()
	params, err := v.App.LeaseKeeper.Params.Get(v.Ctx())
	require.NoError(v.T, err)
	change(&params)
	require.NoError(v.T, params.Validate())
	require.NoError(v.T, v.App.LeaseKeeper.Params.Set(v.Uncached(), params))
}

// slowDown makes history and pauses last, and lets a request see only a node at a time.
func (v *town) slowDown() {
	v.T.Helper()
	v.setLease(func(p *leasetypes.Params) {
		p.Retention, p.NodeBackoffMin, p.NodeBackoffMax = 10*time.Minute, 10*time.Minute, time.Hour
		p.MaxWait, p.MaxCandidates, p.SuspendAfter = 10*time.Minute, 1, 1
	})
	tenant := v.Address("tenant2").String()
	v.queue("tenant2", &leasetypes.MsgCreateLease{ // no node is there: it waits, with a cursor behind the nodes it has seen
		Tenant: tenant, Image: v.images[0], Replicas: 12, MaxPrice: 60_000, Deposit: chain.Coins(1_000_000)[0],
		Rules: leasetypes.PlacementRules{Zones: []string{"moon"}},
	})
	for range 4 { // their money is for one hour
		v.queue("tenant2", &leasetypes.MsgCreateLease{
			Tenant: tenant, Image: v.images[0], Replicas: 1, MaxPrice: 5_400, Deposit: chain.Coins(40)[0],
		})
	}
	for i, lease := range v.openLeases(v.Address("ten1")) {
		if i < 2 {
			v.queue("ten1", &leasetypes.MsgCloseLease{Tenant: lease.ID.Tenant, Number: lease.ID.Number})
		}
	}
	v.block(time.Second)
}

// failStarts lets placements fail until a node is paused and a lease suspended.
func (v *town) failStarts() {
	v.T.Helper()
	v.until("a suspended lease", func() bool { return v.leasesOf(leasetypes.LEASE_STATUS_SUSPENDED) > 0 })
	v.until("a paused node", func() bool { return v.count(v.App.LeaseKeeper.NodeBackoffQueue.Entries.Walk) > 0 })
	v.until("an unfunded lease", func() bool { return v.leasesOf(leasetypes.LEASE_STATUS_UNFUNDED) > 0 })
}

func (v *town) leasesOf(status leasetypes.LeaseStatus) (count int) {
	v.T.Helper()
	err := v.App.LeaseKeeper.Leases.Walk(v.Ctx(), nil, func(_ leasetypes.LeaseKey, lease leasetypes.Lease) (bool, error) {
		if lease.Status == status {
			count++
		}
		return false, nil
	})
	require.NoError(v.T, err)
	return count
}

// corrupt makes a record unreadable and gives how to put it back.
func corrupt[K any](v *town, store string, prefix collections.Prefix, keyCodec codec.KeyCodec[K], key K) (mend func()) {
	v.T.Helper()
	raw, err := collections.EncodeKeyWithPrefix(prefix, keyCodec, key)
	require.NoError(v.T, err)
	kv := v.Uncached().KVStore(v.storeKey(store))
	good := kv.Get(raw)
	require.NotEmpty(v.T, good)
	kv.Set(raw, []byte{0xff})
	return func() { kv.Set(raw, good) }
}

// failItems has an item of each module's queues fail, by a record that cannot be read, and puts the record right again.
func (v *town) failItems() {
	v.T.Helper()
	var node sunstypes.NodeKey
	v.until("rewards of both kinds", func() (found bool) {
		node, found = v.rewardedNode()
		return found
	})
	placement := v.runningPlacement()
	mends := []func(){
		corrupt(v, sunstypes.StoreKey, sunstypes.RewardsPrefix, sunstypes.NodeKeyCodec, node),
		corrupt(v, audittypes.StoreKey, audittypes.RewardsPrefix, sunstypes.NodeKeyCodec, node),
		corrupt(v, leasetypes.StoreKey, leasetypes.BillingsPrefix, leasetypes.PlacementKeyCodec, placement),
	}
	ctx := v.Uncached()
	require.NoError(v.T, v.App.SunsKeeper.PayoutQueue.Push(ctx, v.now(), node))
	require.NoError(v.T, v.App.AuditKeeper.PayoutQueue.Push(ctx, v.now(), node))
	require.NoError(v.T, v.App.LeaseKeeper.PlacementDueQueue.Push(ctx, v.now(), placement))
	v.block(time.Second)
	for _, mend := range mends {
		mend()
	}
	v.block(time.Second)
}

// rewardedNode has accrued of both rewards.
func (v *town) rewardedNode() (rewarded sunstypes.NodeKey, found bool) {
	v.T.Helper()
	err := v.App.AuditKeeper.Rewards.Walk(v.Ctx(), nil,
		func(key sunstypes.NodeKey, audit audittypes.NodeAuditReward) (bool, error) {
			suns, err := v.App.SunsKeeper.Rewards.Get(v.Ctx(), key)
			rewarded, found = key, err == nil && suns.Accrued.IsPositive() && audit.Accrued.IsPositive()
			return found, nil
		})
	require.NoError(v.T, err)
	return rewarded, found
}

func (v *town) runningPlacement() (key leasetypes.PlacementKey) {
	v.T.Helper()
	err := v.App.LeaseKeeper.Placements.Walk(v.Ctx(), nil, func(k leasetypes.PlacementKey, p leasetypes.Placement) (bool, error) {
		if p.Status != leasetypes.PLACEMENT_STATUS_RUNNING || p.Ending() {
			return false, nil
		}
		key = k
		return true, nil
	})
	require.NoError(v.T, err)
	return key
}

// flood gives every queue more than its blocks take, so that something waits in each.
func (v *town) flood(big *townNode) {
	v.T.Helper()
	v.until("requests with cursors", func() bool { return len(v.cursors()) > 2 })
	v.crowd(big) // who moved in before has moved on
	v.setLease(func(p *leasetypes.Params) { p.Budgets.Matches, p.Budgets.Retries, p.Budgets.Evictions = 1, 1, 1 })
	v.order("ten2", 4, 500)
	v.queue(big.operator, &sunstypes.MsgDrainNode{Operator: v.Address(big.operator).String(), Number: big.number})
	v.block(time.Second)

	params, err := v.App.SunsKeeper.Params.Get(v.Ctx())
	require.NoError(v.T, err)
	params.MaxPayoutsPerBlock = 1
	require.NoError(v.T, v.App.SunsKeeper.Params.Set(v.Uncached(), params))
	auditParams, err := v.App.AuditKeeper.Params.Get(v.Ctx())
	require.NoError(v.T, err)
	auditParams.MaxPayoutsPerBlock = 1
	require.NoError(v.T, v.App.AuditKeeper.Params.Set(v.Uncached(), auditParams))
	v.setLease(func(p *leasetypes.Params) {
		p.Budgets = leasetypes.BlockBudgets{
			LeaseUpdates: 1, Matches: 1, Retries: 1, Endings: 1, Evictions: 1, DuePlacements: leasetypes.MinFollowUp, DueLeases: 1, NodeBackoffs: 1,
			Prunes: leasetypes.MinFollowUp, Reindexes: 1,
		}
	})
	for i := range townTenants {
		tenant := fmt.Sprintf("ten%d", i)
		v.order(tenant, 2, 500)
		for _, lease := range v.openLeases(v.Address(tenant)) {
			if lease.Status == leasetypes.LEASE_STATUS_ACTIVE {
				v.queue(tenant, &leasetypes.MsgCloseLease{Tenant: lease.ID.Tenant, Number: lease.ID.Number})
				break
			}
		}
	}
	for i, node := range v.nodes[:townNodes] {
		if node.retired {
			continue
		}
		operator := v.Address(node.operator).String()
		v.queue(node.operator,
			&sunstypes.MsgWithdrawRewards{Operator: operator, Number: node.number},
			&sunstypes.MsgUpdateNode{Operator: operator, Number: node.number, AskPrice: 3_333})
		if i == 1 || i == 2 {
			node.retired = true
			v.queue(node.operator, &sunstypes.MsgRetireNode{Operator: operator, Number: node.number})
		}
	}
	v.rejectSome(3)
	v.block(time.Second)
}

// rejectSome has agents give back what they run.
func (v *town) rejectSome(count int) {
	v.T.Helper()
	for _, node := range v.nodes[:townNodes+1] {
		if node.retired {
			continue
		}
		for _, p := range v.placements()[sunstypes.NewNodeID(v.Address(node.operator), node.number)] {
			if p.Live() && !p.Ending() && count > 0 {
				count--
				v.queue(node.agent, &leasetypes.MsgRejectPlacement{Agent: v.Address(node.agent).String(), ID: p.ID, Reason: "fire"})
			}
		}
	}
	require.Zero(v.T, count, "too little runs")
}
