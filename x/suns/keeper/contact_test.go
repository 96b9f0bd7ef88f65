package keeper_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// contactOf is a valid message of the agent of an operator's node.
func contactOf(operator string, number uint64) *types.MsgSetContact {
	return &types.MsgSetContact{
		Agent:         testkit.Addr(agentName(operator, number)).String(),
		EncryptionKey: testkit.Digest("key of " + operator),
		Addresses:     []string{"/ip4/203.0.113.7/udp/8444/quic-v1", "/dns4/gw.example/tcp/8444"},
	}
}

func (f *fixture) setContact(msg *types.MsgSetContact) error {
	_, err := deliver(f, f.msgs.SetContact, msg)
	return err
}

func (f *fixture) contact(id types.NodeID) (types.Contact, error) {
	res, err := f.query.Contact(f.Ctx, &types.QueryContactRequest{Operator: id.Operator, Number: id.Number})
	if err != nil {
		return types.Contact{}, err
	}
	return res.Contact, nil
}

func TestAgentSetsTheContactOfItsNode(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1)
	before := f.node(id)
	_, err := f.contact(id)
	requireCode(t, codes.NotFound, err)

	msg := contactOf("alice", 1)
	_, events, err := deliverEvents(f, f.msgs.SetContact, msg)
	require.NoError(t, err)
	require.Equal(t, []types.EventContactSet{{Operator: id.Operator, Number: 1}},
		testkit.EventsOf[types.EventContactSet](t, events))
	contact, err := f.contact(id)
	require.NoError(t, err)
	require.Equal(t, types.Contact{Node: id, EncryptionKey: msg.EncryptionKey, Addresses: msg.Addresses}, contact)
	require.Equal(t, before, f.node(id), "the node's own record stays")

	msg.Addresses = nil
	require.NoError(t, f.setContact(msg), "a node that serves nobody")
	contact, err = f.contact(id)
	require.NoError(t, err)
	require.Empty(t, contact.Addresses)
}

func TestContactRefused(t *testing.T) {
	f := newFixture(t)
	f.register("alice", 1)
	address := func(a ...string) func(*types.MsgSetContact) {
		return func(m *types.MsgSetContact) { m.Addresses = a }
	}
	key := func(k []byte) func(*types.MsgSetContact) {
		return func(m *types.MsgSetContact) { m.EncryptionKey = k }
	}
	one := append([]byte{1}, make([]byte, 31)...)
	for name, c := range map[string]struct {
		change func(*types.MsgSetContact)
		err    error
	}{
		"nothing":           {func(m *types.MsgSetContact) { *m = types.MsgSetContact{} }, types.ErrAgentUnknown},
		"operator":          {func(m *types.MsgSetContact) { m.Agent = testkit.Addr("alice").String() }, types.ErrAgentUnknown},
		"no key":            {key(nil), types.ErrInvalidContact},
		"short key":         {key(make([]byte, 31)), types.ErrInvalidContact},
		"long key":          {key(bytes.Repeat([]byte{9}, 33)), types.ErrInvalidContact},
		"zero key":          {key(make([]byte, 32)), types.ErrInvalidContact},
		"small order key":   {key(one), types.ErrInvalidContact},
		"empty address":     {address(""), types.ErrInvalidContact},
		"host and port":     {address("gw.example:8444"), types.ErrInvalidContact},
		"control character": {address("/ip4/1.2.3.4/tcp/1\x1b[2J"), types.ErrInvalidContact},
		"not ASCII":         {address("/dns4/gwé/tcp/1"), types.ErrInvalidContact},
		"trailing space":    {address("/ip4/1.2.3.4/tcp/1 "), types.ErrInvalidContact},
		"twice":             {address("/ip4/1.2.3.4/tcp/1", "/ip4/1.2.3.4/tcp/1"), types.ErrInvalidContact},
		"too long":          {address("/" + strings.Repeat("a", 256)), types.ErrInvalidContact},
		"too many":          {address(addresses(9)...), types.ErrInvalidContact},
		"longest":           {address("/" + strings.Repeat("a", 255)), nil},
		"most":              {address(addresses(8)...), nil},
	} {
		t.Run(name, func(t *testing.T) {
			msg := contactOf("alice", 1)
			c.change(msg)
			if err := f.setContact(msg); c.err != nil {
				require.ErrorIs(t, err, c.err)
			} else {
				require.NoError(t, err)
			}
		})
	}
}

func addresses(n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("/ip4/203.0.113.%d/tcp/8444", i))
	}
	return out
}

// A retired node says nothing more, and its contact goes when its bond returns.
func TestContactGoesWithTheNode(t *testing.T) {
	f := newFixture(t, func(g *types.GenesisState) { g.Params.UnbondingPeriod = time.Hour })
	id := f.register("alice", 1)
	require.NoError(t, f.setContact(contactOf("alice", 1)))
	require.NoError(t, f.keeper.Reserve(f.Ctx, id, 100, nil))
	f.retire(id)
	require.ErrorIs(t, f.setContact(contactOf("alice", 1)), types.ErrNodeStatus)
	_, err := f.contact(id)
	require.NoError(t, err)
	require.NoError(t, f.keeper.Release(f.Ctx, id, 100, nil))
	f.hour()
	f.hour()
	f.NextBlock(time.Second)
	_, err = f.keeper.GetNode(f.Ctx, id)
	require.ErrorIs(t, err, types.ErrNodeNotFound)
	_, err = f.keeper.GetContact(f.Ctx, id)
	require.ErrorIs(t, err, types.ErrContactNotFound)
}

func TestQueryContacts(t *testing.T) {
	f := newFixture(t)
	var want []types.Contact
	for i := range uint64(3) {
		id := f.register("alice", i+1)
		msg := contactOf("alice", i+1)
		require.NoError(t, f.setContact(msg))
		want = append(want, types.Contact{Node: id, EncryptionKey: msg.EncryptionKey, Addresses: msg.Addresses})
	}
	f.register("bob", 1)
	var got []types.Contact
	for page := (&query.PageRequest{Limit: 2}); page != nil; {
		res, err := f.query.Contacts(f.Ctx, &types.QueryContactsRequest{Pagination: page})
		require.NoError(t, err)
		got = append(got, res.Contacts...)
		page.Key = res.Pagination.NextKey
		if page.Key == nil {
			page = nil
		}
	}
	require.Equal(t, want, got)

	for _, page := range []*query.PageRequest{{Limit: 1_001}, {CountTotal: true}} {
		_, err := f.query.Contacts(f.Ctx, &types.QueryContactsRequest{Pagination: page})
		requireCode(t, codes.InvalidArgument, err)
	}
	_, err := f.query.Contacts(f.Ctx, nil)
	requireCode(t, codes.InvalidArgument, err)
	_, err = f.query.Contact(f.Ctx, nil)
	requireCode(t, codes.InvalidArgument, err)
	_, err = f.query.Contact(f.Ctx, &types.QueryContactRequest{Operator: "x", Number: 1})
	requireCode(t, codes.InvalidArgument, err)
}

// The invariants see a contact of a node that is not there, and one that stands under another's key.
func TestInvariantsSeeStrayContacts(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1)
	require.NoError(t, f.setContact(contactOf("alice", 1)))
	contact, err := f.contact(id)
	require.NoError(t, err)
	stray := types.NewNodeID(testkit.Addr("alice"), 2)

	cache, _ := f.Ctx.CacheContext()
	require.NoError(t, f.keeper.Contacts.Set(cache, mustKey(t, stray), contact))
	require.ErrorIs(t, f.keeper.AllInvariants(cache), types.ErrBrokenInvariant)
	contact.Node = stray
	require.NoError(t, f.keeper.Contacts.Set(cache, mustKey(t, stray), contact))
	require.ErrorIs(t, f.keeper.AllInvariants(cache), types.ErrBrokenInvariant)
}
