package keeper

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

// UpdateNode changes a node: what is empty, 0 or unset in the message stays as it is. A new report may not take away what
// placements hold.
func (k *Keeper) UpdateNode(ctx context.Context, msg *types.MsgUpdateNode) (types.Node, error) {
	key, node, err := k.liveNode(ctx, types.NodeID{Operator: msg.Operator, Number: msg.Number})
	if err != nil {
		return node, err
	}
	params, err := k.GetParams(ctx)
	if err != nil {
		return node, err
	}
	for _, change := range []func(context.Context, types.Params, types.NodeKey, *types.Node, *types.MsgUpdateNode) error{
		k.updateDescription, k.updateReport, k.updateAgent, k.updateBond,
	} {
		if err := change(ctx, params, key, &node, msg); err != nil {
			return node, err
		}
	}
	if err := k.Nodes.Set(ctx, key, node); err != nil {
		return node, err
	}
	if err := emit(ctx, &types.EventNodeUpdated{
		Operator: node.ID.Operator, Number: node.ID.Number, MilliSuns: node.MilliSuns, AskPrice: node.AskPrice,
	}); err != nil {
		return node, err
	}
	return node, k.hooks.AfterNodeChanged(ctx, node.ID)
}

func (k *Keeper) updateDescription(
	_ context.Context, params types.Params, _ types.NodeKey, node *types.Node, msg *types.MsgUpdateNode,
) error {
	if msg.Moniker != "" {
		node.Moniker = msg.Moniker
	}
	if msg.Zone != "" {
		node.Zone = msg.Zone
	}
	if msg.ClearGateways || len(msg.Gateways) > 0 {
		node.Gateways = msg.Gateways
	}
	if msg.Country != "" {
		node.Country = msg.Country
	}
	if msg.AskPrice != 0 {
		if err := types.ValidateAsk(params, msg.AskPrice); err != nil {
			return err
		}
		node.AskPrice = msg.AskPrice
	}
	for _, err := range []error{
		types.ValidateMoniker(node.Moniker), types.ValidateCountry(node.Country), types.ValidateZone(node.Zone),
		types.ValidateGateways(node.Gateways),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func (k *Keeper) updateReport(
	ctx context.Context, params types.Params, key types.NodeKey, node *types.Node, msg *types.MsgUpdateNode,
) error {
	if msg.Report == nil {
		return nil
	}
	before := *node
	if err := measure(params, node, *msg.Report); err != nil {
		return err
	}
	load, err := k.load(ctx, key)
	if err != nil {
		return err
	}
	return checkReserved(params, before, *node, load)
}

// checkReserved says whether a node as it would be still has all that placements hold of it as it was.
func checkReserved(params types.Params, before, after types.Node, load types.NodeLoad) error {
	if load.Placements > 0 && before.Architecture != after.Architecture {
		return types.ErrBelowReserved.Wrapf("architecture %s has placements", before.Architecture)
	}
	if after.GeneralMilliSuns < load.ReservedGeneralMilliSuns {
		return types.ErrBelowReserved.Wrapf("%d general milli-SUNS are reserved, %d would be left",
			load.ReservedGeneralMilliSuns, after.GeneralMilliSuns)
	}
	for _, id := range load.BusyDevices {
		if err := checkBusyDevice(params, before, after, id); err != nil {
			return err
		}
	}
	return nil
}

// checkBusyDevice says whether a device that a placement holds is still the same one and offers no less. A device is leased
// whole, so its placement was sold all it had: what it has now, and so never less than any placement of it was sold at. Both
// figures are taken by today's bundle, for governance may have changed it since, and a device that is as it was must pass.
func checkBusyDevice(params types.Params, before, after types.Node, id string) error {
	was, _ := before.Device(id)
	is, found := after.Device(id)
	if !found {
		return types.ErrBelowReserved.Wrapf("device %s is busy and may not leave", id)
	}
	if !is.Accelerator.SameDevice(was.Accelerator) {
		return types.ErrBelowReserved.Wrapf("device %s is busy and may not become another", id)
	}
	if least := types.AcceleratorMilliSuns(params.AcceleratorBundle, was.Accelerator); is.MilliSuns < least {
		return types.ErrBelowReserved.Wrapf("device %s is busy with %d milli-SUNS, %d would be left", id, least, is.MilliSuns)
	}
	return nil
}

func (k *Keeper) updateAgent(
	ctx context.Context, _ types.Params, _ types.NodeKey, node *types.Node, msg *types.MsgUpdateNode,
) error {
	if len(msg.AgentPubKey) == 0 && len(msg.AgentSignature) == 0 {
		return nil
	}
	agent, err := types.VerifyAgent(sdk.UnwrapSDKContext(ctx).ChainID(), node.ID, msg.AgentPubKey, msg.AgentSignature)
	if err != nil {
		return err
	}
	node.Agent = agent.String()
	return nil
}

func (k *Keeper) updateBond(
	ctx context.Context, _ types.Params, key types.NodeKey, node *types.Node, msg *types.MsgUpdateNode,
) error {
	if msg.AddBond == nil {
		return nil
	}
	if err := types.ValidateUisc(*msg.AddBond); err != nil {
		return types.ErrInvalidBond.Wrap(err.Error())
	}
	bond := sdk.NewCoin(types.BaseDenom, node.Bond.Add(msg.AddBond.Amount))
	if err := types.ValidateUisc(bond); err != nil {
		return types.ErrInvalidBond.Wrap(err.Error())
	}
	node.Bond = bond.Amount
	return k.takeBond(ctx, key.K1(), *msg.AddBond)
}
