package keeper

import (
	"context"
	"errors"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

// RegisterNode adds a machine to the market: it checks the agent's signature, computes SUNS from the report and takes the
// bond. Registration counts as a check-in, but the maintenance reward begins with the next epoch.
func (k *Keeper) RegisterNode(ctx context.Context, msg *types.MsgRegisterNode) (types.Node, error) {
	operator, err := sdk.AccAddressFromBech32(msg.Operator)
	if err != nil {
		return types.Node{}, types.ErrInvalidNodeID.Wrapf("operator %.100q: %s", msg.Operator, err)
	}
	params, err := k.GetParams(ctx)
	if err != nil {
		return types.Node{}, err
	}
	id := types.NewNodeID(operator, msg.Number)
	if err := k.takeNumber(ctx, operator, msg.Number); err != nil {
		return types.Node{}, err
	}
	node, err := describe(params, id, msg)
	if err != nil {
		return types.Node{}, err
	}
	agent, err := types.VerifyAgent(sdk.UnwrapSDKContext(ctx).ChainID(), id, msg.AgentPubKey, msg.AgentSignature)
	if err != nil {
		return types.Node{}, err
	}
	node.Agent = agent.String()
	if err := k.freeRetiredAgent(ctx, operator, agent); err != nil {
		return types.Node{}, err
	}
	if err := k.enter(ctx, params, &node); err != nil {
		return types.Node{}, err
	}
	if err := k.takeBond(ctx, operator, msg.Bond); err != nil {
		return types.Node{}, err
	}
	if err := emit(ctx, &types.EventNodeRegistered{
		Operator: node.ID.Operator, Number: node.ID.Number, Agent: node.Agent,
		MilliSuns: node.MilliSuns, AskPrice: node.AskPrice, Bond: node.Bond.String(),
	}); err != nil {
		return types.Node{}, err
	}
	return node, k.hooks.AfterNodeChanged(ctx, node.ID)
}

// freeRetiredAgent takes an agent from a retired node of the same operator, which kept it for a last attestation: the machine
// enters anew. Any other node keeps its agent, and the registration fails.
func (k *Keeper) freeRetiredAgent(ctx context.Context, operator, agent sdk.AccAddress) error {
	node, err := k.NodeOfAgent(ctx, agent)
	if errors.Is(err, types.ErrAgentUnknown) {
		return nil
	}
	if err != nil || node.Live() || node.ID.Operator != operator.String() {
		return err
	}
	key, err := node.ID.Key()
	if err != nil {
		return err
	}
	node.Agent = ""
	return k.Nodes.Set(ctx, key, node)
}

// takeNumber takes an operator's next number, which the operator must name: so a message sent twice registers once.
func (k *Keeper) takeNumber(ctx context.Context, operator sdk.AccAddress, number uint64) error {
	last, err := orZero(k.Operators.Get(ctx, operator))
	if err != nil {
		return err
	}
	if number != last+1 {
		return types.ErrNotNextNumber.Wrapf("%d: the next one is %d", number, last+1)
	}
	return k.Operators.Set(ctx, operator, number)
}

// describe makes the node a registration describes, all but its agent and its place in time.
func describe(params types.Params, id types.NodeID, msg *types.MsgRegisterNode) (types.Node, error) {
	for _, err := range []error{
		types.ValidateMoniker(msg.Moniker), types.ValidateCountry(msg.Country), types.ValidateZone(msg.Zone),
		types.ValidateGateways(msg.Gateways), types.ValidateAsk(params, msg.AskPrice), validateBond(params, msg.Bond),
	} {
		if err != nil {
			return types.Node{}, err
		}
	}
	node := types.Node{
		ID: id, Moniker: msg.Moniker, AskPrice: msg.AskPrice, Country: msg.Country, Zone: msg.Zone,
		Gateways: msg.Gateways, Bond: msg.Bond.Amount, Status: types.NODE_STATUS_ACTIVE,
	}
	return node, measure(params, &node, msg.Report)
}

func validateBond(params types.Params, bond sdk.Coin) error {
	if err := types.ValidateUisc(bond); err != nil {
		return types.ErrInvalidBond.Wrap(err.Error())
	}
	if bond.Amount.LT(params.MinBond) {
		return types.ErrInvalidBond.Wrapf("%s is below the least, %s%s", bond, params.MinBond, types.BaseDenom)
	}
	return nil
}

// measure gives a node what a report says.
func measure(params types.Params, node *types.Node, report types.BenchmarkReport) error {
	measured, err := report.Measure(params)
	if err != nil {
		return err
	}
	node.Architecture, node.Capacity = report.Architecture, report.Capacity
	node.ReportVersion, node.ReportDigest = report.Version, report.Digest
	node.Accelerators = measured.Accelerators
	node.GeneralMilliSuns, node.MilliSuns = measured.GeneralMilliSuns, measured.MilliSuns
	return nil
}

// enter writes a new node's records.
func (k *Keeper) enter(ctx context.Context, params types.Params, node *types.Node) error {
	now, err := k.NowMs(ctx)
	if err != nil {
		return err
	}
	epoch, err := k.CurrentEpoch(ctx)
	if err != nil {
		return err
	}
	node.RegisteredMs, node.RegisteredEpoch = now, epoch.Number
	key, err := node.ID.Key()
	if err != nil {
		return err
	}
	if err := k.Nodes.Set(ctx, key, *node); err != nil {
		return err
	}
	if err := k.Rewards.Set(ctx, key, types.NodeReward{Accrued: math.ZeroInt()}); err != nil {
		return err
	}
	if err := k.CheckIns.Set(ctx, key, now); err != nil {
		return err
	}
	return k.setDeadline(ctx, key, params.SilentAtMs(now, types.NodeLoad{}))
}
