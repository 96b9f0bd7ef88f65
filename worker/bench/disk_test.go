package bench

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// diskGolden is the digest of the first part of the file.
const diskGolden = "3b1a6593765acccd75fa47810cfedad509e5a362babece962dd23f70e403eec2"

// plenty of room on the disk.
const plenty = 1 << 40

func TestDisk(t *testing.T) {
	dir := t.TempDir()
	figures, _, err := Disk(t.Context(), dir, plenty, 250*time.Millisecond)
	require.NoError(t, err)
	var names []string
	for _, m := range figures {
		names = append(names, m.Name)
		require.Positive(t, m.Value, m.Name)
		require.Equal(t, dir, m.Device)
		require.Equal(t, diskGolden, m.Digest, "%s is the same everywhere", m.Name)
	}
	require.Equal(t, []string{
		"disk.sequential_write", "disk.sequential_read", "disk.random_write", "disk.random_read", "disk.fsync",
	}, names)
	requireEmpty(t, dir)
}

func requireEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestDiskWithoutDirectIOSaysSo(t *testing.T) {
	dir := t.TempDir()
	file, err := unnamed(dir, 0)
	require.NoError(t, err)
	defer file.Close()
	test := &diskTest{file: file, size: 2 * leastDiskBytes, each: 20 * time.Millisecond}
	figures, err := test.run(t.Context())
	require.NoError(t, err)
	require.Len(t, figures, 5)
	require.Equal(t, diskGolden, figures[0].Digest)
}

func TestDiskNeedsRoom(t *testing.T) {
	_, _, err := Disk(t.Context(), t.TempDir(), 100<<20, time.Second)
	require.ErrorIs(t, err, ErrTooLittle)
	require.ErrorContains(t, err, "needs 160 MiB")
	_, _, err = Disk(t.Context(), filepath.Join(t.TempDir(), "none"), plenty, time.Second)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestDiskEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, _, err := Disk(ctx, dir, plenty, time.Hour)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	requireEmpty(t, dir)
}

func TestDiskThatChangesDataIsNoticed(t *testing.T) {
	file, err := unnamed(t.TempDir(), 0)
	require.NoError(t, err)
	defer file.Close()
	test := &diskTest{file: file, size: leastDiskBytes, each: time.Millisecond}
	require.NoError(t, test.lay(t.Context()))
	_, err = test.sequentialRead(t.Context())
	require.NoError(t, err)
	_, err = file.WriteAt([]byte{0, 0}, 5*pageBytes+100)
	require.NoError(t, err)
	_, err = test.sequentialRead(t.Context())
	require.ErrorIs(t, err, ErrWrongResult)
	require.ErrorContains(t, err, "page 5")
}

// A run that is killed leaves nothing: the file never has a name, or only
// between two system calls, after which the next run finds it.
func TestDiskLeavesNothingWhenKilled(t *testing.T) {
	if dir := os.Getenv("ISUN_TEST_DISK"); dir != "" {
		_, _, err := Disk(t.Context(), dir, plenty, time.Hour)
		require.NoError(t, err)
		return
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestDiskLeavesNothingWhenKilled$")
	cmd.Env = append(os.Environ(), "ISUN_TEST_DISK="+dir)
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool { return holdsFileIn(cmd.Process.Pid, dir) }, 20*time.Second, 5*time.Millisecond)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	requireEmpty(t, dir)

	require.NoError(t, os.WriteFile(filepath.Join(dir, scratchName+"1"), nil, 0o600))
	require.NoError(t, sweep(dir))
	requireEmpty(t, dir)
}

// holdsFileIn says whether a process has a file of a folder open.
func holdsFileIn(pid int, dir string) bool {
	open, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "fd", "*"))
	if err != nil {
		return false
	}
	for _, fd := range open {
		if target, err := os.Readlink(fd); err == nil && len(target) > len(dir) && target[:len(dir)] == dir {
			return true
		}
	}
	return false
}
