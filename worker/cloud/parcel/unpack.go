package parcel

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/isuncoin/isuncoin/worker/cloud"
)

// UnpackOptions say how content is given back.
type UnpackOptions struct {
	// Identity opens private content.
	Identity age.Identity
	// Replace lets a file take the place of another.
	Replace bool
	// Progress is told of all bytes that were read; it may be nil.
	Progress func(bytes int64)
}

// plain is the parcel's stream, opened.
func (p *Parcel) plain(ctx context.Context, opts UnpackOptions) (io.Reader, error) {
	stream := &pieceReader{ctx: ctx, parcel: p, sum: sha256.New(), progress: opts.Progress}
	if !p.Private {
		return stream, nil
	}
	if opts.Identity == nil {
		return nil, ErrPrivate
	}
	opened, err := age.Decrypt(stream, opts.Identity)
	var other *age.NoIdentityMatchError
	switch {
	case errors.As(err, &other):
		return nil, fmt.Errorf("%w: it was encrypted to another one", ErrNoKey)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return opened, nil
}

// Unpack writes the content to out, which appears whole or not at all: a file,
// or a folder that does not exist. ErrNoKey, ErrPrivate, ErrExists,
// ErrMalformed.
func (p *Parcel) Unpack(ctx context.Context, out string, opts UnpackOptions) error {
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	if at, err := os.Lstat(out); err == nil && (!opts.Replace || !at.Mode().IsRegular()) {
		return fmt.Errorf("%w: %s", ErrExists, out)
	}
	stream, err := p.plain(ctx, opts)
	if err != nil {
		return err
	}
	if !p.tar {
		return writeWhole(out, opts.Replace, func(file *os.File) error {
			_, err := io.Copy(file, stream)
			return err
		})
	}
	archive := tar.NewReader(stream)
	first, err := next(archive)
	switch {
	case err != nil:
		return err
	case first.Typeflag == tar.TypeReg:
		return writeWhole(out, opts.Replace, func(file *os.File) error {
			if _, err := io.Copy(file, archive); err != nil {
				return err
			}
			if err := nothingFollows(archive, stream); err != nil {
				return err
			}
			return dress(file, first)
		})
	case first.Typeflag == tar.TypeDir && first.Name == "./":
		return writeTree(out, first, archive, stream)
	}
	return fmt.Errorf("%w: it begins with %q", ErrMalformed, first.Name)
}

// Stream writes the content of a file to w.
func (p *Parcel) Stream(ctx context.Context, w io.Writer, opts UnpackOptions) error {
	stream, err := p.plain(ctx, opts)
	if err != nil {
		return err
	}
	if !p.tar {
		_, err := io.Copy(w, stream)
		return err
	}
	archive := tar.NewReader(stream)
	first, err := next(archive)
	if err != nil {
		return err
	}
	if first.Typeflag != tar.TypeReg {
		return errors.New("it is a folder: name a place for it")
	}
	if _, err := io.Copy(w, archive); err != nil {
		return err
	}
	return nothingFollows(archive, stream)
}

// next entry of an archive; io.EOF at its end.
func next(archive *tar.Reader) (*tar.Header, error) {
	header, err := archive.Next()
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err != nil {
		return nil, err
	}
	// A sparse file may be of any size and take none.
	for key := range header.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return nil, fmt.Errorf("%w: %q is sparse", ErrMalformed, header.Name)
		}
	}
	if header.Typeflag == tar.TypeGNUSparse {
		return nil, fmt.Errorf("%w: %q is sparse", ErrMalformed, header.Name)
	}
	return header, nil
}

// nothingFollows reads on to the end, where age knows whether all of it came.
func nothingFollows(archive *tar.Reader, stream io.Reader) error {
	if header, err := next(archive); err == nil {
		return fmt.Errorf("%w: %q follows the file", ErrMalformed, header.Name)
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	_, err := io.Copy(io.Discard, stream)
	return err
}

// writeWhole has a file appear with all of its content.
func writeWhole(out string, replace bool, write func(*os.File) error) (err error) {
	file, err := os.CreateTemp(filepath.Dir(out), "."+filepath.Base(out)+".partial-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close(), os.Remove(file.Name()))
		}
	}()
	if err := write(file); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if _, err := os.Lstat(out); err == nil && !replace {
		return fmt.Errorf("%w: %s", ErrExists, out)
	}
	if err := os.Rename(file.Name(), out); err != nil {
		return err
	}
	return file.Close()
}

func dress(file *os.File, header *tar.Header) error {
	if err := file.Chmod(fs.FileMode(header.Mode) & fs.ModePerm); err != nil {
		return err
	}
	return os.Chtimes(file.Name(), time.Time{}, header.ModTime)
}

// writeTree has a folder appear with all that is in it. Every path goes
// through a root, which nothing leads out of.
func writeTree(out string, top *tar.Header, archive *tar.Reader, stream io.Reader) (err error) {
	tmp, err := os.MkdirTemp(filepath.Dir(out), "."+filepath.Base(out)+".partial-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	root, err := os.OpenRoot(tmp)
	if err != nil {
		return err
	}
	defer root.Close()
	folders := []*tar.Header{top}
	for {
		header, err := next(archive)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := writeEntry(root, header, archive); err != nil {
			return err
		}
		if header.Typeflag == tar.TypeDir {
			folders = append(folders, header)
		}
	}
	if _, err := io.Copy(io.Discard, stream); err != nil {
		return err
	}
	for _, header := range slices.Backward(folders) { // what is written in a folder changes its time
		name := path.Clean(header.Name)
		if err := root.Chtimes(name, time.Time{}, header.ModTime); err != nil {
			return err
		}
		if err := root.Chmod(name, fs.FileMode(header.Mode)&fs.ModePerm); err != nil {
			return err
		}
	}
	if _, err := os.Lstat(out); err == nil {
		return fmt.Errorf("%w: %s", ErrExists, out)
	}
	return os.Rename(tmp, out)
}

func writeEntry(root *os.Root, header *tar.Header, content io.Reader) error {
	name := strings.TrimSuffix(header.Name, "/")
	if name != path.Clean(name) || !filepath.IsLocal(name) || name == "." {
		return fmt.Errorf("%w: %q leads out of the folder", ErrMalformed, header.Name)
	}
	var err error
	switch header.Typeflag {
	case tar.TypeDir:
		err = root.Mkdir(name, 0o700)
	case tar.TypeSymlink:
		if !staysInside(name, header.Linkname) {
			return fmt.Errorf("%w: %q is a link to %q, outside of the folder", ErrMalformed, name, header.Linkname)
		}
		err = root.Symlink(header.Linkname, name)
	case tar.TypeReg:
		err = writeInside(root, name, header, content)
	default:
		return fmt.Errorf("%w: %q is neither a file, a folder nor a link", ErrMalformed, name)
	}
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return err
}

func writeInside(root *os.Root, name string, header *tar.Header, content io.Reader) error {
	file, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	if err == nil {
		err = file.Chmod(fs.FileMode(header.Mode) & fs.ModePerm)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return root.Chtimes(name, time.Time{}, header.ModTime)
}

// pieceReader reads one piece after the other and checks each.
type pieceReader struct {
	ctx      context.Context
	parcel   *Parcel
	at       int
	open     cloud.Content
	sum      hash.Hash
	size     int64
	done     int64
	progress func(int64)
}

// Read implements io.Reader.
func (r *pieceReader) Read(p []byte) (int, error) {
	for {
		if err := r.ctx.Err(); err != nil {
			return 0, errors.Join(err, r.close())
		}
		if r.at == len(r.parcel.pieces) {
			return 0, io.EOF
		}
		if r.open == nil {
			var err error
			if r.open, err = r.parcel.lib.Open(r.parcel.pieces[r.at].Digest); err != nil {
				return 0, err
			}
		}
		n, err := r.open.Read(p)
		r.sum.Write(p[:n])
		r.size += int64(n)
		r.done += int64(n)
		if errors.Is(err, io.EOF) {
			if err = r.endPiece(); err != nil {
				return n, err
			}
		} else if err != nil {
			return n, errors.Join(err, r.close())
		}
		if n > 0 {
			if r.progress != nil {
				r.progress(r.done)
			}
			return n, nil
		}
	}
}

func (r *pieceReader) endPiece() error {
	want := r.parcel.pieces[r.at]
	if r.size != want.Size || hex.EncodeToString(r.sum.Sum(nil)) != want.Digest.Hex() {
		return errors.Join(fmt.Errorf("%w: piece %s has other content", ErrMalformed, want.Digest), r.close())
	}
	r.at++
	r.size = 0
	r.sum.Reset()
	return r.close()
}

func (r *pieceReader) close() error {
	if r.open == nil {
		return nil
	}
	err := r.open.Close()
	r.open = nil
	return err
}
