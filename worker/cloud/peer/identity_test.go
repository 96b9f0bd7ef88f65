package peer

import (
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/identity"
)

func TestAPeerIsItsAgentKey(t *testing.T) {
	c := localConfig(nil)
	key := identity.NewKey()
	c.Key = key.Private().Key
	h := startHost(t, c, hurried())
	require.Equal(t, key.Address().String(), h.Address())
	id, err := IDOf(key.PubKey())
	require.NoError(t, err)
	require.Equal(t, h.ID(), id)
	for _, a := range h.Addresses() {
		require.True(t, strings.HasSuffix(a, "/p2p/"+id.String()), a)
	}
	require.Len(t, h.Addresses(), 2, "TCP and QUIC")
}

func TestAKeyOfAnotherKindIsNoAccount(t *testing.T) {
	_, public, err := crypto.GenerateEd25519Key(nil)
	require.NoError(t, err)
	id, err := peer.IDFromPublicKey(public)
	require.NoError(t, err)
	_, err = AddressOf(id)
	require.ErrorIs(t, err, ErrStranger)
	_, err = AddressOf("no id")
	require.ErrorIs(t, err, ErrStranger)
	c := localConfig(nil)
	c.Key = []byte("short")
	_, err = New(c)
	require.ErrorContains(t, err, "5 bytes")
}

func TestContactsAtFault(t *testing.T) {
	h, other, from := newPeer(t, nil), newPeer(t, nil), newTenant(t, nil)
	swapped := strings.Replace(h.Addresses()[0], h.ID().String(), other.ID().String(), 1)
	for name, tc := range map[string]struct {
		contact Contact
		want    string
	}{
		"an address of somebody else":      {Contact{Agent: other.Address(), Addresses: h.Addresses()}, "not of " + other.Address()},
		"somebody else at the address":     {Contact{Agent: other.Address(), Addresses: []string{swapped}}, "reach"},
		"no addresses":                     {Contact{Agent: h.Address()}, "no addresses"},
		"no id":                            {Contact{Agent: h.Address(), Addresses: []string{"/ip4/127.0.0.1/tcp/1"}}, "does not end in /p2p/"},
		"nothing but an id":                {Contact{Agent: h.Address(), Addresses: []string{"/p2p/" + h.ID().String()}}, "does not end in /p2p/"},
		"no multiaddr":                     {Contact{Agent: h.Address(), Addresses: []string{"\x1b[2J"}}, "address"},
		"too long":                         {Contact{Agent: h.Address(), Addresses: []string{"/" + strings.Repeat("x", 300)}}, "301 bytes"},
		"this machine itself":              {Contact{Agent: from.Address(), Addresses: []string{"/ip4/127.0.0.1/tcp/1/p2p/" + from.ID().String()}}, "this machine"},
		"the right one after eight others": {Contact{Agent: h.Address(), Addresses: append(make([]string, 8), h.Addresses()...)}, "no address"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := from.Source(t.Context(), tc.contact)
			require.ErrorContains(t, err, tc.want)
		})
	}
	_, err := from.Source(t.Context(), Contact{Agent: h.Address(), Addresses: append([]string{swapped, "junk"}, h.Addresses()...)})
	require.NoError(t, err, "good addresses among bad ones do")
}

func TestOnlyWhoWasAskedForIsDialed(t *testing.T) {
	h, stranger := newPeer(t, nil), newPeer(t, nil)
	h.host.Peerstore().AddAddrs(stranger.ID(), stranger.host.Addrs(), waitLong)
	_, err := h.host.Network().DialPeer(t.Context(), stranger.ID())
	require.ErrorContains(t, err, "gater")
	sourceOf(t, h, stranger)
	require.NotEqual(t, network.NotConnected, h.host.Network().Connectedness(stranger.ID()))
}

func TestPrivateAddressesAreForPrivateNetworks(t *testing.T) {
	h := newPeer(t, nil)
	c := localConfig(nil)
	c.Private = false
	public := startHost(t, c, hurried())
	require.Empty(t, public.Addresses(), "nobody else could use them")
	_, err := public.Source(t.Context(), contactOf(h))
	require.ErrorContains(t, err, "private addresses only")

	for text, want := range map[string]bool{
		"/ip4/127.0.0.1/tcp/2375": false, "/ip4/192.168.1.1/tcp/80": false, "/ip6/::1/tcp/1": false, "/ip4/169.254.169.254/tcp/80": false,
		"/ip4/9.9.9.9/tcp/1": true, "/dns4/example.org/tcp/1": true,
	} {
		require.Equal(t, want, public.gate.usable(ma.StringCast(text)), text)
	}
}

func TestConfigurationsAtFault(t *testing.T) {
	for want, edit := range map[string]func(*Config){
		"no multiaddr such as": func(c *Config) { c.Listen = []string{"0.0.0.0:9470"} },
		"listen":               func(c *Config) { c.Listen = []string{"/ip4/203.0.113.1/tcp/9470"} }, // another machine's
		"announce":             func(c *Config) { c.Announce = []string{"example.org"} },
		"relay":                func(c *Config) { c.Relays = []string{"/ip4/9.9.9.9/tcp/1"} },
		"upload cap":           func(c *Config) { c.UploadMbps = -1 },
		"cannot be one": func(c *Config) {
			c.ServeRelay, c.Relays = true, []string{"/ip4/9.9.9.9/tcp/1/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"}
		},
	} {
		requireNoLeak(t, func() {
			c := localConfig(nil)
			edit(&c)
			_, err := New(c)
			require.ErrorContains(t, err, want)
		})
	}
}
