package probe

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/shirou/gopsutil/v4/disk"
)

// Disk is the file system that placements live on.
type Disk struct {
	// Path is the data folder, or the nearest one above that exists already.
	Path       string `json:"path"`
	FileSystem string `json:"file_system"`
	TotalMiB   uint64 `json:"total_mib"`
	// FreeMiB is what an ordinary user may still write.
	FreeMiB uint64 `json:"free_mib"`
}

func (h Host) probeDisk(ctx context.Context, out *Disk, note notef) {
	dir, err := nearest(h.DataDir)
	if err != nil {
		note("disk", Failed, "%v", err)
		return
	}
	usage, err := disk.UsageWithContext(ctx, dir)
	if err != nil {
		note("disk", Failed, "%s: %v", dir, err)
		return
	}
	*out = Disk{Path: dir, FileSystem: usage.Fstype, TotalMiB: usage.Total / MiB, FreeMiB: usage.Free / MiB}
}

// nearest is the folder itself or the closest one above it that exists: a
// worker that has not started yet has no data folder.
func nearest(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for {
		_, err := os.Stat(dir)
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return "", err
		}
		dir = filepath.Dir(dir)
	}
}
