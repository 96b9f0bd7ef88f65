package simulation

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"cosmossdk.io/collections"

	"github.com/cosmos/cosmos-sdk/testutil/simsx"
	"github.com/cosmos/cosmos-sdk/types/bech32"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/uai/keeper"
	"github.com/isuncoin/isuncoin/x/uai/types"
)

// MsgSetAccessFactory restricts an image or opens it, and grants and revokes access.
func MsgSetAccessFactory(k keeper.Keeper) simsx.SimMsgFactoryFn[*types.MsgSetAccess] {
	return func(ctx context.Context, testData *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgSetAccess) {
		image, owner, ok := anyPublishedImage(ctx, k, testData, reporter)
		if !ok {
			return nil, nil
		}
		granted := testData.AnyAccount(reporter)
		revoked := testData.AnyAccount(reporter, simsx.ExcludeAccounts(granted))
		if reporter.IsSkipped() {
			return nil, nil
		}
		return []simsx.SimAccount{owner}, &types.MsgSetAccess{
			// Restricted images starve the leases of a simulation, so they are few.
			Owner: image.Owner, Image: image.Ref(), Restricted: testData.Rand().Intn(4) == 0,
			Grant: []string{granted.AddressBech32}, Revoke: []string{revoked.AddressBech32},
		}
	}
}

// MsgAnnounceHoldingFactory announces content as the agent of some node.
func MsgAnnounceHoldingFactory(k keeper.Keeper) simsx.SimMsgFactoryFn[*types.MsgAnnounceHolding] {
	return func(ctx context.Context, testData *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgAnnounceHolding) {
		agent := anyAgent(ctx, k, testData, reporter)
		if reporter.IsSkipped() {
			return nil, nil
		}
		return []simsx.SimAccount{agent}, &types.MsgAnnounceHolding{
			Agent: agent.AddressBech32, Digests: randomDigests(testData.Rand()),
		}
	}
}

// MsgDropHoldingFactory drops content as the agent of some node.
func MsgDropHoldingFactory(k keeper.Keeper) simsx.SimMsgFactoryFn[*types.MsgDropHolding] {
	return func(ctx context.Context, testData *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgDropHolding) {
		agent := anyAgent(ctx, k, testData, reporter)
		if reporter.IsSkipped() {
			return nil, nil
		}
		return []simsx.SimAccount{agent}, &types.MsgDropHolding{
			Agent: agent.AddressBech32, Digests: randomDigests(testData.Rand()),
		}
	}
}

// MsgPutObjectFactory puts an object under one of a few names, or replaces it.
func MsgPutObjectFactory(k keeper.Keeper) simsx.SimMsgFactoryFn[*types.MsgPutObject] {
	return func(ctx context.Context, testData *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgPutObject) {
		owner := testData.AnyAccount(reporter, simsx.WithSpendableBalance())
		if reporter.IsSkipped() {
			return nil, nil
		}
		params, err := k.GetParams(ctx)
		if err != nil {
			reporter.Skip(err.Error())
			return nil, nil
		}
		count, err := k.ObjectCounts.Get(ctx, owner.Address)
		if err != nil && !errors.Is(err, collections.ErrNotFound) {
			reporter.Skip(err.Error())
			return nil, nil
		}
		r := testData.Rand()
		msg := &types.MsgPutObject{
			Owner: owner.AddressBech32, Name: fmt.Sprintf("backups/%d", r.Intn(10)),
			Digest: digest(r.Intn(20)), SizeBytes: r.Uint64InRange(1, 1<<30),
		}
		if _, err := k.GetObject(ctx, msg.Owner, msg.Name); err != nil && count >= params.MaxObjectsPerOwner {
			reporter.Skip("too many objects")
			return nil, nil
		}
		return []simsx.SimAccount{owner}, msg
	}
}

// MsgRemoveObjectFactory removes an object of an account of the simulation.
func MsgRemoveObjectFactory(k keeper.Keeper) simsx.SimMsgFactoryFn[*types.MsgRemoveObject] {
	return func(ctx context.Context, testData *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgRemoveObject) {
		var objects []types.Object
		err := k.Objects.Walk(ctx, nil, func(_ types.ObjectKey, object types.Object) (bool, error) {
			if testData.HasAccount(object.Owner) {
				objects = append(objects, object)
			}
			return false, nil
		})
		if err != nil || len(objects) == 0 {
			reporter.Skip("no objects")
			return nil, nil
		}
		object := objects[testData.Rand().Intn(len(objects))]
		return []simsx.SimAccount{testData.GetAccount(reporter, object.Owner)},
			&types.MsgRemoveObject{Owner: object.Owner, Name: object.Name}
	}
}

// MsgSetKeyHoldersFactory names who holds the key to a lease that an account may have: itself, or a node too.
func MsgSetKeyHoldersFactory(k keeper.Keeper) simsx.SimMsgFactoryFn[*types.MsgSetKeyHolders] {
	return func(ctx context.Context, testData *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgSetKeyHolders) {
		owner := testData.AnyAccount(reporter)
		if reporter.IsSkipped() {
			return nil, nil
		}
		r := testData.Rand()
		key := make([]byte, sunstypes.EncryptionKeyBytes)
		r.Read(key)
		recipient, err := bech32.ConvertAndEncode("age", key)
		if err != nil {
			reporter.Skip(err.Error())
			return nil, nil
		}
		msg := &types.MsgSetKeyHolders{
			Owner: owner.AddressBech32, Subject: fmt.Sprintf("lease/%s/%d", owner.AddressBech32, 1+r.Intn(3)), Recipient: recipient,
		}
		holder, err := k.LiveNode(ctx, testData.AnyAccount(reporter).Address)
		if err == nil && k.MayHoldKeys(ctx, holder) == nil {
			msg.Threshold, msg.Commitments = 1, [][]byte{key}
			msg.Shares = []types.KeyShare{{Node: holder, Index: 1 + uint32(r.Intn(16)), Sealed: key}}
		}
		return []simsx.SimAccount{owner}, msg
	}
}

// anyAgent draws an account that serves a live node.
func anyAgent(
	ctx context.Context, k keeper.Keeper, testData *simsx.ChainDataSource, reporter simsx.SimulationReporter,
) simsx.SimAccount {
	return testData.AnyAccount(reporter, simsx.SimAccountFilterFn(func(a simsx.SimAccount) bool {
		_, err := k.LiveNode(ctx, a.Address)
		return err == nil
	}))
}

// randomDigests draws one to three of twenty contents.
func randomDigests(r *simsx.XRand) []string {
	var digests []string
	for _, i := range r.Perm(20)[:1+r.Intn(3)] {
		digests = append(digests, digest(i))
	}
	return digests
}

func digest(i int) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte{byte(i)})) }
