// Command accelclass is a plugin of isun-worker for boards of the kernel's
// accel class (/sys/class/accel): Habana Gaudi, Qualcomm Cloud AI and others.
// It is an example to start from: docs/accelerators.md says what a plugin is.
//
// Boards and their state come from sysfs. A board is measured through OpenCL
// where its maker has a driver for that: by the place on the bus, or by what
// ACCELCLASS_OPENCL says, such as "accel0=ID" with an id that
// `isun-worker accelerator-source opencl inventory` lists; several are
// separated by commas.
//
//	go build -o /usr/local/libexec/accelclass ./examples/accelerators/accelclass
//
// and in the worker's config.toml:
//
//	[accelerators]
//	plugins = ["/usr/local/libexec/accelclass"]
package main

import (
	"cmp"
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/isuncoin/isuncoin/worker/accel/opencl"
	"github.com/isuncoin/isuncoin/worker/accel/plugin"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	sys := cmp.Or(os.Getenv("ACCELCLASS_SYS"), "/sys")
	source := &boards{sys: os.DirFS(sys), measurer: opencl.New(sys), told: pairs(os.Getenv("ACCELCLASS_OPENCL"))}
	os.Exit(plugin.Serve(ctx, source, os.Args[1:], os.Stdout, os.Stderr))
}
