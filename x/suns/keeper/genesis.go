package keeper

import (
	"context"
	"fmt"

	"cosmossdk.io/collections"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

// InitGenesis imports a genesis, after bank's. It refuses one in which the accounts do not hold what state says is owed. A
// genesis without an initial supply gets what bank has.
func (k *Keeper) InitGenesis(ctx context.Context, genesis *types.GenesisState) error {
	if err := genesis.Validate(); err != nil {
		return err
	}
	// Module accounts are made here and never in a transaction, where they would take a number from a global sequence.
	for _, name := range []string{types.ModuleName, types.RewardPoolName} {
		if k.accounts.GetModuleAccount(ctx, name) == nil {
			return types.ErrInvalidGenesis.Wrapf("the app has no module account %s", name)
		}
	}
	if err := k.importTotals(ctx, genesis); err != nil {
		return err
	}
	quarantined := k.quarantinedDeadlines(genesis)
	for _, node := range genesis.Nodes {
		if err := k.importNode(ctx, node, quarantined); err != nil {
			return fmt.Errorf("node %s: %w", node.Node.ID, err)
		}
	}
	for _, contact := range genesis.Contacts {
		key, err := contact.Node.Key()
		if err != nil {
			return err
		}
		if err := k.Contacts.Set(ctx, key, contact); err != nil {
			return err
		}
	}
	if err := types.ImportPayouts(ctx, k.PayoutQueue, genesis.Payouts); err != nil {
		return err
	}
	if err := k.PayoutQueue.RestorePlaces(ctx, k.PayoutPlaces); err != nil {
		return err
	}
	for _, operator := range genesis.Operators {
		key, err := types.NodeID{Operator: operator.Operator, Number: operator.Number}.Key()
		if err != nil {
			return err
		}
		if err := k.Operators.Set(ctx, key.K1(), operator.Number); err != nil {
			return err
		}
	}
	return k.AllInvariants(ctx)
}

func (k *Keeper) importTotals(ctx context.Context, genesis *types.GenesisState) error {
	emission := genesis.Emission
	if emission.InitialSupply.IsZero() {
		emission.InitialSupply = k.bank.GetSupply(ctx, types.BaseDenom).Amount
		if err := emission.Validate(); err != nil {
			return err
		}
	}
	if err := k.Params.Set(ctx, genesis.Params); err != nil {
		return err
	}
	if err := k.Clock.Set(ctx, genesis.Clock); err != nil {
		return err
	}
	if err := k.EmissionSchedule.Set(ctx, genesis.EmissionSchedule); err != nil {
		return err
	}
	if err := k.Emission.Set(ctx, emission); err != nil {
		return err
	}
	if err := k.Epoch.Set(ctx, genesis.Epoch); err != nil {
		return err
	}
	for _, reward := range genesis.EpochRewards {
		if err := k.EpochRewards.Set(ctx, reward.Epoch, reward); err != nil {
			return err
		}
	}
	return k.Quarantine.Import(ctx, genesis.Quarantine, genesis.Quarantined)
}

// deadline is one look at a node's liveness: the node's encoded key, and when.
type deadline struct {
	node  string
	dueMs uint64
}

// quarantinedDeadlines are those that failed: their nodes keep the record, but wait in no queue until they are retried.
func (k *Keeper) quarantinedDeadlines(genesis *types.GenesisState) map[deadline]bool {
	quarantined := make(map[deadline]bool)
	for _, item := range genesis.Quarantine {
		if item.Queue == k.DeadlineQueue.Name() {
			quarantined[deadline{string(item.Key), item.DueMs}] = true
		}
	}
	return quarantined
}

// importDeadline sets a node's deadline and, unless its item is in quarantine, has it looked at then.
func (k *Keeper) importDeadline(
	ctx context.Context, key types.NodeKey, dueMs uint64, quarantined map[deadline]bool,
) error {
	encoded, err := collections.EncodeKeyWithPrefix(nil, types.NodeKeyCodec, key)
	if err != nil {
		return err
	}
	if quarantined[deadline{string(encoded), dueMs}] {
		return k.Deadlines.Set(ctx, key, dueMs)
	}
	return k.setDeadline(ctx, key, dueMs)
}

func (k *Keeper) importNode(ctx context.Context, node types.GenesisNode, quarantined map[deadline]bool) error {
	key, err := node.Node.ID.Key()
	if err != nil {
		return err
	}
	if err := k.Nodes.Set(ctx, key, node.Node); err != nil {
		return err
	}
	if err := k.Loads.Set(ctx, key, node.Load); err != nil {
		return err
	}
	if err := k.Rewards.Set(ctx, key, node.Reward); err != nil {
		return err
	}
	if node.LastCheckInMs > 0 { // a retired node has none; reading one would cost transactions more gas than before
		if err := k.CheckIns.Set(ctx, key, node.LastCheckInMs); err != nil {
			return err
		}
	}
	if node.DeadlineMs > 0 {
		if err := k.importDeadline(ctx, key, node.DeadlineMs, quarantined); err != nil {
			return err
		}
	}
	if node.UnbondingMs > 0 {
		return k.UnbondingQueue.Push(ctx, node.UnbondingMs, key)
	}
	return nil
}

// ExportGenesis exports everything, in the order of keys. Between blocks there are no pending check-ins.
func (k *Keeper) ExportGenesis(ctx context.Context) (*types.GenesisState, error) {
	genesis, err := k.exportTotals(ctx)
	if err != nil {
		return nil, err
	}
	unbonding, err := k.queued(ctx, k.UnbondingQueue)
	if err != nil {
		return nil, err
	}
	if genesis.Payouts, err = types.ExportPayouts(ctx, k.PayoutQueue); err != nil {
		return nil, err
	}
	err = k.Nodes.Walk(ctx, nil, func(key types.NodeKey, node types.Node) (bool, error) {
		exported, err := k.exportNode(ctx, key, node)
		if err != nil {
			return true, err
		}
		exported.UnbondingMs = unbonding[node.ID]
		genesis.Nodes = append(genesis.Nodes, exported)
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	err = k.Contacts.Walk(ctx, nil, func(_ types.NodeKey, contact types.Contact) (bool, error) {
		genesis.Contacts = append(genesis.Contacts, contact)
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	operators, err := k.Operators.Iterate(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer operators.Close()
	for ; operators.Valid(); operators.Next() {
		entry, err := operators.KeyValue()
		if err != nil {
			return nil, err
		}
		genesis.Operators = append(genesis.Operators, types.OperatorSequence{
			Operator: entry.Key.String(), Number: entry.Value,
		})
	}
	return genesis, nil
}

func (k *Keeper) exportTotals(ctx context.Context) (*types.GenesisState, error) {
	var genesis types.GenesisState
	var err error
	if genesis.Params, err = k.Params.Get(ctx); err != nil {
		return nil, err
	}
	if genesis.Clock, err = k.Clock.Get(ctx); err != nil {
		return nil, err
	}
	if genesis.EmissionSchedule, err = k.EmissionSchedule.Get(ctx); err != nil {
		return nil, err
	}
	if genesis.Emission, err = k.Emission.Get(ctx); err != nil {
		return nil, err
	}
	if genesis.Epoch, err = k.Epoch.Get(ctx); err != nil {
		return nil, err
	}
	err = k.EpochRewards.Walk(ctx, nil, func(_ uint64, reward types.EpochReward) (bool, error) {
		genesis.EpochRewards = append(genesis.EpochRewards, reward)
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	genesis.Quarantine, genesis.Quarantined, err = k.Quarantine.Export(ctx)
	return &genesis, err
}

func (k *Keeper) exportNode(ctx context.Context, key types.NodeKey, node types.Node) (types.GenesisNode, error) {
	exported := types.GenesisNode{Node: node}
	var err error
	if exported.Load, err = k.load(ctx, key); err != nil {
		return exported, err
	}
	if exported.Reward, err = k.reward(ctx, key); err != nil {
		return exported, err
	}
	if exported.LastCheckInMs, err = orZero(k.CheckIns.Get(ctx, key)); err != nil {
		return exported, err
	}
	exported.DeadlineMs, err = orZero(k.Deadlines.Get(ctx, key))
	return exported, err
}
