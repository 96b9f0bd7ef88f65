package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFiguresGather(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bench", "report.json")
	require.NoError(t, add(path, "match", 1.25))
	require.NoError(t, add(path, "send", 3))
	require.NoError(t, add(path, "match", 2))
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	var figures map[string]float64
	require.NoError(t, json.Unmarshal(raw, &figures))
	require.Equal(t, map[string]float64{"match": 2, "send": 3}, figures)
	require.NoError(t, add("", "unset", 1))
}

func TestDamagedReportIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.json")
	require.NoError(t, os.WriteFile(path, []byte("{"), 0o600))
	require.Error(t, add(path, "match", 1))
}

func TestRound(t *testing.T) {
	require.InDelta(t, 1.235, round(1.23456), 1e-9)
	require.InDelta(t, 12350, round(12345.6), 1e-9)
	require.Zero(t, round(0))
}
