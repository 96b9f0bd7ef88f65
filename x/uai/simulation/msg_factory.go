package simulation

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/cosmos/cosmos-sdk/testutil/simsx"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/uai/keeper"
	"github.com/isuncoin/isuncoin/x/uai/types"
)

// MsgPublishImageFactory publishes small images of random shape.
func MsgPublishImageFactory(k keeper.Keeper) simsx.SimMsgFactoryFn[*types.MsgPublishImage] {
	return func(ctx context.Context, testData *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgPublishImage) {
		publisher := testData.AnyAccount(reporter, simsx.WithSpendableBalance())
		params, err := k.GetParams(ctx)
		if err != nil {
			reporter.Skip(err.Error())
		}
		if reporter.IsSkipped() {
			return nil, nil
		}
		msg := randomImage(testData.Rand(), params)
		msg.Publisher = publisher.AddressBech32
		if _, err := k.GetImage(ctx, types.NewImage(msg, 0).Ref()); err == nil {
			reporter.Skip("name taken")
			return nil, nil
		}
		return []simsx.SimAccount{publisher}, msg
	}
}

func randomImage(r *simsx.XRand, params types.Params) *types.MsgPublishImage {
	name := fmt.Sprintf("app-%d", r.Intn(1000))
	msg := &types.MsgPublishImage{
		Name:      name,
		Tag:       fmt.Sprintf("v%d", r.Intn(100)),
		Digest:    fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(name))),
		SizeBytes: between(r, 1, params.MaxImageBytes),
		Platforms: types.SupportedPlatforms[r.Intn(len(types.SupportedPlatforms)):],
		Demand:    sunstypes.Demand{GeneralMilliSuns: r.Uint64InRange(100, 4000)},
		Licence:   "Apache-2.0",
		Royalty:   between(r, 0, min(params.MaxRoyalty, 1000)),
	}
	for i := range r.Intn(3) {
		msg.Ports = append(msg.Ports, types.Port{
			Name: fmt.Sprintf("port-%d", i), Protocol: types.ProtocolTCP, ContainerPort: uint32(8000 + i),
		})
	}
	if len(msg.Ports) > 0 && r.Bool() {
		msg.Health = &types.HealthCheck{
			Kind: types.HealthTCP, Port: msg.Ports[0].Name, IntervalSeconds: 10, TimeoutSeconds: 2, Retries: 3,
		}
	}
	if r.Bool() {
		classes := []string{"", types.VolumePersistent, types.VolumeScratch}
		msg.Volumes = []types.Volume{{
			Name: "data", Path: "/data", SizeMiB: r.Uint64InRange(1, 1024), Class: classes[r.Intn(len(classes))],
		}}
	}
	return msg
}

// MsgDeprecateImageFactory deprecates an image that is still published.
func MsgDeprecateImageFactory(k keeper.Keeper) simsx.SimMsgFactoryFn[*types.MsgDeprecateImage] {
	return func(ctx context.Context, testData *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgDeprecateImage) {
		image, owner, ok := anyPublishedImage(ctx, k, testData, reporter)
		if !ok {
			return nil, nil
		}
		return []simsx.SimAccount{owner}, &types.MsgDeprecateImage{Owner: image.Owner, Image: image.Ref()}
	}
}

// MsgTransferImageFactory gives an image to another account.
func MsgTransferImageFactory(k keeper.Keeper) simsx.SimMsgFactoryFn[*types.MsgTransferImage] {
	return func(ctx context.Context, testData *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgTransferImage) {
		image, owner, ok := anyPublishedImage(ctx, k, testData, reporter)
		if !ok {
			return nil, nil
		}
		to := testData.AnyAccount(reporter, simsx.ExcludeAccounts(owner))
		if reporter.IsSkipped() {
			return nil, nil
		}
		return []simsx.SimAccount{owner}, &types.MsgTransferImage{
			Owner: image.Owner, Image: image.Ref(), NewOwner: to.AddressBech32,
		}
	}
}

// anyPublishedImage draws among the images that are published and owned by an account of the simulation.
func anyPublishedImage(
	ctx context.Context, k keeper.Keeper, testData *simsx.ChainDataSource, reporter simsx.SimulationReporter,
) (image types.Image, owner simsx.SimAccount, ok bool) {
	var images []types.Image
	err := k.Images.Walk(ctx, nil, func(_ types.ImageKey, image types.Image) (bool, error) {
		if image.Status == types.IMAGE_STATUS_PUBLISHED && testData.HasAccount(image.Owner) {
			images = append(images, image)
		}
		return false, nil
	})
	if err != nil {
		reporter.Skip(err.Error())
		return image, owner, false
	}
	if len(images) == 0 {
		reporter.Skip("no images")
		return image, owner, false
	}
	image = images[testData.Rand().Intn(len(images))]
	owner = testData.GetAccount(reporter, image.Owner)
	return image, owner, !reporter.IsSkipped()
}

// MsgUpdateParamsFactory proposes params anywhere in their bounds.
func MsgUpdateParamsFactory() simsx.SimMsgFactoryFn[*types.MsgUpdateParams] {
	return func(_ context.Context, testData *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgUpdateParams) {
		return nil, &types.MsgUpdateParams{
			Authority: testData.ModuleAccountAddress(reporter, "gov"),
			Params:    randomParams(testData.Rand()),
		}
	}
}
