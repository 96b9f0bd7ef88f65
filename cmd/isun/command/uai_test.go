package command_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/uai"
)

// site is a root folder with a file.
func site(t *testing.T) string {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "index.html"), []byte("hello"), 0o644))
	return dir
}

type packed struct {
	Layout, Name, Digest string
	SizeBytes            int64 `json:"size_bytes"`
	Platforms, Warnings  []string
}

func (b *bench) pack(args ...string) packed {
	b.t.Helper()
	var made packed
	b.run(append([]string{"uai", "pack", "-o", "json"}, args...)...).ok().json(&made)
	return made
}

// inspect gives the configuration of an image.
func (b *bench) inspect(ref string) uai.Config {
	b.t.Helper()
	var shown struct{ Config uai.Config }
	require.NoError(b.t, json.Unmarshal([]byte(b.run("uai", "inspect", ref, "-o", "json").ok().out), &shown))
	return shown.Config
}

func TestPackIntoFolderAndArchiveGivesOneDigest(t *testing.T) {
	b := newBench(t)
	out := t.TempDir()
	args := []string{"--rootfs", site(t), "--name", "someone/site:1", "--suns", "0.5", "--port", "web:http:80", "--out"}
	folder := b.pack(append(args, filepath.Join(out, "folder"))...)
	archive := b.pack(append(args, filepath.Join(out, "site.tar"))...)
	require.Equal(t, folder.Digest, archive.Digest)
	require.Equal(t, "someone/site:1", folder.Name)
	for _, ref := range []string{folder.Layout, archive.Layout} {
		require.Contains(t, b.run("uai", "validate", ref).ok().out, "is valid")
		config := b.inspect(ref)
		require.Equal(t, "someone/site:1", config.Ref())
		require.EqualValues(t, 500, config.Demand.GeneralMilliSuns)
	}
	left, err := os.ReadDir(out)
	require.NoError(t, err)
	require.Len(t, left, 2, "nothing unfinished is left")
}

func TestPublishTakesWhatTheImageSays(t *testing.T) {
	b := newBench(t)
	made := b.pack("--rootfs", site(t), "--name", "someone/site:7", "--suns", "0.5", "--port", "web:http:80",
		"--health", "http:web:/", "--volume", "data:/data:2GiB", "--volume", "tmp:/cache:1GiB:scratch", "--licence", "MIT")
	b.run("uai", "publish", "--yes").ok() // the only one of the store
	image := b.market.Images()[1]
	require.Equal(t, made.Digest, image.Digest)
	require.Equal(t, "site:7", image.Name+":"+image.Tag)
	require.EqualValues(t, 500, image.Demand.GeneralMilliSuns)
	require.Equal(t, "web", image.Health.Port)
	require.Len(t, image.Volumes, 2)
	require.True(t, image.Volumes[0].Persistent())
	require.False(t, image.Volumes[1].Persistent(), "no node saves it")
	require.Equal(t, "MIT", image.Licence)
	require.EqualValues(t, made.SizeBytes, image.SizeBytes)

	// By its name in the store, with a flag that goes before.
	other := b.pack("--rootfs", site(t), "--name", b.tenant.String()+"/site:8", "--arg", "x")
	b.run("uai", "publish", "site:8", "--suns", "2", "--yes").ok()
	require.Equal(t, other.Digest, b.market.Images()[2].Digest)
	require.EqualValues(t, 2_000, b.market.Images()[2].Demand.GeneralMilliSuns)
}

func TestPublishRefusesAnImageOfAnotherAddress(t *testing.T) {
	b := newBench(t)
	stranger := b.addKey("stranger", 7)
	b.pack("--rootfs", site(t), "--name", stranger.String()+"/site:1")
	b.run("uai", "publish", "site:1", "--from", "tenant", "--yes").fails(stranger.String(), "you sign as")
}

func TestStoreListsAndRemoves(t *testing.T) {
	b := newBench(t)
	var list struct {
		Local []struct {
			Name, Digest string
			SizeBytes    int64 `json:"size_bytes"`
			Platforms    []string
		}
	}
	b.run("uai", "ls", "--local", "-o", "json").ok().json(&list)
	require.Empty(t, list.Local)
	first := b.pack("--rootfs", site(t), "--name", "a:1")
	b.pack("--rootfs", site(t), "--name", "b:1", "--arg", "x")
	b.run("uai", "ls", "--local", "-o", "json").ok().json(&list)
	require.Len(t, list.Local, 2)
	require.Contains(t, b.run("uai", "ls").ok().out, "ON THIS MACHINE")
	require.Contains(t, b.run("__complete", "uai", "rm", "").ok().out, "a:1\n")

	require.Contains(t, b.run("uai", "rm", "a:1").ok().out, first.Digest)
	b.run("uai", "inspect", "a:1").fails("b:1")
	b.run("uai", "validate", "b:1").ok() // shares its layer with the one that went
	b.run("uai", "rm", "a:1").fails("a:1")
	b.run("uai", "rm", "b:1").ok()
	blobs, err := os.ReadDir(filepath.Join(b.home, "images", "blobs", "sha256"))
	require.NoError(t, err)
	require.Empty(t, blobs)
}

func TestPackAddsAPlatform(t *testing.T) {
	for _, name := range []string{"layout", "layout.tar"} {
		b := newBench(t)
		out, root := filepath.Join(t.TempDir(), name), site(t)
		b.pack(out, "--rootfs", root, "--platform", "linux/arm64", "--name", "s:1", "--suns", "0.3", "--port", "web:http:80")
		both := b.pack(out, "--add", "--rootfs", root, "--platform", "linux/amd64", "--name", "s:1")
		require.Equal(t, []string{"linux/amd64", "linux/arm64"}, both.Platforms)
		config := b.inspect(out)
		require.EqualValues(t, 300, config.Demand.GeneralMilliSuns, "what was said before stays")
		require.Equal(t, []string{"linux/amd64", "linux/arm64"}, config.Platforms)

		// The other way round it is the same image.
		again := filepath.Join(t.TempDir(), name)
		b.pack(again, "--rootfs", root, "--platform", "linux/amd64", "--name", "s:1", "--suns", "0.3", "--port", "web:http:80")
		require.Equal(t, both.Digest, b.pack(again, "--add", "--rootfs", root, "--platform", "linux/arm64").Digest)
		b.run("uai", "validate", again).ok()
		b.run("uai", "pack", again, "--add", "--rootfs", root, "--name", "other:1").fails("--add", "s:1")
	}
}

func TestInitWritesAManifestThatPacks(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "uai.yaml")
	b.run("uai", "init", file, "--name", "me/shop:2").ok()
	b.run("uai", "init", file).fails("already")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "rootfs"), 0o755))
	b.pack("--file", file)
	config := b.inspect("me/shop:2")
	require.Equal(t, "Says hello.", config.Description)
	require.EqualValues(t, 500, config.Demand.GeneralMilliSuns)
	require.Equal(t, "web", config.Health.Port)

	// The examples in the comments are right too.
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	var lines []string
	for line := range strings.Lines(string(raw)) {
		bare := strings.TrimPrefix(line, "#")
		isSource := strings.HasPrefix(strings.TrimSpace(bare), "- {tarball") || strings.HasPrefix(strings.TrimSpace(bare), "- binary") ||
			strings.HasPrefix(strings.TrimSpace(bare), "- image") || strings.HasPrefix(strings.TrimSpace(bare), "- {dockerfile") ||
			strings.HasPrefix(strings.TrimSpace(bare), "- container")
		if line != bare && !isSource && strings.Contains(bare, ":") && !strings.Contains(bare, "`") {
			line = strings.TrimPrefix(bare, " ")
			if strings.HasPrefix(bare, "  ") {
				line = bare
			}
		}
		lines = append(lines, line)
	}
	full := strings.Join(lines, "")
	require.NoError(t, os.WriteFile(file, []byte(full), 0o644))
	b.pack("--file", file)
	config = b.inspect("me/shop:2")
	require.Len(t, config.Volumes, 2)
	require.Len(t, config.Environment, 2)
	require.EqualValues(t, 10, config.Stop.GraceSeconds)
	require.EqualValues(t, 26_000, config.Demand.Accelerator.MilliSuns)
}

func TestManifestRefuses(t *testing.T) {
	b := newBench(t)
	good := "manifest: 1\nname: a:1\ndemand: {suns: 1}\nfrom: [{rootfs: .}]\n"
	for name, c := range map[string]struct{ text, says string }{
		"nothing":             {"", "empty"},
		"an unknown field":    {good + "colour: red\n", "colour"},
		"a field twice":       {good + "name: b:1\n", "name"},
		"another version":     {strings.Replace(good, "manifest: 1", "manifest: 2", 1), "manifest: 2"},
		"two documents":       {good + "---\n" + good, "more than one"},
		"no YAML":             {"\t{", "yaml"},
		"aliases without end": {"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n", "field"},
		"two sources in one":  {strings.Replace(good, "{rootfs: .}", "{rootfs: ., tarball: x}", 1), "exactly one"},
		"no source":           {strings.Replace(good, "[{rootfs: .}]", "[]", 1), "what is to be packed"},
		"a size without unit": {good + "volumes: [{name: d, path: /d, size: 10}]\n", "MiB"},
		"a strange time":      {good + "stop: {grace: soon}\n", "soon"},
		"a bad name":          {strings.Replace(good, "a:1", "A:1", 1), "name"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "uai.yaml")
			require.NoError(t, os.WriteFile(file, []byte(c.text), 0o644))
			b.run("uai", "pack", "--file", file).fails(c.says)
		})
	}
}

func TestPackSaysWhatIsMissing(t *testing.T) {
	b := newBench(t)
	b.run("uai", "pack").fails("--rootfs")
	b.run("uai", "pack", "--rootfs", site(t), "--suns", "1").fails("--name")
	b.run("uai", "pack", "--rootfs", site(t), "--name", "a/b/c").fails("--name")
	b.run("uai", "pack", "--rootfs", site(t), "--name", "a:1", "--volume", "x").fails("--volume")
	b.run("uai", "pack", "x", "--rootfs", site(t), "--out", "y").fails("one of them")
	b.run("uai", "pack", "--rootfs", filepath.Join(t.TempDir(), "gone"), "--name", "a:1").fails("gone")
	b.run("uai", "inspect", "nothing:1").fails("isun uai ls --local")
	b.run("uai", "pack", "--rootfs", site(t), "--name", "a:1", "--variable", "A=b:required").fails("required")
}

func TestSBOMIsSPDX(t *testing.T) {
	b := newBench(t)
	root := site(t)
	require.NoError(t, os.MkdirAll(filepath.Join(root, "var/lib/dpkg"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(root, "etc"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, "etc/os-release"), []byte("ID=debian\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(root, "var/lib/dpkg/status"), []byte(
		"Package: nginx\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.22.1-9+deb12u3\n\n"+
			"Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n"), 0o644))
	b.pack("--rootfs", root, "--name", "s:1", "--licence", "MIT")
	var document struct {
		SPDXVersion string `json:"spdxVersion"`
		Packages    []struct {
			Name, VersionInfo, LicenseDeclared string
			ExternalRefs                       []struct{ ReferenceLocator string }
		}
	}
	out := b.run("uai", "sbom", "s:1").ok().out
	require.NoError(t, json.Unmarshal([]byte(out), &document))
	require.Equal(t, "SPDX-2.3", document.SPDXVersion)
	require.Len(t, document.Packages, 2, "what was removed is not listed")
	require.Equal(t, "MIT", document.Packages[0].LicenseDeclared)
	require.Equal(t, "pkg:deb/debian/nginx@1.22.1-9%2Bdeb12u3?arch=amd64", document.Packages[1].ExternalRefs[0].ReferenceLocator)
	require.Equal(t, out, b.run("uai", "sbom", "s:1").ok().out)
}
