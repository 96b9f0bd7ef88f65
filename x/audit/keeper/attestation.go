package keeper

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// attestResult is what an attestation brought.
type attestResult struct {
	creditedMs uint64
	skipped    uint32
}

// attest takes what an agent says of its node's placements, and counts it as a check-in. It writes only records of the node
// and of its placements. One bad entry fails all of them, so that a worker sees its mistake at once; entries of placements
// that have settled are the exception, since a worker cannot know that before it reads the chain.
func (k Keeper) attest(ctx context.Context, msg *types.MsgAttestUsage) (attestResult, error) {
	keys, err := msg.Validate()
	if err != nil {
		return attestResult{}, err
	}
	agent, err := sdk.AccAddressFromBech32(msg.Agent)
	if err != nil {
		return attestResult{}, types.ErrInvalidRequest.Wrapf("agent %.100q: %s", msg.Agent, err)
	}
	node, err := k.suns.NodeOfAgent(ctx, agent)
	if err != nil {
		return attestResult{}, err
	}
	if err := k.advanceSequence(ctx, node.ID, msg.Sequence); err != nil {
		return attestResult{}, err
	}
	result, err := k.recordUsage(ctx, node.ID, keys, msg.Entries)
	if err != nil {
		return attestResult{}, err
	}
	if node.Live() { // a retired node attests what it served up to its end, and is no longer expected to be alive
		if err := k.suns.RecordCheckIn(ctx, node.ID); err != nil {
			return attestResult{}, err
		}
	}
	return result, emit(ctx, &types.EventUsageAttested{
		Operator: node.ID.Operator, Node: node.ID.Number, Sequence: msg.Sequence,
		Entries: uint32(len(msg.Entries)), CreditedMs: result.creditedMs,
	})
}

// advanceSequence refuses what was attested before: a message that is sent again, or overtaken by a later one.
func (k Keeper) advanceSequence(ctx context.Context, id sunstypes.NodeID, sequence uint64) error {
	key, err := id.Key()
	if err != nil {
		return err
	}
	last, err := k.attestation(ctx, key)
	if err != nil {
		return err
	}
	if sequence <= last.Sequence {
		return types.ErrStaleSequence.Wrapf("node %s: sequence %d, last was %d", id, sequence, last.Sequence)
	}
	now, err := k.suns.NowMs(ctx)
	if err != nil {
		return err
	}
	return k.Attestations.Set(ctx, key, types.NodeAttestation{Sequence: sequence, AttestedMs: now})
}

// recordUsage credits and stores the entries. The leases are asked first: what they say of a settled placement holds even if
// the worker has lost its count of it.
func (k Keeper) recordUsage(
	ctx context.Context, node sunstypes.NodeID, keys []leasetypes.PlacementKey, entries []types.UsageEntry,
) (result attestResult, err error) {
	claims := make([]leasetypes.Claim, len(entries))
	for i, entry := range entries {
		claims[i] = leasetypes.Claim{Placement: keys[i], ServedMs: entry.ServedMs}
	}
	credits, err := k.leases.CreditServices(ctx, node, claims)
	if err != nil {
		return result, err
	}
	record, err := k.openUsage(ctx, node)
	if err != nil {
		return result, err
	}
	for i, entry := range entries {
		if credits[i].Settled {
			result.skipped++
			err = emitSkipped(ctx, keys[i])
		} else {
			result.creditedMs += credits[i].Ms
			err = k.note(ctx, &record, keys[i], entry)
		}
		if err != nil {
			return result, err
		}
	}
	return result, k.saveUsage(ctx, record)
}

// attestation is where a node's attestations stand; sequence 0 when it never attested.
func (k Keeper) attestation(ctx context.Context, key sunstypes.NodeKey) (types.NodeAttestation, error) {
	attestation, err := k.Attestations.Get(ctx, key)
	return orElse(attestation, err, types.NodeAttestation{})
}

func emitSkipped(ctx context.Context, key leasetypes.PlacementKey) error {
	return emit(ctx, &types.EventEntrySkipped{
		Tenant: key.K1().String(), Number: key.K2(), Replica: key.K3(), Generation: key.K4(),
	})
}
