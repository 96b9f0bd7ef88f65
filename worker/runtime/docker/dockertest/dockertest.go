// Package dockertest connects tests to a real Docker engine and gives them an
// image that needs no registry.
package dockertest

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest"
)

// SkipVariable leaves out the tests that need an engine when it is 1.
const SkipVariable = "ISUN_SKIP_DOCKER"

// Client connects to the engine. It fails a test that has none: silently
// skipped, a broken runtime would look like a working one.
func Client(t testing.TB) *client.Client {
	t.Helper()
	if os.Getenv(SkipVariable) == "1" {
		t.Skipf("%s=1", SkipVariable)
	}
	api, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, api.Close()) })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := api.Ping(ctx); err != nil {
		t.Fatalf("no Docker engine answers: %v\nrun scripts/ensure-docker.sh as root, or set %s=1 to leave these tests out", err, SkipVariable)
	}
	return api
}

// probeRoot builds the probe binary once and packs it into a root file system.
var probeRoot = sync.OnceValues(func() (content []byte, err error) {
	dir, err := os.MkdirTemp("", "isun-probe")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary := filepath.Join(dir, "probe")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary,
		"github.com/isuncoin/isuncoin/worker/runtime/runtimetest/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build probe: %w: %s", err, output)
	}
	content, err = os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, folder := range []string{"tmp/", "var/", "var/tmp/"} {
		if err := w.WriteHeader(&tar.Header{Name: folder, Typeflag: tar.TypeDir, Mode: 0o777}); err != nil {
			return nil, err
		}
	}
	if err := w.WriteHeader(&tar.Header{Name: "probe", Mode: 0o755, Size: int64(len(content))}); err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	return out.Bytes(), w.Close()
})

// ProbeImage imports the probe under a name of its own and removes it after
// the test.
func ProbeImage(t testing.TB, api *client.Client, changes ...string) string {
	t.Helper()
	root, err := probeRoot()
	require.NoError(t, err)
	ref := fmt.Sprintf("isun-test/probe:%d-%d", os.Getpid(), time.Now().UnixNano())
	changes = append([]string{`ENTRYPOINT ["/probe"]`, "VOLUME " + runtimetest.ImageVolume}, changes...)
	answer, err := api.ImageImport(t.Context(), image.ImportSource{Source: bytes.NewReader(root), SourceName: "-"},
		ref, image.ImportOptions{Changes: changes})
	require.NoError(t, err)
	text, err := io.ReadAll(answer)
	require.NoError(t, err)
	require.NoError(t, answer.Close())
	require.NotContains(t, string(text), "error")
	t.Cleanup(func() {
		_, err := api.ImageRemove(context.Background(), ref, image.RemoveOptions{Force: true})
		require.NoError(t, err)
	})
	return ref
}
