package keeper

import (
	"context"
	"slices"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/duequeue"
	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// InitGenesis sets the state. It runs after x/suns and x/uai, whose nodes the match index is computed from. Nodes that wait to
// be indexed anew are indexed as they were.
// It refuses one that does not hang together, or whose coins and reservations bank and x/suns do not hold.
func (k *Keeper) InitGenesis(ctx context.Context, genesis types.GenesisState) error {
	if err := genesis.Validate(); err != nil {
		return err
	}
	if err := k.Params.Set(ctx, genesis.Params); err != nil {
		return err
	}
	if err := k.importLeases(ctx, genesis); err != nil {
		return err
	}
	if err := k.importPlacements(ctx, genesis.Placements); err != nil {
		return err
	}
	if err := k.importSnapshots(ctx, genesis); err != nil {
		return err
	}
	if err := k.importNodes(ctx, genesis); err != nil {
		return err
	}
	if genesis.Served > 0 {
		if err := k.Served.Set(ctx, genesis.Served); err != nil {
			return err
		}
	}
	for _, entry := range genesis.Queues {
		if err := k.importQueueEntry(ctx, entry); err != nil {
			return err
		}
	}
	if err := k.Quarantine.Import(ctx, genesis.Quarantine, genesis.Quarantined); err != nil {
		return err
	}
	return k.AllInvariants(ctx)
}

func (k *Keeper) importLeases(ctx context.Context, genesis types.GenesisState) error {
	for _, l := range genesis.Leases {
		key, err := l.Lease.ID.Key()
		if err != nil {
			return err
		}
		if err := k.saveBook(ctx, &book{key: key, lease: l.Lease, money: l.Money}); err != nil {
			return err
		}
	}
	for _, request := range genesis.Requests {
		key, err := request.Lease.Key()
		if err != nil {
			return err
		}
		if err := k.Requests.Set(ctx, requestKey(key, request.Replica), request); err != nil {
			return err
		}
	}
	for _, tenant := range genesis.Tenants {
		key, err := types.LeaseID{Tenant: tenant.Tenant, Number: tenant.Number}.Key()
		if err != nil {
			return err
		}
		if err := k.Sequences.Set(ctx, key.K1(), tenant.Number); err != nil {
			return err
		}
		if tenant.Place == 0 {
			continue
		}
		if err := k.Places.Set(ctx, key.K1(), tenant.Place); err != nil {
			return err
		}
	}
	return nil
}

func (k *Keeper) importPlacements(ctx context.Context, placements []types.GenesisPlacement) error {
	for _, p := range placements {
		key, err := p.Placement.ID.Key()
		if err != nil {
			return err
		}
		if p.Recorded {
			err = k.importService(ctx, key, p)
		} else {
			p.Billing.Unbegin(p.Placement) // as a start leaves it
		}
		if err != nil {
			return err
		}
		if err := k.Billings.Set(ctx, key, p.Billing); err != nil {
			return err
		}
		if p.Placement.Status == types.PLACEMENT_STATUS_SETTLED {
			err = k.History.Set(ctx, key, p.Placement)
		} else {
			err = k.Placements.Set(ctx, key, p.Placement)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// importService puts a placement into its node's record of services.
func (k *Keeper) importService(ctx context.Context, key types.PlacementKey, p types.GenesisPlacement) error {
	r, err := k.findService(ctx, key, p.Placement)
	if err != nil {
		return err
	}
	if r.found || len(r.record.Services) >= types.MaxNodeServices {
		return types.ErrInvalidGenesis.Wrapf("the record of node %s has no room for placement %s", p.Placement.Node, p.Placement.ID)
	}
	r.record.Services = slices.Insert(r.record.Services, r.at, types.ServiceOf(key, p.Placement, p.Billing))
	return k.Services.Set(ctx, r.node, r.record)
}

func (k *Keeper) importNodes(ctx context.Context, genesis types.GenesisState) error {
	for _, s := range genesis.Standings {
		key, err := s.Node.Key()
		if err != nil {
			return err
		}
		if err := k.Standings.Set(ctx, key, s.Standing); err != nil {
			return err
		}
	}
	for _, e := range genesis.Evictions {
		key, err := e.Node.Key()
		if err != nil {
			return err
		}
		if err := k.Evictions.Set(ctx, key, e); err != nil {
			return err
		}
	}
	return k.importIndex(ctx, genesis)
}

// ExportGenesis is the whole state.
func (k *Keeper) ExportGenesis(ctx context.Context) (*types.GenesisState, error) {
	genesis := &types.GenesisState{}
	var err error
	if genesis.Params, err = k.Params.Get(ctx); err != nil {
		return nil, err
	}
	if err := k.exportLeases(ctx, genesis); err != nil {
		return nil, err
	}
	if err := k.exportPlacements(ctx, genesis); err != nil {
		return nil, err
	}
	if err := k.exportSnapshots(ctx, genesis); err != nil {
		return nil, err
	}
	err = k.Standings.Walk(ctx, nil, func(key sunstypes.NodeKey, standing types.NodeStanding) (bool, error) {
		genesis.Standings = append(genesis.Standings,
			types.GenesisStanding{Node: sunstypes.NodeIDFromKey(key), Standing: standing})
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	err = k.Evictions.Walk(ctx, nil, func(_ sunstypes.NodeKey, eviction types.NodeEviction) (bool, error) {
		genesis.Evictions = append(genesis.Evictions, eviction)
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	if genesis.Served, err = orZero(k.Served.Get(ctx)); err != nil {
		return nil, err
	}
	if err := k.exportIndex(ctx, genesis); err != nil {
		return nil, err
	}
	if genesis.Queues, err = k.exportQueues(ctx); err != nil {
		return nil, err
	}
	genesis.Quarantine, genesis.Quarantined, err = k.Quarantine.Export(ctx)
	return genesis, err
}

func (k *Keeper) exportLeases(ctx context.Context, genesis *types.GenesisState) error {
	err := k.Leases.Walk(ctx, nil, func(key types.LeaseKey, lease types.Lease) (bool, error) {
		money, err := k.Money.Get(ctx, key)
		genesis.Leases = append(genesis.Leases, types.GenesisLease{Lease: lease, Money: money})
		return false, err
	})
	if err != nil {
		return err
	}
	err = k.Requests.Walk(ctx, nil, func(_ types.RequestKey, request types.Request) (bool, error) {
		genesis.Requests = append(genesis.Requests, request)
		return false, nil
	})
	if err != nil {
		return err
	}
	return k.Sequences.Walk(ctx, nil, func(tenant sdk.AccAddress, number uint64) (bool, error) {
		place, err := orZero(k.Places.Get(ctx, tenant))
		genesis.Tenants = append(genesis.Tenants, types.TenantSequence{Tenant: tenant.String(), Number: number, Place: place})
		return false, err
	})
}

func (k *Keeper) exportPlacements(ctx context.Context, genesis *types.GenesisState) error {
	export := func(key types.PlacementKey, p types.Placement) (bool, error) {
		billing, err := k.loadBilling(ctx, key, p)
		if err != nil {
			return true, err
		}
		exported := types.GenesisPlacement{Placement: p, Billing: billing}
		if p.Status != types.PLACEMENT_STATUS_SETTLED {
			r, err := k.findService(ctx, key, p)
			if err != nil {
				return true, err
			}
			exported.Recorded = r.found
		}
		genesis.Placements = append(genesis.Placements, exported)
		return false, nil
	}
	if err := k.Placements.Walk(ctx, nil, export); err != nil {
		return err
	}
	return k.History.Walk(ctx, nil, export)
}

// queueCodec exports a queue's entries and puts one back.
type queueCodec struct {
	name    string
	export  func(ctx context.Context) ([]types.QueueEntry, error)
	restore func(ctx context.Context, entry types.QueueEntry) error
}

// queueOf describes a queue whose items can be written as a QueueEntry and read back.
func queueOf[K any](
	queue duequeue.Queue[K], write func(K, *types.QueueEntry), read func(types.QueueEntry) (K, error),
) queueCodec {
	return queueCodec{
		name: queue.Name(),
		export: func(ctx context.Context) (entries []types.QueueEntry, err error) {
			err = queue.Entries.Walk(ctx, nil, func(key collections.Pair[uint64, K]) (bool, error) {
				entry := types.QueueEntry{Queue: queue.Name(), DueMs: key.K1()}
				write(key.K2(), &entry)
				entries = append(entries, entry)
				return false, nil
			})
			return entries, err
		},
		restore: func(ctx context.Context, entry types.QueueEntry) error {
			item, err := read(entry)
			if err != nil {
				return err
			}
			return queue.Push(ctx, entry.DueMs, item)
		},
	}
}

// queues lists every queue, in the order of genesis.
func (k *Keeper) queues() []queueCodec {
	return []queueCodec{
		queueOf(k.LeaseUpdateQueue, writeLease, readLease),
		queueOf(k.NewRequestQueue, writeNewRequest, readNewRequest),
		queueOf(k.RetryQueue, writeRequest, readRequest),
		queueOf(k.EndingQueue, writePlacement, readPlacement),
		queueOf(k.EvictionQueue, writeNode, readNode),
		queueOf(k.PlacementDueQueue, writePlacement, readPlacement),
		queueOf(k.LeaseDueQueue, writeLease, readLease),
		queueOf(k.NodeBackoffQueue, writeNode, readNode),
		queueOf(k.PlacementPruneQueue, writePlacement, readPlacement),
		queueOf(k.LeasePruneQueue, writeLease, readLease),
		queueOf(k.ReindexQueue, writeNode, readNode),
	}
}

func (k *Keeper) exportQueues(ctx context.Context) ([]types.QueueEntry, error) {
	var all []types.QueueEntry
	for _, queue := range k.queues() {
		entries, err := queue.export(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, entries...)
	}
	return all, nil
}

func (k *Keeper) importQueueEntry(ctx context.Context, entry types.QueueEntry) error {
	queues := k.queues()
	i := slices.IndexFunc(queues, func(q queueCodec) bool { return q.name == entry.Queue })
	if i < 0 {
		return types.ErrInvalidGenesis.Wrapf("unknown queue %q", entry.Queue)
	}
	return queues[i].restore(ctx, entry)
}

func writeLease(key types.LeaseKey, e *types.QueueEntry) {
	e.Placement = &types.PlacementID{Tenant: key.K1().String(), Number: key.K2()}
}

func readLease(e types.QueueEntry) (types.LeaseKey, error) {
	if e.Placement == nil {
		return types.LeaseKey{}, types.ErrInvalidGenesis.Wrapf("queue %s: entry without a lease", e.Queue)
	}
	return e.Placement.Lease().Key()
}

func writeRequest(key types.RequestKey, e *types.QueueEntry) {
	e.Placement = &types.PlacementID{Tenant: key.K1().String(), Number: key.K2(), Replica: key.K3()}
}

func readRequest(e types.QueueEntry) (types.RequestKey, error) {
	lease, err := readLease(e)
	if err != nil {
		return types.RequestKey{}, err
	}
	return requestKey(lease, e.Placement.Replica), nil
}

func writeNewRequest(key newRequestKey, e *types.QueueEntry) {
	writeRequest(key.K2(), e)
	e.Tie = key.K1()
}

func readNewRequest(e types.QueueEntry) (newRequestKey, error) {
	key, err := readRequest(e)
	return collections.Join(e.Tie, key), err
}

func writePlacement(key types.PlacementKey, e *types.QueueEntry) {
	id := types.PlacementIDFromKey(key)
	e.Placement = &id
}

func readPlacement(e types.QueueEntry) (types.PlacementKey, error) {
	if e.Placement == nil {
		return types.PlacementKey{}, types.ErrInvalidGenesis.Wrapf("queue %s: entry without a placement", e.Queue)
	}
	return e.Placement.Key()
}

func writeNode(key sunstypes.NodeKey, e *types.QueueEntry) {
	id := sunstypes.NodeIDFromKey(key)
	e.Node = &id
}

func readNode(e types.QueueEntry) (sunstypes.NodeKey, error) {
	if e.Node == nil {
		return sunstypes.NodeKey{}, types.ErrInvalidGenesis.Wrapf("queue %s: entry without a node", e.Queue)
	}
	return e.Node.Key()
}
