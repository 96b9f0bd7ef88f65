package probe

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/shirou/gopsutil/v4/disk"
)

// Disk is the file system that placements live on.
type Disk struct {
	// Path is the data folder, or the nearest one above that exists already.
	Path       string `json:"path"`
	FileSystem string `json:"file_system"`
	TotalMiB   uint64 `json:"total_mib"`
	// FreeMiB is what an ordinary user may still write.
	FreeMiB uint64 `json:"free_mib"`
	// Mount is where the file system is mounted, and Options how.
	Mount   string   `json:"mount"`
	Options []string `json:"options"`
	// Volatile says that the file system is in memory: all is lost at a reboot.
	Volatile bool `json:"volatile,omitempty"`
	// ProjectQuota says whether a folder can be given a limit of its own.
	ProjectQuota ProjectQuota `json:"project_quota"`
	// Devices are the disks below, Layers what lies between.
	Devices []BlockDevice `json:"devices"`
	Layers  []string      `json:"layers"`
}

// ProjectQuota is whether the file system can limit a folder.
type ProjectQuota struct {
	State QuotaState `json:"state"`
	// Detail says why, or how to turn it on.
	Detail string `json:"detail"`
}

// QuotaState is one of the states below.
type QuotaState string

// The states of project quota.
const (
	QuotaOn          QuotaState = "on"
	QuotaOff         QuotaState = "off" // and could be turned on
	QuotaUnsupported QuotaState = "unsupported"
)

func (h Host) probeDisk(ctx context.Context, out *Disk, note notef) {
	dir, err := h.nearest()
	if err != nil {
		note("disk", Failed, "%v", err)
		return
	}
	usage, err := h.usage(ctx, filepath.Join(h.root(), dir))
	if err != nil {
		note("disk", Failed, "%s: %v", dir, err)
		return
	}
	*out = Disk{
		Path: dir, FileSystem: usage.Fstype, TotalMiB: usage.Total / MiB, FreeMiB: usage.Free / MiB,
		Options: []string{}, Devices: []BlockDevice{}, Layers: []string{},
	}
	mounts, err := h.mounts()
	if err != nil {
		note("disk.mount", Absent, "%v", err)
		return
	}
	m, ok := mountOf(mounts, h.resolved(dir))
	if !ok {
		note("disk.mount", Absent, "no mount has %s", dir)
		return
	}
	out.FileSystem, out.Mount, out.Options = m.fsType, m.point, m.options
	out.Volatile = m.fsType == "tmpfs" || m.fsType == "ramfs"
	out.ProjectQuota = h.projectQuota(m)
	if slices.Contains(m.options, "ro") {
		note("disk.writable", Absent, "%s is mounted read-only", m.point)
	}
	for _, name := range h.devices(m) {
		disks, layers := h.below(name, 0)
		out.Devices, out.Layers = append(out.Devices, disks...), append(out.Layers, layers...)
	}
	if len(out.Devices) == 0 {
		note("disk.device", Absent, "%s", deviceless(m.fsType))
	}
}

// deviceless says why a file system has no disk to be seen.
func deviceless(fsType string) string {
	switch fsType {
	case "overlay", "aufs":
		return "an overlay, as of a container's own files; mount a disk of the host there"
	case "tmpfs", "ramfs":
		return "the file system is in memory; put the data folder on a disk"
	case "nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "virtiofs", "fuse.sshfs":
		return "the file system is another machine's (" + fsType + ")"
	}
	return "the kernel shows no block device below " + fsType
}

// projectQuota goes by the mount's options and by what the kernel was built
// with; whether a limit then holds is for the doctor to try.
func (h Host) projectQuota(m mount) ProjectQuota {
	on := slices.ContainsFunc(m.options, func(o string) bool { return o == "prjquota" || o == "pquota" })
	option, how := "CONFIG_QFMT_V2", ""
	switch m.fsType {
	case "ext4":
		how = "unmount it, run tune2fs -O project,quota on its device, and mount it with prjquota"
	case "f2fs":
		how = "mount it with prjquota"
	case "xfs":
		option = "CONFIG_XFS_QUOTA"
		how = "mount it with prjquota; the root file system needs rootflags=prjquota on the kernel's command line"
	default:
		return ProjectQuota{QuotaUnsupported, m.fsType + " has none; ext4 and xfs do"}
	}
	built, known := h.kernelHas(option)
	switch {
	case on:
		return ProjectQuota{QuotaOn, "the file system is mounted with it"}
	case known && !built || !exists(h.Proc, "sys/fs/quota"):
		return ProjectQuota{QuotaUnsupported, "the kernel was built without " + option}
	}
	return ProjectQuota{QuotaOff, how}
}

// kernelHas looks an option up in the configuration the kernel was built
// with, where it or the distribution shows that.
func (h Host) kernelHas(option string) (built, known bool) {
	config := textOf(h.root(), "boot/config-"+textOf(h.Proc, "sys/kernel/osrelease"))
	if f, err := os.Open(filepath.Join(h.Proc, "config.gz")); err == nil {
		defer f.Close()
		if text, err := gunzip(f); err == nil {
			config = text
		}
	}
	set := strings.Contains(config, "\n"+option+"=y") || strings.Contains(config, "\n"+option+"=m")
	return set, config != ""
}

func gunzip(r io.Reader) (string, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return "", err
	}
	raw, err := io.ReadAll(io.LimitReader(z, maxFile))
	return string(raw), err
}

// usage is how full a file system is.
func (h Host) usage(ctx context.Context, dir string) (*disk.UsageStat, error) {
	if h.Usage != nil {
		return h.Usage(ctx, dir)
	}
	return disk.UsageWithContext(ctx, dir)
}

// resolved is the folder without symbolic links, which mounts are not named by.
func (h Host) resolved(dir string) string {
	if h.root() != "/" {
		return dir // links of a fixture tree lead out of it
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		return real
	}
	return dir
}

// nearest is the data folder itself or the closest one above it that exists:
// a worker that has not started yet has none.
func (h Host) nearest() (string, error) {
	dir, err := filepath.Abs(h.DataDir)
	if err != nil {
		return "", err
	}
	for {
		_, err := os.Stat(filepath.Join(h.root(), dir))
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return "", err
		}
		dir = filepath.Dir(dir)
	}
}
