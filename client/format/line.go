package format

import (
	"fmt"
	"io"
	"sync"
	"time"
	"unicode/utf8"
)

// Line shows how something that takes a while goes on: on a terminal one line that is written over, elsewhere a new line
// whenever the text changes.
type Line struct {
	w        io.Writer
	terminal bool
	// width of the terminal in characters; a longer line would wrap and could not be written over.
	width int
	start time.Time
	now   func() time.Time

	mu   sync.Mutex
	last string
}

// NewLine shows progress on w. The width counts on a terminal only; 0 is 80 characters. The clock is for the elapsed time.
func NewLine(w io.Writer, terminal bool, width int, now func() time.Time) *Line {
	if width <= 0 {
		width = 80
	}
	return &Line{w: w, terminal: terminal, width: width, start: now(), now: now}
}

// Set shows a text, on a terminal with the time since the line was made and with a part that changes all the time, such as
// a countdown.
func (l *Line) Set(text, live string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text = Plain(text)
	elapsed := l.now().Sub(l.start)
	if l.terminal {
		shown := fmt.Sprintf("[%s] %s", Duration(elapsed.Truncate(time.Second)), text+Plain(live))
		if utf8.RuneCountInString(shown) >= l.width {
			shown = string([]rune(shown)[:l.width-2]) + "…"
		}
		fmt.Fprintf(l.w, "\r\x1b[K%s", shown)
		l.last = text
		return
	}
	if text != l.last {
		fmt.Fprintln(l.w, text)
		l.last = text
	}
}

// Clear takes the line off the terminal, so that the result can be written.
func (l *Line) Clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.terminal && l.last != "" {
		fmt.Fprint(l.w, "\r\x1b[K")
	}
	l.last = ""
}
