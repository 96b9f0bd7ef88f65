package command

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/worker/accel"
	"github.com/isuncoin/isuncoin/worker/accel/amd"
	"github.com/isuncoin/isuncoin/worker/accel/nvidia"
	"github.com/isuncoin/isuncoin/worker/accel/opencl"
	"github.com/isuncoin/isuncoin/worker/accel/plugin"
	"github.com/isuncoin/isuncoin/worker/config"
)

// ownSources are the worker's own sources that call drivers, as they run in a
// process of their own.
var ownSources = map[string]func(config.Config) accel.Source{
	nvidia.Name: func(config.Config) accel.Source { return nvidia.NewDriver() },
	amd.Name:    amdSource,
	opencl.Name: func(cfg config.Config) accel.Source { return opencl.New(cfg.Host.Sys) },
}

// amdSource only reads files, so it may run anywhere.
func amdSource(cfg config.Config) accel.Source {
	return amd.Source{Sys: os.DirFS(cfg.Host.Sys), Dev: os.DirFS("/dev")}
}

// accelerators are the sources of devices that the config asks for; those that
// know a maker's devices best come first. A plugin that may not be run is a
// source that fails, so that one bad file hides no other device.
func (o *options) accelerators(cfg config.Config) []accel.Source {
	var sources []accel.Source
	if cfg.Accelerators.NVIDIA {
		sources = append(sources, nvidia.Source{Child: plugin.Self(o.home, nvidia.Name)})
	}
	if cfg.Accelerators.AMD {
		sources = append(sources, amdSource(cfg))
	}
	if cfg.Accelerators.OpenCL {
		sources = append(sources, plugin.Self(o.home, opencl.Name))
	}
	for _, file := range cfg.Accelerators.Plugins {
		sources = append(sources, plugin.File(file))
	}
	return sources
}

// acceleratorSourceCommand is what plugin.Self runs.
func acceleratorSourceCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:    plugin.SelfCommand + " NAME inventory|bench",
		Short:  "Answer what one of the worker's own sources knows of accelerators",
		Hidden: true,
		Long: `Lists or measures the devices of one driver and answers in the JSON of the plugin contract. The worker
runs this command for itself, so that a driver that crashes takes no worker with it; run it to see
what a driver says. What is on the standard error is for people.`,
		Example: `  isun-worker accelerator-source opencl inventory
  isun-worker accelerator-source opencl bench --device ID --seed 7 --duration 3s`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			build, ok := ownSources[args[0]]
			if !ok {
				return fmt.Errorf("no source %q: there are %s", args[0], strings.Join(sourceNames(), ", "))
			}
			cfg, err := o.load(defaults)
			if err != nil {
				return err
			}
			code := plugin.Serve(cmd.Context(), build(cfg), args[1:], cmd.OutOrStdout(), cmd.ErrOrStderr())
			if code != plugin.ExitAnswer {
				return exitCode(code)
			}
			return nil
		},
	}
	// What follows NAME belongs to the contract.
	cmd.Flags().SetInterspersed(false)
	return cmd
}

func sourceNames() []string {
	var names []string
	for name := range ownSources {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// exitCode ends the program with a code of its own; what there is to say has
// been said.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// ExitCode is what the program ends with after an error, and whether the error
// is still to be told.
func ExitCode(err error) (code int, tell bool) {
	var own exitCode
	if errors.As(err, &own) {
		return int(own), false
	}
	return 1, true
}
