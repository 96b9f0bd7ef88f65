package agent

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/bench"
	"github.com/isuncoin/isuncoin/worker/config"
	"github.com/isuncoin/isuncoin/worker/probe"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

func TestSizesFollowANewReport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.json")
	bundle := sunstypes.DefaultParams().Bundle
	report := bench.Report{
		Version: bench.Version, Host: probe.Facts{CPU: probe.CPU{Usable: 4}},
		CPU: bench.CPUResult{Threads: 4, Points: 4000}, Offer: config.Default().Offer,
	}
	require.NoError(t, report.Save(path))
	s := newSizes(path, report, slog.New(slog.DiscardHandler))
	milli := func() int64 {
		limits, err := s.limits(bundle, 1000)
		require.NoError(t, err)
		return limits.MilliCPU
	}
	require.EqualValues(t, 1000, milli())

	later := time.Now().Add(time.Minute)
	report.CPU.Points = 8000
	require.NoError(t, report.Save(path))
	require.NoError(t, os.Chtimes(path, later, later))
	require.EqualValues(t, 500, milli(), "a thread is worth twice as much by the new report")

	require.NoError(t, os.WriteFile(path, []byte("{"), 0o600))
	require.NoError(t, os.Chtimes(path, later.Add(time.Minute), later.Add(time.Minute)))
	require.EqualValues(t, 500, milli(), "a damaged one changes nothing")
	require.NoError(t, os.Remove(path))
	require.EqualValues(t, 500, milli())
}
