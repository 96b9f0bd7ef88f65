package command

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// workDir is a folder for one command. It lies in the home: the disk of temporary files may be memory.
type workDir struct {
	path string
	lock *os.File
}

const (
	workPrefix = "put-"
	workLock   = ".lock"
)

// newWorkDir makes a folder, and removes those of commands that were killed: nobody holds their lock.
func (c *commands) newWorkDir() (*workDir, error) {
	if err := os.MkdirAll(c.flags.home, 0o700); err != nil {
		return nil, err
	}
	old, err := filepath.Glob(filepath.Join(c.flags.home, workPrefix+"*"))
	if err != nil {
		return nil, err
	}
	for _, path := range old {
		if dir, err := lockWorkDir(path, 0); err == nil {
			if err := dir.remove(); err != nil {
				return nil, fmt.Errorf("remove what another command left: %w", err)
			}
		}
	}
	path, err := os.MkdirTemp(c.flags.home, workPrefix)
	if err != nil {
		return nil, err
	}
	dir, err := lockWorkDir(path, os.O_CREATE)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(path))
	}
	return dir, nil
}

// lockWorkDir fails where somebody else has the lock, or is about to.
func lockWorkDir(path string, flags int) (*workDir, error) {
	lock, err := os.OpenFile(filepath.Join(path, workLock), os.O_RDWR|flags, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &workDir{path: path, lock: lock}, nil
}

func (d *workDir) remove() error { return errors.Join(os.RemoveAll(d.path), d.lock.Close()) }
