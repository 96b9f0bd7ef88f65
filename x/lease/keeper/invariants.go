package keeper

import (
	"context"
	"errors"
	"slices"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"

	"github.com/isuncoin/isuncoin/x/duequeue"
	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// AllInvariants checks what must hold after bank's end blocker, or returns ErrInvariantBroken. It walks the whole state: for
// tests and simulations, never for a block.
func (k *Keeper) AllInvariants(ctx context.Context) error {
	for _, check := range []func(context.Context) error{
		k.escrowInvariant, k.capacityInvariant, k.countsInvariant, k.servicesInvariant, k.snapshotsInvariant, k.matchIndexInvariant,
	} {
		if err := check(ctx); err != nil {
			return err
		}
	}
	return nil
}

// escrowInvariant: the module account holds exactly the balances of the leases and what their placements reserve.
func (k *Keeper) escrowInvariant(ctx context.Context) error {
	owed := math.ZeroInt()
	err := k.Money.Walk(ctx, nil, func(key types.LeaseKey, money types.LeaseMoney) (bool, error) {
		if money.Balance.IsNegative() {
			return true, types.ErrInvariantBroken.Wrapf("lease %s has a balance of %s", types.LeaseIDFromKey(key), money.Balance)
		}
		owed = owed.Add(money.Balance)
		return false, nil
	})
	if err != nil {
		return err
	}
	err = k.Billings.Walk(ctx, nil, func(_ types.PlacementKey, billing types.PlacementBilling) (bool, error) {
		owed = owed.Add(billing.Reserved())
		return false, nil
	})
	if err != nil {
		return err
	}
	held := k.bank.GetBalance(ctx, k.accounts.GetModuleAddress(types.ModuleName), sunstypes.BaseDenom).Amount
	if !held.Equal(owed) {
		return types.ErrInvariantBroken.Wrapf("escrow holds %s uisc, state owes %s", held, owed)
	}
	return nil
}

// capacityInvariant: what x/suns says is reserved of a node is what its live placements take, and no device is held twice.
func (k *Keeper) capacityInvariant(ctx context.Context) error {
	taken := make(map[sunstypes.NodeID]*sunstypes.NodeLoad)
	err := k.Placements.Walk(ctx, nil, func(_ types.PlacementKey, p types.Placement) (bool, error) {
		if !p.Live() {
			return false, nil
		}
		load := taken[p.Node]
		if load == nil {
			load = &sunstypes.NodeLoad{}
			taken[p.Node] = load
		}
		load.Placements++
		load.ReservedGeneralMilliSuns += p.GeneralMilliSuns
		load.BusyDevices = append(load.BusyDevices, p.DeviceIDs()...)
		return false, nil
	})
	if err != nil {
		return err
	}
	var broken error
	err = k.suns.IterateNodes(ctx, func(node sunstypes.Node, load sunstypes.NodeLoad) bool {
		want := taken[node.ID]
		if want == nil {
			want = &sunstypes.NodeLoad{}
		}
		delete(taken, node.ID)
		slices.Sort(want.BusyDevices)
		if load.Placements != want.Placements || load.ReservedGeneralMilliSuns != want.ReservedGeneralMilliSuns ||
			!slices.Equal(load.BusyDevices, want.BusyDevices) {
			broken = types.ErrInvariantBroken.Wrapf("node %s has %v reserved, its placements take %v", node.ID, load, want)
		}
		return broken != nil
	})
	if err != nil {
		return err
	}
	if broken == nil && len(taken) > 0 {
		broken = types.ErrInvariantBroken.Wrapf("%d nodes with placements do not exist", len(taken))
	}
	return broken
}

// countsInvariant: a lease's counts are those of its placements, every replica of an active lease has a placement or a
// request, and settled placements owe nothing.
func (k *Keeper) countsInvariant(ctx context.Context) error {
	err := k.Leases.Walk(ctx, nil, func(key types.LeaseKey, lease types.Lease) (bool, error) {
		return false, k.checkCounts(ctx, key, lease)
	})
	if err != nil {
		return err
	}
	return k.History.Walk(ctx, nil, func(key types.PlacementKey, p types.Placement) (bool, error) {
		billing, err := k.Billings.Get(ctx, key)
		if err == nil && len(billing.Spans) > 0 {
			err = types.ErrInvariantBroken.Wrapf("settled placement %s still reserves coins", p.ID)
		}
		return false, err
	})
}

func (k *Keeper) checkCounts(ctx context.Context, key types.LeaseKey, lease types.Lease) error {
	placements, err := k.leasePlacements(ctx, key)
	if err != nil {
		return err
	}
	requests, err := k.leaseRequests(ctx, key)
	if err != nil {
		return err
	}
	live := uint32(0)
	covered := make(map[uint32]bool)
	for _, p := range placements {
		if p.Live() {
			live++
			covered[p.ID.Replica] = true
		}
	}
	for _, request := range requests {
		covered[request.Replica] = true
	}
	if live != lease.LivePlacements || uint32(len(placements)) != lease.OpenPlacements {
		return types.ErrInvariantBroken.Wrapf("lease %s counts %d live of %d open placements, it has %d of %d",
			lease.ID, lease.LivePlacements, lease.OpenPlacements, live, len(placements))
	}
	for replica := range min(lease.ReconciledReplicas, lease.Replicas) {
		if lease.Open() && !covered[replica] {
			return types.ErrInvariantBroken.Wrapf("replica %d of lease %s is forgotten", replica, lease.ID)
		}
	}
	if uint32(len(requests)) != lease.WaitingReplicas {
		return types.ErrInvariantBroken.Wrapf("lease %s counts %d requests, it has %d", lease.ID, lease.WaitingReplicas, len(requests))
	}
	return nil
}

// servicesInvariant: a node's record names placements of the node that have started and are not settled, in order, with the
// hours that are open for them.
func (k *Keeper) servicesInvariant(ctx context.Context) error {
	return k.Services.Walk(ctx, nil, func(node sunstypes.NodeKey, record types.NodeServices) (bool, error) {
		for i, service := range record.Services {
			key := service.Placement.Key()
			if i > 0 && record.Services[i-1].Placement.Compare(service.Placement) >= 0 {
				return true, types.ErrInvariantBroken.Wrapf("the record of node %s is out of order", nodeName(node))
			}
			p, err := k.Placements.Get(ctx, key)
			if errors.Is(err, collections.ErrNotFound) {
				return true, types.ErrInvariantBroken.Wrapf("node %s serves %s, which is not there", nodeName(node), placementName(key))
			}
			if err != nil {
				return true, err
			}
			billing, err := k.Billings.Get(ctx, key)
			if err != nil {
				return true, err
			}
			billing.Begin(p)
			sameEnd := service.EndedMs == types.ServiceOf(key, p, billing).EndedMs
			if !p.Node.Equal(sunstypes.NodeIDFromKey(node)) || !sameEnd || !service.Matches(billing) {
				return true, types.ErrInvariantBroken.Wrapf("node %s serves %v, its placement is %v", nodeName(node), service, p)
			}
		}
		return len(record.Services) == 0, nil
	})
}

// matchIndexInvariant: every node that can be matched is indexed as it is, and of every operator exactly the first entries
// of a bucket are candidates. Nodes that wait to be indexed anew are passed over.
func (k *Keeper) matchIndexInvariant(ctx context.Context) error {
	pending, err := k.pendingNodes(ctx)
	if err != nil {
		return err
	}
	var broken error
	err = k.suns.IterateNodes(ctx, func(node sunstypes.Node, _ sunstypes.NodeLoad) bool {
		if !pending[node.ID.String()] {
			broken = k.checkIndexed(ctx, node.ID)
		}
		return broken != nil
	})
	if err != nil || broken != nil {
		return errors.Join(err, broken)
	}
	return k.checkCandidates(ctx)
}

// pendingNodes are those that wait to be indexed anew, or wait in quarantine since that failed.
func (k *Keeper) pendingNodes(ctx context.Context) (map[string]bool, error) {
	pending := make(map[string]bool)
	queues := map[string]bool{}
	for _, queue := range []duequeue.Queue[sunstypes.NodeKey]{k.ReindexQueue, k.NodeBackoffQueue} {
		queues[queue.Name()] = true
		err := queue.Entries.Walk(ctx, nil, func(entry collections.Pair[uint64, sunstypes.NodeKey]) (bool, error) {
			pending[nodeName(entry.K2())] = true
			return false, nil
		})
		if err != nil {
			return nil, err
		}
	}
	items, _, err := k.Quarantine.Export(ctx)
	for _, item := range items {
		if queues[item.Queue] {
			pending[item.Item] = true
		}
	}
	return pending, err
}

func (k *Keeper) checkIndexed(ctx context.Context, id sunstypes.NodeID) error {
	key, err := id.Key()
	if err != nil {
		return err
	}
	want, err := k.indexable(ctx, key)
	if err != nil {
		return err
	}
	have, err := k.IndexedNodes.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		if want == nil {
			return nil
		}
		return types.ErrInvariantBroken.Wrapf("node %s is not indexed", id)
	}
	if err != nil {
		return err
	}
	if want == nil || !have.Equal(want) {
		return types.ErrInvariantBroken.Wrapf("node %s is indexed as %v, it is %v", id, have, want)
	}
	return nil
}

// checkCandidates computes both entry sets from the indexed nodes and compares.
func (k *Keeper) checkCandidates(ctx context.Context) error {
	entries := make(map[string]bool)
	err := k.IndexedNodes.Walk(ctx, nil, func(key sunstypes.NodeKey, node types.IndexedNode) (bool, error) {
		for _, e := range entriesOf(node) {
			own := collections.Join3(bucketName(e.base, e.class), key.K1(), collections.Join3(e.price, e.load, key.K2()))
			entries[operatorEntryCodec.Stringify(own)] = true
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	candidates := make(map[string]bool)
	inBucket := make(map[string]int)
	err = k.OperatorEntries.Walk(ctx, nil, func(entry operatorEntry) (bool, error) {
		name := operatorEntryCodec.Stringify(entry)
		if !entries[name] {
			return true, types.ErrInvariantBroken.Wrapf("index entry %s belongs to no node", name)
		}
		delete(entries, name)
		head := entry.K1() + "|" + entry.K2().String()
		if inBucket[head]++; inBucket[head] <= MaxOperatorEntries {
			candidates[matchEntryCodec.Stringify(candidateKey(entry.K1(), entry.K2(), entry.K3()))] = true
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	err = k.MatchEntries.Walk(ctx, nil, func(entry matchEntry) (bool, error) {
		name := matchEntryCodec.Stringify(entry)
		if !candidates[name] {
			return true, types.ErrInvariantBroken.Wrapf("candidate %s should not be one", name)
		}
		delete(candidates, name)
		return false, nil
	})
	if err == nil && len(entries)+len(candidates) > 0 {
		err = types.ErrInvariantBroken.Wrapf("the match index lacks %d entries and %d candidates", len(entries), len(candidates))
	}
	return err
}
