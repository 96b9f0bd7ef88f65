package command_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/client/tenant"
	"github.com/isuncoin/isuncoin/client/tenant/tenanttest"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/blobs"
	"github.com/isuncoin/isuncoin/worker/cloud/fetch"
	"github.com/isuncoin/isuncoin/worker/cloud/peer"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// holder is a node of iSunCloud in this process: a store of its own that others reach.
type holder struct {
	store *blobs.Store
	as    uaitypes.Holder
}

// addHolder starts a node that holds what it is asked to and announces it on the market.
func addHolder(t *testing.T, market *tenanttest.Market, operator byte) *holder {
	t.Helper()
	store, err := blobs.Open(blobs.Config{Dir: t.TempDir(), LimitBytes: 1 << 30})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	host, err := peer.New(peer.Config{
		Key: secp256k1.GenPrivKey().Key, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Library: store, Private: true,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, host.Close()) })
	id := sunstypes.NewNodeID(sdk.AccAddress(bytes.Repeat([]byte{operator}, 20)), 1)
	h := &holder{store: store, as: uaitypes.Holder{
		Node: id, Agent: host.Address(), Status: sunstypes.NODE_STATUS_ACTIVE, Addresses: host.Addresses(),
	}}
	host.HandleHold(func(ctx context.Context, from peer.From, r peer.HoldRequest, _ func(peer.Progress)) error {
		tree, err := fetch.Tree(ctx, store, r.Root, []cloud.Source{from.Source}, fetch.Options{})
		if err != nil {
			return err
		}
		if err := store.SetRoot(r.Root, tree, true); err != nil {
			return err
		}
		market.Hold(r.Root.String(), h.as)
		return nil
	})
	market.AddNode(sunstypes.NodeInfo{Node: sunstypes.Node{
		ID: id, Agent: host.Address(), Status: sunstypes.NODE_STATUS_ACTIVE, AskPrice: 600_000, Architecture: "amd64",
	}})
	market.AddContact(sunstypes.Contact{Node: id, Addresses: host.Addresses()})
	return h
}

// stored is what store put says.
type stored struct {
	tenant.Object
	Public    bool     `json:"public"`
	Holders   []string `json:"holders"`
	Unchanged bool     `json:"unchanged"`
	Tx        string   `json:"tx"`
}

func (b *bench) put(args ...string) stored {
	b.t.Helper()
	var s stored
	b.run(append([]string{"store", "put", "--replicas", "1", "--yes", "--output", "json"}, args...)...).ok().json(&s)
	return s
}

// write makes a file with content.
func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "results.csv")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o640))
	return path
}

func TestWhatIsStoredComesBack(t *testing.T) {
	b := newBench(t)
	h := addHolder(t, b.market, 8)
	content := strings.Repeat("one,two,three\n", 100_000)
	path := write(t, content)

	put := b.put(path)
	require.Equal(t, b.tenant.String()+"/results.csv", put.Object.Object)
	require.Equal(t, []string{h.as.Node.String()}, put.Holders)
	require.False(t, put.Public)
	require.False(t, put.Unchanged)
	require.Equal(t, put.Digest, b.market.Objects()[0].Digest)
	h.requireNowhere(t, "one,two,three")

	again := b.put(path)
	require.True(t, again.Unchanged, "it is encrypted anew, and known all the same")
	require.Equal(t, put.Digest, again.Digest)
	require.Empty(t, again.Tx)

	list := b.run("store", "ls").ok().out
	require.Contains(t, list, "results.csv")
	require.Contains(t, list, put.Digest)

	out := filepath.Join(t.TempDir(), "back.csv")
	b.run("store", "get", "results.csv", out).ok()
	requireFile(t, out, content)
	b.run("store", "get", "results.csv", out).fails("is there already")
	b.run("store", "get", "results.csv", out, "--force").ok()
	require.Equal(t, content, b.run("store", "get", "results.csv", "-").ok().out)

	require.NoError(t, os.WriteFile(path, []byte("changed"), 0o640))
	require.NotEqual(t, put.Digest, b.put(path).Digest)
	require.Equal(t, "changed", b.run("store", "get", "results.csv", "-").ok().out)

	b.run("store", "rm", "results.csv", "--yes").ok()
	require.Empty(t, b.market.Objects())
	b.run("store", "get", "results.csv", out, "--force").fails("not found")
	b.run("store", "rm", "results.csv", "--yes").fails("not found")
	requireNoLeftovers(t, b.home)
}

// requireNowhere looks for words in all that the node holds.
func (h *holder) requireNowhere(t *testing.T, words string) {
	t.Helper()
	h.store.List(func(blob cloud.Blob) bool {
		raw, err := h.store.Read(blob.Digest, blob.Size)
		require.NoError(t, err)
		require.NotContains(t, string(raw), words)
		return true
	})
}

func requireFile(t *testing.T, path, content string) {
	t.Helper()
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, content, string(got))
}

func requireNoLeftovers(t *testing.T, home string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(home, "put-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestAFolderAndTheStandardInputAreStored(t *testing.T) {
	b := newBench(t)
	addHolder(t, b.market, 8)
	dir := filepath.Join(t.TempDir(), "run 7")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "deep"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "deep", "model.bin"), []byte("weights"), 0o600))
	require.Equal(t, "run_7", b.put(dir).Name)
	out := filepath.Join(t.TempDir(), "out")
	b.run("store", "get", "run_7", out).ok()
	requireFile(t, filepath.Join(out, "deep", "model.bin"), "weights")
	b.run("store", "get", "run_7", "-").fails("it is a folder")

	b.in = "from a pipe"
	require.Equal(t, "backups/app.sql", b.put("-", "backups/app.sql").Name)
	require.Equal(t, "from a pipe", b.run("store", "get", "backups/app.sql", "-").ok().out)
	b.run("store", "put", "-").fails("say one")
	b.run("store", "put", dir, "../up").fails("invalid object")
	b.run("store", "put", filepath.Join(dir, "missing"), "--yes").fails("no such file")
	requireNoLeftovers(t, b.home)
}

// somebodyElse is another person at the same market.
func (b *bench) somebodyElse() *bench {
	other := *b
	other.home = b.t.TempDir()
	return &other
}

func TestAKeyOpensForOthersWhatItIsFor(t *testing.T) {
	b := newBench(t)
	addHolder(t, b.market, 8)
	b.put(write(t, "secret"), "shared")
	b.put(write(t, "another"), "kept")
	key := strings.TrimSpace(b.run("store", "share", "shared").ok().out)
	require.True(t, strings.HasPrefix(key, "isunkey1"))
	shared, kept := b.tenant.String()+"/shared", b.tenant.String()+"/kept"

	other := b.somebodyElse()
	place := t.TempDir()
	out := filepath.Join(place, "out")
	other.run("store", "get", shared, out).fails("is private", "isun store share")
	other.run("store", "get", kept, out, "--key", key).fails("the key is for " + shared)
	other.run("store", "get", shared, out, "--key", key[:len(key)-3]).fails("damaged")
	require.Empty(t, entries(t, place))
	require.Equal(t, "secret", other.run("store", "get", "--key", key, shared, "-").ok().out)
	other.run("store", "get", shared, out, "--key", key).ok()
	requireFile(t, out, "secret")
	_, err := os.Stat(filepath.Join(other.home, "keyring.json"))
	require.ErrorIs(t, err, os.ErrNotExist, "who reads needs no keyring")

	b.run("store", "share", "missing").fails("not found")
	b.addKey("second", 1)
	b.run("store", "share", shared, "--from", "second").fails("is not yours")
}

func entries(t *testing.T, dir string) []os.DirEntry {
	t.Helper()
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	return list
}

func TestPublicContentIsForEverybody(t *testing.T) {
	b := newBench(t)
	addHolder(t, b.market, 8)
	put := b.put(write(t, "for all"), "readme", "--public")
	require.True(t, put.Public)
	other := b.somebodyElse()
	require.Equal(t, "for all", other.run("store", "get", b.tenant.String()+"/readme", "-").ok().out)
	require.Equal(t, "for all", other.run("store", "get", put.Digest, "-").ok().out)
	require.True(t, b.put(write(t, "for all"), "second", "--public").Digest != "", "equal content under two names")
}

func TestSomebodyElsesContentUnderOnesNameDoesNotOpen(t *testing.T) {
	b := newBench(t)
	addHolder(t, b.market, 8)
	put := b.put(write(t, "secret"), "original")
	b.market.PutObject(uaitypes.Object{Owner: b.tenant.String(), Name: "other", Digest: put.Digest, SizeBytes: put.SizeBytes})
	place := t.TempDir()
	b.run("store", "get", "other", filepath.Join(place, "out")).fails("does not have its key")
	require.Empty(t, entries(t, place))

	// An image, say, or what nobody holds.
	b.market.PutObject(uaitypes.Object{Owner: b.tenant.String(), Name: "gone", Digest: "sha256:" + strings.Repeat("cd", 32), SizeBytes: 1})
	b.run("store", "get", "gone", filepath.Join(place, "out")).fails("no holder that is alive")
	require.Empty(t, entries(t, place))
}

func TestWhatWasFetchedStaysUntilItIsWritten(t *testing.T) {
	b := newBench(t)
	addHolder(t, b.market, 8)
	b.put(write(t, strings.Repeat("0123456789", 100_000)), "large")
	place := t.TempDir()
	b.run("store", "get", "large", filepath.Join(place, "missing", "out")).fails("no such file")
	fetched := func(name string) (n struct {
		FetchedBytes int64 `json:"fetched_bytes"`
		SizeBytes    int64 `json:"size_bytes"`
	},
	) {
		require.NoError(t, json.Unmarshal([]byte(b.run("store", "get", "large", filepath.Join(place, name), "-o", "json").ok().out), &n))
		return n
	}
	require.Zero(t, fetched("again").FetchedBytes, "all of it was here")
	require.Greater(t, fetched("later").FetchedBytes, int64(1_000_000), "and was not kept")
}

func TestAPutRemovesWhatAKilledOneLeft(t *testing.T) {
	b := newBench(t)
	addHolder(t, b.market, 8)
	left := filepath.Join(b.home, "put-123")
	require.NoError(t, os.MkdirAll(filepath.Join(left, "blobs"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(left, ".lock"), nil, 0o600))
	b.put(write(t, "content"), "name")
	requireNoLeftovers(t, b.home)
}
