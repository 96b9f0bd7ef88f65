package blobs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/isuncoin/isuncoin/worker/cloud"
)

// full says ErrFull where the system says it in its own words: the disk, the
// quota or the process's largest file.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return fmt.Errorf("%w: %w", cloud.ErrFull, err)
	}
	return err
}

// writeFile writes a file that is whole or not there after any crash.
func (s *Store) writeFile(path string, content []byte) error {
	file, err := os.CreateTemp(s.path("tmp"), "file-")
	if err != nil {
		return full(err)
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = moveFile(file.Name(), path)
	}
	if err != nil {
		return errors.Join(full(err), remove(file.Name()))
	}
	return nil
}

// moveFile renames for good.
func moveFile(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return full(err)
	}
	return syncDir(filepath.Dir(to))
}

// syncDir has a folder's names on disk.
func syncDir(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(full(file.Sync()), file.Close())
}

// remove is content with a file that is not there.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
