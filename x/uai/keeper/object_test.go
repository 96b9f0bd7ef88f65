package keeper_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/testkit"
	"github.com/isuncoin/isuncoin/x/uai/types"
)

func (f *fixture) removeObject(owner, name string) error {
	_, err := f.Deliver(func(ctx sdk.Context) error {
		_, err := f.msg.RemoveObject(ctx, &types.MsgRemoveObject{Owner: owner, Name: name})
		return err
	})
	return err
}

func (f *fixture) references(content string) uint64 {
	f.T.Helper()
	res, err := f.query.Content(f.Ctx, &types.QueryContentRequest{Digest: digest(content)})
	require.NoError(f.T, err)
	return res.References
}

func TestOwnerPutsReplacesAndRemovesAnObject(t *testing.T) {
	f := newFixture(t)
	f.Ctx = f.Ctx.WithBlockHeight(42)
	events, err := f.Deliver(func(ctx sdk.Context) error {
		_, err := f.msg.PutObject(ctx, &types.MsgPutObject{Owner: alice, Name: "backups/db", Digest: digest("a"), SizeBytes: 7})
		return err
	})
	require.NoError(t, err)
	require.Equal(t, []types.EventObjectPut{{Owner: alice, Name: "backups/db", Digest: digest("a"), SizeBytes: 7}},
		testkit.EventsOf[types.EventObjectPut](t, events))
	res, err := f.query.Object(f.Ctx, &types.QueryObjectRequest{Owner: alice, Name: "backups/db"})
	require.NoError(t, err)
	require.Equal(t, types.Object{Owner: alice, Name: "backups/db", Digest: digest("a"), SizeBytes: 7, CreatedHeight: 42}, res.Object)
	require.EqualValues(t, 1, f.references("a"))

	require.NoError(t, f.put(alice, "backups/db", "a"), "the same content again")
	require.EqualValues(t, 1, f.references("a"))
	require.NoError(t, f.put(bob, "copy", "a"))
	require.EqualValues(t, 2, f.references("a"))
	require.NoError(t, f.put(alice, "backups/db", "b"))
	require.EqualValues(t, 1, f.references("a"))
	require.EqualValues(t, 1, f.references("b"))

	require.ErrorIs(t, f.removeObject(bob, "backups/db"), types.ErrObjectNotFound)
	require.NoError(t, f.removeObject(alice, "backups/db"))
	require.Zero(t, f.references("b"))
	require.ErrorIs(t, f.removeObject(alice, "backups/db"), types.ErrObjectNotFound)
	_, err = f.query.Object(f.Ctx, &types.QueryObjectRequest{Owner: alice, Name: "backups/db"})
	require.ErrorIs(t, err, types.ErrObjectNotFound)
}

func TestObjectsOfAnOwner(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"b", "a/2", "a/1"} {
		require.NoError(t, f.put(alice, name, name))
	}
	require.NoError(t, f.put(bob, "a/0", "x"))
	res, err := f.query.Objects(f.Ctx, &types.QueryObjectsRequest{Owner: alice})
	require.NoError(t, err)
	var names []string
	for _, object := range res.Objects {
		names = append(names, object.Name)
	}
	require.Equal(t, []string{"a/1", "a/2", "b"}, names)
	for _, req := range []*types.QueryObjectsRequest{nil, {}, {Owner: "x"}} {
		_, err := f.query.Objects(f.Ctx, req)
		require.ErrorIs(t, err, types.ErrInvalidRequest)
	}
	_, err = f.query.Object(f.Ctx, nil)
	require.ErrorIs(t, err, types.ErrInvalidRequest)
}

func TestObjectsRefused(t *testing.T) {
	f := newFixture(t)
	name := func(n string) func(*types.MsgPutObject) { return func(m *types.MsgPutObject) { m.Name = n } }
	for title, c := range map[string]struct {
		change func(*types.MsgPutObject)
		err    error
	}{
		"nothing":         {func(m *types.MsgPutObject) { *m = types.MsgPutObject{} }, types.ErrInvalidObject},
		"owner":           {func(m *types.MsgPutObject) { m.Owner = "x" }, types.ErrInvalidObject},
		"upper case":      {func(m *types.MsgPutObject) { m.Owner = strings.ToUpper(alice) }, types.ErrInvalidObject},
		"no digest":       {func(m *types.MsgPutObject) { m.Digest = "" }, types.ErrInvalidDigest},
		"no size":         {func(m *types.MsgPutObject) { m.SizeBytes = 0 }, types.ErrInvalidObject},
		"biggest":         {func(m *types.MsgPutObject) { m.SizeBytes = types.HighestMaxImageBytes }, nil},
		"too big":         {func(m *types.MsgPutObject) { m.SizeBytes = types.HighestMaxImageBytes + 1 }, types.ErrInvalidObject},
		"no name":         {name(""), types.ErrInvalidObject},
		"absolute":        {name("/etc"), types.ErrInvalidObject},
		"trailing slash":  {name("a/"), types.ErrInvalidObject},
		"empty segment":   {name("a//b"), types.ErrInvalidObject},
		"climbing":        {name("a/../b"), types.ErrInvalidObject},
		"dot":             {name("./a"), types.ErrInvalidObject},
		"zero byte":       {name("a\x00b"), types.ErrInvalidObject},
		"space":           {name("a b"), types.ErrInvalidObject},
		"not ASCII":       {name("é"), types.ErrInvalidObject},
		"too long":        {name(strings.Repeat("n", types.MaxObjectNameLength+1)), types.ErrInvalidObject},
		"longest":         {name(strings.Repeat("n", types.MaxObjectNameLength)), nil},
		"dots in a name":  {name("..a/b.tar.gz"), nil},
		"every character": {name("aZ09._-"), nil},
	} {
		t.Run(title, func(t *testing.T) {
			msg := &types.MsgPutObject{Owner: alice, Name: "a", Digest: digest("a"), SizeBytes: 1}
			c.change(msg)
			_, err := f.Deliver(func(ctx sdk.Context) error {
				_, err := f.msg.PutObject(ctx, msg)
				return err
			})
			if c.err == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, c.err)
		})
	}
	require.ErrorIs(t, f.removeObject(alice, ".."), types.ErrInvalidObject)
}

func TestOwnerKeepsAtMostItsLimit(t *testing.T) {
	f := newFixture(t)
	params := types.DefaultParams()
	params.MaxObjectsPerOwner = 3
	require.NoError(t, f.keeper.UpdateParams(f.Ctx, f.Authority.String(), params))
	for i := range 3 {
		require.NoError(t, f.put(alice, fmt.Sprint(i), "a"))
	}
	require.ErrorIs(t, f.put(alice, "3", "a"), types.ErrTooManyObjects)
	require.EqualValues(t, 3, f.references("a"))
	require.NoError(t, f.put(alice, "2", "b"), "replacing needs no room")
	require.NoError(t, f.put(bob, "3", "a"), "others have their own")
	require.NoError(t, f.removeObject(alice, "0"))
	require.NoError(t, f.put(alice, "3", "a"))
}

// Images, objects and the module above count together; the first says how big content is.
func TestReferencesAreCounted(t *testing.T) {
	f := newFixture(t)
	image := f.image(f.publish(alice, "web", "1"))
	f.publish(bob, "web", "1")
	res, err := f.query.Content(f.Ctx, &types.QueryContentRequest{Digest: image.Digest})
	require.NoError(t, err)
	require.Equal(t, &types.QueryContentResponse{Digest: image.Digest, References: 2, SizeBytes: image.SizeBytes}, res)

	_, err = f.msg.DeprecateImage(f.Ctx, &types.MsgDeprecateImage{Owner: alice, Image: image.Ref()})
	require.NoError(t, err)
	require.NoError(t, f.keeper.Reference(f.Ctx, digest("snapshot"), 5))
	require.NoError(t, f.keeper.Reference(f.Ctx, image.Digest, 5))
	res, err = f.query.Content(f.Ctx, &types.QueryContentRequest{Digest: image.Digest})
	require.NoError(t, err)
	require.EqualValues(t, 3, res.References, "a deprecated image is kept, its leases move on")
	require.Equal(t, image.SizeBytes, res.SizeBytes)
	require.NoError(t, f.keeper.CheckReferences(f.Ctx, map[string]uint64{digest("snapshot"): 1, image.Digest: 1}))
	require.Error(t, f.keeper.CheckReferences(f.Ctx, map[string]uint64{image.Digest: 1}))
	require.Error(t, f.keeper.CheckReferences(f.Ctx, map[string]uint64{digest("snapshot"): 2, image.Digest: 1}))

	require.NoError(t, f.keeper.Unreference(f.Ctx, image.Digest))
	require.NoError(t, f.keeper.Unreference(f.Ctx, digest("snapshot")))
	require.ErrorIs(t, f.keeper.Unreference(f.Ctx, digest("snapshot")), types.ErrNotReferenced)
	require.ErrorIs(t, f.keeper.Unreference(f.Ctx, "x"), types.ErrInvalidDigest)
	require.ErrorIs(t, f.keeper.Reference(f.Ctx, "x", 1), types.ErrInvalidDigest)
	require.Error(t, f.keeper.Reference(f.Ctx, digest("snapshot"), 0))
	for _, req := range []*types.QueryContentRequest{nil, {}} {
		_, err := f.query.Content(f.Ctx, req)
		require.Error(t, err)
	}
}
