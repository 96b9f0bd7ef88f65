package uai

import (
	"archive/tar"
	"crypto/sha256"
	"debug/elf"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ErrNotStatic: a program that needs shared libraries, which an image of one
// file does not have.
var ErrNotStatic = errors.New("binary is not statically linked")

// countingHash passes on what is written, hashed and counted.
type countingHash struct {
	to   io.Writer
	hash hash.Hash
	size int64
}

func newCountingHash(to io.Writer) *countingHash { return &countingHash{to: to, hash: sha256.New()} }

// Write implements io.Writer.
func (c *countingHash) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.hash.Write(p[:n])
	c.size += int64(n)
	return n, err
}

func (c *countingHash) digest() Digest { return digestFrom(c.hash) }

// BinaryPlatform reads the platform of an ELF executable. ErrNotStatic if it
// needs an interpreter.
func BinaryPlatform(binary string) (Platform, error) {
	file, err := elf.Open(binary)
	if err != nil {
		return Platform{}, fmt.Errorf("%w: %s is not a Linux executable: %w", ErrMalformed, binary, err)
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			return Platform{}, fmt.Errorf("%w: %s (for Go: CGO_ENABLED=0)", ErrNotStatic, binary)
		}
	}
	switch file.Machine {
	case elf.EM_X86_64:
		return Platform{OS: "linux", Architecture: "amd64"}, nil
	case elf.EM_AARCH64:
		return Platform{OS: "linux", Architecture: "arm64"}, nil
	}
	return Platform{}, fmt.Errorf("%w: %s is for %s; amd64 and arm64 are known", ErrNoPlatform, binary, file.Machine)
}

func binaryPath(binary string) string { return "/app/" + filepath.Base(binary) }

// writeRoot writes a source's root file system as an unpacked tar.
func writeRoot(w io.Writer, s Source) error {
	given := 0
	for _, is := range []bool{s.Folder != "", s.Tarball != "", s.Binary != "", s.Stream != nil} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		return fmt.Errorf("%w: want exactly one of folder, tarball and binary", ErrMalformed)
	case s.Folder != "":
		return WriteTree(w, s.Folder, TreeOptions{})
	case s.Tarball != "":
		return copyTarball(w, s.Tarball)
	case s.Stream != nil:
		return s.Stream(w)
	}
	return writeBinary(w, s)
}

func writeBinary(w io.Writer, s Source) error {
	platform, err := BinaryPlatform(s.Binary)
	if err != nil {
		return err
	}
	if !platform.serves(s.Platform) {
		return fmt.Errorf("%w: %s is for %s", ErrNoPlatform, s.Binary, platform)
	}
	archive := tar.NewWriter(w)
	// The folders that a placement mounts scratch space on.
	for _, dir := range []struct {
		name string
		mode int64
	}{{"app/", 0o755}, {"run/", 0o755}, {"tmp/", 0o1777}, {"var/", 0o755}, {"var/tmp/", 0o1777}} {
		header := plainHeader(dir.name, tar.TypeDir, dir.mode)
		if err := archive.WriteHeader(header); err != nil {
			return fmt.Errorf("write layer: %w", err)
		}
	}
	file, err := os.Open(s.Binary)
	if err != nil {
		return fmt.Errorf("pack binary: %w", err)
	}
	defer file.Close()
	name := strings.TrimPrefix(binaryPath(s.Binary), "/")
	if err := writeFile(archive, plainHeader(name, tar.TypeReg, 0o755), file); err != nil {
		return err
	}
	return archive.Close()
}

// plainHeader is a header that depends on nothing but its arguments.
func plainHeader(name string, kind byte, mode int64) *tar.Header {
	return &tar.Header{Name: name, Typeflag: kind, Mode: mode, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
}

func writeFile(archive *tar.Writer, header *tar.Header, file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("write layer: %w", err)
	}
	header.Size = info.Size()
	if err := archive.WriteHeader(header); err != nil {
		return fmt.Errorf("write layer: %w", err)
	}
	if _, err := io.Copy(archive, file); err != nil {
		return fmt.Errorf("write layer: %s: %w", header.Name, err)
	}
	return nil
}

// copyTarball takes a tar file as it is, after a look at every name in it.
func copyTarball(w io.Writer, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("pack tarball: %w", err)
	}
	defer file.Close()
	unpacked, err := Unpack(file)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrMalformed, name, err)
	}
	defer unpacked.Close()
	copied := io.TeeReader(unpacked, w)
	entries, err := checkEntries(copied, DefaultLimits().Entries)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if entries == 0 {
		return fmt.Errorf("%w: %s holds no files", ErrMalformed, name)
	}
	// What follows the last entry, such as padding, belongs to the layer too.
	if _, err := io.Copy(io.Discard, copied); err != nil {
		return fmt.Errorf("pack tarball: %w", err)
	}
	return nil
}
