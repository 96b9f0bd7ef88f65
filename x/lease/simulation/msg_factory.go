package simulation

import (
	"context"
	"fmt"
	"slices"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/testutil/simsx"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/lease/keeper"
	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// Nodes are the nodes whose agents the simulation can sign for.
type Nodes interface {
	IterateNodes(ctx context.Context, visit func(sunstypes.Node, sunstypes.NodeLoad) (stop bool)) error
}

// Images are the images that can be leased.
type Images interface {
	ExportGenesis(ctx context.Context) (*uaitypes.GenesisState, error)
	MayRun(ctx context.Context, image uaitypes.Image, address sdk.AccAddress) error
}

// choose draws one of the items, or skips.
func choose[T any](testData *simsx.ChainDataSource, reporter simsx.SimulationReporter, items []T, err error) (item T, ok bool) {
	if err != nil {
		reporter.Skip(err.Error())
		return item, false
	}
	if len(items) == 0 {
		reporter.Skip("nothing to choose from")
		return item, false
	}
	return items[testData.Rand().Intn(len(items))], true
}

// leases lists those whose tenant the simulation can sign for.
func leases(ctx context.Context, k *keeper.Keeper, testData *simsx.ChainDataSource) (found []types.Lease, err error) {
	err = k.Leases.Walk(ctx, nil, func(_ types.LeaseKey, lease types.Lease) (bool, error) {
		if lease.Open() && testData.HasAccount(lease.ID.Tenant) {
			found = append(found, lease)
		}
		return false, nil
	})
	return found, err
}

// placements lists live ones whose node's agent the simulation can sign for, with the agents.
func placements(
	ctx context.Context, k *keeper.Keeper, nodes Nodes, testData *simsx.ChainDataSource,
) (found []types.Placement, agents map[sunstypes.NodeID]string, err error) {
	agents = make(map[sunstypes.NodeID]string)
	err = nodes.IterateNodes(ctx, func(node sunstypes.Node, _ sunstypes.NodeLoad) bool {
		if testData.HasAccount(node.Agent) {
			agents[node.ID] = node.Agent
		}
		return false
	})
	if err != nil {
		return nil, nil, err
	}
	err = k.Placements.Walk(ctx, nil, func(_ types.PlacementKey, p types.Placement) (bool, error) {
		if p.Live() && p.EndReason == types.END_REASON_UNSPECIFIED && agents[p.Node] != "" {
			found = append(found, p)
		}
		return false, nil
	})
	return found, agents, err
}

// MsgCreateLeaseFactory orders replicas of a published image, three times in four at a price that some node asks.
func MsgCreateLeaseFactory(k *keeper.Keeper, images Images, nodes Nodes) simsx.SimMsgFactoryFn[*types.MsgCreateLease] {
	return func(ctx context.Context, testData *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgCreateLease) {
		known, err := images.ExportGenesis(ctx)
		if err != nil {
			reporter.Skip(err.Error())
			return nil, nil
		}
		image, ok := choose(testData, reporter, known.Images, nil)
		if !ok || image.Status != uaitypes.IMAGE_STATUS_PUBLISHED {
			reporter.Skip("no image to lease")
			return nil, nil
		}
		params, err := k.Params.Get(ctx)
		if err != nil {
			reporter.Skip(err.Error())
			return nil, nil
		}
		r := testData.Rand()
		tenant := testData.AnyAccount(reporter, simsx.WithSpendableBalance())
		if err := images.MayRun(ctx, image, tenant.Address); err != nil {
			reporter.Skip(err.Error())
			return nil, nil
		}
		replicas := uint32(1)
		if r.Bool() {
			replicas += uint32(r.Intn(int(params.MaxReplicas)))
		}
		demand := image.Demand
		demand.GeneralMilliSuns = max(demand.GeneralMilliSuns, params.MinDemandMilliSuns)
		maxPrice, err := drawCap(ctx, nodes, image, demand, r)
		if err != nil {
			reporter.Skip(err.Error())
			return nil, nil
		}
		least := types.PeriodAtCap(maxPrice, types.Ms(params.BillingPeriod)).MulRaw(int64(replicas))
		deposit := least.MulRaw(int64(1 + r.Intn(5)))
		if reporter.IsSkipped() || maxPrice > types.MaxPrice || deposit.GT(types.MaxAmount) ||
			!tenant.LiquidBalance().BlockAmount(sdk.NewCoin(sunstypes.BaseDenom, deposit)) {
			reporter.Skip("deposit cannot be paid")
			return nil, nil
		}
		return []simsx.SimAccount{tenant}, &types.MsgCreateLease{
			Tenant: tenant.AddressBech32, Image: image.Ref(), Demand: &demand, Replicas: replicas, MaxPrice: maxPrice,
			Rules:                types.PlacementRules{SpreadOperators: r.Bool()},
			SnapshotEverySeconds: types.MinSnapshotSeconds * uint32(r.Intn(3)), SnapshotKeep: uint32(r.Intn(3)),
			Deposit: sdk.NewCoin(sunstypes.BaseDenom, deposit),
		}
	}
}

// drawCap draws the most that a placement-hour may cost: what a node that can run the image asks, or somewhat more; or
// anything.
func drawCap(
	ctx context.Context, nodes Nodes, image uaitypes.Image, demand sunstypes.Demand, r *simsx.XRand,
) (uint64, error) {
	var asks []uint64
	err := nodes.IterateNodes(ctx, func(node sunstypes.Node, _ sunstypes.NodeLoad) bool {
		if node.Status == sunstypes.NODE_STATUS_ACTIVE && node.GeneralMilliSuns >= demand.GeneralMilliSuns &&
			slices.Contains(image.Architectures(), node.Architecture) {
			asks = append(asks, node.AskPrice)
		}
		return false
	})
	if err != nil {
		return 0, err
	}
	if len(asks) == 0 || r.Intn(4) == 0 {
		return image.Royalty + 1 + uint64(r.Intn(100_000_000)), nil
	}
	asked := types.HourPrice(asks[r.Intn(len(asks))], demand.GeneralMilliSuns, image.Royalty)
	return asked.Uint64() + uint64(r.Intn(100_000)), nil
}

// MsgFundLeaseFactory funds any open lease from any account.
func MsgFundLeaseFactory(k *keeper.Keeper) simsx.SimMsgFactoryFn[*types.MsgFundLease] {
	return func(ctx context.Context, testData *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgFundLease) {
		all, err := leases(ctx, k, testData)
		lease, ok := choose(testData, reporter, all, err)
		if !ok {
			return nil, nil
		}
		funder := testData.AnyAccount(reporter, simsx.WithSpendableBalance())
		amount := sdk.NewCoin(sunstypes.BaseDenom, math.NewInt(int64(1+testData.Rand().Intn(10_000_000))))
		if reporter.IsSkipped() || !funder.LiquidBalance().BlockAmount(amount) {
			reporter.Skip("amount cannot be paid")
			return nil, nil
		}
		return []simsx.SimAccount{funder}, &types.MsgFundLease{
			Funder: funder.AddressBech32, Tenant: lease.ID.Tenant, Number: lease.ID.Number, Amount: amount,
		}
	}
}

// MsgUpdateLeaseFactory changes replicas, cap or demand of an open lease.
func MsgUpdateLeaseFactory(k *keeper.Keeper) simsx.SimMsgFactoryFn[*types.MsgUpdateLease] {
	return func(ctx context.Context, testData *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgUpdateLease) {
		all, err := leases(ctx, k, testData)
		lease, ok := choose(testData, reporter, all, err)
		if !ok {
			return nil, nil
		}
		params, err := k.Params.Get(ctx)
		if err != nil {
			reporter.Skip(err.Error())
			return nil, nil
		}
		r := testData.Rand()
		msg := &types.MsgUpdateLease{
			Tenant: lease.ID.Tenant, Number: lease.ID.Number, Replicas: 1 + uint32(r.Intn(int(params.MaxReplicas))),
			MaxPrice: min(types.MaxPrice, lease.MaxPrice+uint64(r.Intn(1_000_000))),
		}
		demand := lease.Demand
		demand.GeneralMilliSuns = max(demand.GeneralMilliSuns, params.MinDemandMilliSuns)
		if r.Bool() || demand.GeneralMilliSuns != lease.Demand.GeneralMilliSuns {
			demand.GeneralMilliSuns += uint64(r.Intn(100))
			msg.Demand = &demand
		}
		return signed(testData, reporter, lease.ID.Tenant), msg
	}
}

func signed(testData *simsx.ChainDataSource, reporter simsx.SimulationReporter, signer string) []simsx.SimAccount {
	return []simsx.SimAccount{testData.GetAccount(reporter, signer)}
}

// MsgCloseLeaseFactory closes an open lease.
func MsgCloseLeaseFactory(k *keeper.Keeper) simsx.SimMsgFactoryFn[*types.MsgCloseLease] {
	return func(ctx context.Context, testData *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgCloseLease) {
		all, err := leases(ctx, k, testData)
		lease, ok := choose(testData, reporter, all, err)
		if !ok {
			return nil, nil
		}
		return signed(testData, reporter, lease.ID.Tenant),
			&types.MsgCloseLease{Tenant: lease.ID.Tenant, Number: lease.ID.Number}
	}
}

// MsgStartPlacementFactory starts a placement that is assigned, or moves one that runs to other ports.
func MsgStartPlacementFactory(k *keeper.Keeper, nodes Nodes) simsx.SimMsgFactoryFn[*types.MsgStartPlacement] {
	return func(ctx context.Context, testData *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgStartPlacement) {
		all, agents, err := placements(ctx, k, nodes, testData)
		p, ok := choose(testData, reporter, all, err)
		if !ok {
			return nil, nil
		}
		now, err := k.NowMs(ctx)
		if err != nil || p.Status == types.PLACEMENT_STATUS_ASSIGNED && now > p.StartDeadlineMs {
			reporter.Skip("too late to start")
			return nil, nil
		}
		return signed(testData, reporter, agents[p.Node]), &types.MsgStartPlacement{
			Agent: agents[p.Node], ID: p.ID, Endpoints: []types.Endpoint{{
				Name: "web", Protocol: "http", Address: fmt.Sprintf("203.0.113.7:%d", 1+testData.Rand().Intn(65_535)), ContainerPort: 80,
			}},
		}
	}
}

// MsgRejectPlacementFactory rejects a placement that is assigned or runs.
func MsgRejectPlacementFactory(k *keeper.Keeper, nodes Nodes) simsx.SimMsgFactoryFn[*types.MsgRejectPlacement] {
	return func(ctx context.Context, testData *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgRejectPlacement) {
		all, agents, err := placements(ctx, k, nodes, testData)
		p, ok := choose(testData, reporter, all, err)
		if !ok {
			return nil, nil
		}
		return signed(testData, reporter, agents[p.Node]),
			&types.MsgRejectPlacement{Agent: agents[p.Node], ID: p.ID, Reason: "no room"}
	}
}

// MsgMigratePlacementFactory moves a replica.
func MsgMigratePlacementFactory(k *keeper.Keeper) simsx.SimMsgFactoryFn[*types.MsgMigratePlacement] {
	return func(ctx context.Context, testData *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgMigratePlacement) {
		var movable []types.Placement
		err := k.Placements.Walk(ctx, nil, func(key types.PlacementKey, p types.Placement) (bool, error) {
			lease, err := k.Leases.Get(ctx, collections.Join(key.K1(), key.K2()))
			if err == nil && lease.Open() && testData.HasAccount(lease.ID.Tenant) && p.Live() && p.DrainDeadlineMs == 0 &&
				p.EndReason == types.END_REASON_UNSPECIFIED {
				movable = append(movable, p)
			}
			return false, err
		})
		p, ok := choose(testData, reporter, movable, err)
		if !ok {
			return nil, nil
		}
		return signed(testData, reporter, p.ID.Tenant),
			&types.MsgMigratePlacement{Tenant: p.ID.Tenant, Number: p.ID.Number, Replica: p.ID.Replica}
	}
}

// MsgUpdateParamsFactory proposes random params.
func MsgUpdateParamsFactory() simsx.SimMsgFactoryFn[*types.MsgUpdateParams] {
	return func(_ context.Context, testData *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgUpdateParams) {
		return nil, &types.MsgUpdateParams{
			Authority: testData.ModuleAccountAddress(reporter, "gov"),
			Params:    RandomParams(testData.Rand().Rand),
		}
	}
}
