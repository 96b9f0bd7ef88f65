package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/isuncoin/isuncoin/tests/stack"
)

// Hours of the demo last seconds, and everything that follows from them is as much shorter.
const (
	billingPeriod  = "10s"
	attestInterval = "2s"
	settleGrace    = "4s"
	silenceLimit   = "8s"
	epoch          = "10s"

	replicas    = 2
	demand      = "0.1"     // SUNS
	maxPrice    = "2"       // ISC per placement-hour
	deposit     = "5"       // ISC
	askPrice    = "1000000" // uisc per SUNS-hour
	image       = "hello:1"
	leastPeriod = 3
	stepLimit   = 90 * time.Second
)

// demo is the state of a run.
type demo struct {
	dir, bin string
	stack    *stack.Stack
	docker   stack.Docker
	workers  []*stack.Worker
	lease    stack.Lease
	before   totals
	report   report
	failures []string
}

func newDemo(dir, bin string) *demo { return &demo{dir: dir, bin: bin} }

// play runs the steps in order.
func (d *demo) play(ctx context.Context, keep bool) error {
	steps := []struct {
		title string
		run   func(context.Context) error
	}{
		{"A chain with one validator; an hour lasts " + billingPeriod, d.startChain},
		{"Two hardware owners join this machine, the second with a smaller share of it", d.joinWorkers},
		{"A publisher packs a small HTTP service, without any registry, and publishes it", d.publish},
		{fmt.Sprintf("A tenant orders %d replicas", replicas), d.deploy},
		{fmt.Sprintf("%d hours pass", leastPeriod), d.passHours},
		{"The first worker is killed with SIGKILL; the lease goes on at the other", d.failOver},
		{"The killed worker starts again and removes what it lost", d.restartWorker},
	}
	if !keep {
		steps = append(steps, []struct {
			title string
			run   func(context.Context) error
		}{
			{"The tenant scales to three replicas", d.scale},
			{"and closes the lease", d.close},
			{"Who paid, and who got what", d.settle},
		}...)
	}
	for i, step := range steps {
		say("\n%d. %s", i+1, step.title)
		if err := step.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.title, err)
		}
	}
	return nil
}

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// check notes what is off without ending the demo: the report shows it all.
func (d *demo) check(ok bool, format string, args ...any) {
	if !ok {
		d.failures = append(d.failures, fmt.Sprintf(format, args...))
	}
}

func (d *demo) startChain(ctx context.Context) error {
	var err error
	if d.docker, err = stack.NewDocker(ctx); err != nil {
		return err
	}
	// A chain id of its own keeps this run's containers apart from those of every other.
	chainID := fmt.Sprintf("isun-demo-%d", time.Now().Unix())
	d.stack, err = stack.Start(d.dir, d.bin, "--chain-id", chainID,
		"--billing-period", billingPeriod, "--attest-interval", attestInterval, "--settle-grace", settleGrace,
		"--silence-limit", silenceLimit, "--epoch", epoch)
	if err != nil {
		return err
	}
	say("   %s answers at %s", d.stack.Chain.ChainID, d.stack.Chain.RPC)
	return d.note()
}

func (d *demo) joinWorkers(ctx context.Context) error {
	for i, w := range []struct{ operator, offer string }{{"operator", "50%"}, {"operator2", "45%"}} {
		worker, err := d.stack.Join(ctx, stack.JoinOptions{
			Name: fmt.Sprintf("worker-%d", i+1), Operator: w.operator, Offer: w.offer, AskPrice: askPrice,
			Layouts: []string{d.layout()},
		})
		if err != nil {
			return err
		}
		if err := worker.Start(); err != nil {
			return err
		}
		if err := d.note(); err != nil {
			return err
		}
		d.workers = append(d.workers, worker)
		say("   %s offers %s of the machine as %s: %.3f SUNS at 1 ISC per SUNS-hour",
			w.operator, w.offer, worker.Name, float64(worker.MilliSuns)/1_000)
	}
	return nil
}

func (d *demo) layout() string { return filepath.Join(d.dir, "images") }

func (d *demo) publish(ctx context.Context) error {
	digest, err := stack.PackService(ctx, d.dir, d.layout(), "./scripts/demo/webservice")
	if err != nil {
		return err
	}
	err = d.stack.Isun(ctx, "publisher", nil, "image", "publish", image, "--layout", d.layout(), "--suns", demand,
		"--port", "web:http:8080", "--licence", "Apache-2.0")
	if err != nil {
		return err
	}
	say("   %s is %s", image, digest)
	return nil
}

func (d *demo) deploy(ctx context.Context) error {
	var err error
	if d.before, err = d.totals(ctx); err != nil {
		return err
	}
	started := time.Now()
	publisher := d.stack.Chain.Accounts["publisher"]
	err = d.stack.Isun(ctx, "tenant", &d.lease, "deploy", publisher+"/"+image, "--replicas", fmt.Sprint(replicas),
		"--max-price", maxPrice, "--deposit", deposit, "--env", "GREETING=hello from the demo")
	if err != nil {
		return err
	}
	d.report.Lease = d.lease.Lease
	d.report.DeployToHTTPMs = time.Since(started).Milliseconds()
	if err := d.refresh(ctx); err != nil {
		return err
	}
	for _, p := range d.lease.Running() {
		status, body, err := stack.Get(ctx, p.URL())
		if err != nil {
			return err
		}
		d.report.HTTPStatus = status
		say("   replica %d on %s at %s answers %d: %s", p.Replica, d.nameOf(p.Node), p.URL(), status, body)
		d.check(status == 200, "replica %d answered %d", p.Replica, status)
	}
	d.check(len(d.lease.Running()) == replicas, "%d of %d replicas run", len(d.lease.Running()), replicas)
	if d.report.DockerRunMs, err = d.docker.TimeRun(ctx, d.stack.Chain.ChainID, 8080); err != nil {
		return err
	}
	say("   order to answer: %d ms; the same image with docker run by hand: %d ms", d.report.DeployToHTTPMs, d.report.DockerRunMs)
	return nil
}

// refresh reads the lease anew.
func (d *demo) refresh(ctx context.Context) error {
	return d.stack.Isun(ctx, "tenant", &d.lease, "inspect", d.lease.Lease)
}

func (d *demo) nameOf(node string) string {
	for _, worker := range d.workers {
		if worker.Node == node {
			return worker.Name
		}
	}
	return node
}

func (d *demo) passHours(ctx context.Context) error {
	shown := uint64(0)
	return stack.Eventually(ctx, stepLimit, func() (bool, error) {
		if err := d.refresh(ctx); err != nil {
			return false, err
		}
		bill := d.lease.Bill
		if bill.Periods > shown {
			shown = bill.Periods
			say("   %d periods billed (%d s): %s uisc to operators, %s to the audit pool", bill.Periods, bill.BilledSeconds,
				bill.PaidOperators, bill.PaidAudit)
		}
		return bill.Periods >= leastPeriod*replicas, nil
	})
}

func (d *demo) failOver(ctx context.Context) error {
	victim, survivor := d.workers[0], d.workers[1]
	d.check(len(d.lease.On(victim.Node)) > 0, "no replica ran on %s, so its death shows nothing", victim.Name)
	killed := time.Now()
	if err := victim.Kill(); err != nil {
		return err
	}
	err := stack.Eventually(ctx, stepLimit, func() (bool, error) {
		if err := d.refresh(ctx); err != nil {
			return false, err
		}
		moved := d.lease.On(survivor.Node)
		if len(moved) < replicas {
			return false, nil
		}
		for _, p := range moved {
			if status, _, err := stack.Get(ctx, p.URL()); err != nil || status != 200 {
				return false, err
			}
		}
		return true, nil
	})
	d.report.FailoverSeconds = time.Since(killed).Seconds()
	if err != nil {
		return err
	}
	say("   both replicas answer from %s, %.1f s after the kill", survivor.Name, d.report.FailoverSeconds)
	return nil
}

func (d *demo) restartWorker(ctx context.Context) error {
	worker := d.workers[0]
	left, err := d.docker.Containers(ctx, d.stack.Chain.ChainID, worker.Node)
	if err != nil {
		return err
	}
	say("   %d container(s) of %s still run, unpaid", len(left), worker.Name)
	if err := worker.Start(); err != nil {
		return err
	}
	if err := d.note(); err != nil {
		return err
	}
	err = stack.Eventually(ctx, stepLimit, func() (bool, error) {
		left, err = d.docker.Containers(ctx, d.stack.Chain.ChainID, worker.Node)
		return len(left) == 0, err
	})
	if err != nil {
		return err
	}
	say("   now there are none")
	return nil
}

func (d *demo) scale(ctx context.Context) error {
	if err := d.stack.Isun(ctx, "tenant", nil, "scale", d.lease.Lease, fmt.Sprint(replicas+1)); err != nil {
		return err
	}
	if err := d.refresh(ctx); err != nil {
		return err
	}
	for _, p := range d.lease.Running() {
		status, _, err := stack.Get(ctx, p.URL())
		if err != nil {
			return err
		}
		say("   replica %d on %s answers %d", p.Replica, d.nameOf(p.Node), status)
	}
	d.check(len(d.lease.Running()) == replicas+1, "%d of %d replicas run after scaling", len(d.lease.Running()), replicas+1)
	return nil
}

func (d *demo) close(ctx context.Context) error {
	if err := d.stack.Isun(ctx, "tenant", nil, "close", d.lease.Lease); err != nil {
		return err
	}
	err := stack.Eventually(ctx, stepLimit, func() (bool, error) {
		left, err := d.docker.Containers(ctx, d.stack.Chain.ChainID, "")
		d.report.ContainersLeft = len(left)
		return len(left) == 0, err
	})
	if err != nil {
		return err
	}
	say("   closed and refunded; no container is left")
	return d.refresh(ctx)
}

func (d *demo) settle(ctx context.Context) error {
	after, err := d.totals(ctx)
	if err != nil {
		return err
	}
	if err := d.account(ctx, after); err != nil {
		return err
	}
	d.report.OK = len(d.failures) == 0
	d.report.Failures = d.failures
	content, err := json.MarshalIndent(d.report, "", "  ")
	if err != nil {
		return err
	}
	file := filepath.Join(d.dir, "report.json")
	if err := os.WriteFile(file, append(content, '\n'), 0o644); err != nil {
		return err
	}
	d.report.print()
	say("   written to %s", filepath.Join("build", "demo", "report.json"))
	if !d.report.OK {
		return errors.New("something is off: " + fmt.Sprint(d.failures))
	}
	return nil
}

// cleanUp ends every process and removes what containers and disks a failed run left.
func (d *demo) cleanUp(ctx context.Context) error {
	if d.stack == nil {
		return nil
	}
	return errors.Join(d.stack.Stop(), d.docker.Remove(ctx, d.stack.Chain.ChainID), d.stack.Unmount(),
		os.Remove(leftoverFile(d.dir)))
}

func (d *demo) sayWhatToTry() {
	c := d.stack.Chain
	say(`
The demo goes on running. Try

  export ISUN_NODE=%s ISUN_HOME=%s ISUN_FROM=tenant
  build/isun ps
  build/isun inspect %s
  build/isun nodes
  build/isun scale %s 3
  build/isun close %s
  build/isun-worker --home %s status

and end it with

  make demo-stop`, c.RPC, c.Home, d.lease.Lease, d.lease.Lease, d.lease.Lease, d.workers[0].Home)
}
