package simulation

import (
	"context"
	"errors"

	"cosmossdk.io/collections"

	"github.com/cosmos/cosmos-sdk/testutil/simsx"
	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/isuncoin/isuncoin/x/audit/keeper"
	"github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// NodeSource lists the nodes; x/suns' keeper does.
type NodeSource interface {
	IterateNodes(ctx context.Context, visit func(sunstypes.Node, sunstypes.NodeLoad) (stop bool)) error
}

// PlacementSource lists a node's placements that are not settled; x/lease's query server does.
type PlacementSource interface {
	NodePlacements(
		ctx context.Context, req *leasetypes.QueryNodePlacementsRequest,
	) (*leasetypes.QueryNodePlacementsResponse, error)
}

// maxSimEntries bounds the placements of a simulated attestation.
const maxSimEntries = 20

// MsgAttestUsageFactory attests for a node whose agent is an account of the simulation: of each placement that has started,
// a little more of everything than before. Claims may run ahead of the clock, which the chain clamps.
func MsgAttestUsageFactory(k keeper.Keeper, nodes NodeSource, placements PlacementSource) simsx.SimMsgFactoryFn[*types.MsgAttestUsage] {
	return func(ctx context.Context, testData *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgAttestUsage) {
		node, ok := anyNode(ctx, nodes, testData, reporter)
		if !ok {
			return nil, nil
		}
		agent := testData.GetAccount(reporter, node.Agent)
		if reporter.IsSkipped() {
			return nil, nil
		}
		msg, err := attestation(ctx, k, placements, node, testData.Rand())
		if err != nil {
			reporter.Skip(err.Error())
			return nil, nil
		}
		return []simsx.SimAccount{agent}, msg
	}
}

// anyNode draws among the nodes whose agents the simulation can sign for. Retired nodes have no agent.
func anyNode(
	ctx context.Context, source NodeSource, testData *simsx.ChainDataSource, reporter simsx.SimulationReporter,
) (node sunstypes.Node, ok bool) {
	var nodes []sunstypes.Node
	err := source.IterateNodes(ctx, func(node sunstypes.Node, _ sunstypes.NodeLoad) bool {
		if testData.HasAccount(node.Agent) {
			nodes = append(nodes, node)
		}
		return false
	})
	if err != nil {
		reporter.Skip(err.Error())
		return node, false
	}
	if len(nodes) == 0 {
		reporter.Skip("no nodes")
		return node, false
	}
	return nodes[testData.Rand().Intn(len(nodes))], true
}

func attestation(
	ctx context.Context, k keeper.Keeper, placements PlacementSource, node sunstypes.Node, r *simsx.XRand,
) (*types.MsgAttestUsage, error) {
	key, err := node.ID.Key()
	if err != nil {
		return nil, err
	}
	last, err := k.Attestations.Get(ctx, key)
	if err != nil && !errors.Is(err, collections.ErrNotFound) {
		return nil, err
	}
	msg := &types.MsgAttestUsage{
		Agent:    node.Agent,
		Version:  types.AttestationVersion,
		Sequence: last.Sequence + r.Uint64InRange(1, 10),
	}
	response, err := placements.NodePlacements(ctx, &leasetypes.QueryNodePlacementsRequest{
		Operator: node.ID.Operator, Node: node.ID.Number, Pagination: &query.PageRequest{Limit: maxSimEntries},
	})
	if err != nil {
		return nil, err
	}
	for _, p := range response.Placements {
		if p.Placement.StartedMs == 0 {
			continue
		}
		entry, err := nextEntry(ctx, k, p.Placement.ID, r)
		if err != nil {
			return nil, err
		}
		msg.Entries = append(msg.Entries, entry)
	}
	return msg, nil
}

// nextEntry adds a little to what was attested last.
func nextEntry(ctx context.Context, k keeper.Keeper, id leasetypes.PlacementID, r *simsx.XRand) (types.UsageEntry, error) {
	entry, err := k.Usage(ctx, id)
	if err != nil && !errors.Is(err, types.ErrUsageNotFound) {
		return types.UsageEntry{}, err
	}
	served := r.Uint64InRange(0, 600_000)
	entry.ID = id
	entry.ServedMs += served
	entry.CpuMs += served * r.Uint64InRange(0, 8)
	entry.MemoryMiBSeconds += served / 1000 * r.Uint64InRange(0, 4096)
	entry.BytesIn += r.Uint64InRange(0, 1<<30)
	entry.BytesOut += r.Uint64InRange(0, 1<<30)
	return entry, nil
}

// MsgUpdateParamsFactory proposes random params.
func MsgUpdateParamsFactory() simsx.SimMsgFactoryFn[*types.MsgUpdateParams] {
	return func(_ context.Context, testData *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgUpdateParams) {
		return nil, &types.MsgUpdateParams{
			Authority: testData.ModuleAccountAddress(reporter, "gov"),
			Params:    randomParams(testData.Rand().Rand),
		}
	}
}
