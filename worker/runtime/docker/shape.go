package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

// shapeLatency is how long a packet may wait for its turn before it is
// dropped, so that a sender notices the limit soon.
const shapeLatency = "100ms"

// minBurstBytes holds a few dozen full packets; less than one tick's worth
// would throttle below the rate.
const minBurstBytes = 64 << 10

// errNoShaping: the bandwidth of placements cannot be limited here.
var errNoShaping = errors.New("that needs root, tc (package iproute2), nsenter and unshare (package util-linux), " +
	"and a kernel with token buckets (CONFIG_NET_SCH_TBF)")

// probeShaping tries a queue in a network namespace of its own, which touches
// nothing of the host's.
func probeShaping(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: not root", errNoShaping)
	}
	for _, tool := range []string{"tc", "nsenter", "unshare"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%w: %w", errNoShaping, err)
		}
	}
	args := append([]string{"--net", "tc", "qdisc", "add", "dev", "lo", "root"}, tokenBucket(1)...)
	if err := run(ctx, "unshare", args...); err != nil {
		return fmt.Errorf("%w: %w", errNoShaping, err)
	}
	return nil
}

// shape holds a placement to its bandwidth with token buckets: towards it on
// its bridge, from it on the interface inside its network namespace, which it
// has no capability to change. Both vanish with the network and the process.
func (r *Runtime) shape(ctx context.Context, spec runtime.Spec, pid int) error {
	if spec.Limits.BandwidthMbps == 0 || r.unshapable != nil {
		return nil
	}
	bucket := tokenBucket(spec.Limits.BandwidthMbps)
	if err := run(ctx, "tc", append([]string{"qdisc", "replace", "dev", r.bridgeName(spec.ID), "root"}, bucket...)...); err != nil {
		return fmt.Errorf("limit bandwidth: %w", err)
	}
	namespace := "--net=/proc/" + strconv.Itoa(pid) + "/ns/net"
	names, err := r.interfaces(pid)
	if err != nil {
		return fmt.Errorf("limit bandwidth: %w", err)
	}
	for _, name := range names {
		inside := append([]string{namespace, "tc", "qdisc", "replace", "dev", name, "root"}, bucket...)
		if err := run(ctx, "nsenter", inside...); err != nil {
			return fmt.Errorf("limit bandwidth: %w", err)
		}
	}
	return nil
}

// interfaces are those of a process's network that lead out of it: eth0, or
// another number where the network was taken away and given back. A new
// namespace also lists tunnels, which are down and stay so: nobody in there
// may raise them.
func (r *Runtime) interfaces(pid int) ([]string, error) {
	raw, err := os.ReadFile(filepath.Join(r.cfg.Proc, strconv.Itoa(pid), "net/dev"))
	if err != nil {
		return nil, err
	}
	var names []string
	for line := range strings.Lines(string(raw)) {
		if name, _, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && strings.HasPrefix(name, "eth") {
			names = append(names, name)
		}
	}
	return names, nil
}

// tokenBucket gives the arguments of a tbf queue for a rate in Mbit/s. The
// burst is what the rate passes in 20 ms: two ticks of the slowest kernel.
func tokenBucket(mbps int64) []string {
	burst := max(minBurstBytes, mbps*1_000_000/8/50)
	rate := strconv.FormatInt(mbps, 10) + "mbit"
	return []string{"tbf", "rate", rate, "burst", strconv.FormatInt(burst, 10), "latency", shapeLatency}
}
