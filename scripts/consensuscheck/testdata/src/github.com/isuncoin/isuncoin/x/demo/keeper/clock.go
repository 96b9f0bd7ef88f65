// Package keeper breaks every rule of consensus code, and says where a report is expected.
package keeper

import (
	"os"
	"time"
	clock "time"
)

func clocks() time.Time {
	start := time.Now()        // want `time\.Now: validators' clocks differ`
	_ = clock.Since(start)     // want `time\.Since: validators' clocks differ`
	time.Sleep(time.Second)    // want `time\.Sleep: validators' clocks differ`
	_ = os.Getenv("ISUN_FAST") // want `os\.Getenv: validators' machines differ`
	handedOn := time.Now       // want `time\.Now: validators' clocks differ`
	_ = handedOn

	fixed := time.Unix(0, 0)
	if fixed.After(start) { // a method that only compares
		return fixed
	}
	return fixed.Add(time.Hour)
}
