package fetch

import (
	"context"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/blobs"
)

// killedEnv makes this program the one that is killed in the middle of a
// fetch into the folder that it names.
const killedEnv = "ISUN_TEST_FETCH_INTO"

const killedSize = 12 << 20

func TestMain(m *testing.M) {
	if dir := os.Getenv(killedEnv); dir != "" {
		fetchUntilKilled(dir)
	}
	if dir := os.Getenv(holderEnv); dir != "" {
		serveUntilKilled(dir)
	}
	os.Exit(m.Run())
}

func fetchUntilKilled(dir string) {
	store, err := blobs.Open(blobs.Config{Dir: dir})
	if err != nil {
		panic(err)
	}
	content := noise(1, killedSize)
	a := newSource(&testing.T{}, "a", content)
	a.spoil = func(_ int64, r io.Reader) io.Reader { return slow{r, 8 << 20} }
	opts := Options{Progress: func(p Progress) { _, _ = os.Stdout.Write([]byte{byte(p.Remote >> 20)}) }}
	if err := Blob(context.Background(), store, blobOf(content), []cloud.Source{a}, opts); err != nil {
		panic(err)
	}
	panic("nobody killed it")
}

func TestAFetchGoesOnAfterKill9(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.store.Close())
	reached := byte(0)
	for _, at := range []byte{2, 4, 7} { // it is killed again and again, further on each time
		command := exec.Command(os.Args[0], "-test.run", "^$")
		command.Env = append(os.Environ(), killedEnv+"="+f.dir)
		out, err := command.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, command.Start())
		deadline := time.AfterFunc(time.Minute, func() { _ = command.Process.Kill() })
		var mebibytes [1]byte
		for mebibytes[0] < at-reached {
			_, err := out.Read(mebibytes[:])
			require.NoError(t, err)
		}
		reached = at
		require.NoError(t, command.Process.Kill())
		require.Error(t, command.Wait())
		deadline.Stop()
	}
	var err error
	f.store, err = blobs.Open(blobs.Config{Dir: f.dir})
	require.NoError(t, err)
	content := noise(1, killedSize)
	f.requireNothing(content)
	require.NoError(t, f.fetch(content, newSource(t, "b", content)))
	f.requireHeld(content)
	require.Greater(t, f.progress.Local, int64(6<<20), "what had come was not fetched again")
	require.Less(t, f.progress.Local, int64(killedSize))
}
