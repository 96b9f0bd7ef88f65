package plugin

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// File is the source of an owner's plugin: an executable that only root and
// the worker's user can change, since it runs with the worker's rights. It is
// looked at before each call.
func File(file string) *Source {
	return &Source{
		SourceName: filepath.Base(file), Command: []string{file},
		guard: func() error { return checkFile(file) },
	}
}

// checkFile says whether a plugin may be run: it and every folder on the way
// to it must be root's or the worker's, and writable by nobody else.
func checkFile(file string) error {
	if !filepath.IsAbs(file) {
		return fmt.Errorf("plugin %q: write its whole path, beginning with /", file)
	}
	real, err := filepath.EvalSymlinks(file)
	if err != nil {
		return fmt.Errorf("plugin %s: %w", file, err)
	}
	info, err := os.Stat(real)
	if err != nil {
		return fmt.Errorf("plugin %s: %w", file, err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return fmt.Errorf("plugin %s is not an executable file: make it one with `chmod 755 %s`", file, real)
	}
	// The folders a link stands in matter too: who can change them chooses
	// what is run.
	for _, path := range []string{real, file} {
		for ; ; path = filepath.Dir(path) {
			if err := checkOwner(path); err != nil {
				return fmt.Errorf("plugin %s: %w", file, err)
			}
			if path == filepath.Dir(path) {
				break
			}
		}
	}
	return nil
}

func checkOwner(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: its owner cannot be told on this system", path)
	}
	if stat.Uid != 0 && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d: it must belong to root or to the worker's user; mend it with `chown root %s`",
			path, stat.Uid, path)
	}
	// In a sticky folder such as /tmp nobody can replace what is another's.
	sticky := info.IsDir() && info.Mode()&fs.ModeSticky != 0
	link := info.Mode()&fs.ModeSymlink != 0 // its own mode means nothing
	if info.Mode().Perm()&0o022 != 0 && !sticky && !link {
		return fmt.Errorf("%s is writable by others (%s): mend it with `chmod go-w %s`", path, info.Mode().Perm(), path)
	}
	return nil
}
