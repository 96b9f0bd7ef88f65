package uai

import (
	"archive/tar"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// archiveItem is an entry of manifest.json in an archive for "docker load".
type archiveItem struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// WriteArchive writes the variant as the tar archive that "docker load"
// takes, under the given tags. Blobs are checked while they pass: if one is
// not what its digest says, writing fails before manifest.json, without which
// no engine makes an image. Layers go unpacked, for not every engine knows
// every compression. There is no need to call Verify before. A private image
// has to be unlocked: ErrLocked.
func (v *Variant) WriteArchive(ctx context.Context, w io.Writer, tags []string, progress Progress) error {
	if v.locked() {
		return ErrLocked
	}
	archive := tar.NewWriter(w)
	item := archiveItem{Config: v.Config.Digest.Hex() + ".json", RepoTags: tags}
	if err := writeEntry(archive, item.Config, v.raw); err != nil {
		return err
	}
	done, total := v.Manifest.Size+v.Config.Size, v.Size()
	left := v.layout.limits.UnpackedBytes
	written := map[string]bool{}
	for n, layer := range v.Layers {
		// Named by what it is unpacked: two layers can be alike.
		id, err := ParseDigest(v.Settings.RootFS.DiffIDs[n].String())
		if err != nil {
			return err
		}
		name := id.Hex() + ".tar"
		item.Layers = append(item.Layers, name)
		if !written[name] {
			size, err := v.writeLayer(ctx, archive, name, n, left)
			if err != nil {
				return fmt.Errorf("layer %d: %w", n+1, err)
			}
			left -= size
			written[name] = true
		}
		done += layer.Size
		progress.report(done, total)
	}
	manifest, err := json.Marshal([]archiveItem{item})
	if err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	if err := writeEntry(archive, "manifest.json", manifest); err != nil {
		return err
	}
	return archive.Close()
}

// writeLayer reads a layer twice: a tar archive has to say a file's size
// before its content. The second reading is checked again, since somebody
// might change the file in between.
func (v *Variant) writeLayer(ctx context.Context, archive *tar.Writer, name string, n int, most int64) (int64, error) {
	size, err := v.verifyLayer(ctx, n, most)
	if err != nil {
		return 0, err
	}
	stored, err := v.layout.openBlob(v.Layers[n])
	if err != nil {
		return 0, err
	}
	defer stored.Close()
	source := &contextReader{ctx: ctx, from: stored}
	unpacked, err := v.unpackLayer(n, source)
	if err != nil {
		return 0, blame(source, err)
	}
	defer unpacked.Close()
	if err := archive.WriteHeader(entryHeader(name, size)); err != nil {
		return 0, fmt.Errorf("write archive: %w", err)
	}
	if _, err := io.Copy(archive, unpacked); err != nil {
		return 0, fmt.Errorf("write archive: %w", err)
	}
	if _, err := io.Copy(io.Discard, source); err != nil {
		return 0, err
	}
	return size, nil
}

func writeEntry(archive *tar.Writer, name string, content []byte) error {
	if err := archive.WriteHeader(entryHeader(name, int64(len(content)))); err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	if _, err := archive.Write(content); err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	return nil
}

func entryHeader(name string, size int64) *tar.Header {
	return &tar.Header{Name: name, Mode: 0o444, Size: size, ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg}
}
