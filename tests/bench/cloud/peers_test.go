package cloud

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/tests/bench/report"
	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/peer"
	"github.com/isuncoin/isuncoin/worker/identity"
)

const (
	// mibEnv says how many MiB the blob of BenchmarkPeers weighs.
	mibEnv = "BENCH_CLOUD_MIB"
	// defaultMiB is what it weighs unless that says otherwise.
	defaultMiB = 256
	// goalPeersMemory is what the process may take, in MiB. All peers are in it.
	goalPeersMemory = 200
)

// BenchmarkPeers fetches a blob over connections as nodes have them: from one peer that uploads 200 Mbit/s, from three, and from three
// that nothing but the processor bounds, beside copying and hashing a file.
func BenchmarkPeers(b *testing.B) {
	f := newFixture(b)
	blob := f.putFile(peersMiB(b))
	slow, quick := f.peers(3, home*8/1e6), f.peers(3, 0)
	var one, three, unshaped, copied, memory float64
	for b.Loop() {
		one = f.fetch(blob, slow[:1]...).Seconds()
		stop := watchMemory(b)
		three = f.fetch(blob, slow...).Seconds()
		copied = f.copyAndHash(blob).Seconds()
		unshaped = f.fetch(blob, quick...).Seconds()
		memory = stop()
	}
	size := float64(blob.Size)
	report.Figure(b, "cloud_peers_one_mbit_s", 8*size/one/1e6)
	report.Figure(b, "cloud_peers_three_mbit_s", 8*size/three/1e6)
	report.Figure(b, "cloud_peers_three_vs_one", one/three)
	report.Figure(b, "cloud_peers_three_vs_one_vs_goal", one/three/goalThree)
	report.Figure(b, "cloud_peers_unshaped_mib_s", size/unshaped/(1<<20))
	report.Figure(b, "cloud_peers_unshaped_vs_copy", unshaped/copied)
	report.Figure(b, "cloud_peers_memory_mib", memory)
	report.Figure(b, "cloud_peers_memory_vs_goal", memory/goalPeersMemory)
}

func peersMiB(b *testing.B) int64 {
	b.Helper()
	text := os.Getenv(mibEnv)
	if text == "" {
		return defaultMiB
	}
	mib, err := strconv.ParseInt(text, 10, 32)
	require.NoError(b, err, mibEnv)
	require.Positive(b, mib, mibEnv)
	return mib
}

// putFile puts so many MiB of noise, which are never in memory at once.
func (f *fixture) putFile(mib int64) cloud.Blob {
	f.Helper()
	path := filepath.Join(f.TempDir(), "noise")
	file, err := os.Create(path)
	require.NoError(f, err)
	defer func() { require.NoError(f, os.Remove(path)) }()
	defer file.Close()
	sum := sha256.New()
	_, err = io.CopyN(io.MultiWriter(file, sum), rand.NewChaCha8([32]byte{1}), mib<<20)
	require.NoError(f, err)
	_, err = file.Seek(0, io.SeekStart)
	require.NoError(f, err)
	blob := cloud.Blob{Digest: uai.Digest("sha256:" + hex.EncodeToString(sum.Sum(nil))), Size: mib << 20}
	require.NoError(f, f.from.Put(f.Context(), file, blob))
	return blob
}

// peers on loopback serve the fixture's store, each at so many Mbit/s; 0 is as quick as they can.
func (f *fixture) peers(count int, mbps float64) []cloud.Source {
	f.Helper()
	start := func(config peer.Config) *peer.Host {
		config.Key, config.Private = identity.NewKey().Private().Key, true
		host, err := peer.New(config)
		require.NoError(f, err)
		f.Cleanup(func() { require.NoError(f, host.Close()) })
		return host
	}
	here := start(peer.Config{})
	all := make([]cloud.Source, count)
	for i := range all {
		host := start(peer.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}, UploadMbps: mbps, Library: f.from})
		source, err := here.Source(f.Context(), peer.Contact{Agent: host.Address(), Addresses: host.Addresses()})
		require.NoError(f, err)
		all[i] = source
	}
	return all
}
