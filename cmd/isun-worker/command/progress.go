package command

import (
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/isuncoin/isuncoin/worker/bench"
)

// progressStep is how often the bar moves.
const progressStep = 100 * time.Millisecond

// draw moves the bar by the clock within each step, and to the step's place
// when it begins. A bar that cannot be drawn is no loss.
func (p *progress) draw() {
	defer close(p.ended)
	bar := progressbar.NewOptions64(1, progressbar.OptionSetWriter(p.w), progressbar.OptionClearOnFinish(),
		progressbar.OptionSetPredictTime(false))
	ticker := time.NewTicker(progressStep)
	defer ticker.Stop()
	var now bench.Step
	var begun time.Time
	for {
		select {
		case step, more := <-p.steps:
			if !more {
				_ = bar.Finish()
				return
			}
			now, begun = step, time.Now()
			bar.ChangeMax64(max(int64(now.Total/progressStep), 1))
			bar.Describe("measuring: " + now.Name)
		case <-ticker.C:
			if !begun.IsZero() {
				// The last tick is left for the end.
				at := now.Before + min(time.Since(begun), now.Expected)
				_ = bar.Set64(min(int64(at/progressStep), max(int64(now.Total/progressStep)-1, 0)))
			}
		}
	}
}
