package command

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/client/format"
	"github.com/isuncoin/isuncoin/worker/accel"
	"github.com/isuncoin/isuncoin/worker/config"
	"github.com/isuncoin/isuncoin/worker/probe"
)

// inventory is all a machine has.
type inventory struct {
	Host         probe.Facts `json:"host"`
	Accelerators accel.Found `json:"accelerators"`
}

func benchInventoryCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "inventory",
		Short: "Show what this machine has, without measuring it",
		Long: `Takes stock of processors, memory, disks, networks, limits and accelerators, and says what could not
be found out. It measures, sends and stores nothing. There is no serial number, host name or
hardware address in it.`,
		Example: `  isun-worker bench inventory
  isun-worker bench inventory --output json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := o.load(defaults)
			if err != nil {
				return err
			}
			found, err := o.inventory(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			return o.print(cmd.OutOrStdout(), found, func(w io.Writer) error { return writeInventory(w, found) })
		},
	}
}

func (o *options) inventory(ctx context.Context, cfg config.Config) (inventory, error) {
	host, err := probe.Probe(ctx, probe.Host{Proc: cfg.Host.Proc, Sys: cfg.Host.Sys, DataDir: o.dir().Data(cfg)})
	if err != nil {
		return inventory{}, err
	}
	found, err := accel.Find(ctx, o.accelerators(cfg))
	return inventory{Host: host, Accelerators: found}, err
}

func writeInventory(w io.Writer, found inventory) error {
	table := format.NewTable("what", "found")
	for _, rows := range [][][2]string{
		systemRows(found.Host), processorRows(found.Host), memoryRows(found.Host), diskRows(found.Host.Disk),
		networkRows(found.Host.Network), acceleratorRows(found.Accelerators),
	} {
		for _, row := range rows {
			table.Add(row[0], row[1])
		}
	}
	if err := table.Write(w); err != nil {
		return err
	}
	for _, n := range found.Host.Notes {
		if n.State == probe.Failed {
			if _, err := fmt.Fprintf(w, "could not be read: %s: %s\n", n.Fact, format.Plain(n.Detail)); err != nil {
				return err
			}
		}
	}
	for _, n := range found.Accelerators.Notes {
		if _, err := fmt.Fprintf(w, "note: %s\n", format.Plain(n)); err != nil {
			return err
		}
	}
	return nil
}

// words joins what there is.
func words(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}

// when is the text made of value, where there is a value.
func when[T comparable](value T, text string) string {
	var none T
	if value == none {
		return ""
	}
	return fmt.Sprintf(text, value)
}

func mib(n uint64) string { return format.Bytes(n * probe.MiB) }

func systemRows(f probe.Facts) [][2]string {
	s := f.System
	rows := [][2]string{
		{"machine", words(s.Machine, f.Architecture, when(s.Hypervisor, "guest of %s"), when(s.Container, "inside %s"))},
		{"system", words(s.OS, when(s.Kernel, "Linux %s"))},
	}
	for _, e := range s.Engines {
		rows = append(rows, [2]string{"engine", words(strings.TrimSpace(e.Name+" "+e.Version), e.Socket)})
	}
	return rows
}

func processorRows(f probe.Facts) [][2]string {
	c := f.CPU
	rows := [][2]string{
		{"processor", words(c.Model, when(c.MaxMHz, "%d MHz"))},
		{"threads", fmt.Sprintf("%d of %d on %d cores, %d sockets, %d NUMA nodes; %.1f threads' time may be used",
			c.Usable, c.Threads, c.Cores, c.Sockets, c.NUMANodes, float64(c.MilliCPU)/1000)},
	}
	var caches []string
	for _, cache := range c.Caches {
		letter := map[string]string{"data": "d", "instruction": "i"}[cache.Type]
		caches = append(caches, fmt.Sprintf("L%d%s %d × %s", cache.Level, letter, cache.Instances, format.Bytes(cache.KiB<<10)))
	}
	return append(rows, [2]string{"caches", words(caches...)})
}

func memoryRows(f probe.Facts) [][2]string {
	m := f.Memory
	limits := []string{when(f.Limits.Cgroups, "cgroups %s"), when(f.Limits.Affinity, "threads %s")}
	if f.Limits.MilliCPU > 0 {
		limits = append(limits, fmt.Sprintf("%.1f threads' time", float64(f.Limits.MilliCPU)/1000))
	}
	if f.Limits.MemoryMiB > 0 {
		limits = append(limits, mib(f.Limits.MemoryMiB)+" of memory")
	}
	if f.Limits.SwapMiB != nil {
		limits = append(limits, mib(*f.Limits.SwapMiB)+" of swap")
	}
	return [][2]string{
		{"memory", fmt.Sprintf("%s of %s may be used, %s available", mib(m.UsableMiB), mib(m.TotalMiB), mib(m.AvailableMiB))},
		{"swap", fmt.Sprintf("%s of %s may be used", mib(m.SwapUsableMiB), mib(m.SwapTotalMiB))},
		{"limits", words(append(limits, when(f.Limits.Processes, "%d processes"))...)},
	}
}

func diskRows(d probe.Disk) [][2]string {
	volatile := ""
	if d.Volatile {
		volatile = "LOST AT A REBOOT"
	}
	rows := [][2]string{
		{"data folder", words(d.Path, fmt.Sprintf("%s of %s free", mib(d.FreeMiB), mib(d.TotalMiB)), volatile)},
		{"file system", words(d.FileSystem, when(d.Mount, "at %s"), when(string(d.ProjectQuota.State), "project quota %s"), words(d.Layers...))},
	}
	for _, b := range d.Devices {
		turns := ""
		if b.Rotational != nil {
			turns = map[bool]string{true: "says it rotates", false: "solid state"}[*b.Rotational]
		}
		rows = append(rows, [2]string{"disk", words(strings.TrimSpace(b.Name+" "+b.Model), mib(b.SizeMiB), turns)})
	}
	return rows
}

func networkRows(n probe.Network) [][2]string {
	var rows [][2]string
	for _, i := range n.Interfaces {
		speed, way := "", ""
		if i.SpeedMbps != nil {
			speed = fmt.Sprintf("%d Mbit/s", *i.SpeedMbps)
		}
		if len(i.Gateways) > 0 {
			way = "default route"
		}
		var addresses []string
		for _, a := range i.Addresses {
			addresses = append(addresses, a.String())
		}
		rows = append(rows, [2]string{"network", words(i.Name+" "+i.Kind, i.State, speed, when(i.MTU, "MTU %d"), words(addresses...), way)})
	}
	public := n.Public
	if !public.Address.IsValid() {
		return append(rows, [2]string{"address", "unknown"})
	}
	nat := ""
	if public.BehindNAT {
		nat = "behind NAT: forward the ports of placements in your router"
	}
	if public.Scope == probe.ScopeCGNAT {
		nat = "behind your provider's NAT: others cannot reach it; ask for a public address, or use IPv6"
	}
	return append(rows, [2]string{"address", words(public.Address.String(), string(public.Scope), "by the "+public.Source, nat)})
}

func acceleratorRows(found accel.Found) [][2]string {
	var rows [][2]string
	for _, d := range found.Devices {
		rows = append(rows, [2]string{"accelerator", words(d.ID, d.Kind, strings.TrimSpace(d.Vendor+" "+d.Model), mib(d.MemoryMiB),
			when(d.Unusable, "not offered: %s"))})
	}
	if len(rows) == 0 {
		return [][2]string{{"accelerators", "none"}}
	}
	return rows
}
