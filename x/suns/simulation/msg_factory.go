package simulation

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/testutil/simsx"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/suns/keeper"
	"github.com/isuncoin/isuncoin/x/suns/types"
)

// factory makes one message and names who signs it; nil when it was skipped.
type factory[M sdk.Msg] = simsx.SimMsgFactoryFn[M]

// MsgRegisterNodeFactory registers machines of random size, with an agent that serves no node yet.
func MsgRegisterNodeFactory(k *keeper.Keeper) factory[*types.MsgRegisterNode] {
	return func(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgRegisterNode) {
		params, err := k.GetParams(ctx)
		if err != nil {
			reporter.Skip(err.Error())
			return nil, nil
		}
		operator := data.AnyAccount(reporter, simsx.WithLiquidBalanceGTE(sdk.NewCoin(types.BaseDenom, params.MinBond)))
		agent, ok := freeAgent(ctx, k, data, reporter, operator)
		if !ok {
			return nil, nil
		}
		last, err := k.Operators.Get(ctx, operator.Address)
		if err != nil && !errors.Is(err, collections.ErrNotFound) {
			reporter.Skip(err.Error())
			return nil, nil
		}
		bond, ok := drawBond(data.Rand(), &operator, params.MinBond)
		if !ok {
			reporter.Skip("not enough for a bond")
			return nil, nil
		}
		msg := &types.MsgRegisterNode{
			Operator: operator.AddressBech32, Number: last + 1, Moniker: "sim",
			AskPrice: data.Rand().Uint64InRange(params.MinAsk, 2*params.MaxRewardedAsk), Country: "TW", Zone: "sim",
			Gateways: []string{"203.0.113.1:8443"}, Report: randomReport(data.Rand(), params), Bond: bond,
			AgentPubKey: agent.PubKey.Bytes(),
		}
		if msg.AgentSignature, err = sign(ctx, agent, msg.Operator, msg.Number); err != nil {
			reporter.Skip(err.Error())
			return nil, nil
		}
		return []simsx.SimAccount{operator}, msg
	}
}

// MsgUpdateNodeFactory changes a node's price, report, agent or bond.
func MsgUpdateNodeFactory(k *keeper.Keeper) factory[*types.MsgUpdateNode] {
	return func(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgUpdateNode) {
		node, operator, ok := anyNode(ctx, k, data, reporter, types.Node.Live)
		if !ok {
			return nil, nil
		}
		params, err := k.GetParams(ctx)
		if err != nil {
			reporter.Skip(err.Error())
			return nil, nil
		}
		msg := &types.MsgUpdateNode{Operator: node.ID.Operator, Number: node.ID.Number}
		switch data.Rand().Intn(4) {
		case 0:
			msg.AskPrice = data.Rand().Uint64InRange(params.MinAsk, 2*params.MaxRewardedAsk)
		case 1:
			load, err := k.GetNodeLoad(ctx, node.ID)
			if err != nil {
				reporter.Skip(err.Error())
				return nil, nil
			}
			report := randomReport(data.Rand(), params)
			if load.Placements > 0 {
				report = grownReport(data.Rand(), params, node)
			}
			msg.Report = &report
		case 2:
			agent, ok := freeAgent(ctx, k, data, reporter, operator)
			if !ok {
				return nil, nil
			}
			msg.AgentPubKey = agent.PubKey.Bytes()
			if msg.AgentSignature, err = sign(ctx, agent, msg.Operator, msg.Number); err != nil {
				reporter.Skip(err.Error())
				return nil, nil
			}
		case 3:
			bond, ok := drawBond(data.Rand(), &operator, math.OneInt())
			if !ok {
				reporter.Skip("not enough for a bond")
				return nil, nil
			}
			msg.AddBond = &bond
		}
		return []simsx.SimAccount{operator}, msg
	}
}

// MsgCheckInFactory checks in as the agent of some node.
func MsgCheckInFactory(k *keeper.Keeper) factory[*types.MsgCheckIn] {
	return func(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgCheckIn) {
		node, _, ok := anyNode(ctx, k, data, reporter, types.Node.Live)
		if !ok {
			return nil, nil
		}
		agent := data.GetAccount(reporter, node.Agent)
		return []simsx.SimAccount{agent}, &types.MsgCheckIn{Agent: node.Agent}
	}
}

// MsgSetContactFactory sets the contact of some node, at times without an address.
func MsgSetContactFactory(k *keeper.Keeper) factory[*types.MsgSetContact] {
	return func(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgSetContact) {
		node, _, ok := anyNode(ctx, k, data, reporter, types.Node.Live)
		if !ok {
			return nil, nil
		}
		msg := &types.MsgSetContact{Agent: node.Agent, EncryptionKey: make([]byte, types.EncryptionKeyBytes)}
		data.Rand().Read(msg.EncryptionKey)
		for i := range data.Rand().Intn(types.MaxContactAddresses + 1) {
			msg.Addresses = append(msg.Addresses, fmt.Sprintf("/ip4/203.0.113.%d/tcp/8444", i))
		}
		return []simsx.SimAccount{data.GetAccount(reporter, node.Agent)}, msg
	}
}

// MsgDrainNodeFactory drains an active node.
func MsgDrainNodeFactory(k *keeper.Keeper) factory[*types.MsgDrainNode] {
	return onNode(k, withStatus(types.NODE_STATUS_ACTIVE), func(id types.NodeID) *types.MsgDrainNode {
		return &types.MsgDrainNode{Operator: id.Operator, Number: id.Number}
	})
}

// MsgResumeNodeFactory ends a drain.
func MsgResumeNodeFactory(k *keeper.Keeper) factory[*types.MsgResumeNode] {
	return onNode(k, withStatus(types.NODE_STATUS_DRAINING), func(id types.NodeID) *types.MsgResumeNode {
		return &types.MsgResumeNode{Operator: id.Operator, Number: id.Number}
	})
}

// MsgRetireNodeFactory retires a node.
func MsgRetireNodeFactory(k *keeper.Keeper) factory[*types.MsgRetireNode] {
	return onNode(k, types.Node.Live, func(id types.NodeID) *types.MsgRetireNode {
		return &types.MsgRetireNode{Operator: id.Operator, Number: id.Number}
	})
}

// MsgWithdrawRewardsFactory withdraws a node's rewards.
func MsgWithdrawRewardsFactory(k *keeper.Keeper) factory[*types.MsgWithdrawRewards] {
	return onNode(k, func(types.Node) bool { return true }, func(id types.NodeID) *types.MsgWithdrawRewards {
		return &types.MsgWithdrawRewards{Operator: id.Operator, Number: id.Number}
	})
}

// MsgUpdateParamsFactory proposes params that let things happen within a simulation.
func MsgUpdateParamsFactory() factory[*types.MsgUpdateParams] {
	return func(_ context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgUpdateParams) {
		return nil, &types.MsgUpdateParams{
			Authority: data.ModuleAccountAddress(reporter, "gov"),
			Params:    RandomParams(data.Rand().Rand),
		}
	}
}

// onNode makes messages in which an operator names a node and nothing else.
func onNode[M sdk.Msg](k *keeper.Keeper, accept func(types.Node) bool, make func(types.NodeID) M) factory[M] {
	return func(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) (signers []simsx.SimAccount, msg M) {
		node, operator, ok := anyNode(ctx, k, data, reporter, accept)
		if !ok {
			return nil, msg
		}
		return []simsx.SimAccount{operator}, make(node.ID)
	}
}

func withStatus(status types.NodeStatus) func(types.Node) bool {
	return func(node types.Node) bool { return node.Status == status }
}

// anyNode draws among the nodes that are accepted and whose operator and agent are accounts of the simulation.
func anyNode(
	ctx context.Context, k *keeper.Keeper, data *simsx.ChainDataSource, reporter simsx.SimulationReporter,
	accept func(types.Node) bool,
) (node types.Node, operator simsx.SimAccount, ok bool) {
	var nodes []types.Node
	err := k.IterateNodes(ctx, func(node types.Node, _ types.NodeLoad) bool {
		known := data.HasAccount(node.ID.Operator) && (node.Agent == "" || data.HasAccount(node.Agent))
		if known && accept(node) {
			nodes = append(nodes, node)
		}
		return false
	})
	if err != nil {
		reporter.Skip(err.Error())
		return node, operator, false
	}
	if len(nodes) == 0 {
		reporter.Skip("no such node")
		return node, operator, false
	}
	node = nodes[data.Rand().Intn(len(nodes))]
	operator = data.GetAccount(reporter, node.ID.Operator)
	return node, operator, !reporter.IsSkipped()
}

// freeAgent draws an account that serves no node.
func freeAgent(
	ctx context.Context, k *keeper.Keeper, data *simsx.ChainDataSource, reporter simsx.SimulationReporter,
	operator simsx.SimAccount,
) (simsx.SimAccount, bool) {
	agent := data.AnyAccount(reporter, simsx.ExcludeAccounts(operator), simsx.SimAccountFilterFn(func(a simsx.SimAccount) bool {
		_, err := k.NodeOfAgent(ctx, a.Address)
		return errors.Is(err, types.ErrAgentUnknown)
	}))
	return agent, !reporter.IsSkipped()
}

// drawBond draws at most half of what an account can spend, and sets it aside: fees are drawn from the rest. The account is a
// pointer because a copy keeps a balance of its own.
func drawBond(r *simsx.XRand, account *simsx.SimAccount, least math.Int) (sdk.Coin, bool) {
	most := account.LiquidBalance().AmountOf(types.BaseDenom).QuoRaw(2)
	if most.LT(least) {
		return sdk.Coin{}, false
	}
	amount := least
	if more := most.Sub(least); more.IsPositive() {
		amount = least.Add(r.Amount(more))
	}
	coin := sdk.NewCoin(types.BaseDenom, amount)
	return coin, account.LiquidBalance().BlockAmount(coin)
}

func randomReport(r *simsx.XRand, params types.Params) types.BenchmarkReport {
	size := r.Uint64InRange(1, 64)
	report := types.BenchmarkReport{
		Version: 1, Digest: make([]byte, types.DigestBytes), Architecture: types.ArchAMD64,
		Capacity: types.Capacity{
			CpuPoints:     params.Bundle.CpuPoints * size,
			MemoryMiB:     params.Bundle.MemoryMiB * size,
			StorageMiB:    params.Bundle.StorageMiB * size,
			BandwidthMbps: params.Bundle.BandwidthMbps * r.Uint64InRange(1, 64),
		},
	}
	r.Read(report.Digest)
	report.MilliSuns, _ = types.CapacityMilliSuns(params.Bundle, report.Capacity)
	for i := range r.Intn(3) {
		device := types.Accelerator{
			DeviceID: fmt.Sprintf("GPU-%d", i), Kind: types.KindGPU, Vendor: "sim", Model: fmt.Sprintf("SIM %d", r.Intn(2)),
			MemoryMiB: 24_576, MemoryBandwidthMbs: 1_008_000, Fp32Gflops: 82_600,
		}
		report.Accelerators = append(report.Accelerators, device)
		report.MilliSuns += types.AcceleratorMilliSuns(params.AcceleratorBundle, device)
	}
	return report
}

// grownReport is of a node that may have placements: nothing of it has become less.
func grownReport(r *simsx.XRand, params types.Params, node types.Node) types.BenchmarkReport {
	report := types.BenchmarkReport{
		Version: node.ReportVersion + 1, Digest: make([]byte, types.DigestBytes), Architecture: node.Architecture,
		Capacity: node.Capacity,
	}
	r.Read(report.Digest)
	report.Capacity.BandwidthMbps += r.Uint64InRange(0, params.Bundle.BandwidthMbps)
	report.MilliSuns, _ = types.CapacityMilliSuns(params.Bundle, report.Capacity)
	for _, device := range node.Accelerators {
		device.Accelerator.MemoryBandwidthMbs += r.Uint64InRange(0, params.AcceleratorBundle.MemoryBandwidthMbs)
		device.Accelerator.MemoryMiB++
		report.Accelerators = append(report.Accelerators, device.Accelerator)
		report.MilliSuns += types.AcceleratorMilliSuns(params.AcceleratorBundle, device.Accelerator)
	}
	return report
}

func sign(ctx context.Context, agent simsx.SimAccount, operator string, number uint64) ([]byte, error) {
	return agent.PrivKey.Sign(types.AgentSignBytes(sdk.UnwrapSDKContext(ctx).ChainID(), operator, number))
}
