package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

// shapeLatency is how long a packet may wait for its turn before it is
// dropped, so that a sender notices the limit soon.
const shapeLatency = "100ms"

// minBurstBytes holds a few dozen full packets; less than one tick's worth
// would throttle below the rate.
const minBurstBytes = 64 << 10

// shape holds a placement to its bandwidth with token buckets: towards it on
// its bridge, from it on the interface inside its network namespace, which it
// has no capability to change. Both vanish with the network and the process,
// so this runs after every start.
func (r *Runtime) shape(ctx context.Context, spec runtime.Spec) error {
	if spec.Limits.BandwidthMbps == 0 {
		return nil
	}
	if _, err := exec.LookPath("tc"); errors.Is(err, exec.ErrNotFound) || os.Geteuid() != 0 {
		r.log.Warn("bandwidth is not limited: that needs root and tc (package iproute2)", "placement", spec.ID.String())
		return nil
	}
	found, err := r.find(ctx, spec.ID)
	if err != nil {
		return err
	}
	if found.State.Pid == 0 {
		return nil // ended already
	}
	bucket := tokenBucket(spec.Limits.BandwidthMbps)
	if err := run(ctx, "tc", append([]string{"qdisc", "replace", "dev", r.bridgeName(spec.ID), "root"}, bucket...)...); err != nil {
		return fmt.Errorf("limit bandwidth: %w", err)
	}
	namespace := "--net=/proc/" + strconv.Itoa(found.State.Pid) + "/ns/net"
	inside := append([]string{namespace, "tc", "qdisc", "replace", "dev", "eth0", "root"}, bucket...)
	if err := run(ctx, "nsenter", inside...); err != nil {
		if again, findErr := r.find(ctx, spec.ID); findErr == nil && !again.State.Running {
			return nil // ended while it was being limited
		}
		return fmt.Errorf("limit bandwidth: %w", err)
	}
	return nil
}

// tokenBucket gives the arguments of a tbf queue for a rate in Mbit/s. The
// burst is what the rate passes in 20 ms: two ticks of the slowest kernel.
func tokenBucket(mbps int64) []string {
	burst := max(minBurstBytes, mbps*1_000_000/8/50)
	rate := strconv.FormatInt(mbps, 10) + "mbit"
	return []string{"tbf", "rate", rate, "burst", strconv.FormatInt(burst, 10), "latency", shapeLatency}
}
