package keeper_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/uai/types"
)

// largestImage fills every list and text of an image.
func largestImage(publisher string) *types.MsgPublishImage {
	msg := publishMsg(publisher, strings.Repeat("n", types.MaxNameLength), strings.Repeat("t", types.MaxTagLength))
	msg.Platforms = types.SupportedPlatforms
	msg.Licence = strings.Repeat("L", types.MaxLicenceLength)
	msg.Reference = strings.Repeat("r", types.MaxReferenceLength)
	msg.Ports, msg.Volumes = nil, nil
	label := func(i int) string { return fmt.Sprintf("%0*d", types.MaxLabelLength, i) }
	for i := range types.MaxPorts {
		msg.Ports = append(msg.Ports, types.Port{Name: label(i), Protocol: types.ProtocolTCP, ContainerPort: uint32(i + 1)})
	}
	for i := range types.MaxVolumes {
		path := fmt.Sprintf("/%0*d", types.MaxPathLength-1, i)
		msg.Volumes = append(msg.Volumes, types.Volume{Name: label(i), Path: path, SizeMiB: 1})
	}
	msg.Health = &types.HealthCheck{Kind: types.HealthExec, IntervalSeconds: 60, TimeoutSeconds: 1, Retries: 1}
	for range types.MaxCommandArgs {
		msg.Health.Command = append(msg.Health.Command, strings.Repeat("w", types.MaxCommandBytes/types.MaxCommandArgs))
	}
	return msg
}

// publishGas is what publishing an image costs.
func (f *fixture) publishGas(msg *types.MsgPublishImage) uint64 {
	f.T.Helper()
	var gas uint64
	_, err := f.Deliver(func(ctx sdk.Context) error {
		_, err := f.msg.PublishImage(ctx, msg)
		gas = ctx.GasMeter().GasConsumed()
		return err
	})
	require.NoError(f.T, err)
	return gas
}

// gasPerByte is what a byte of state costs to write.
const gasPerByte = 30

// The largest image there may be pays for each of its bytes, and there is no work of a block that it could hold up.
func TestLargestImagePaysForItsBytes(t *testing.T) {
	f := newFixture(t)
	small, large := publishMsg(alice, "web", "1"), largestImage(alice)
	cheap, dear := f.publishGas(small), f.publishGas(large)
	more := uint64(large.Size() - small.Size())
	require.GreaterOrEqual(t, dear-cheap, more*gasPerByte)
	require.Less(t, large.Size(), 16<<10)
	t.Logf("%d bytes cost %d gas, %d bytes %d gas", small.Size(), cheap, large.Size(), dear)
}
