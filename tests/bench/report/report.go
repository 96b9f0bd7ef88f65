// Package report collects the figures that benchmarks find into one flat JSON object, build/bench/report.json.
package report

import (
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// FileEnv names the environment variable that holds the report's path. Unset, figures are only printed.
const FileEnv = "ISUN_BENCH_REPORT"

// Figure prints a figure of the running benchmark and adds it to the report, over what an earlier run wrote by that name.
// Benchmarks that share a report must not run at the same time (go test -p 1).
func Figure(b *testing.B, name string, value float64) {
	b.Helper()
	value = round(value)
	b.ReportMetric(value, name)
	if err := add(os.Getenv(FileEnv), name, value); err != nil {
		b.Fatalf("figure %s: %s", name, err)
	}
}

// add writes the report anew with one more figure.
func add(path, name string, value float64) error {
	if path == "" {
		return nil
	}
	figures := map[string]float64{}
	raw, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &figures); err != nil {
			return err
		}
	}
	figures[name] = value
	raw, err = json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	partial := path + ".partial"
	if err := os.WriteFile(partial, append(raw, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(partial, path)
}

// round keeps four significant digits: more are noise.
func round(value float64) float64 {
	if value == 0 || math.IsInf(value, 0) || math.IsNaN(value) {
		return value
	}
	scale := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(value))))
	return math.Round(value*scale) / scale
}
