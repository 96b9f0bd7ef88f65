package keeper

import (
	"context"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"

	"github.com/isuncoin/isuncoin/x/duequeue"
	"github.com/isuncoin/isuncoin/x/suns/types"
)

// AllInvariants says whether state agrees with itself and with what the accounts hold. It walks everything: for tests,
// simulations and genesis. It holds at the end of every block, after bank credited the virtual sends.
func (k *Keeper) AllInvariants(ctx context.Context) error {
	totals, err := k.sum(ctx)
	if err != nil {
		return err
	}
	for _, check := range []func(context.Context, sums) error{
		k.checkBonds, k.checkRewardPool, k.checkSupply, k.checkEpoch, k.checkQueues, k.checkContacts,
	} {
		if err := check(ctx, totals); err != nil {
			return err
		}
	}
	return nil
}

// sums is what the nodes' records add up to.
type sums struct {
	bonds, accrued math.Int
	// weight and nodes are of those that checked in to the running epoch with a weight above 0.
	weight math.Int
	nodes  uint64
	// unsettled is what nodes can still settle, by closed epoch.
	unsettled map[uint64]math.Int
	// watched is how many nodes have a deadline.
	watched int
}

func (k *Keeper) sum(ctx context.Context) (sums, error) {
	s := sums{bonds: math.ZeroInt(), accrued: math.ZeroInt(), weight: math.ZeroInt(), unsettled: map[uint64]math.Int{}}
	epoch, err := k.CurrentEpoch(ctx)
	if err != nil {
		return s, err
	}
	err = k.Nodes.Walk(ctx, nil, func(key types.NodeKey, node types.Node) (bool, error) {
		s.bonds = s.bonds.Add(node.Bond)
		if node.Watched() {
			s.watched++
		}
		reward, err := k.reward(ctx, key)
		if err != nil {
			return true, err
		}
		s.accrued = s.accrued.Add(reward.Accrued)
		if err := k.addUnsettled(ctx, &s, reward, epoch); err != nil {
			return true, err
		}
		return false, k.checkNode(ctx, key, node)
	})
	return s, err
}

func (k *Keeper) addUnsettled(ctx context.Context, s *sums, reward types.NodeReward, epoch types.Epoch) error {
	if reward.Epoch == epoch.Number && reward.Weight > 0 {
		s.weight, s.nodes = s.weight.Add(math.NewIntFromUint64(reward.Weight)), s.nodes+1
		return nil
	}
	owing := reward
	settled, err := k.settle(ctx, &owing, epoch)
	if err != nil || settled.SettledEpoch == 0 {
		return err
	}
	sum, found := s.unsettled[settled.SettledEpoch]
	if !found {
		sum = math.ZeroInt()
	}
	s.unsettled[settled.SettledEpoch] = sum.Add(settled.SettledAmount)
	return nil
}

// checkNode: no node is oversold, and a live node is found by its agent.
func (k *Keeper) checkNode(ctx context.Context, key types.NodeKey, node types.Node) error {
	load, err := k.load(ctx, key)
	if err != nil {
		return err
	}
	if load.ReservedGeneralMilliSuns > node.GeneralMilliSuns {
		return types.ErrBrokenInvariant.Wrapf("node %s: %d milli-SUNS reserved of %d",
			node.ID, load.ReservedGeneralMilliSuns, node.GeneralMilliSuns)
	}
	for _, device := range load.BusyDevices {
		if _, found := node.Device(device); !found {
			return types.ErrBrokenInvariant.Wrapf("node %s: busy device %s is none of its devices", node.ID, device)
		}
	}
	deadline, err := orZero(k.Deadlines.Get(ctx, key))
	if err != nil {
		return err
	}
	if node.Watched() != (deadline > 0) {
		return types.ErrBrokenInvariant.Wrapf("node %s is %s and has deadline %d", node.ID, node.Status, deadline)
	}
	return k.checkAgent(ctx, node)
}

func (k *Keeper) checkAgent(ctx context.Context, node types.Node) error {
	if !node.Live() && node.Agent == "" {
		return nil
	}
	agent, err := agentOf(node)
	if err != nil {
		return err
	}
	found, err := k.NodeOfAgent(ctx, agent)
	if err != nil {
		return err
	}
	if found.ID != node.ID {
		return types.ErrBrokenInvariant.Wrapf("agent %s of node %s leads to node %s", node.Agent, node.ID, found.ID)
	}
	return nil
}

// checkBonds: the module's account holds the nodes' bonds.
func (k *Keeper) checkBonds(ctx context.Context, s sums) error {
	return k.checkAccount(ctx, types.ModuleName, s.bonds)
}

// checkRewardPool: the pool holds what nodes have accrued, what closed epochs have left, and what nobody claimed.
func (k *Keeper) checkRewardPool(ctx context.Context, s sums) error {
	state, err := k.Emission.Get(ctx)
	if err != nil {
		return err
	}
	owed := s.accrued.Add(state.Unclaimed)
	err = k.EpochRewards.Walk(ctx, nil, func(epoch uint64, reward types.EpochReward) (bool, error) {
		left := reward.Amount.Sub(reward.Claimed)
		if unsettled, found := s.unsettled[epoch]; left.IsNegative() || (found && unsettled.GT(left)) {
			return true, types.ErrBrokenInvariant.Wrapf("epoch %d has %s left and owes more", epoch, left)
		}
		owed = owed.Add(left)
		return false, nil
	})
	if err != nil {
		return err
	}
	return k.checkAccount(ctx, types.RewardPoolName, owed)
}

func (k *Keeper) checkAccount(ctx context.Context, name string, owed math.Int) error {
	held := k.bank.GetBalance(ctx, k.accounts.GetModuleAddress(name), types.BaseDenom).Amount
	if !held.Equal(owed) {
		return types.ErrBrokenInvariant.Wrapf("account %s holds %s and owes %s", name, held, owed)
	}
	return nil
}

// checkSupply: the supply moved by the schedule and by recorded burns alone.
func (k *Keeper) checkSupply(ctx context.Context, _ sums) error {
	state, err := k.Emission.Get(ctx)
	if err != nil {
		return err
	}
	if supply := k.bank.GetSupply(ctx, types.BaseDenom).Amount; !supply.Equal(state.Supply()) {
		return types.ErrBrokenInvariant.Wrapf("supply is %s, accounted for is %s", supply, state.Supply())
	}
	schedule, err := k.EmissionSchedule.Get(ctx)
	if err != nil {
		return err
	}
	if state.Minted().GT(schedule.HardCap) {
		return types.ErrBrokenInvariant.Wrapf("%s was minted, above the cap %s", state.Minted(), schedule.HardCap)
	}
	return nil
}

// checkEpoch: the running epoch's weight is the sum over the nodes that checked in, and all of them are counted.
func (k *Keeper) checkEpoch(ctx context.Context, s sums) error {
	epoch, err := k.CurrentEpoch(ctx)
	if err != nil {
		return err
	}
	if !epoch.TotalWeight.Equal(s.weight) || epoch.Nodes != s.nodes {
		return types.ErrBrokenInvariant.Wrapf("epoch %d has weight %s of %d nodes, its nodes have %s of %d",
			epoch.Number, epoch.TotalWeight, epoch.Nodes, s.weight, s.nodes)
	}
	return k.PendingCheckIns.Walk(ctx, nil, func(key types.NodeKey, _ types.PendingCheckIn) (bool, error) {
		return true, types.ErrBrokenInvariant.Wrapf("a check-in of node %s is not counted", types.NodeIDFromKey(key))
	})
}

// checkQueues: every watched node stands in the deadline queue exactly once, where its record says, unless it is in
// quarantine.
func (k *Keeper) checkQueues(ctx context.Context, s sums) error {
	queued := 0
	err := k.DeadlineQueue.Entries.Walk(ctx, nil, func(entry collections.Pair[uint64, types.NodeKey]) (bool, error) {
		queued++
		deadline, err := orZero(k.Deadlines.Get(ctx, entry.K2()))
		if err == nil && deadline != entry.K1() {
			err = types.ErrBrokenInvariant.Wrapf("node %s is queued at %d, its deadline is %d",
				types.NodeIDFromKey(entry.K2()), entry.K1(), deadline)
		}
		return err != nil, err
	})
	if err != nil {
		return err
	}
	quarantined := 0
	err = k.Quarantine.Items.Walk(ctx, nil, func(_ uint64, item duequeue.QuarantinedItem) (bool, error) {
		if item.Queue == k.DeadlineQueue.Name() {
			quarantined++
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	if queued > s.watched || queued+quarantined < s.watched {
		return types.ErrBrokenInvariant.Wrapf("%d nodes have a deadline, %d are queued and %d in quarantine",
			s.watched, queued, quarantined)
	}
	return nil
}

// queued lists the nodes in a queue with when they are due; of a node that stands in it twice, the later time.
func (k *Keeper) queued(ctx context.Context, queue duequeue.Queue[types.NodeKey]) (map[types.NodeID]uint64, error) {
	due := make(map[types.NodeID]uint64)
	err := queue.Entries.Walk(ctx, nil, func(entry collections.Pair[uint64, types.NodeKey]) (bool, error) {
		due[types.NodeIDFromKey(entry.K2())] = entry.K1()
		return false, nil
	})
	return due, err
}
