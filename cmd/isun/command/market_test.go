package command_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/client/tenant"
)

var txHash = regexp.MustCompile(`[0-9A-F]{64}`)

// maskTx replaces transaction hashes.
func maskTx(s string) string { return txHash.ReplaceAllString(s, "TX") }

func TestPrice(t *testing.T) {
	b := newBench(t)
	golden(t, "price.txt", b.run("price", "hello:1").ok().out)
	golden(t, "price.json", b.run("price", "--suns", "2", "--gpu", "gpu:1:26", "-o", "json").ok().out)
	require.Contains(t, b.run("price", "--max-price", "0.1").ok().out, "no machine takes 1 SUNS now")
	b.run("price", "--limit", "0").fails("at least 1")
	b.run("price", "--max-price", "x").fails("--max-price")
	b.run("price", "nothing:1").fails("image not found")

	quotes := b.market.Quotes()
	require.EqualValues(t, 500, quotes[0].Demand.GeneralMilliSuns, "an image's demand")
	require.EqualValues(t, 2_000, quotes[1].Demand.GeneralMilliSuns)
	require.EqualValues(t, 26_000, quotes[1].Demand.Accelerator.MilliSuns)
	require.EqualValues(t, 1_000, quotes[2].Demand.GeneralMilliSuns, "one SUNS when nothing is said")
}

func TestNodes(t *testing.T) {
	b := newBench(t)
	golden(t, "nodes.txt", b.run("nodes").ok().out)
	golden(t, "nodes.json", b.run("nodes", "-o", "json").ok().out)
	require.Contains(t, b.run("nodes", "--operator", b.tenant.String()).ok().out, "isun-worker join")
	b.run("nodes", "--limit", "-1").fails("cannot be negative")
}

func TestQueriesNeedNoKey(t *testing.T) {
	b := newBench(t)
	b.home = t.TempDir()
	b.run("nodes").ok()
	b.run("price", "--suns", "1").ok()
	b.run("image", "ls").ok()
	b.run("ps", "--tenant", b.tenant.String()).ok()
	b.run("image", "show", b.tenant.String()+"/hello:1").ok()
	b.run("deploy", "hello:1", "--yes").fails("isunchaind keys add tenant")
}

func TestImages(t *testing.T) {
	b := newBench(t)
	golden(t, "image-ls.txt", b.run("image", "ls").ok().out)
	golden(t, "image-show.txt", b.run("uai", "show", "hello:1").ok().out)
	golden(t, "image-show.json", b.run("image", "show", "hello:1", "-o", "json").ok().out)
	require.Contains(t, b.run("image", "deprecate", "hello:1", "--yes").ok().out, "takes no new leases")
	b.run("image", "ls", "--publisher", "a", "--owner", "b").fails("publisher")
}

const digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func TestPublishByFlags(t *testing.T) {
	b := newBench(t)
	b.run("image", "publish", "llama:3", "--digest", digest, "--size", "1000", "--platform", "linux/arm64,linux/amd64",
		"--general", "4", "--gpu", "gpu:1:26", "--port", "api:http:8000", "--port", "metrics:tcp:9000", "--health", "http:api:/ready",
		"--health-start", "60", "--volume", "models:/models:40GiB", "--royalty", "0.05", "--licence", "Apache-2.0",
		"--reference", "docker.io/library/llama", "--yes").ok()
	var got tenant.Image
	b.run("image", "show", "llama:3", "-o", "json").ok().json(&got)
	require.Equal(t, []string{"linux/amd64", "linux/arm64"}, got.Platforms)
	require.EqualValues(t, 4_000, got.Demand.GeneralMilliSuns)
	require.EqualValues(t, 26_000, got.Demand.Accelerator.MilliSuns)
	require.Equal(t, []tenant.Port{
		{Name: "api", Protocol: "http", ContainerPort: 8000}, {Name: "metrics", Protocol: "tcp", ContainerPort: 9000},
	}, got.Ports)
	require.Equal(t, &tenant.Health{
		Kind: "http", Port: "api", Path: "/ready", IntervalSeconds: 10, TimeoutSeconds: 5, Retries: 3, StartPeriodSeconds: 60,
	}, got.Health)
	require.Equal(t, []tenant.Volume{{Name: "models", Path: "/models", SizeMiB: 40 << 10}}, got.Volumes)
	require.EqualValues(t, 50_000, got.Royalty)
}

func TestPublishByFile(t *testing.T) {
	b := newBench(t)
	shown := b.run("image", "show", "hello:1", "-o", "json").ok().out
	file := filepath.Join(t.TempDir(), "hello.json")
	require.NoError(t, os.WriteFile(file, []byte(shown), 0o600))
	b.run("image", "publish", "hello:2", "--file", file, "--suns", "2", "--yes").ok()
	images := b.market.Images()
	first, second := images[0], images[1]
	require.EqualValues(t, 2_000, second.Demand.GeneralMilliSuns, "flags come before the file")
	require.Equal(t, first.Digest, second.Digest)
	require.Equal(t, first.Health, second.Health)
	require.Equal(t, first.Ports, second.Ports)
	require.Equal(t, "2", second.Tag)

	require.NoError(t, os.WriteFile(file, []byte(`{"digst":"x"}`), 0o600))
	b.run("image", "publish", "hello:3", "-f", file, "--yes").fails("digst")
	b.run("image", "publish", "hello:3", "-f", file+".gone", "--yes").fails("--file")
}

func TestPublishRefusesNonsense(t *testing.T) {
	b := newBench(t)
	whole := []string{"--digest", digest, "--size", "1", "--platform", "linux/amd64"}
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"hello"}, "say hello:1"},
		{[]string{"hello:2"}, "Say --layout"},
		{[]string{"hello:2", "--layout", t.TempDir()}, "not an OCI image layout"},
		{append([]string{"Hello:2"}, whole...), "invalid image id"},
		{append([]string{"hello:2", "--digest", "md5:1"}, whole[2:]...), "sha256"},
		{append([]string{"hello:2", "--port", "web"}, whole...), "name:protocol:port"},
		{append([]string{"hello:2", "--port", "web:http:99999"}, whole...), "not a port number"},
		{append([]string{"hello:2", "--port", "web:ftp:21"}, whole...), "ftp"},
		{append([]string{"hello:2", "--volume", "data:/data"}, whole...), "name:/path:size"},
		{append([]string{"hello:2", "--volume", "data:/data:10"}, whole...), "MiB, GiB or TiB"},
		{append([]string{"hello:2", "--health", "http"}, whole...), "--health"},
		{append([]string{"hello:2", "--health", "http:web:/"}, whole...), "web"},
		{append([]string{"hello:2", "--health-start", "5"}, whole...), "needs --health"},
		{append([]string{"hello:2", "--royalty", "much"}, whole...), "--royalty"},
	} {
		b.run(append([]string{"image", "publish", "--yes"}, c.args...)...).fails(c.says)
	}
	require.Len(t, b.market.Images(), 1)
}

func TestInterruptedBeforeAnAnswer(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Equal(t, 130, b.runContext(ctx, "ps").code)
}

func TestPackAndPublishALayout(t *testing.T) {
	b := newBench(t)
	rootfs, layout := t.TempDir(), filepath.Join(t.TempDir(), "layout")
	require.NoError(t, os.WriteFile(filepath.Join(rootfs, "index.html"), []byte("hello"), 0o600))
	var made struct {
		Layout, Digest string
		SizeBytes      int64 `json:"size_bytes"`
		Platforms      []string
	}
	b.run("image", "pack", layout, "--folder", rootfs, "--platform", "linux/arm64", "--entrypoint", "/bin/serve", "-o", "json").ok().json(&made)

	b.run("image", "publish", "site:1", "--layout", layout, "--suns", "0.2", "--yes").ok()
	image := b.market.Images()[1]
	require.Equal(t, made.Digest, image.Digest)
	require.Equal(t, []string{"linux/arm64"}, image.Platforms)
	require.Positive(t, image.SizeBytes)

	// A second image makes the folder ambiguous.
	require.NoError(t, os.WriteFile(filepath.Join(rootfs, "index.html"), []byte("hello again"), 0o600))
	b.run("image", "pack", layout, "--folder", rootfs, "--entrypoint", "/bin/serve").ok()
	b.run("image", "publish", "site:2", "--layout", layout, "--yes").fails("choose one with --digest", made.Digest)
	b.run("image", "publish", "site:2", "--layout", layout, "--digest", made.Digest, "--yes").ok()

	// What was changed after it was packed is noticed.
	blobs, err := filepath.Glob(filepath.Join(layout, "blobs", "sha256", "*"))
	require.NoError(t, err)
	for _, blob := range blobs {
		raw, err := os.ReadFile(blob)
		require.NoError(t, err)
		if bytes.Contains(raw, []byte("hello")) {
			require.NoError(t, os.WriteFile(blob, bytes.Replace(raw, []byte("hello"), []byte("hacks"), 1), 0o600))
		}
	}
	b.run("image", "publish", "site:3", "--layout", layout, "--digest", made.Digest, "--yes").fails("does not match its digest")
}

func TestPackRefusesNonsense(t *testing.T) {
	b := newBench(t)
	program, err := os.Executable()
	require.NoError(t, err)
	b.run("image", "pack", t.TempDir()).fails("binary")
	b.run("image", "pack", t.TempDir(), "--binary", program+".gone").fails("--binary")
	b.run("image", "pack", t.TempDir(), "--binary", program, "--platform", "linux/amd64").fails("a program says itself")
	b.run("image", "pack", t.TempDir(), "--folder", t.TempDir(), "--platform", "windows").fails("--platform")
}
