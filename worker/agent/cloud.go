package agent

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/isuncoin/isuncoin/worker/chain"
	"github.com/isuncoin/isuncoin/worker/cloud/node"
	"github.com/isuncoin/isuncoin/worker/cloud/vault"
	"github.com/isuncoin/isuncoin/worker/images"
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
		ID: p.node.ID(), Key: p.key.Private().Key, EncryptionKey: key,
		Listen: listen, Announce: p.cfg.Cloud.Announce, Private: isPrivate(published),
		UploadMbps: p.cfg.Cloud.UploadMbps, Registry: p.cfg.Cloud.Registry,
		Chain: chain.NewCloud(client, send, p.node.Agent), Log: p.log,
	})
}

// configureImages says where images come from, and who gives the keys of
// private ones; cloud is nil if this machine has no part in it.
func configureImages(p parts, cloud *node.Node) (images.Config, error) {
	most, err := mostImageBytes(p.home.Data(p.cfg))
	if err != nil {
		return images.Config{}, err
	}
	config := images.Config{
		Layouts: p.cfg.Images.Layouts, StateFile: filepath.Join(string(p.home), "images.json"),
		NoPull: !p.cfg.Images.Registries, MaxBytes: most, Logger: p.log,
	}
	if cloud != nil {
		config.Cloud, config.Keys = cloud, cloud
	}
	return config, nil
}

// mostImageBytes is half of the disk of a folder: an image lies there as it
// was sent and unpacked.
func mostImageBytes(dir string) (int64, error) {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return 0, fmt.Errorf("size of the disk of %s: %w", dir, err)
	}
	return int64(disk.Blocks) * disk.Bsize / 2, nil
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
