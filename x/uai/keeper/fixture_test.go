package keeper_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
	"github.com/isuncoin/isuncoin/x/uai/keeper"
	"github.com/isuncoin/isuncoin/x/uai/types"
)

var (
	alice = testkit.Addr("alice").String()
	bob   = testkit.Addr("bob").String()
)

type fixture struct {
	*testkit.Fixture
	keeper keeper.Keeper
	msg    types.MsgServer
	query  types.QueryServer
}

// newFixture is a chain with x/uai in its default state, whose invariants are checked after every block and at the end.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{Fixture: testkit.New(t, testkit.Options{
		StoreKeys:  []string{types.StoreKey},
		Interfaces: []func(codectypes.InterfaceRegistry){types.RegisterInterfaces},
	})}
	f.keeper = keeper.NewKeeper(f.Codec, f.Store(types.StoreKey), f.Bank, f.Authority.String())
	f.msg = keeper.NewMsgServer(f.keeper)
	f.query = keeper.NewQueryServer(f.keeper)
	require.NoError(t, f.keeper.InitGenesis(f.Ctx, *types.DefaultGenesis()))
	f.OnBlockDone(f.keeper.AllInvariants)
	t.Cleanup(func() { require.NoError(t, f.keeper.AllInvariants(f.Ctx)) })
	return f
}

func publishMsg(publisher, name, tag string) *types.MsgPublishImage {
	return &types.MsgPublishImage{
		Publisher: publisher,
		Name:      name,
		Tag:       tag,
		Digest:    "sha256:" + strings.Repeat("0a", 32),
		SizeBytes: 1 << 20,
		Platforms: []string{"linux/amd64"},
		Demand:    sunstypes.Demand{GeneralMilliSuns: 500},
		Ports:     []types.Port{{Name: "web", Protocol: types.ProtocolHTTP, ContainerPort: 8080}},
		Licence:   "Apache-2.0",
		Royalty:   7,
	}
}

// publish publishes and gives the reference.
func (f *fixture) publish(publisher, name, tag string) string {
	f.T.Helper()
	var ref string
	_, err := f.Deliver(func(ctx sdk.Context) error {
		response, err := f.msg.PublishImage(ctx, publishMsg(publisher, name, tag))
		if err == nil {
			ref = response.Image
		}
		return err
	})
	require.NoError(f.T, err)
	return ref
}

func (f *fixture) image(ref string) types.Image {
	f.T.Helper()
	image, err := f.keeper.GetImage(f.Ctx, ref)
	require.NoError(f.T, err)
	return image
}
