package config

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
)

// Cloud says how much of the machine holds images and snapshots of the
// network, and how other nodes reach it.
type Cloud struct {
	Enabled    bool     `toml:"enabled" json:"enabled" comment:"Hold images and snapshots of the network, and fetch what placements need from other nodes."`
	DataDir    string   `toml:"data_dir" json:"data_dir" comment:"Where they lie; empty is cloud/ in the worker's home."`
	Limit      Part     `toml:"limit" json:"limit" comment:"Most disk space they may take, such as '20GiB'; it is not for rent."`
	Listen     []string `toml:"listen" json:"listen" comment:"Where other nodes and tenants connect, as libp2p addresses; port 9466 has to be open in your router."`
	Announce   []string `toml:"announce" json:"announce" comment:"Addresses told to others; empty tells those of listen with network.published_address."`
	UploadMbps uint64   `toml:"upload_mbps" json:"upload_mbps" comment:"Most that is sent to others, in Mbit/s; 0 is no limit."`
	Registry   string   `toml:"registry" json:"registry" comment:"Address on this machine at which the engine pulls what iSunCloud holds; port 0 takes a free one."`
}

const leastCloudMiB = 64

func defaultCloud() Cloud {
	return Cloud{
		Enabled: true, Limit: "20GiB", Announce: []string{}, Registry: "127.0.0.1:0",
		Listen: []string{"/ip4/0.0.0.0/tcp/9466", "/ip4/0.0.0.0/udp/9466/quic-v1"},
	}
}

// LimitMiB is the most disk space that blobs may take, in MiB.
func (c Cloud) LimitMiB() (uint64, error) {
	percent, milli, err := c.Limit.parse(Bytes)
	if err != nil || percent > 0 || milli == 0 {
		return 0, fmt.Errorf("cloud.limit is %q: want a size such as 20GiB", string(c.Limit))
	}
	return milli / 1000, nil
}

func (c Cloud) validate() error {
	if !c.Enabled {
		return nil
	}
	limit, err := c.LimitMiB()
	if err != nil {
		return err
	}
	if limit < leastCloudMiB {
		return fmt.Errorf("cloud.limit is %d MiB, want at least %d: no image would fit", limit, leastCloudMiB)
	}
	if c.DataDir != "" && !filepath.IsAbs(c.DataDir) {
		return fmt.Errorf("cloud.data_dir %q is not a whole path", c.DataDir)
	}
	for _, list := range []struct {
		name      string
		addresses []string
	}{{"listen", c.Listen}, {"announce", c.Announce}} {
		for _, address := range list.addresses {
			if !strings.HasPrefix(address, "/") {
				return fmt.Errorf("cloud.%s: %q is not a libp2p address such as /ip4/203.0.113.7/tcp/9466", list.name, address)
			}
		}
	}
	host, _, err := net.SplitHostPort(c.Registry)
	if err != nil {
		return fmt.Errorf("cloud.registry: %w", err)
	}
	// Engines talk to a registry without TLS on this machine only, and what
	// is served here is nobody else's business.
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("cloud.registry is %q: want an address of this machine alone, such as 127.0.0.1:0", c.Registry)
	}
	return nil
}

// Cloud is the folder of the blobs, unless the config names another.
func (h Home) Cloud(cfg Config) string {
	if cfg.Cloud.DataDir != "" {
		return cfg.Cloud.DataDir
	}
	return h.path("cloud")
}

// EncryptionKey is the private key to which shares of tenants' keys are sealed.
func (h Home) EncryptionKey() string { return h.path("encryption_key.json") }
