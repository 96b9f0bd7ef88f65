package command

import (
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// Streams are where a command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	// InTerminal says that a person answers on In; OutTerminal and ErrTerminal that one looks at Out and Err.
	InTerminal, OutTerminal, ErrTerminal bool
	// Width of the terminal in characters; 0 when there is none.
	Width int
	Now   func() time.Time
	// Poll is the pause between two looks at the chain; 0 is the usual.
	Poll time.Duration
}

// StandardStreams are those of the process.
func StandardStreams() Streams {
	s := Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Now: time.Now,
		InTerminal:  term.IsTerminal(int(os.Stdin.Fd())),
		OutTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		ErrTerminal: term.IsTerminal(int(os.Stderr.Fd())),
	}
	if width, _, err := term.GetSize(int(os.Stderr.Fd())); err == nil {
		s.Width = width
	}
	return s
}
