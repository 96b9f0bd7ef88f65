package keeper_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/isuncoin/isuncoin/x/testkit"
	"github.com/isuncoin/isuncoin/x/uai/types"
)

func (f *fixture) setAccess(msg *types.MsgSetAccess) error {
	_, err := f.Deliver(func(ctx sdk.Context) error {
		_, err := f.msg.SetAccess(ctx, msg)
		return err
	})
	return err
}

func (f *fixture) mayRun(ref, name string) error {
	return f.keeper.MayRun(f.Ctx, f.image(ref), testkit.Addr(name))
}

func TestRestrictedImageIsForItsOwnerAndWhomItGrants(t *testing.T) {
	f := newFixture(t)
	ref := f.publish(alice, "web", "1")
	require.NoError(t, f.mayRun(ref, "bob"))

	events, err := f.Deliver(func(ctx sdk.Context) error {
		_, err := f.msg.SetAccess(ctx, &types.MsgSetAccess{Owner: alice, Image: ref, Restricted: true, Grant: []string{bob}})
		return err
	})
	require.NoError(t, err)
	require.Equal(t, []types.EventAccessSet{{Image: ref, Restricted: true}}, testkit.EventsOf[types.EventAccessSet](t, events))
	require.Equal(t, []types.EventAccessGranted{{Image: ref, Grantee: bob}},
		testkit.EventsOf[types.EventAccessGranted](t, events))
	require.NoError(t, f.mayRun(ref, "alice"))
	require.NoError(t, f.mayRun(ref, "bob"))
	require.ErrorIs(t, f.mayRun(ref, "carol"), types.ErrNotAllowed)

	require.NoError(t, f.setAccess(&types.MsgSetAccess{Owner: alice, Image: ref, Restricted: true, Revoke: []string{bob}}))
	require.ErrorIs(t, f.mayRun(ref, "bob"), types.ErrNotAllowed)

	_, err = f.msg.TransferImage(f.Ctx, &types.MsgTransferImage{Owner: alice, Image: ref, NewOwner: bob})
	require.NoError(t, err)
	require.NoError(t, f.mayRun(ref, "bob"))
	require.ErrorIs(t, f.mayRun(ref, "alice"), types.ErrNotAllowed, "the publisher owns it no more")

	require.NoError(t, f.setAccess(&types.MsgSetAccess{Owner: bob, Image: ref}))
	require.NoError(t, f.mayRun(ref, "alice"))
}

func TestImageMayBePublishedRestricted(t *testing.T) {
	f := newFixture(t)
	msg := publishMsg(alice, "web", "1")
	msg.Restricted = true
	response, err := f.msg.PublishImage(f.Ctx, msg)
	require.NoError(t, err)
	require.ErrorIs(t, f.mayRun(response.Image, "bob"), types.ErrNotAllowed)
}

// An order of an image that everybody may run costs no read more.
func TestAccessToAnOpenImageReadsNothing(t *testing.T) {
	f := newFixture(t)
	image := f.image(f.publish(alice, "web", "1"))
	ctx := f.Ctx.WithGasMeter(storetypes.NewInfiniteGasMeter())
	require.NoError(t, f.keeper.MayRun(ctx, image, testkit.Addr("bob")))
	require.Zero(t, ctx.GasMeter().GasConsumed())
}

func TestSetAccessRefused(t *testing.T) {
	f := newFixture(t)
	ref := f.publish(alice, "web", "1")
	for name, c := range map[string]struct {
		change func(*types.MsgSetAccess)
		err    error
	}{
		"nothing":             {func(m *types.MsgSetAccess) { *m = types.MsgSetAccess{} }, types.ErrInvalidImageID},
		"another's image":     {func(m *types.MsgSetAccess) { m.Owner = bob }, types.ErrNotOwner},
		"no image":            {func(m *types.MsgSetAccess) { m.Image = alice + "/web:2" }, types.ErrImageNotFound},
		"no address":          {func(m *types.MsgSetAccess) { m.Grant = []string{""} }, types.ErrInvalidAccess},
		"another chain's":     {func(m *types.MsgSetAccess) { m.Grant = []string{"cosmos1qyqszqgpqyqszqgpqyqszqgpqyqszqgpjnp7du"} }, types.ErrInvalidAccess},
		"upper case":          {func(m *types.MsgSetAccess) { m.Revoke = []string{strings.ToUpper(bob)} }, types.ErrInvalidAccess},
		"twice":               {func(m *types.MsgSetAccess) { m.Grant = []string{bob, bob} }, types.ErrInvalidAccess},
		"granted and revoked": {func(m *types.MsgSetAccess) { m.Grant, m.Revoke = []string{bob}, []string{bob} }, types.ErrInvalidAccess},
		"too many grants":     {func(m *types.MsgSetAccess) { m.Grant = people(types.MaxAddresses + 1) }, types.ErrInvalidAccess},
		"too many revoked":    {func(m *types.MsgSetAccess) { m.Revoke = people(types.MaxAddresses + 1) }, types.ErrInvalidAccess},
		"most":                {func(m *types.MsgSetAccess) { m.Grant = people(types.MaxAddresses) }, nil},
		"revoked unasked":     {func(m *types.MsgSetAccess) { m.Revoke = people(1) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			msg := &types.MsgSetAccess{Owner: alice, Image: ref, Restricted: true}
			c.change(msg)
			if err := f.setAccess(msg); c.err != nil {
				require.ErrorIs(t, err, c.err)
			} else {
				require.NoError(t, err)
			}
		})
	}
}

func people(n int) (addresses []string) {
	for i := range n {
		addresses = append(addresses, testkit.Addr(fmt.Sprintf("person %d", i)).String())
	}
	return addresses
}

func TestQueryAccess(t *testing.T) {
	f := newFixture(t)
	ref, other := f.publish(alice, "web", "1"), f.publish(alice, "web", "10")
	require.NoError(t, f.setAccess(&types.MsgSetAccess{Owner: alice, Image: ref, Restricted: true, Grant: people(3)}))
	require.NoError(t, f.setAccess(&types.MsgSetAccess{Owner: alice, Image: other, Grant: []string{bob}}))

	first, err := f.query.Access(f.Ctx, &types.QueryAccessRequest{Image: ref, Pagination: &query.PageRequest{Limit: 2}})
	require.NoError(t, err)
	require.True(t, first.Restricted)
	rest, err := f.query.Access(f.Ctx, &types.QueryAccessRequest{
		Image: ref, Pagination: &query.PageRequest{Key: first.Pagination.NextKey},
	})
	require.NoError(t, err)
	require.ElementsMatch(t, people(3), append(first.Grantees, rest.Grantees...))

	_, err = f.query.Access(f.Ctx, nil)
	require.ErrorIs(t, err, types.ErrInvalidRequest)
	_, err = f.query.Access(f.Ctx, &types.QueryAccessRequest{Image: alice + "/web:2"})
	require.ErrorIs(t, err, types.ErrImageNotFound)
	_, err = f.query.Access(f.Ctx, &types.QueryAccessRequest{Image: ref, Pagination: &query.PageRequest{CountTotal: true}})
	require.Error(t, err)
}
