package keeper

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	collcodec "cosmossdk.io/collections/codec"

	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

// NodeIndexes are the second ways to find a node.
type NodeIndexes struct {
	// ByAgent: agent -> (operator, number)
	ByAgent *AgentIndex
}

// IndexesList implements collections.Indexes.
func (i NodeIndexes) IndexesList() []collections.Index[types.NodeKey, types.Node] {
	return []collections.Index[types.NodeKey, types.Node]{i.ByAgent}
}

// AgentIndex finds a node by its agent. It is unique, and holds no retired node, which has no agent.
type AgentIndex struct {
	agents collections.Map[sdk.AccAddress, types.NodeKey]
}

func newNodes(sb *collections.SchemaBuilder, cdc codec.BinaryCodec) *collections.IndexedMap[types.NodeKey, types.Node, NodeIndexes] {
	byAgent := &AgentIndex{agents: collections.NewMap(sb, types.NodesByAgentPrefix, "nodes_by_agent",
		sdk.AccAddressKey, collcodec.KeyToValueCodec(types.NodeKeyCodec))}
	return collections.NewIndexedMap(sb, types.NodesPrefix, "nodes", types.NodeKeyCodec,
		codec.CollValue[types.Node](cdc), NodeIndexes{ByAgent: byAgent})
}

// Get gives the key of an agent's node, or collections.ErrNotFound.
func (i *AgentIndex) Get(ctx context.Context, agent sdk.AccAddress) (types.NodeKey, error) {
	return i.agents.Get(ctx, agent)
}

// Reference implements collections.Index. An agent that serves another node is ErrAgentTaken.
func (i *AgentIndex) Reference(ctx context.Context, key types.NodeKey, node types.Node, old func() (types.Node, error)) error {
	previous, err := old()
	switch {
	case errors.Is(err, collections.ErrNotFound):
	case err != nil:
		return err
	case previous.Agent == node.Agent:
		return nil
	default:
		if err := i.remove(ctx, previous.Agent); err != nil {
			return err
		}
	}
	if node.Agent == "" {
		return nil
	}
	agent, err := sdk.AccAddressFromBech32(node.Agent)
	if err != nil {
		return err
	}
	taken, err := i.agents.Has(ctx, agent)
	if err != nil {
		return err
	}
	if taken {
		return types.ErrAgentTaken.Wrapf("agent %s", node.Agent)
	}
	return i.agents.Set(ctx, agent, key)
}

// Unreference implements collections.Index.
func (i *AgentIndex) Unreference(ctx context.Context, _ types.NodeKey, old func() (types.Node, error)) error {
	node, err := old()
	if err != nil {
		return err
	}
	return i.remove(ctx, node.Agent)
}

func (i *AgentIndex) remove(ctx context.Context, agent string) error {
	if agent == "" {
		return nil
	}
	addr, err := sdk.AccAddressFromBech32(agent)
	if err != nil {
		return err
	}
	return i.agents.Remove(ctx, addr)
}

// GetNode gives a node, or ErrNodeNotFound.
func (k *Keeper) GetNode(ctx context.Context, id types.NodeID) (types.Node, error) {
	_, node, err := k.node(ctx, id)
	return node, err
}

func (k *Keeper) node(ctx context.Context, id types.NodeID) (types.NodeKey, types.Node, error) {
	key, err := id.Key()
	if err != nil {
		return key, types.Node{}, err
	}
	node, err := k.Nodes.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		return key, types.Node{}, types.ErrNodeNotFound.Wrapf("node %s", id)
	}
	return key, node, err
}

// liveNode gives a node that is not retired.
func (k *Keeper) liveNode(ctx context.Context, id types.NodeID) (types.NodeKey, types.Node, error) {
	key, node, err := k.node(ctx, id)
	if err == nil && !node.Live() {
		err = types.ErrNodeStatus.Wrapf("node %s is retired", id)
	}
	return key, node, err
}

// NodeOfAgent gives the node an agent serves, or ErrAgentUnknown.
func (k *Keeper) NodeOfAgent(ctx context.Context, agent sdk.AccAddress) (types.Node, error) {
	key, err := k.Nodes.Indexes.ByAgent.Get(ctx, agent)
	if errors.Is(err, collections.ErrNotFound) {
		return types.Node{}, types.ErrAgentUnknown.Wrapf("agent %s", agent)
	}
	if err != nil {
		return types.Node{}, err
	}
	return k.Nodes.Get(ctx, key)
}

// IterateNodes visits every node with its load, in the order of their keys: for genesis and invariants of the modules
// above, never for a block.
func (k *Keeper) IterateNodes(ctx context.Context, visit func(types.Node, types.NodeLoad) (stop bool)) error {
	return k.Nodes.Walk(ctx, nil, func(key types.NodeKey, node types.Node) (bool, error) {
		load, err := k.load(ctx, key)
		if err != nil {
			return true, err
		}
		return visit(node, load), nil
	})
}

// orZero turns not found into the zero value.
func orZero[T any](value T, err error) (T, error) {
	if errors.Is(err, collections.ErrNotFound) {
		var zero T
		return zero, nil
	}
	return value, err
}

func agentOf(node types.Node) (sdk.AccAddress, error) { return sdk.AccAddressFromBech32(node.Agent) }
