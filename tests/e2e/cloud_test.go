package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/tests/stack"
	"github.com/isuncoin/isuncoin/uai"
)

// An image that no worker has on its disk is pushed to one node and runs on another; a third party pulls it, byte for byte.
func TestImageComesFromISunCloud(t *testing.T) {
	f := newFixture(t)
	holder := f.joinBare("holder", "operator", "3000000")
	var pushed struct {
		Image, Digest string
		Holders       []string
	}
	push := []string{"uai", "push", image, "--layout", shared.layout, "--suns", demand, "--port", "web:http:8080"}
	// The worker has yet to say how it is reached.
	err := stack.Eventually(f.ctx, patience, func() (bool, error) {
		err := f.Isun(f.ctx, "publisher", &pushed, push...)
		return err == nil, err
	})
	require.NoError(t, err)
	require.Equal(t, f.ref(), pushed.Image)
	require.Equal(t, []string{holder.Node}, pushed.Holders)
	require.NoError(t, f.Isun(f.ctx, "publisher", &pushed, push...), "pushing again is harmless")

	runner := f.joinBare("runner", "operator2", "1000000")
	lease := f.deploy(1, "1")
	require.Len(t, lease.On(runner.Node), 1, "the cheaper one")
	f.awaitAnswer(lease.Running()[0])

	out := filepath.Join(t.TempDir(), "pulled")
	var pulled struct {
		Digest       string
		FetchedBytes int64 `json:"fetched_bytes"`
	}
	require.NoError(t, f.Isun(f.ctx, "tenant", &pulled, "uai", "pull", f.ref(), "--out", out))
	require.Equal(t, pushed.Digest, pulled.Digest)
	require.Positive(t, pulled.FetchedBytes)
	requireSameBlobs(t, shared.layout, out, pulled.Digest)

	require.NoError(t, f.Isun(f.ctx, "tenant", nil, "close", lease.Lease, "--wait-timeout", patience.String()))
	f.awaitNothingLeft()
}

// joinBare registers and starts a worker that has no images of its own and pulls from no registry.
func (f *fixture) joinBare(name, operator, askPrice string) *stack.Worker {
	f.t.Helper()
	worker, err := f.Join(f.ctx, stack.JoinOptions{Name: name, Operator: operator, Offer: offer, AskPrice: askPrice})
	require.NoError(f.t, err)
	require.NoError(f.t, worker.Start())
	return worker
}

// requireSameBlobs compares an image in two layout folders.
func requireSameBlobs(t *testing.T, a, b, digest string) {
	t.Helper()
	layout, err := uai.Open(a)
	require.NoError(t, err)
	defer layout.Close()
	image, err := layout.Image(uai.Digest(digest))
	require.NoError(t, err)
	for _, blob := range image.Blobs() {
		name := filepath.Join("blobs", "sha256", blob.Digest.Hex())
		want, errA := os.ReadFile(filepath.Join(a, name))
		got, errB := os.ReadFile(filepath.Join(b, name))
		require.NoError(t, errors.Join(errA, errB))
		require.Equal(t, want, got, "%s", blob.Digest)
	}
}
