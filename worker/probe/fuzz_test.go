package probe

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzKernelText feeds what the kernel's files may hold to all that reads
// them: a kernel is trusted, and yet what is read may be from a version that
// nobody here has seen.
func FuzzKernelText(f *testing.F) {
	for _, text := range []string{
		"0-3,8", "36 35 98:0 / /mnt rw,noatime - ext3 /dev/root rw", "48K", "0::/../../x", "5:cpu:/a\n0::/",
		"processor: 0\nCPU implementer: 0x41\nCPU part: 0xd08\n\nSerial: 1",
		"eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000", "max 100000", "9223372036854771712", "-1", "",
	} {
		f.Add(text)
	}
	root := f.TempDir()
	host := Host{Proc: filepath.Join(root, "proc"), Sys: filepath.Join(root, "sys"), Root: root}
	for _, dir := range []string{"proc/self", "proc/net", "sys/devices/system/cpu/cpu0/cache/index0", "sys/fs/cgroup"} {
		require.NoError(f, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, file := range []string{
			"proc/cpuinfo", "proc/self/cgroup", "proc/self/mountinfo", "proc/net/ipv6_route",
			"sys/devices/system/cpu/cpu0/cache/index0/size", "sys/fs/cgroup/cpu.max", "sys/fs/cgroup/memory.max",
		} {
			require.NoError(t, os.WriteFile(filepath.Join(root, file), []byte(text), 0o600))
		}
		require.NoError(t, os.WriteFile(filepath.Join(root, "proc/net/route"), []byte("heading\n"+text), 0o600))
		if numbers, err := parseList(text); err == nil {
			require.LessOrEqual(t, len(numbers), maxListed)
		}
		if info, err := host.cpuinfo(); err == nil {
			_, _ = info.models()
			_, _ = info.topology()
			_, _ = info.flags(), info.megahertz()
		}
		if groups, err := host.cgroups(); err == nil {
			for _, g := range groups {
				require.True(t, strings.HasPrefix(g.dir, host.Sys), "a group outside of /sys")
			}
			_, _ = cpuQuota(groups)
			_, _ = memoryLimit(groups)
			_, _, _ = swapLimit(groups, 0)
		}
		if mounts, err := host.mounts(); err == nil {
			m, _ := mountOf(mounts, "/data")
			_, _ = host.devices(m), host.projectQuota(m)
		}
		_, _ = host.defaultRoutes()
		_, _ = parseKiB(text)
	})
}
