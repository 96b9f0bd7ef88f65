package tenant_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/bech32"

	"github.com/isuncoin/isuncoin/client/chain"
	"github.com/isuncoin/isuncoin/client/tenant"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

func somebody(n byte) sdk.AccAddress { return bytes.Repeat([]byte{n}, 20) }

func TestAccessIsGrantedAndRevoked(t *testing.T) {
	b := newBench(t, 100)
	address, err := b.client.Address()
	require.NoError(t, err)
	sent, ref, err := b.client.Publish(t.Context(), "secret", "1", tenant.Image{
		Digest: "sha256:" + string(bytes.Repeat([]byte("ab"), 32)), SizeBytes: 1, Platforms: []string{"linux/amd64"},
		Demand: tenant.Demand{GeneralMilliSuns: 1000}, Restricted: true,
	})
	require.NoError(t, err)
	require.NotEmpty(t, sent.Tx)

	friend, other := somebody(8).String(), somebody(9).String()
	_, err = b.client.SetAccess(t.Context(), ref, tenant.AccessChange{Grant: []string{friend, other}})
	require.NoError(t, err)
	_, err = b.client.SetAccess(t.Context(), ref, tenant.AccessChange{Revoke: []string{other}})
	require.NoError(t, err)
	access, err := b.client.Access(t.Context(), ref)
	require.NoError(t, err)
	require.Equal(t, tenant.Access{Image: ref, Owner: address, Restricted: true, Grantees: []string{friend}}, access,
		"grants leave it restricted")

	open := false
	_, err = b.client.SetAccess(t.Context(), ref, tenant.AccessChange{Restricted: &open})
	require.NoError(t, err)
	access, err = b.client.Access(t.Context(), ref)
	require.NoError(t, err)
	require.False(t, access.Restricted)
	require.Equal(t, []string{friend}, access.Grantees)

	_, err = b.client.Access(t.Context(), address+"/secret:2")
	require.ErrorIs(t, err, uaitypes.ErrImageNotFound)
}

func TestKeyHoldersSayWhoIsAlive(t *testing.T) {
	b := newBench(t)
	address, err := b.client.Address()
	require.NoError(t, err)
	recipient, err := bech32.ConvertAndEncode("age", bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	msg := &uaitypes.MsgSetKeyHolders{
		Owner: address, Subject: "image/" + b.image, Recipient: recipient, Threshold: 1, Commitments: [][]byte{make([]byte, 32)},
	}
	for i, status := range []sunstypes.NodeStatus{
		sunstypes.NODE_STATUS_ACTIVE, sunstypes.NODE_STATUS_UNRESPONSIVE, sunstypes.NODE_STATUS_DRAINING, sunstypes.NODE_STATUS_UNSPECIFIED,
	} {
		id := sunstypes.NewNodeID(somebody(byte(20+i)), 1)
		if status != sunstypes.NODE_STATUS_UNSPECIFIED { // the last one is gone
			b.market.AddNode(sunstypes.NodeInfo{Node: sunstypes.Node{ID: id, Status: status, Bond: math.ZeroInt()}})
		}
		if status == sunstypes.NODE_STATUS_ACTIVE {
			b.market.AddContact(sunstypes.Contact{Node: id, Addresses: []string{"/ip4/127.0.0.1/tcp/1"}})
		}
		msg.Shares = append(msg.Shares, uaitypes.KeyShare{Node: id, Index: uint32(i + 1), Sealed: []byte("sealed")})
	}
	_, err = b.client.KeyHolders(t.Context(), msg.Subject)
	require.ErrorIs(t, err, uaitypes.ErrKeyHoldersNotFound)
	require.True(t, chain.IsNotFound(err))
	_, err = b.client.SetKeyHolders(t.Context(), msg)
	require.NoError(t, err)
	holders, err := b.client.KeyHolders(t.Context(), msg.Subject)
	require.NoError(t, err)
	require.Equal(t, []tenant.KeyNode{
		{Node: msg.Shares[0].Node.String(), Status: "active", Alive: true, Reachable: true},
		{Node: msg.Shares[1].Node.String(), Status: "unresponsive"},
		{Node: msg.Shares[2].Node.String(), Status: "draining", Alive: true},
		{Node: msg.Shares[3].Node.String(), Status: "gone"},
	}, holders.Nodes)
	require.EqualValues(t, 1, holders.Alive)
	require.EqualValues(t, 1, holders.Revision)
}
