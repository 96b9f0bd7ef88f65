package parcel

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/blobs"
	"github.com/isuncoin/isuncoin/worker/cloud/client"
	"github.com/isuncoin/isuncoin/worker/cloud/fetch"
	"github.com/isuncoin/isuncoin/worker/cloud/vault"
)

const object = "isun1owner/results/run-7"

func newIdentity(t *testing.T) *vault.Identity {
	t.Helper()
	identity, err := vault.NewIdentity()
	require.NoError(t, err)
	return identity
}

// private are the options of a private parcel in small pieces.
func private(t *testing.T, identity *vault.Identity) PackOptions {
	t.Helper()
	recipient, err := vault.ParseRecipient(identity.Recipient())
	require.NoError(t, err)
	mark, err := Mark(identity)
	require.NoError(t, err)
	return PackOptions{Recipient: recipient, Mark: mark, pieceBytes: 100_000}
}

// arrived is the parcel after a node fetched it, with the walk and the checks
// of any tree.
func arrived(t *testing.T, dir string, root uai.Digest) (*Parcel, *blobs.Store) {
	t.Helper()
	library, err := client.OpenLayout(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, library.Close()) })
	store, err := blobs.Open(blobs.Config{Dir: t.TempDir(), LimitBytes: 1 << 30})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	_, err = fetch.Tree(t.Context(), store, root, fetchSources(library), fetch.Options{})
	require.NoError(t, err)
	p, err := Open(store, root)
	require.NoError(t, err)
	return p, store
}

func TestAFolderComesBackAsItWas(t *testing.T) {
	source := filepath.Join(t.TempDir(), "results")
	when := time.Unix(1_700_000_000, 123_456_789)
	content := make([]byte, 350_000)
	_, err := rand.Read(content)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(source, "deep", "empty"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(source, "deep", "run.sh"), content, 0o750))
	require.NoError(t, os.WriteFile(filepath.Join(source, "nothing"), nil, 0o600))
	require.NoError(t, os.Symlink("../nothing", filepath.Join(source, "deep", "link")))
	for _, name := range []string{"deep/run.sh", "deep/empty", "deep", "."} {
		require.NoError(t, os.Chtimes(filepath.Join(source, name), when, when))
	}
	identity := newIdentity(t)
	dir := t.TempDir()
	packed, err := Pack(t.Context(), source, dir, private(t, identity))
	require.NoError(t, err)
	p, _ := arrived(t, dir, packed.Root)
	require.True(t, p.Private)
	require.Greater(t, len(p.pieces), 3)

	out := filepath.Join(t.TempDir(), "out")
	require.NoError(t, p.Unpack(t.Context(), out, UnpackOptions{Identity: identity.Age()}))
	got, err := os.ReadFile(filepath.Join(out, "deep", "run.sh"))
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
	for name, mode := range map[string]fs.FileMode{"deep/run.sh": 0o750, "deep/empty": fs.ModeDir | 0o755, "deep": fs.ModeDir | 0o755} {
		info, err := os.Stat(filepath.Join(out, name))
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode(), name)
		require.True(t, info.ModTime().Equal(when), name)
	}
	target, err := os.Readlink(filepath.Join(out, "deep", "link"))
	require.NoError(t, err)
	require.Equal(t, "../nothing", target)
	require.ErrorIs(t, p.Unpack(t.Context(), out, UnpackOptions{Identity: identity.Age()}), ErrExists)
}

func TestAFileAndAStreamComeBackAsTheyWere(t *testing.T) {
	source := filepath.Join(t.TempDir(), "model.bin")
	content := bytes.Repeat([]byte("0123456789"), 30_000)
	require.NoError(t, os.WriteFile(source, content, 0o640))
	for name, pack := range map[string]func(string, PackOptions) (Packed, error){
		"file": func(dir string, o PackOptions) (Packed, error) { return Pack(t.Context(), source, dir, o) },
		"stream": func(dir string, o PackOptions) (Packed, error) {
			return PackStream(t.Context(), bytes.NewReader(content), dir, o)
		},
	} {
		t.Run(name, func(t *testing.T) {
			identity := newIdentity(t)
			for _, opts := range []PackOptions{{pieceBytes: 100_000}, private(t, identity)} {
				dir := t.TempDir()
				packed, err := pack(dir, opts)
				require.NoError(t, err)
				p, _ := arrived(t, dir, packed.Root)
				require.Equal(t, opts.Recipient != nil, p.Private)
				key := UnpackOptions{Identity: identity.Age()}
				out := filepath.Join(t.TempDir(), "out")
				require.NoError(t, p.Unpack(t.Context(), out, key))
				got, err := os.ReadFile(out)
				require.NoError(t, err)
				require.True(t, bytes.Equal(content, got))
				var streamed bytes.Buffer
				require.NoError(t, p.Stream(t.Context(), &streamed, key))
				require.True(t, bytes.Equal(content, streamed.Bytes()))
				require.ErrorIs(t, p.Unpack(t.Context(), out, key), ErrExists)
				key.Replace = true
				require.NoError(t, p.Unpack(t.Context(), out, key))
			}
		})
	}
}

func TestNothingAtAllCanBeStored(t *testing.T) {
	identity := newIdentity(t)
	for _, opts := range []PackOptions{{}, private(t, identity)} {
		dir := t.TempDir()
		packed, err := PackStream(t.Context(), bytes.NewReader(nil), dir, opts)
		require.NoError(t, err)
		p, _ := arrived(t, dir, packed.Root)
		var out bytes.Buffer
		require.NoError(t, p.Stream(t.Context(), &out, UnpackOptions{Identity: identity.Age()}))
		require.Zero(t, out.Len())
	}
}

func TestTheOwnerKnowsContentAgain(t *testing.T) {
	identity := newIdentity(t)
	print := func(content string, identity *vault.Identity) (string, uai.Digest) {
		packed, err := PackStream(t.Context(), bytes.NewReader([]byte(content)), t.TempDir(), private(t, identity))
		require.NoError(t, err)
		return packed.Fingerprint, packed.Root
	}
	first, root := print("content", identity)
	again, other := print("content", identity)
	require.Equal(t, first, again)
	require.NotEqual(t, root, other, "encrypted anew")
	changed, _ := print("Content", identity)
	foreign, _ := print("content", newIdentity(t))
	require.NotEqual(t, first, changed)
	require.NotEqual(t, first, foreign, "nobody can try what it might be")
}

func TestAWrongKeyWritesNothing(t *testing.T) {
	dir, place := t.TempDir(), t.TempDir()
	packed, err := PackStream(t.Context(), bytes.NewReader([]byte("secret")), dir, private(t, newIdentity(t)))
	require.NoError(t, err)
	p, _ := arrived(t, dir, packed.Root)
	out := filepath.Join(place, "out")
	require.ErrorIs(t, p.Unpack(t.Context(), out, UnpackOptions{Identity: newIdentity(t).Age()}), ErrNoKey)
	require.ErrorIs(t, p.Unpack(t.Context(), out, UnpackOptions{}), ErrPrivate)
	requireEmpty(t, place)
}

func requireEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestDamagedPiecesAreNotUsed(t *testing.T) {
	identity := newIdentity(t)
	for name, opts := range map[string]PackOptions{"public": {pieceBytes: 100_000}, "private": private(t, identity)} {
		t.Run(name, func(t *testing.T) {
			dir, place := t.TempDir(), t.TempDir()
			packed, err := PackStream(t.Context(), bytes.NewReader(make([]byte, 300_000)), dir, opts)
			require.NoError(t, err)
			library, err := client.OpenLayout(dir)
			require.NoError(t, err)
			defer library.Close()
			p, err := Open(library, packed.Root)
			require.NoError(t, err)
			last := filepath.Join(dir, "blobs", "sha256", p.pieces[len(p.pieces)-1].Digest.Hex())
			raw, err := os.ReadFile(last)
			require.NoError(t, err)
			raw[len(raw)-1] ^= 1
			require.NoError(t, os.WriteFile(last, raw, 0o600))
			require.Error(t, p.Unpack(t.Context(), filepath.Join(place, "out"), UnpackOptions{Identity: identity.Age()}))
			require.NoError(t, os.Truncate(last, int64(len(raw)/2)))
			require.Error(t, p.Unpack(t.Context(), filepath.Join(place, "out"), UnpackOptions{Identity: identity.Age()}))
			requireEmpty(t, place)
		})
	}
}

func TestHostileArchivesLeadNowhere(t *testing.T) {
	top := tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755}
	for name, headers := range map[string][]tar.Header{
		"above":             {top, {Name: "../evil", Typeflag: tar.TypeReg, Mode: 0o644}},
		"above within":      {top, {Name: "a/../../evil", Typeflag: tar.TypeReg}},
		"absolute":          {top, {Name: "/tmp/evil", Typeflag: tar.TypeReg}},
		"link outside":      {top, {Name: "l", Typeflag: tar.TypeSymlink, Linkname: "../.."}},
		"absolute link":     {top, {Name: "l", Typeflag: tar.TypeSymlink, Linkname: "/etc"}},
		"through a link":    {top, {Name: "l", Typeflag: tar.TypeSymlink, Linkname: "missing"}, {Name: "l", Typeflag: tar.TypeReg}},
		"hard link":         {top, {Name: "l", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}},
		"device":            {top, {Name: "d", Typeflag: tar.TypeChar}},
		"twice":             {top, {Name: "a", Typeflag: tar.TypeReg}, {Name: "a", Typeflag: tar.TypeReg}},
		"no folder":         {top, {Name: "a/b", Typeflag: tar.TypeReg}},
		"itself":            {top, {Name: "./", Typeflag: tar.TypeDir}},
		"more than a file":  {{Name: "a", Typeflag: tar.TypeReg}, {Name: "b", Typeflag: tar.TypeReg}},
		"begins with links": {{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "b"}},
		"another folder":    {{Name: "a/", Typeflag: tar.TypeDir}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, place := t.TempDir(), t.TempDir()
			packed, err := pack(t.Context(), dir, TypeTar, PackOptions{}, func(w io.Writer) error {
				archive := tar.NewWriter(w)
				for _, h := range headers {
					require.NoError(t, archive.WriteHeader(&h))
				}
				return archive.Close()
			})
			require.NoError(t, err)
			p, _ := arrived(t, dir, packed.Root)
			require.ErrorIs(t, p.Unpack(t.Context(), filepath.Join(place, "out"), UnpackOptions{}), ErrMalformed)
			requireEmpty(t, place)
		})
	}
}

func TestWhatIsNoParcelIsRefused(t *testing.T) {
	for name, manifest := range map[string]string{
		"an image":       `{"schemaVersion":2,"config":{},"layers":[]}`,
		"no pieces":      `{"schemaVersion":2,"artifactType":"` + ArtifactType + `","layers":[]}`,
		"unknown":        `{"schemaVersion":2,"artifactType":"` + ArtifactType + `","layers":[{"mediaType":"text/plain"}]}`,
		"not a digest":   `{"schemaVersion":2,"artifactType":"` + ArtifactType + `","layers":[{"mediaType":"` + TypeRaw + `","digest":"../evil"}]}`,
		"not a document": `nonsense`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse([]byte(manifest), digestOf([]byte(manifest)))
			require.Error(t, err)
			_, err = parse([]byte(manifest), digestOf([]byte("another")))
			require.ErrorContains(t, err, "another digest")
		})
	}
}

func TestLinksThatLeadOutAreNotStored(t *testing.T) {
	source := t.TempDir()
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(source, "link")))
	_, err := Pack(t.Context(), source, t.TempDir(), PackOptions{})
	require.ErrorContains(t, err, "outside of the folder")
}

func TestAKeyNamesWhatItOpens(t *testing.T) {
	identity := newIdentity(t)
	text := Key{Object: object, Secret: identity.Text()}.String()
	require.Contains(t, text, "isunkey1")
	key, err := ParseKey(" " + text + "\n")
	require.NoError(t, err)
	require.Equal(t, Key{Object: object, Secret: identity.Text()}, key)
	opened, err := key.Identity()
	require.NoError(t, err)
	require.Equal(t, identity.Recipient(), opened.(*age.X25519Identity).Recipient().String())

	for _, wrong := range []string{"", "isunkey1", text[:len(text)-1], text[:20] + "q" + text[21:] + "q", identity.Text(), "isun1qqqq"} {
		_, err := ParseKey(wrong)
		require.ErrorIs(t, err, ErrKey, wrong)
	}
}

func fetchSources(library cloud.Library) []cloud.Source {
	return []cloud.Source{fetch.FromLibrary("tenant", library)}
}
