package fetch

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/blobs"
	"github.com/isuncoin/isuncoin/worker/cloud/peer"
	"github.com/isuncoin/isuncoin/worker/identity"
)

// holderEnv makes this program a peer that serves the store in the folder
// that it names, until it is killed.
const holderEnv = "ISUN_TEST_SERVE_FROM"

// holderMbps is what a holder uploads.
const holderMbps = 40

func serveUntilKilled(dir string) {
	store, err := blobs.Open(blobs.Config{Dir: dir})
	if err != nil {
		panic(err)
	}
	host, err := peer.New(peer.Config{
		Key: identity.NewKey().Private().Key, Private: true, Library: store, UploadMbps: holderMbps,
		Listen: []string{"/ip4/127.0.0.1/tcp/0"},
	})
	if err != nil {
		panic(err)
	}
	contact := peer.Contact{Agent: host.Address(), Addresses: host.Addresses()}
	if err := json.NewEncoder(os.Stdout).Encode(contact); err != nil {
		panic(err)
	}
	select {}
}

// startHolder starts a process that holds a blob, and gives where it is
// reached.
func startHolder(t *testing.T, content []byte) (process *os.Process, contact peer.Contact) {
	t.Helper()
	dir := t.TempDir()
	other := &fixture{T: t, dir: dir, faults: map[string]FaultKind{}, onFault: func() {}}
	var err error
	other.store, err = blobs.Open(blobs.Config{Dir: dir})
	require.NoError(t, err)
	require.NoError(t, other.fetch(content, newSource(t, "author", content)))
	require.NoError(t, other.store.Close())
	command := exec.Command(os.Args[0], "-test.run", "^$")
	command.Env = append(os.Environ(), holderEnv+"="+dir)
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	require.NoError(t, json.NewDecoder(out).Decode(&contact))
	return command.Process, contact
}

func TestAHolderThatIsKilledHalfWayIsDoneWithout(t *testing.T) {
	f := newFixture(t)
	content := noise(3, killedSize)
	killed, first := startHolder(t, content)
	_, second := startHolder(t, content)
	host, err := peer.New(peer.Config{Key: identity.NewKey().Private().Key, Private: true})
	require.NoError(t, err)
	defer host.Close()
	var sources []cloud.Source
	for _, contact := range []peer.Contact{first, second} {
		source, err := host.Source(t.Context(), contact)
		require.NoError(t, err)
		sources = append(sources, source)
	}
	options := f.options()
	note, kill := options.Progress, sync.OnceFunc(func() { _ = killed.Kill() })
	options.Stall = 5 * time.Second
	options.Progress = func(p Progress) {
		note(p)
		if p.Remote > killedSize/3 {
			kill()
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, Blob(ctx, f.store, blobOf(content), sources, options))
	f.requireHeld(content)
	require.Contains(t, f.faults, first.Agent)
	require.NotContains(t, f.faults, second.Agent)
	_, err = f.store.Check(t.Context(), blobOf(content).Digest)
	require.NoError(t, err)
	partials, err := os.ReadDir(f.dir + "/partials")
	require.NoError(t, err)
	require.Empty(t, partials, "nothing half-written stays")
}
