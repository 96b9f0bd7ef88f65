package keeper_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"

	sunskeeper "github.com/isuncoin/isuncoin/x/suns/keeper"
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
	suns   *sunskeeper.Keeper
	keeper keeper.Keeper
	msg    types.MsgServer
	query  types.QueryServer
}

// newFixture is a chain with x/uai in its default state, whose invariants are checked after every block and at the end.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{Fixture: testkit.New(t, testkit.Options{
		StoreKeys:  []string{sunstypes.StoreKey, types.StoreKey},
		Interfaces: []func(codectypes.InterfaceRegistry){types.RegisterInterfaces},
	})}
	authority := f.Authority.String()
	f.suns = sunskeeper.NewKeeper(f.Codec, f.Store(sunstypes.StoreKey), f.Accounts, f.Bank, authority)
	f.keeper = keeper.NewKeeper(f.Codec, f.Store(types.StoreKey), f.Bank, f.suns, authority)
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

// node puts a node of an operator where x/suns keeps them, and gives its id and agent. x/uai asks no more of it than that.
func (f *fixture) node(operator string, number uint64, status sunstypes.NodeStatus) (sunstypes.NodeID, string) {
	f.T.Helper()
	agent := testkit.Addr(fmt.Sprintf("agent of %s/%d", operator, number)).String()
	node := sunstypes.Node{
		ID: sunstypes.NewNodeID(testkit.Addr(operator), number), Agent: agent, Status: status, Bond: math.ZeroInt(),
	}
	key, err := node.ID.Key()
	require.NoError(f.T, err)
	require.NoError(f.T, f.suns.Nodes.Set(f.Ctx, key, node))
	return node.ID, agent
}

// goes removes a node.
func (f *fixture) goes(id sunstypes.NodeID) {
	f.T.Helper()
	key, err := id.Key()
	require.NoError(f.T, err)
	require.NoError(f.T, f.suns.Nodes.Remove(f.Ctx, key))
}

// digest names some content.
func digest(of string) string { return "sha256:" + hex.EncodeToString(testkit.Digest(of)) }

// fillContent puts something into every record beside the image.
func (f *fixture) fillContent(ref string) {
	f.T.Helper()
	_, agent := f.node("carol", 1, sunstypes.NODE_STATUS_ACTIVE)
	_, gone := f.node("carol", 2, sunstypes.NODE_STATUS_DRAINING)
	for _, msg := range []func() error{
		func() error {
			_, err := f.msg.SetAccess(f.Ctx, &types.MsgSetAccess{
				Owner: f.image(ref).Owner, Image: ref, Restricted: true, Grant: []string{bob, alice},
			})
			return err
		},
		func() error { return f.put(alice, "backups/db", "a") },
		func() error { return f.put(bob, "backups/db", "a") },
		func() error { return f.put(bob, "x", "b") },
		func() error { return f.announce(agent, "a", "b") },
		func() error { return f.announce(gone, "b") },
		func() error {
			return f.suns.SetContact(f.Ctx, testkit.Addr("agent of carol/1"), testkit.Digest("key"), nil)
		},
		func() error { return f.setKeyHolders(holdersOf("lease/" + bob + "/7")) },
	} {
		require.NoError(f.T, msg())
	}
}

func (f *fixture) announce(agent string, contents ...string) error {
	msg := &types.MsgAnnounceHolding{Agent: agent}
	for _, content := range contents {
		msg.Digests = append(msg.Digests, digest(content))
	}
	_, err := f.Deliver(func(ctx sdk.Context) error {
		_, err := f.msg.AnnounceHolding(ctx, msg)
		return err
	})
	return err
}

func (f *fixture) drop(signer string, node *sunstypes.NodeID, contents ...string) error {
	msg := &types.MsgDropHolding{Agent: signer, Node: node}
	for _, content := range contents {
		msg.Digests = append(msg.Digests, digest(content))
	}
	_, err := f.Deliver(func(ctx sdk.Context) error {
		_, err := f.msg.DropHolding(ctx, msg)
		return err
	})
	return err
}

func (f *fixture) put(owner, name, content string) error {
	_, err := f.Deliver(func(ctx sdk.Context) error {
		_, err := f.msg.PutObject(ctx, &types.MsgPutObject{
			Owner: owner, Name: name, Digest: digest(content), SizeBytes: uint64(len(name)),
		})
		return err
	})
	return err
}
