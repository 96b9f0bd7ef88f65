package keeper_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/bech32"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
	"github.com/isuncoin/isuncoin/x/uai/types"
)

var recipient = func() string {
	text, err := bech32.ConvertAndEncode("age", testkit.Digest("recipient"))
	if err != nil {
		panic(err)
	}
	return text
}()

// holdersOf names carol's first node as the holder of a key of bob's.
func holdersOf(subject string) *types.MsgSetKeyHolders {
	return &types.MsgSetKeyHolders{
		Owner: bob, Subject: subject, Recipient: recipient, Threshold: 1,
		Shares:      []types.KeyShare{{Node: sunstypes.NewNodeID(testkit.Addr("carol"), 1), Index: 3, Sealed: []byte("sealed")}},
		Commitments: [][]byte{testkit.Digest("commitment")},
	}
}

func (f *fixture) setKeyHolders(msg *types.MsgSetKeyHolders) error {
	_, err := f.Deliver(func(ctx sdk.Context) error {
		_, err := f.msg.SetKeyHolders(ctx, msg)
		return err
	})
	return err
}

// holderFixture has a node that keys can be sealed to.
func holderFixture(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.node("carol", 1, sunstypes.NODE_STATUS_ACTIVE)
	require.NoError(t, f.suns.SetContact(f.Ctx, testkit.Addr("agent of carol/1"), testkit.Digest("key"), nil))
	return f
}

func TestOwnerSaysWhoHoldsTheKey(t *testing.T) {
	f := holderFixture(t)
	image := "image/" + f.publish(bob, "web", "1")
	for _, subject := range []string{image, "lease/" + bob + "/7"} {
		msg := holdersOf(subject)
		require.NoError(t, f.setKeyHolders(msg))
		want := types.KeyHolders{
			Subject: subject, Owner: bob, Recipient: recipient, Threshold: 1, Shares: msg.Shares, Commitments: msg.Commitments, Revision: 1,
		}
		res, err := f.query.KeyHolders(f.Ctx, &types.QueryKeyHoldersRequest{Subject: subject})
		require.NoError(t, err)
		require.Equal(t, want, res.KeyHolders)

		// The owner keeps the key alone.
		require.NoError(t, f.setKeyHolders(&types.MsgSetKeyHolders{Owner: bob, Subject: subject, Recipient: recipient}))
		res, err = f.query.KeyHolders(f.Ctx, &types.QueryKeyHoldersRequest{Subject: subject})
		require.NoError(t, err)
		require.EqualValues(t, 2, res.KeyHolders.Revision)
		require.Empty(t, res.KeyHolders.Shares)

		require.NoError(t, f.setKeyHolders(&types.MsgSetKeyHolders{Owner: bob, Subject: subject}))
		_, err = f.query.KeyHolders(f.Ctx, &types.QueryKeyHoldersRequest{Subject: subject})
		require.ErrorIs(t, err, types.ErrKeyHoldersNotFound)
		require.ErrorIs(t, f.setKeyHolders(&types.MsgSetKeyHolders{Owner: bob, Subject: subject}), types.ErrKeyHoldersNotFound)
	}
	_, err := f.query.KeyHolders(f.Ctx, nil)
	require.ErrorIs(t, err, types.ErrInvalidRequest)
}

func TestKeyHoldersRefused(t *testing.T) {
	f := holderFixture(t)
	f.node("carol", 2, sunstypes.NODE_STATUS_ACTIVE)
	f.node("carol", 3, sunstypes.NODE_STATUS_RETIRED)
	image := "image/" + f.publish(alice, "web", "1")
	subject := func(s string) func(*types.MsgSetKeyHolders) {
		return func(m *types.MsgSetKeyHolders) { m.Subject = s }
	}
	to := func(r string) func(*types.MsgSetKeyHolders) {
		return func(m *types.MsgSetKeyHolders) { m.Recipient = r }
	}
	node := func(n uint64) func(*types.MsgSetKeyHolders) {
		return func(m *types.MsgSetKeyHolders) { m.Shares[0].Node.Number = n }
	}
	zero, err := bech32.ConvertAndEncode("age", make([]byte, 32))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		change func(*types.MsgSetKeyHolders)
		err    error
	}{
		"nothing":             {func(m *types.MsgSetKeyHolders) { *m = types.MsgSetKeyHolders{} }, types.ErrInvalidSubject},
		"no kind":             {subject("object/" + bob + "/1"), types.ErrInvalidSubject},
		"no number":           {subject("lease/" + bob), types.ErrInvalidSubject},
		"lease 0":             {subject("lease/" + bob + "/0"), types.ErrInvalidSubject},
		"lease 01":            {subject("lease/" + bob + "/01"), types.ErrInvalidSubject},
		"tenant in capitals":  {subject("lease/" + strings.ToUpper(bob) + "/1"), types.ErrInvalidSubject},
		"image without a tag": {subject("image/" + bob + "/web"), types.ErrInvalidSubject},
		"no image":            {subject("image/" + bob + "/web:1"), types.ErrImageNotFound},
		"another's image":     {subject(image), types.ErrNotOwner},
		"another's lease":     {subject("lease/" + alice + "/1"), types.ErrNotTenant},
		"no recipient":        {to(""), types.ErrKeyHoldersNotFound},
		"no key":              {to("age1"), types.ErrInvalidKeyHolders},
		"an address":          {to(alice), types.ErrInvalidKeyHolders},
		"capitals":            {to(strings.ToUpper(recipient)), types.ErrInvalidKeyHolders},
		"zero key":            {to(zero), types.ErrInvalidKeyHolders},
		"threshold 0":         {func(m *types.MsgSetKeyHolders) { m.Threshold, m.Commitments = 0, nil }, types.ErrInvalidKeyHolders},
		"threshold above":     {func(m *types.MsgSetKeyHolders) { m.Threshold = 2 }, types.ErrInvalidKeyHolders},
		"threshold beyond":    {func(m *types.MsgSetKeyHolders) { m.Threshold = ^uint32(0) }, types.ErrInvalidKeyHolders},
		"no commitment":       {func(m *types.MsgSetKeyHolders) { m.Commitments = nil }, types.ErrInvalidKeyHolders},
		"short commitment":    {func(m *types.MsgSetKeyHolders) { m.Commitments[0] = []byte{1} }, types.ErrInvalidKeyHolders},
		"index 0":             {func(m *types.MsgSetKeyHolders) { m.Shares[0].Index = 0 }, types.ErrInvalidKeyHolders},
		"nothing sealed":      {func(m *types.MsgSetKeyHolders) { m.Shares[0].Sealed = nil }, types.ErrInvalidKeyHolders},
		"too much sealed":     {func(m *types.MsgSetKeyHolders) { m.Shares[0].Sealed = make([]byte, 513) }, types.ErrInvalidKeyHolders},
		"most sealed":         {func(m *types.MsgSetKeyHolders) { m.Shares[0].Sealed = make([]byte, 512) }, nil},
		"node twice":          {func(m *types.MsgSetKeyHolders) { m.Shares = append(m.Shares, m.Shares[0]) }, types.ErrInvalidKeyHolders},
		"too many shares":     {func(m *types.MsgSetKeyHolders) { m.Shares = make([]types.KeyShare, 17) }, types.ErrInvalidKeyHolders},
		"node 0":              {node(0), types.ErrInvalidKeyHolders},
		"node without a key":  {node(2), sunstypes.ErrContactNotFound},
		"retired node":        {node(3), types.ErrInvalidKeyHolders},
		"no node":             {node(4), sunstypes.ErrNodeNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			msg := holdersOf("lease/" + bob + "/7")
			if c.err == nil {
				msg.Subject = "lease/" + bob + "/8" // nobody holds the other's key, in whatever order the cases come
			}
			c.change(msg)
			if err := f.setKeyHolders(msg); c.err != nil {
				require.ErrorIs(t, err, c.err)
			} else {
				require.NoError(t, err)
			}
		})
	}
	require.ErrorIs(t, f.setKeyHolders(&types.MsgSetKeyHolders{Owner: bob, Subject: "lease/" + bob + "/8", Threshold: 1}),
		types.ErrInvalidKeyHolders, "nobody holds shares of nothing")
}
