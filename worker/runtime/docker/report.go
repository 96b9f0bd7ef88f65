package docker

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/docker/docker/api/types/system"
	"golang.org/x/sys/unix"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

// hostFacts are what decides which limits hold.
type hostFacts struct {
	engine system.Info
	// swap: some is in use as such. sockets: version 1 counts their buffers.
	swap, sockets bool
	// Sizes of the kernel's tables; 0 if they cannot be read.
	pidMax, threadsMax, fileMax int64
	storage                     runtime.Storage
	// sparse: the data folder cannot promise blocks.
	sparse bool
	// scheduler is the one of the disk under the data folder, if it has one.
	scheduler, device string
	unshapable        error
}

func (r *Runtime) facts(engine system.Info) hostFacts {
	f := hostFacts{engine: engine, storage: r.storage.kind(), unshapable: r.unshapable}
	if s, ok := r.storage.(interface{ isSparse() bool }); ok {
		f.sparse = s.isSparse()
	}
	// The first line is a heading.
	swaps, err := os.ReadFile(filepath.Join(r.cfg.Proc, "swaps"))
	f.swap = err != nil || strings.Count(strings.TrimSpace(string(swaps)), "\n") > 0
	_, err = os.Stat(filepath.Join(r.cfg.Sys, "fs/cgroup/memory", socketLimitFile))
	f.sockets = err == nil && os.Geteuid() == 0
	f.pidMax = r.sysctl("kernel/pid_max")
	f.threadsMax = r.sysctl("kernel/threads-max")
	f.fileMax = r.sysctl("fs/file-max")
	f.scheduler, f.device = r.scheduler()
	return f
}

// sysctl reads a number; one that is larger than any is the largest.
func (r *Runtime) sysctl(name string) int64 {
	raw, err := os.ReadFile(filepath.Join(r.cfg.Proc, "sys", name))
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(raw)), 10, 64)
	if err != nil {
		return 0
	}
	return int64(min(n, math.MaxInt64))
}

// scheduler finds the queue of the disk that the data folder lies on. A
// partition has its disk's.
func (r *Runtime) scheduler() (name, device string) {
	var st syscall.Stat_t
	if err := syscall.Stat(r.cfg.StateDir, &st); err != nil {
		return "", ""
	}
	dir, err := filepath.EvalSymlinks(filepath.Join(r.cfg.Sys, "dev/block", majorMinor(st.Dev)))
	if err != nil {
		return "", "" // a file system over the network, or of several disks
	}
	for _, dir := range []string{dir, filepath.Dir(dir)} {
		raw, err := os.ReadFile(filepath.Join(dir, "queue/scheduler"))
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(raw), "[")
		name, _, _ = strings.Cut(rest, "]")
		return name, filepath.Base(dir)
	}
	return "", ""
}

func majorMinor(device uint64) string {
	return fmt.Sprintf("%d:%d", unix.Major(device), unix.Minor(device))
}

// bounds says of each limit whether and how it is held.
func (f hostFacts) bounds() []runtime.Bound {
	return []runtime.Bound{
		f.cpu(), f.memory(), f.swapping(), f.socketBuffers(), f.pids(), f.files(), f.disk(), f.diskSpeed(), f.logs(), f.bandwidth(),
	}
}

func held(limit, detail string) runtime.Bound {
	return runtime.Bound{Limit: limit, Held: runtime.Fully, Detail: detail}
}

func partly(limit, detail, mend string) runtime.Bound {
	return runtime.Bound{Limit: limit, Held: runtime.Partly, Detail: detail, Mend: mend}
}

func unheld(limit, detail, mend string) runtime.Bound {
	return runtime.Bound{Limit: limit, Held: runtime.NotAt, Detail: detail, Mend: mend}
}

func vital(b runtime.Bound) runtime.Bound {
	b.Vital = true
	return b
}

// controller is how to get a controller that the engine does not have.
func (f hostFacts) controller(name, option string) string {
	if f.engine.CgroupVersion == "2" {
		return fmt.Sprintf("let the engine use it: run Docker as root, and `echo +%s > /sys/fs/cgroup/cgroup.subtree_control`; "+
			"if the file cgroup.controllers beside that lacks it, %s", name, option)
	}
	return option + ", then start Docker again"
}

func (f hostFacts) by() string {
	return "control group version " + cmp.Or(f.engine.CgroupVersion, "unknown")
}

func (f hostFacts) cpu() runtime.Bound {
	if !f.engine.CPUCfsQuota {
		return vital(unheld("cpu", "the engine has no quota of processor time",
			f.controller("cpu", "use a kernel with CONFIG_CFS_BANDWIDTH")))
	}
	return vital(held("cpu", "a quota in every 100 ms, whether the machine is busy or not, by "+f.by()))
}

func (f hostFacts) memory() runtime.Bound {
	if !f.engine.MemoryLimit {
		return vital(unheld("memory", "the engine cannot limit it",
			f.controller("memory", "boot with `cgroup_enable=memory`")))
	}
	return vital(held("memory", "with shared memory, file pages and the kernel's own on a placement's behalf, by "+f.by()))
}

func (f hostFacts) swapping() runtime.Bound {
	const noSwap = "boot with `swapaccount=1`, or take swap away: `swapoff -a`, and the lines in /etc/fstab"
	switch {
	case f.engine.SwapLimit:
		return held("swap", "a placement has none")
	case !f.swap:
		return held("swap", "this machine has none")
	case f.engine.CgroupVersion == "1":
		return partly("swap", "not counted: a swappiness of 0 keeps placements out of it until memory runs short", noSwap)
	}
	return unheld("swap", "not counted: a placement may have as much swap as memory on top of it", noSwap)
}

func (f hostFacts) socketBuffers() runtime.Bound {
	switch {
	case f.engine.CgroupVersion == "2":
		return held("sockets", "buffers of connections count as memory")
	case f.sockets:
		return held("sockets", fmt.Sprintf("buffers of TCP connections have a limit of their own, memory / %d", socketPart))
	}
	return unheld("sockets", "buffers of TCP connections are not counted: one placement can fill those of the machine",
		"run the worker as root; if it is, boot with control groups of version 2 (`systemd.unified_cgroup_hierarchy=1`)")
}

// pidsWanted is how many processes and threads there are at most when all of
// a machine is leased in the smallest pieces, ten to a SUNS, with some over
// for the machine itself. A SUNS has 2 GiB.
func pidsWanted(memoryMiB int64) int64 {
	suns := memoryMiB/2048 + 1
	return suns*(10*runtime.DefaultPids+256) + 4096
}

func (f hostFacts) pids() runtime.Bound {
	if !f.engine.PidsLimit {
		return vital(unheld("pids", "the engine cannot limit processes",
			f.controller("pids", "use a kernel with CONFIG_CGROUP_PIDS")))
	}
	wanted := pidsWanted(f.engine.MemTotal / mib)
	for _, table := range []struct {
		name string
		size int64
	}{{"kernel.pid_max", f.pidMax}, {"kernel.threads-max", f.threadsMax}} {
		if table.size > 0 && table.size < wanted {
			// 4194304 is as far as the kernel goes on 64 bits.
			return vital(partly("pids", fmt.Sprintf("each placement is held, but all together may want %d and %s is %d",
				wanted, table.name, table.size), fmt.Sprintf("`sysctl -w %s=4194304`, and the same line in /etc/sysctl.d", table.name)))
		}
	}
	return vital(held("pids", "processes and threads, by "+f.by()))
}

// fileBytes is the memory of the smallest open file, which counts towards its
// placement's: so many of them fit in the machine.
const fileBytes = 256

func (f hostFacts) files() runtime.Bound {
	each := fmt.Sprintf("%d descriptors a process", nofileLimit())
	if wanted := f.engine.MemTotal / fileBytes; f.fileMax > 0 && f.fileMax < wanted {
		return partly("files", fmt.Sprintf("%s, but the machine's table (fs.file-max, %d) is full before memory is", each, f.fileMax),
			"`sysctl -w fs.file-max=9223372036854775807`, and the same line in /etc/sysctl.d: then memory bounds it")
	}
	return held("files", each+", and all of them by memory")
}

func (f hostFacts) disk() runtime.Bound {
	switch {
	case f.storage == runtime.StorageTmpfs:
		return vital(partly("disk", "what placements write is kept in memory, and counts as such",
			"run the worker as root, with mkfs.ext4 (package e2fsprogs), so that it can give each a disk image of its own"))
	case f.sparse:
		return vital(partly("disk", "a file system for each placement; the data folder's cannot set space aside for it",
			"put placements.data_dir on ext4, xfs or btrfs, or leave more in offer.reserve_disk_mib"))
	case f.storage == runtime.StorageQuota:
		return vital(held("disk", "a quota of the engine for the root, and a file system of its own size for each placement and volume"))
	}
	return vital(held("disk", "a file system of its own size for each placement and volume, its space set aside; the root is read-only"))
}

func (f hostFacts) diskSpeed() runtime.Bound {
	const what = "disk speed is no part of a SUNS"
	if f.scheduler == "bfq" {
		detail := what + "; the scheduler bfq shares it among containers"
		if f.engine.CgroupVersion == "1" {
			detail += ", but for writes that nobody waits for (version 1 of control groups)"
		}
		return runtime.Bound{Limit: "disk speed", Held: runtime.Partly, Detail: detail, Mend: "nothing"}
	}
	if f.device == "" {
		return unheld("disk speed", what+", and nothing shares it among containers",
			"keep placements.data_dir on a disk of its own, so that the owner's programs do not wait")
	}
	return unheld("disk speed", fmt.Sprintf("%s, and the scheduler of %s (%s) does not share it among containers",
		what, f.device, cmp.Or(f.scheduler, "none")),
		fmt.Sprintf("`echo bfq > /sys/block/%s/queue/scheduler`, if the kernel has it", f.device))
}

// logs: measured with a quarter of a core that writes short lines without end,
// of which the engine takes 3 % and spends a whole core of its own.
func (f hostFacts) logs() runtime.Bound {
	return partly("logs", "their size counts towards the storage; the engine's own work on them, up to a core for each of a "+
		"placement's two streams, is nobody's",
		"with systemd: `systemctl set-property docker.service CPUWeight=20`, so that this work comes last")
}

func (f hostFacts) bandwidth() runtime.Bound {
	if f.unshapable != nil {
		return unheld("bandwidth", "not limited: "+f.unshapable.Error(), "Debian: `apt-get install iproute2 util-linux`, and run the worker as root")
	}
	return held("bandwidth", "token buckets towards a placement and from it")
}
