package command

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"path/filepath"

	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"

	"github.com/isuncoin/isuncoin/client/chain"
	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/blobs"
	cloudclient "github.com/isuncoin/isuncoin/worker/cloud/client"
	"github.com/isuncoin/isuncoin/worker/cloud/object"
	"github.com/isuncoin/isuncoin/worker/cloud/peer"
)

// fetchedLimit bounds what pulls have begun and not finished, and what they
// took from nodes lately.
const fetchedLimit = 256 << 30

// fetchedDir keeps what pulls took, so that one that was interrupted goes on
// and the next version of an image comes in parts.
func (c *commands) fetchedDir() string { return filepath.Join(c.flags.home, "cloud") }

// openFetched opens it; one pull at a time has it.
func (c *commands) openFetched() (*blobs.Store, error) {
	return blobs.Open(blobs.Config{Dir: c.fetchedDir(), LimitBytes: fetchedLimit})
}

// peer joins iSunCloud for one command, as the account that signs or, without
// one, as nobody known.
func (s *session) peer(library cloud.Library, asAccount bool) (*peer.Host, error) {
	key := secp256k1.GenPrivKey().Key
	if asAccount {
		ring, name, err := s.key(s.conn)
		if err != nil {
			return nil, err
		}
		if key, err = chain.PrivateKey(ring, name); err != nil {
			return nil, err
		}
	}
	return peer.New(peer.Config{Key: key, Library: library, Private: isPrivate(s.conn.Endpoint())})
}

// isPrivate says whether the chain's node is in a network of somebody's own:
// then workers may be there too.
func isPrivate(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	address, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		return u.Hostname() == "localhost"
	}
	return address.IsLoopback() || address.IsPrivate() || address.IsLinkLocalUnicast()
}

// treeSize is the bytes of a root and of everything below it.
func treeSize(ctx context.Context, library cloud.Library, root uai.Digest) (int64, error) {
	tree, err := object.Walk(ctx, root, func(_ context.Context, digest uai.Digest, maxBytes int64) ([]byte, error) {
		content, err := library.Open(digest)
		if err != nil {
			return nil, err
		}
		defer content.Close()
		var raw bytes.Buffer
		if _, err := io.Copy(&raw, io.LimitReader(content, maxBytes+1)); err != nil {
			return nil, err
		}
		if int64(raw.Len()) > maxBytes {
			return nil, fmt.Errorf("%w: %s has more than %d bytes", uai.ErrTooLarge, digest, maxBytes)
		}
		return raw.Bytes(), nil
	})
	if err != nil {
		return 0, err
	}
	var size int64
	for _, b := range tree {
		size += b.Size
	}
	return size, nil
}

// nodeNames are for people and scripts.
func nodeNames(nodes []cloudclient.Node) []string {
	names := make([]string, len(nodes))
	for i, n := range nodes {
		names[i] = n.ID.String()
	}
	return names
}
