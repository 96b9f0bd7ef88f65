package journal

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
)

func id(replica uint32) leasetypes.PlacementID {
	return leasetypes.PlacementID{Tenant: "isun1tenant", Number: 7, Replica: replica, Generation: 2}
}

func opened(t *testing.T, path string) *Journal {
	t.Helper()
	j, setAside, err := Open(path)
	require.NoError(t, err)
	require.Empty(t, setAside)
	return j
}

func TestRecordsSurviveClosing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := opened(t, path)
	_, ok, err := j.Get(id(0))
	require.NoError(t, err)
	require.False(t, ok)

	_, err = j.UpdateAll([]leasetypes.PlacementID{id(0), id(1)}, func(r *Record) {
		r.Intent, r.Usage.ServedMs = IntentRun, 1500
		r.Run = Run{ContainerID: "abc", StartedAt: time.Unix(1, 2).UTC()}
	})
	require.NoError(t, err)
	require.NoError(t, j.SetConfirmed(Confirmed{Boot: "b", At: time.Minute}))
	first, err := j.NextSequence(0, 2)
	require.NoError(t, err)
	require.EqualValues(t, 1, first)
	require.NoError(t, j.Close())

	j = opened(t, path)
	all, err := j.All()
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, id(0), all[0].ID)
	require.EqualValues(t, 1500, all[1].Usage.ServedMs)
	require.True(t, all[0].Run.Same(Run{ContainerID: "abc", StartedAt: time.Unix(1, 2)}))
	c, ok, err := j.Confirmed()
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, Confirmed{Boot: "b", At: time.Minute}, c)

	for _, tc := range []struct{ chain, n, want uint64 }{{0, 1, 3}, {10, 1, 11}, {5, 1, 12}} {
		first, err := j.NextSequence(tc.chain, tc.n)
		require.NoError(t, err)
		require.Equal(t, tc.want, first)
	}
	require.NoError(t, j.Delete(id(0), id(5)))
	_, ok, err = j.Get(id(0))
	require.NoError(t, err)
	require.False(t, ok)
	require.NoError(t, j.Close())
}

func TestSecondOpenIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := opened(t, path)
	defer j.Close()
	_, _, err := Open(path)
	require.ErrorIs(t, err, ErrInUse)
}

// filled writes a journal big enough to have several levels of pages.
func filled(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := opened(t, path)
	ids := make([]leasetypes.PlacementID, 300)
	for i := range ids {
		ids[i] = id(uint32(i))
	}
	_, err := j.UpdateAll(ids, func(r *Record) { r.Usage.ServedMs = 424242 })
	require.NoError(t, err)
	require.NoError(t, j.Close())
	return path
}

func TestDamageIsSetAside(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, path string){
		"torn at a page":        func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 16384)) },
		"torn inside a page":    func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 9000)) },
		"torn in the header":    func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 100)) },
		"not a database at all": func(t *testing.T, path string) { require.NoError(t, os.WriteFile(path, []byte("hello"), 0o600)) },
		"zeroes":                func(t *testing.T, path string) { require.NoError(t, os.WriteFile(path, make([]byte, 65536), 0o600)) },
		"one changed digit": func(t *testing.T, path string) {
			raw, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Contains(t, string(raw), "424242")
			require.NoError(t, os.WriteFile(path, bytes.ReplaceAll(raw, []byte("424242"), []byte("924242")), 0o600))
		},
		"noise over the pages": func(t *testing.T, path string) {
			raw, err := os.ReadFile(path)
			require.NoError(t, err)
			for i := 8192; i < len(raw); i++ {
				raw[i] = byte(i * 31)
			}
			require.NoError(t, os.WriteFile(path, raw, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filled(t)
			damage(t, path)
			j, setAside, err := Open(path)
			require.NoError(t, err)
			require.FileExists(t, setAside, "what was damaged is kept to be looked at")
			all, err := j.All()
			require.NoError(t, err)
			require.Empty(t, all)
			_, err = j.Update(id(0), func(r *Record) { r.Failures++ })
			require.NoError(t, err, "the new journal works")
			require.NoError(t, j.Close())
		})
	}
}

func TestAnEmptyFileIsANewJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	require.NoError(t, os.WriteFile(path, nil, 0o600)) // killed right after creating it
	require.NoError(t, opened(t, path).Close())
}

func TestANewerLayoutIsNotDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := opened(t, path)
	require.NoError(t, j.db.Update(func(tx *bolt.Tx) error { return put(tx.Bucket(metaBucket), versionKey, version+1) }))
	require.NoError(t, j.Close())
	_, setAside, err := Open(path)
	require.ErrorContains(t, err, "layout 2")
	require.Empty(t, setAside)
}

// TestKilledWhileWriting kills a writer with SIGKILL again and again: what it
// had been told is on disk must be there, and the file must open.
func TestKilledWhileWriting(t *testing.T) {
	if os.Getenv("ISUN_JOURNAL_WRITER") != "" {
		writeForever(os.Getenv("ISUN_JOURNAL_WRITER")) // before it has a folder that nobody would remove
	}
	path := filepath.Join(t.TempDir(), "journal.db")
	var last uint64
	for range 5 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWhileWriting$")
		cmd.Env = append(os.Environ(), "ISUN_JOURNAL_WRITER="+path)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		var said uint64
		for range 20 { // acknowledged writes
			_, err := fmt.Fscanln(out, &said)
			require.NoError(t, err)
		}
		require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
		_ = cmd.Wait() // the kill itself
		j := opened(t, path)
		r, ok, err := j.Get(id(0))
		require.NoError(t, err)
		require.True(t, ok)
		require.GreaterOrEqual(t, r.Usage.ServedMs, said)
		require.Greater(t, r.Usage.ServedMs, last)
		last = r.Usage.ServedMs
		require.NoError(t, j.Close())
	}
}

func writeForever(path string) {
	j, _, err := Open(path)
	if err != nil {
		panic(err)
	}
	for {
		r, err := j.Update(id(0), func(r *Record) { r.Usage.ServedMs++ })
		if err != nil {
			panic(err)
		}
		fmt.Println(strconv.FormatUint(r.Usage.ServedMs, 10))
	}
}

func TestAddCountsRunsApart(t *testing.T) {
	var r Record
	one := Run{ContainerID: "a", StartedAt: time.Unix(1, 0)}
	r.Add(one, Counters{CPUMs: 100, BytesIn: 5})
	r.Add(one, Counters{CPUMs: 150, BytesIn: 5})
	require.EqualValues(t, 150, r.Usage.CPUMs)
	require.EqualValues(t, 5, r.Usage.BytesIn)
	again := Run{ContainerID: "a", StartedAt: time.Unix(2, 0)}
	r.Add(again, Counters{CPUMs: 40, BytesIn: 5})
	require.EqualValues(t, 190, r.Usage.CPUMs, "a restarted container counts from 0")
	require.EqualValues(t, 10, r.Usage.BytesIn)
	r.Add(again, Counters{CPUMs: 10})
	require.EqualValues(t, 200, r.Usage.CPUMs, "so does one whose counters fell")
}

func TestUsageIsAttestedAsItIs(t *testing.T) {
	u := Usage{1, 2, 3, 4, 5, 6}
	e := u.Entry(id(1))
	require.Equal(t, id(1), e.ID)
	require.Equal(t, u, UsageOf(e))
	require.Equal(t, Usage{7, 2, 3, 4, 5, 6}, u.Max(Usage{ServedMs: 7}))
}
