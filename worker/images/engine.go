package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
)

// Engine is what the store needs of a container engine.
type Engine interface {
	// ImageInspect finds an image by id or reference.
	ImageInspect(ctx context.Context, ref string) (image.InspectResponse, error)
	// Load takes an archive as "docker save" writes it.
	Load(ctx context.Context, archive io.Reader) error
	// Pull fetches a reference for a platform.
	Pull(ctx context.Context, ref, platform string, progress func(done, total int64)) error
	// Tag gives an image another name.
	Tag(ctx context.Context, id, ref string) error
	// RemoveTag removes a name, and the image with its last one. By its id an
	// image is removed with its only name.
	RemoveTag(ctx context.Context, ref string) error
}

// Docker adapts a Docker client.
func Docker(api *client.Client) Engine { return docker{api} }

type docker struct{ api *client.Client }

// ImageInspect implements Engine.
func (d docker) ImageInspect(ctx context.Context, ref string) (image.InspectResponse, error) {
	return d.api.ImageInspect(ctx, ref)
}

// Load implements Engine.
func (d docker) Load(ctx context.Context, archive io.Reader) error {
	response, err := d.api.ImageLoad(ctx, archive, client.ImageLoadWithQuiet(true))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return readMessages(response.Body, nil)
}

// Pull implements Engine.
func (d docker) Pull(ctx context.Context, ref, platform string, progress func(done, total int64)) error {
	stream, err := d.api.ImagePull(ctx, ref, image.PullOptions{Platform: platform})
	if err != nil {
		return err
	}
	defer stream.Close()
	return readMessages(stream, progress)
}

// Tag implements Engine.
func (d docker) Tag(ctx context.Context, id, ref string) error { return d.api.ImageTag(ctx, id, ref) }

// RemoveTag implements Engine.
func (d docker) RemoveTag(ctx context.Context, ref string) error {
	_, err := d.api.ImageRemove(ctx, ref, image.RemoveOptions{PruneChildren: true})
	return err
}

// message is a line of the engine's progress stream. Errors come in it too,
// after the answer has begun with success.
type message struct {
	ID       string `json:"id"`
	Status   string `json:"status"`
	Error    string `json:"error"`
	Progress struct {
		Current int64 `json:"current"`
		Total   int64 `json:"total"`
	} `json:"progressDetail"`
}

// readMessages reads a stream to its end; downloads of all layers are summed.
func readMessages(stream io.Reader, progress func(done, total int64)) error {
	decoder := json.NewDecoder(stream)
	done, total := map[string]int64{}, map[string]int64{}
	for {
		var m message
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read the engine's answer: %w", err)
		}
		if m.Error != "" {
			return errors.New(strings.TrimSpace(m.Error))
		}
		if progress == nil || m.Status != "Downloading" {
			continue
		}
		done[m.ID], total[m.ID] = m.Progress.Current, m.Progress.Total
		progress(sum(done), sum(total))
	}
}

func sum(values map[string]int64) int64 {
	var total int64
	for _, v := range values {
		total += v
	}
	return total
}
