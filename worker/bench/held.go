package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"syscall"

	"github.com/isuncoin/isuncoin/worker/probe"
)

// blockUnit is what the kernel counts a file's blocks in, whatever the file
// system's own are.
const blockUnit = 512

// heldMiB is what this worker's placements have of the disk already: what was
// really written of their images and volumes. It was offered with the rest, so
// without it a machine would shrink as it fills up.
//
// Other file systems mounted below, such as the placements' own, are left out:
// their images are counted. A file of several names counts its part for each,
// so that a tenant who links files to each other makes nothing larger.
func heldMiB(ctx context.Context, dataDir string) (uint64, error) {
	root, err := os.Lstat(dataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil // no placement has been here yet
	}
	if err != nil {
		return 0, fmt.Errorf("disk space of placements: %w", err)
	}
	device := statOf(root).Dev
	var bytes float64
	err = filepath.WalkDir(dataDir, func(_ string, entry fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a tenant's file, gone meanwhile
		}
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		stat := statOf(info)
		switch {
		case stat.Dev != device && entry.IsDir():
			return fs.SkipDir
		case entry.Type().IsRegular() && stat.Nlink > 0:
			bytes += float64(stat.Blocks) * blockUnit / float64(stat.Nlink)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("disk space of placements: %w", err)
	}
	return uint64(math.Round(bytes / probe.MiB)), nil
}

func statOf(info fs.FileInfo) *syscall.Stat_t {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat
	}
	return &syscall.Stat_t{}
}
