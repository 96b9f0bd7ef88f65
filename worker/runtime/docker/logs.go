package docker

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

// Logs implements runtime.Runtime. The engine frames the two streams; the
// frames are taken off on the way.
func (r *Runtime) Logs(ctx context.Context, id runtime.ID, opts runtime.LogOptions) (io.ReadCloser, error) {
	if err := r.owns(id); err != nil {
		return nil, err
	}
	found, err := r.find(ctx, id)
	if err != nil {
		return nil, err
	}
	options := container.LogsOptions{
		ShowStdout: !opts.NoStdout, ShowStderr: !opts.NoStderr,
		Follow: opts.Follow, Timestamps: opts.Timestamps, Tail: "all",
	}
	if opts.Tail > 0 {
		options.Tail = strconv.Itoa(opts.Tail)
	}
	if !opts.Since.IsZero() {
		options.Since = opts.Since.UTC().Format(time.RFC3339Nano)
	}
	framed, err := r.api.ContainerLogs(ctx, found.ID, options)
	if err != nil {
		return nil, engineError("read logs", err)
	}
	reader, writer := io.Pipe()
	go func() {
		_, err := stdcopy.StdCopy(writer, writer, framed)
		writer.CloseWithError(errors.Join(err, framed.Close())) // nil reads as the end
	}()
	return &logStream{PipeReader: reader, framed: framed}, nil
}

// logStream also cuts the connection when it is closed early, so that a
// follower that goes away leaves no goroutine waiting for the next line.
type logStream struct {
	*io.PipeReader
	framed io.Closer
}

func (s *logStream) Close() error {
	return errors.Join(s.framed.Close(), s.PipeReader.Close())
}
