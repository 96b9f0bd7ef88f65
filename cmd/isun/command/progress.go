package command

import (
	"time"

	"github.com/schollz/progressbar/v3"
)

const barStep = 100 * time.Millisecond

// transferBar shows on a terminal how many bytes were dealt with. Elsewhere it
// shows nothing.
type transferBar struct{ bar *progressbar.ProgressBar }

func (c *commands) transferBar(what string) *transferBar {
	if !c.streams.ErrTerminal || c.json() {
		return &transferBar{}
	}
	return &transferBar{bar: progressbar.NewOptions64(-1, progressbar.OptionSetWriter(c.streams.Err), progressbar.OptionShowBytes(true),
		progressbar.OptionSetDescription(what), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(barStep))}
}

// set moves the bar; a total of 0 is one that is not known. A bar that cannot
// be drawn is no loss.
func (t *transferBar) set(done, total int64) {
	if t.bar == nil {
		return
	}
	if total > 0 && t.bar.GetMax64() != total {
		t.bar.ChangeMax64(total)
	}
	_ = t.bar.Set64(done)
}

func (t *transferBar) clear() {
	if t.bar != nil {
		_ = t.bar.Clear()
	}
}
