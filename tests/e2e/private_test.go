package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/tests/stack"
	"github.com/isuncoin/isuncoin/uai"
)

// A private image is held by nodes that cannot read it, and runs for whom its publisher granted it, also when a holder of its
// key is gone.
func TestPrivateImageRunsForWhomItWasGranted(t *testing.T) {
	f := newFixture(t)
	var workers []*stack.Worker
	for i, operator := range []string{"operator", "operator2", "publisher"} {
		workers = append(workers, f.joinBare(operator+"s", operator, fmt.Sprintf("%d000000", i+1)))
	}
	f.awaitContacts(len(workers))
	var pushed struct {
		Image      string
		Private    bool
		KeyHolders []string `json:"key_holders"`
		Threshold  int
	}
	require.NoError(t, f.Isun(f.ctx, "publisher", &pushed, "uai", "push", image, "--private", "--replicas", "3", "--layout", shared.layout,
		"--suns", demand, "--port", "web:http:8080"))
	require.True(t, pushed.Private)
	require.Equal(t, 2, pushed.Threshold)
	require.ElementsMatch(t, []string{workers[0].Node, workers[1].Node, workers[2].Node}, pushed.KeyHolders)

	order := []string{"deploy", f.ref(), "--max-price", maxPrice, "--deposit", "1", "--wait-timeout", patience.String()}
	require.NoError(t, f.Isun(f.ctx, "publisher", nil, "uai", "access", image, "--grant", f.Chain.Accounts["tenant"]))
	require.ErrorContains(t, f.Isun(f.ctx, "tenant2", nil, order...), "ask its owner for access")
	lease := f.deploy(1, "1")
	require.Len(t, lease.On(workers[0].Node), 1, "the cheapest one")
	f.awaitAnswer(lease.Running()[0])

	// With one holder gone, two are left: the node itself and the one that runs the image already.
	require.NoError(t, workers[1].Kill())
	var other stack.Lease
	require.NoError(t, f.Isun(f.ctx, "tenant", &other, append(order, "--target-node", workers[2].Node)...))
	other = f.inspect(other.Lease)
	require.Len(t, other.On(workers[2].Node), 1)

	layers := plainLayers(t, shared.layout)
	requireNowhere(t, layers, workers)
	f.requireOwnersPull(pushed.Image)
	for _, l := range []stack.Lease{lease, other} {
		require.NoError(t, f.Isun(f.ctx, "tenant", nil, "close", l.Lease, "--wait-timeout", patience.String()))
	}
	f.awaitNothingLeft()
	f.removeLoaded(workers[0], workers[2])
}

// removeLoaded ends workers and removes what they decrypted into the engine, unless they have done so: no other test has a use
// for it.
func (f *fixture) removeLoaded(workers ...*stack.Worker) {
	f.t.Helper()
	for _, w := range workers {
		require.NoError(f.t, w.Stop())
		raw, err := os.ReadFile(filepath.Join(w.Home, "images.json"))
		require.NoError(f.t, err)
		var loaded map[string]struct{ ID, Subject string }
		require.NoError(f.t, json.Unmarshal(raw, &loaded))
		for _, image := range loaded {
			require.Equal(f.t, "image/"+f.ref(), image.Subject)
			require.NoError(f.t, f.docker.RemoveImage(f.ctx, image.ID))
		}
	}
}

// awaitContacts waits until so many nodes say how they are reached.
func (f *fixture) awaitContacts(count int) {
	f.t.Helper()
	require.NoError(f.t, stack.Eventually(f.ctx, patience, func() (bool, error) {
		var known struct {
			Contacts []struct{ Addresses []string }
		}
		err := f.Query(f.ctx, &known, "suns", "contacts")
		return len(known.Contacts) == count, err
	}))
}

// requireOwnersPull has the publisher take the image out again, as it was before.
func (f *fixture) requireOwnersPull(ref string) {
	f.t.Helper()
	out := filepath.Join(f.t.TempDir(), "pulled")
	var pulled struct{ Decrypted string }
	require.NoError(f.t, f.Isun(f.ctx, "publisher", &pulled, "uai", "pull", ref, "--out", out))
	requireSameBlobs(f.t, shared.layout, out, pulled.Decrypted)
}

// plainLayers gives pieces of an image's layers as they are stored where nothing is encrypted.
func plainLayers(t *testing.T, dir string) [][]byte {
	t.Helper()
	layout, err := uai.Open(dir)
	require.NoError(t, err)
	defer layout.Close()
	entry, err := layout.Find("")
	require.NoError(t, err)
	found, err := layout.Image(entry.Digest)
	require.NoError(t, err)
	var pieces [][]byte
	for _, variant := range found.Variants {
		for _, layer := range variant.Layers {
			raw, err := os.ReadFile(filepath.Join(dir, "blobs", "sha256", layer.Digest.Hex()))
			require.NoError(t, err)
			pieces = append(pieces, piece(t, raw[len(raw)/3:]), piece(t, raw[len(raw)/2:]))
		}
	}
	require.NotEmpty(t, pieces)
	return pieces
}

// piece gives 64 bytes that are in no other file by chance.
func piece(t *testing.T, raw []byte) []byte {
	t.Helper()
	const size, different = 64, 40
	for ; len(raw) >= size; raw = raw[size:] {
		found := map[byte]bool{}
		for _, b := range raw[:size] {
			found[b] = true
		}
		if len(found) >= different {
			return raw[:size]
		}
	}
	require.Fail(t, "the layer repeats itself")
	return nil
}

// requireNowhere looks for pieces of layers in all that workers keep for iSunCloud.
func requireNowhere(t *testing.T, pieces [][]byte, workers []*stack.Worker) {
	t.Helper()
	files, held := 0, int64(0)
	for _, w := range workers {
		err := filepath.WalkDir(filepath.Join(w.Home, "cloud"), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			raw, err := os.ReadFile(path)
			for _, piece := range pieces {
				require.False(t, bytes.Contains(raw, piece), "%s is to be read", path)
			}
			files, held = files+1, held+int64(len(raw))
			return err
		})
		require.NoError(t, err)
	}
	require.Greater(t, files, 3)
	require.Greater(t, held, int64(1<<20), "the image is there")
}
