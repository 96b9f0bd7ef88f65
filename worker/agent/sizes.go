package agent

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/isuncoin/isuncoin/worker/bench"
	"github.com/isuncoin/isuncoin/worker/chain"
	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/sizing"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// sizes sizes containers by what this machine measured. A report that is
// replaced while the worker runs counts from the next placement on.
type sizes struct {
	path string
	log  *slog.Logger

	mu      sync.Mutex
	machine sizing.Machine
	changed time.Time
}

func newSizes(path string, report bench.Report, log *slog.Logger) *sizes {
	s := &sizes{path: path, log: log, machine: machineOf(report)}
	if info, err := os.Stat(path); err == nil {
		s.changed = info.ModTime()
	}
	return s
}

func machineOf(report bench.Report) sizing.Machine {
	return sizing.Machine{PointsPerThread: report.PointsPerThread(), Threads: report.Host.CPU.Usable}
}

func (s *sizes) limits(bundle sunstypes.Capacity, milliSuns uint64) (runtime.Limits, error) {
	return sizing.Limits(bundle, milliSuns, s.current())
}

// current looks whether there is a newer report. One that cannot be read is
// logged once and changes nothing.
func (s *sizes) current() sizing.Machine {
	s.mu.Lock()
	defer s.mu.Unlock()
	info, err := os.Stat(s.path)
	if err != nil || info.ModTime().Equal(s.changed) {
		return s.machine
	}
	s.changed = info.ModTime()
	report, err := bench.Load(s.path)
	if err != nil {
		s.log.Warn("placements are sized by the report from before", "error", err)
		return s.machine
	}
	s.machine = machineOf(report)
	s.log.Info("the machine was measured again; new placements are sized by it", "points_per_thread", s.machine.PointsPerThread)
	return s.machine
}

// settleReport keeps the report that the chain has, if a new one was on its
// way when a program or the machine stopped. While the chain does not answer,
// both stay for the next start.
func settleReport(ctx context.Context, client *chain.Client, path string, id sunstypes.NodeID, log *slog.Logger) {
	if !bench.Unsettled(path) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := client.Connect(ctx)
	if err != nil {
		return // it was logged
	}
	res, err := conn.Suns().Node(ctx, &sunstypes.QueryNodeRequest{Operator: id.Operator, Number: id.Number})
	if err == nil {
		err = bench.Settle(path, res.Node.Node.ReportDigest)
	}
	if err != nil {
		log.Warn("whether the kept report is the chain's is not known", "error", err)
	}
}
