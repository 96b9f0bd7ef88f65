package agent

import (
	"net/netip"
	"strings"

	"github.com/isuncoin/isuncoin/worker/chain"
	"github.com/isuncoin/isuncoin/worker/cloud/node"
	"github.com/isuncoin/isuncoin/worker/cloud/vault"
	"github.com/isuncoin/isuncoin/worker/sender"
)

// openCloud opens this machine's part of iSunCloud; nil if its owner wants no
// part in it.
func openCloud(p parts, client *chain.Client, send *sender.Sender) (*node.Node, error) {
	if !p.cfg.Cloud.Enabled {
		return nil, nil //nolint:nilnil // no part in it is wanted
	}
	limit, err := p.cfg.Cloud.LimitMiB()
	if err != nil {
		return nil, err
	}
	key, err := vault.LoadOrCreateNodeKey(p.home.EncryptionKey())
	if err != nil {
		return nil, err
	}
	published := Published(p.cfg)
	listen := p.cfg.Cloud.Listen
	if bindAddress(published) == "127.0.0.1" {
		listen = onLoopback(listen)
	}
	return node.Open(node.Config{
		Dir: p.home.Cloud(p.cfg), LimitBytes: limit << 20,
		ID: p.node.ID(), Key: p.key.Private().Key, EncryptionKey: key.Public(),
		Listen: listen, Announce: p.cfg.Cloud.Announce, Private: isPrivate(published),
		UploadMbps: p.cfg.Cloud.UploadMbps, Registry: p.cfg.Cloud.Registry,
		Chain: chain.NewCloud(client, send, p.node.Agent), Log: p.log,
	})
}

// onLoopback listens on this machine alone where tenants are told of nothing
// else.
func onLoopback(listen []string) []string {
	local := make([]string, len(listen))
	for i, address := range listen {
		local[i] = strings.Replace(address, "/ip4/0.0.0.0/", "/ip4/127.0.0.1/", 1)
	}
	return local
}

// isPrivate says whether an address is of a network of somebody's own: then
// other nodes are there too.
func isPrivate(published string) bool {
	address, err := netip.ParseAddr(published)
	if err != nil {
		return published == "localhost"
	}
	return address.IsLoopback() || address.IsPrivate() || address.IsLinkLocalUnicast()
}
