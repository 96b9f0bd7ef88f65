package journal

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
)

// sector is the least that a disk writes as a whole.
const sector = 512

// servedBy is what a journal says of every placement, to compare states.
func servedBy(t *testing.T, j *Journal) map[leasetypes.PlacementID]uint64 {
	t.Helper()
	all, err := j.All()
	require.NoError(t, err)
	served := make(map[leasetypes.PlacementID]uint64, len(all))
	for _, r := range all {
		served[r.ID] = r.Usage.ServedMs
	}
	return served
}

// lastWrite makes a journal as a worker's life leaves it, and gives the file and its contents before and after one more write.
func lastWrite(t *testing.T) (before, after []byte, was, is map[leasetypes.PlacementID]uint64) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal.db")
	j := opened(t, path)
	ids := make([]leasetypes.PlacementID, 40)
	for i := range ids {
		ids[i] = id(uint32(i))
	}
	for range 5 {
		_, err := j.UpdateAll(ids, func(r *Record) { r.Usage.ServedMs += 1000 })
		require.NoError(t, err)
	}
	require.NoError(t, j.Delete(ids[30:]...))
	was = servedBy(t, j)
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	_, err = j.UpdateAll(ids[:30], func(r *Record) { r.Usage.ServedMs += 1000 })
	require.NoError(t, err)
	is = servedBy(t, j)
	require.NoError(t, j.Close())
	after, err = os.ReadFile(path)
	require.NoError(t, err)
	return before, after, was, is
}

// requireSound opens a journal of these contents: it holds one of the states that were once whole, or it is set aside, and
// works either way.
func requireSound(t *testing.T, what string, content []byte, states ...map[leasetypes.PlacementID]uint64) (whole bool) {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "journal-") // hundreds of times: a disk would be waited for
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	path := filepath.Join(dir, "journal.db")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	j, setAside, err := Open(path)
	require.NoError(t, err, what)
	found := servedBy(t, j)
	if setAside != "" {
		require.Empty(t, found, what)
	} else {
		require.Contains(t, states, found, what)
	}
	_, err = j.Update(id(7), func(r *Record) { r.Usage.ServedMs = 5 })
	require.NoError(t, err, what)
	require.NoError(t, j.Close(), what)
	j, again, err := Open(path)
	require.NoError(t, err, what)
	require.Empty(t, again, "%s: it was mended at the first start", what)
	require.EqualValues(t, 5, servedBy(t, j)[id(7)], what)
	require.NoError(t, j.Close())
	require.NoError(t, os.RemoveAll(dir))
	return setAside == ""
}

// Power can fail in the middle of the last write: any of its sectors may be on the disk and any not.
func TestTornLastWrite(t *testing.T) {
	before, after, was, is := lastWrite(t)
	grown := make([]byte, max(len(before), len(after)))
	copy(grown, before)
	var changed []int
	for at := 0; at < len(after); at += sector {
		if !bytes.Equal(grown[at:at+sector], after[at:at+sector]) {
			changed = append(changed, at)
		}
	}
	require.Greater(t, len(changed), 8)
	torn := func(written func(i int) bool) []byte {
		content := bytes.Clone(grown)
		for i, at := range changed {
			if written(i) {
				copy(content[at:at+sector], after[at:at+sector])
			}
		}
		return content
	}
	for n := range len(changed) + 1 {
		requireSound(t, "the first sectors", torn(func(i int) bool { return i < n }), was, is)
		requireSound(t, "the last sectors", torn(func(i int) bool { return i >= n }), was, is)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 64 {
		requireSound(t, "any sectors", torn(func(int) bool { return random.IntN(2) == 0 }), was, is)
	}
	// As disks are meant to work, the tables' head comes last: everything but it leaves the state before.
	require.True(t, requireSound(t, "all but the head", torn(func(i int) bool { return changed[i] >= 2*os.Getpagesize() }), was))
	require.True(t, requireSound(t, "all of it", after, is))
}

// A tail that is gone, zeroes or noise is noticed wherever it begins.
func TestTornTail(t *testing.T) {
	_, after, was, is := lastWrite(t)
	noise := make([]byte, len(after))
	random := rand.New(rand.NewPCG(3, 4))
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	for at := 0; at < len(after); at += sector {
		cut := at + sector/2 // inside a sector, and so in the middle of whatever is there
		requireSound(t, "cut", after[:cut], was, is)
		requireSound(t, "cut at a sector", after[:at], was, is, map[leasetypes.PlacementID]uint64{})
		requireSound(t, "zeroes", append(bytes.Clone(after[:cut]), make([]byte, len(after)-cut)...), was, is)
		requireSound(t, "noise", append(bytes.Clone(after[:cut]), noise[cut:]...), was, is)
	}
	for _, more := range [][]byte{make([]byte, 10_000), noise[:10_000]} {
		require.True(t, requireSound(t, "something behind the end", append(bytes.Clone(after), more...), is))
	}
}

// A full disk is not a damaged journal: what is written stays, nothing is set aside, and writing goes on once there is room.
func TestFullDiskLosesNothing(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"), "a small disk needs root")
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	path, filler := filepath.Join(dir, "journal.db"), filepath.Join(dir, "filler")
	j := opened(t, path)
	_, err := j.Update(id(0), func(r *Record) { r.Usage.ServedMs = 1000 })
	require.NoError(t, err)
	require.ErrorIs(t, os.WriteFile(filler, make([]byte, 1<<20), 0o600), syscall.ENOSPC)

	last := uint64(1000)
	for i := range 400 { // pages that were freed are used again, so the first few writes may succeed
		var r Record
		if r, err = j.Update(id(uint32(i)), func(r *Record) { r.Usage.ServedMs, r.Reason = 2000, string(make([]byte, 500)) }); err != nil {
			break
		}
		if i == 0 {
			last = r.Usage.ServedMs
		}
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	stored, _, err := j.Get(id(0))
	require.NoError(t, err)
	require.Equal(t, last, stored.Usage.ServedMs)
	require.NoError(t, j.Close())

	j = opened(t, path) // a worker that starts now finds everything
	stored, _, err = j.Get(id(0))
	require.NoError(t, err)
	require.Equal(t, last, stored.Usage.ServedMs)

	_, setAside, err := Open(filepath.Join(dir, "another.db"))
	require.ErrorIs(t, err, syscall.ENOSPC, "a new one cannot begin")
	require.Empty(t, setAside)

	require.NoError(t, os.Remove(filler))
	_, err = j.Update(id(0), func(r *Record) { r.Usage.ServedMs = 3000 })
	require.NoError(t, err, "it goes on without a restart")
	require.NoError(t, j.Close())
}
