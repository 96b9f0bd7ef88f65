package keeper

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

type msgServer struct{ k *Keeper }

var _ types.MsgServer = msgServer{}

// NewMsgServer serves the messages of x/lease.
func NewMsgServer(k *Keeper) types.MsgServer { return msgServer{k} }

// CreateLease orders replicas of an image.
func (m msgServer) CreateLease(ctx context.Context, msg *types.MsgCreateLease) (*types.MsgCreateLeaseResponse, error) {
	tenant, err := sdk.AccAddressFromBech32(msg.Tenant)
	if err != nil {
		return nil, types.ErrInvalidID.Wrapf("tenant: %s", err)
	}
	image, err := m.k.orderableImage(ctx, msg.Image, tenant)
	if err != nil {
		return nil, err
	}
	params, err := m.k.Params.Get(ctx)
	if err != nil {
		return nil, err
	}
	demand := image.Demand
	if msg.Demand != nil {
		demand = *msg.Demand
	}
	if err := validateOrder(params, image, demand, msg.Replicas, msg.MaxPrice); err != nil {
		return nil, err
	}
	if err := msg.Rules.Validate(); err != nil {
		return nil, err
	}
	if len(architectures(image, msg.Rules)) == 0 {
		return nil, types.ErrInvalidRules.Wrapf("image %s runs on none of %v", image.Ref(), msg.Rules.Architectures)
	}
	if err := types.ValidateCommand(msg.Args, msg.Env); err != nil {
		return nil, err
	}
	if err := types.ValidateSnapshotPolicy(msg.SnapshotEverySeconds, msg.SnapshotKeep); err != nil {
		return nil, err
	}
	if err := types.ValidateAmount(msg.Deposit); err != nil {
		return nil, err
	}
	least := types.PeriodAtCap(msg.MaxPrice, types.Ms(params.BillingPeriod)).MulRaw(int64(msg.Replicas))
	if msg.Deposit.Amount.LT(least) {
		return nil, types.ErrDepositTooSmall.Wrapf(
			"%s uisc, but %d replicas at %d uisc per hour need at least %s uisc", msg.Deposit.Amount, msg.Replicas, msg.MaxPrice, least)
	}
	id, err := m.k.createLease(ctx, order{
		tenant: tenant, image: image, demand: demand, replicas: msg.Replicas, rules: msg.Rules, maxPrice: msg.MaxPrice,
		args: msg.Args, env: msg.Env, deposit: msg.Deposit.Amount,
		snapshotEverySeconds: msg.SnapshotEverySeconds, snapshotKeep: msg.SnapshotKeep,
	})
	if err != nil {
		return nil, err
	}
	return &types.MsgCreateLeaseResponse{Number: id.Number}, nil
}

// orderableImage finds an image that takes new leases, of this tenant.
func (k *Keeper) orderableImage(ctx context.Context, ref string, tenant sdk.AccAddress) (uaitypes.Image, error) {
	image, err := k.images.GetImage(ctx, ref)
	if err != nil {
		return image, err
	}
	if image.Status != uaitypes.IMAGE_STATUS_PUBLISHED {
		return image, types.ErrImageUnavailable.Wrapf("image %s is deprecated", ref)
	}
	return image, k.images.MayRun(ctx, image, tenant)
}

// validateOrder checks what both a new and a changed lease must satisfy.
func validateOrder(params types.Params, image uaitypes.Image, demand sunstypes.Demand, replicas uint32, maxPrice uint64) error {
	if err := demand.Validate(); err != nil {
		return types.ErrInvalidDemand.Wrap(err.Error())
	}
	if demand.GeneralMilliSuns < params.MinDemandMilliSuns {
		return types.ErrInvalidDemand.Wrapf(
			"%d milli-SUNS of general resources, at least %d", demand.GeneralMilliSuns, params.MinDemandMilliSuns)
	}
	if !demand.AtLeast(image.Demand) {
		return types.ErrInvalidDemand.Wrapf("less than image %s needs", image.Ref())
	}
	if replicas == 0 || replicas > params.MaxReplicas {
		return types.ErrInvalidReplicas.Wrapf("%d, not within 1 and %d", replicas, params.MaxReplicas)
	}
	if err := types.ValidatePrice(maxPrice); err != nil {
		return err
	}
	if maxPrice < image.Royalty {
		return types.ErrInvalidPrice.Wrapf("cap %d is below the image's royalty of %d uisc an hour", maxPrice, image.Royalty)
	}
	return nil
}

// FundLease adds to a lease's balance.
func (m msgServer) FundLease(ctx context.Context, msg *types.MsgFundLease) (*types.MsgFundLeaseResponse, error) {
	funder, err := sdk.AccAddressFromBech32(msg.Funder)
	if err != nil {
		return nil, types.ErrInvalidID.Wrapf("funder: %s", err)
	}
	if err := types.ValidateAmount(msg.Amount); err != nil {
		return nil, err
	}
	balance, err := m.k.fundLease(ctx, funder, types.LeaseID{Tenant: msg.Tenant, Number: msg.Number}, msg.Amount.Amount)
	if err != nil {
		return nil, err
	}
	return &types.MsgFundLeaseResponse{Balance: balance}, nil
}

// UpdateLease changes a lease.
func (m msgServer) UpdateLease(ctx context.Context, msg *types.MsgUpdateLease) (*types.MsgUpdateLeaseResponse, error) {
	key, lease, err := m.k.openLease(ctx, types.LeaseID{Tenant: msg.Tenant, Number: msg.Number})
	if err != nil {
		return nil, err
	}
	if msg.Replicas == 0 && msg.Demand == nil && msg.Image == "" && msg.MaxPrice == 0 &&
		msg.SnapshotEverySeconds == 0 && msg.SnapshotKeep == 0 && !msg.ClearSnapshotSchedule {
		return nil, types.ErrNothingToUpdate.Wrapf("lease %s", lease.ID)
	}
	if err := m.k.updateLease(ctx, key, &lease, msg); err != nil {
		return nil, err
	}
	return &types.MsgUpdateLeaseResponse{Revision: lease.Revision}, nil
}

// openLease finds a lease that has not ended.
func (k *Keeper) openLease(ctx context.Context, id types.LeaseID) (types.LeaseKey, types.Lease, error) {
	key, err := id.Key()
	if err != nil {
		return key, types.Lease{}, err
	}
	lease, err := k.GetLease(ctx, id)
	if err != nil {
		return key, lease, err
	}
	if !lease.Open() {
		return key, lease, types.ErrLeaseEnded.Wrapf("lease %s", id)
	}
	return key, lease, nil
}

// CloseLease closes a lease.
func (m msgServer) CloseLease(ctx context.Context, msg *types.MsgCloseLease) (*types.MsgCloseLeaseResponse, error) {
	key, lease, err := m.k.openLease(ctx, types.LeaseID{Tenant: msg.Tenant, Number: msg.Number})
	if err != nil {
		return nil, err
	}
	if err := m.k.requestClose(ctx, key, &lease, "closed by its tenant"); err != nil {
		return nil, err
	}
	return &types.MsgCloseLeaseResponse{}, nil
}

// agentPlacement finds a placement for the agent of its node.
func (k *Keeper) agentPlacement(
	ctx context.Context, agent string, id types.PlacementID,
) (types.PlacementKey, types.Placement, error) {
	addr, err := sdk.AccAddressFromBech32(agent)
	if err != nil {
		return types.PlacementKey{}, types.Placement{}, types.ErrInvalidID.Wrapf("agent: %s", err)
	}
	node, err := k.suns.NodeOfAgent(ctx, addr)
	if err != nil {
		return types.PlacementKey{}, types.Placement{}, err
	}
	key, p, err := k.GetPlacement(ctx, id)
	if err != nil {
		return key, p, err
	}
	if !p.Node.Equal(node.ID) {
		return key, p, types.ErrNotThisNode.Wrapf("placement %s is on node %s", id, p.Node)
	}
	return key, p, nil
}

// StartPlacement says that a placement runs.
func (m msgServer) StartPlacement(ctx context.Context, msg *types.MsgStartPlacement) (*types.MsgStartPlacementResponse, error) {
	if err := types.ValidateEndpoints(msg.Endpoints); err != nil {
		return nil, err
	}
	key, p, err := m.k.agentPlacement(ctx, msg.Agent, msg.ID)
	if err != nil {
		return nil, err
	}
	if err := m.k.startPlacement(ctx, key, p, msg.Endpoints); err != nil {
		return nil, err
	}
	return &types.MsgStartPlacementResponse{}, nil
}

// RejectPlacement says that a node cannot run a placement.
func (m msgServer) RejectPlacement(ctx context.Context, msg *types.MsgRejectPlacement) (*types.MsgRejectPlacementResponse, error) {
	if err := types.ValidateReason(msg.Reason); err != nil {
		return nil, err
	}
	key, p, err := m.k.agentPlacement(ctx, msg.Agent, msg.ID)
	if err != nil {
		return nil, err
	}
	if err := m.k.requestEnd(ctx, key, p, types.END_REASON_REJECTED, msg.Reason); err != nil {
		return nil, err
	}
	err = emit(ctx, &types.EventPlacementRejected{
		Tenant: p.ID.Tenant, Number: p.ID.Number, Replica: p.ID.Replica, Generation: p.ID.Generation, Reason: msg.Reason,
	})
	if err != nil {
		return nil, err
	}
	return &types.MsgRejectPlacementResponse{}, nil
}

// MigratePlacement moves a replica to another node.
func (m msgServer) MigratePlacement(ctx context.Context, msg *types.MsgMigratePlacement) (*types.MsgMigratePlacementResponse, error) {
	_, lease, err := m.k.openLease(ctx, types.LeaseID{Tenant: msg.Tenant, Number: msg.Number})
	if err != nil {
		return nil, err
	}
	if lease.Rules.Node != nil {
		return nil, types.ErrNothingToMigrate.Wrapf("lease %s may run on node %s alone", lease.ID, lease.Rules.Node)
	}
	key, p, err := m.k.replicaPlacement(ctx, lease.ID, msg.Replica)
	if err != nil {
		return nil, err
	}
	if err := m.k.requestEnd(ctx, key, p, types.END_REASON_MIGRATED, ""); err != nil {
		return nil, err
	}
	return &types.MsgMigratePlacementResponse{}, nil
}

// RequestSnapshot asks for a snapshot of all replicas.
func (m msgServer) RequestSnapshot(ctx context.Context, msg *types.MsgRequestSnapshot) (*types.MsgRequestSnapshotResponse, error) {
	if err := m.k.requestSnapshot(ctx, types.LeaseID{Tenant: msg.Tenant, Number: msg.Number}); err != nil {
		return nil, err
	}
	return &types.MsgRequestSnapshotResponse{}, nil
}

// RecordSnapshot keeps a snapshot of a placement.
func (m msgServer) RecordSnapshot(ctx context.Context, msg *types.MsgRecordSnapshot) (*types.MsgRecordSnapshotResponse, error) {
	key, p, err := m.k.agentPlacement(ctx, msg.Agent, msg.Placement)
	if err != nil {
		return nil, err
	}
	sequence, err := m.k.recordSnapshot(ctx, key, p, types.Snapshot{
		Digest: msg.Digest, SizeBytes: msg.SizeBytes, TakenMs: msg.TakenMs,
	})
	if err != nil {
		return nil, err
	}
	return &types.MsgRecordSnapshotResponse{Sequence: sequence}, nil
}

// RemoveSnapshot keeps a snapshot no longer; of a lease that has ended too.
func (m msgServer) RemoveSnapshot(ctx context.Context, msg *types.MsgRemoveSnapshot) (*types.MsgRemoveSnapshotResponse, error) {
	id := types.LeaseID{Tenant: msg.Tenant, Number: msg.Number}
	if err := m.k.removeSnapshot(ctx, id, msg.Replica, msg.Sequence); err != nil {
		return nil, err
	}
	return &types.MsgRemoveSnapshotResponse{}, nil
}

// RestoreSnapshot has a replica begin anew with a snapshot.
func (m msgServer) RestoreSnapshot(ctx context.Context, msg *types.MsgRestoreSnapshot) (*types.MsgRestoreSnapshotResponse, error) {
	id := types.LeaseID{Tenant: msg.Tenant, Number: msg.Number}
	if err := m.k.restoreSnapshot(ctx, id, msg.Replica, msg.Sequence); err != nil {
		return nil, err
	}
	return &types.MsgRestoreSnapshotResponse{}, nil
}

// UpdateParams changes the params.
func (m msgServer) UpdateParams(ctx context.Context, msg *types.MsgUpdateParams) (*types.MsgUpdateParamsResponse, error) {
	if msg.Authority != m.k.authority {
		return nil, types.ErrUnauthorized.Wrapf("params are changed by %s, not by %.100q", m.k.authority, msg.Authority)
	}
	if err := msg.Params.Validate(); err != nil {
		return nil, err
	}
	if err := m.k.Params.Set(ctx, msg.Params); err != nil {
		return nil, err
	}
	if err := emit(ctx, &types.EventParamsUpdated{Authority: msg.Authority}); err != nil {
		return nil, err
	}
	return &types.MsgUpdateParamsResponse{}, nil
}

// RetryQuarantined puts an item of the quarantine back into its queue.
func (m msgServer) RetryQuarantined(
	ctx context.Context, msg *types.MsgRetryQuarantined,
) (*types.MsgRetryQuarantinedResponse, error) {
	if msg.Authority != m.k.authority {
		return nil, types.ErrUnauthorized.Wrapf("items are retried by %s, not by %.100q", m.k.authority, msg.Authority)
	}
	item, err := m.k.Quarantine.Retry(ctx, msg.Number, m.k.returners()...)
	if err != nil {
		return nil, err
	}
	if err := emit(ctx, &types.EventQuarantinedItemRetried{
		Number: item.Number, Queue: item.Queue, Item: item.Item,
	}); err != nil {
		return nil, err
	}
	return &types.MsgRetryQuarantinedResponse{}, nil
}
