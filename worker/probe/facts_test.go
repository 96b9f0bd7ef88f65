package probe

import (
	"bytes"
	"compress/gzip"
	"context"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestArmCoresAreNamedByTheirNumbers(t *testing.T) {
	for _, tc := range []struct{ implementer, part, model, vendor string }{
		{"0x41", "0xd08", "Cortex-A72", "ARM"},
		{"0x41", "0xd4f", "Neoverse-V2", "ARM"},
		{"0xc0", "0xac3", "Ampere-1", "Ampere"},
		{"0x61", "0x023", "Firestorm (M1)", "Apple"},
		{"0x41", "0xfff", "ARM part 0xfff", "ARM"},
		{"0x99", "0x1", "implementer 0x99 part 0x1", "implementer 0x99"},
		{"garbage", "0x1", "", ""},
	} {
		model, vendor := armName(tc.implementer, tc.part)
		require.Equal(t, tc.model, model)
		require.Equal(t, tc.vendor, vendor)
	}
}

func TestBigAndLittleCoresAreBothNamed(t *testing.T) {
	host := tree{"proc/cpuinfo": "processor: 0\nCPU implementer: 0x41\nCPU part: 0xd05\n\n" +
		"processor: 1\nCPU implementer: 0x41\nCPU part: 0xd0b\n\nprocessor: 2\nCPU implementer: 0x41\nCPU part: 0xd0b\n"}.host(t)
	info, err := host.cpuinfo()
	require.NoError(t, err)
	model, vendor := info.models()
	require.Equal(t, "Cortex-A55 + Cortex-A76", model)
	require.Equal(t, "ARM", vendor)
}

func TestSwapLimits(t *testing.T) {
	for name, tc := range map[string]struct {
		tree  tree
		swap  uint64
		limit *uint64
	}{
		"none": {tree: tree{}, swap: 1024},
		"version 2 forbids it": {tree: tree{
			"proc/self/cgroup": "0::/w\n", "sys/fs/cgroup/w/memory.swap.max": "0\n",
		}, limit: new(uint64)},
		"version 1 limits both together": {tree: tree{
			"proc/self/cgroup": "3:memory:/w\n",
			"sys/fs/cgroup/memory/w/memory.limit_in_bytes":       "1073741824\n",
			"sys/fs/cgroup/memory/w/memory.memsw.limit_in_bytes": "1610612736\n",
		}, swap: 512, limit: ptr(uint64(512))},
	} {
		t.Run(name, func(t *testing.T) {
			tc.tree["proc/meminfo"] = memInfo + "SwapTotal: 1048576 kB\nSwapFree: 1048576 kB\n"
			facts, err := Probe(context.Background(), machine(tc.tree).host(t))
			require.NoError(t, err)
			require.Equal(t, tc.swap, facts.Memory.SwapUsableMiB)
			require.Equal(t, tc.limit, facts.Limits.SwapMiB)
		})
	}
}

func ptr[T any](v T) *T { return &v }

func TestContainersAndHypervisorsAreTold(t *testing.T) {
	for name, tc := range map[string]struct {
		tree                  tree
		container, hypervisor string
	}{
		"bare metal":              {tree: tree{}},
		"kubernetes by its group": {tree: tree{"proc/self/cgroup": "0::/kubepods/besteffort/pod1/x\n"}, container: "kubernetes"},
		"docker by its group":     {tree: tree{"proc/self/cgroup": "4:cpu:/docker/0123\n"}, container: "docker"},
		"docker by its mark":      {tree: tree{".dockerenv": ""}, container: "docker"},
		"a disk made of an image": {tree: tree{
			".dockerenv": "", "proc/self/mountinfo": "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n",
		}},
		"podman":     {tree: tree{"run/.containerenv": ""}, container: "podman"},
		"lxc":        {tree: tree{"proc/1/environ": "container=lxc\x00"}, container: "lxc"},
		"nspawn":     {tree: tree{"run/systemd/container": "systemd-nspawn\n"}, container: "systemd-nspawn"},
		"wsl":        {tree: tree{"proc/sys/kernel/osrelease": "5.15.90.1-microsoft-standard-WSL2\n"}, container: "wsl"},
		"xen":        {tree: tree{"sys/hypervisor/type": "xen\n"}, hypervisor: "xen"},
		"xen's dom0": {tree: tree{"sys/hypervisor/type": "xen\n", "proc/xen/capabilities": "control_d\n"}},
		"hyperv": {tree: tree{
			"sys/devices/system/clocksource/clocksource0/available_clocksource": "hyperv_clocksource_tsc_page\n",
		}, hypervisor: "hyperv"},
		"vmware":        {tree: tree{"sys/class/dmi/id/sys_vendor": "VMware, Inc.\n"}, hypervisor: "vmware"},
		"a cloud's own": {tree: tree{"sys/class/dmi/id/sys_vendor": "Amazon EC2\n", "sys/class/dmi/id/product_name": "m7g.metal\n"}},
		"one nobody knows": {tree: tree{
			"proc/cpuinfo": "processor: 0\nmodel name: X\nflags: fpu hypervisor\n",
		}, hypervisor: "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			host := machine(tc.tree).host(t)
			host.Root, host.DataDir = filepath.Dir(host.Proc), "/data"
			facts, err := Probe(context.Background(), host)
			require.NoError(t, err)
			require.Equal(t, tc.container, facts.System.Container)
			require.Equal(t, tc.hypervisor, facts.System.Hypervisor)
		})
	}
}

func TestScopeOfAddresses(t *testing.T) {
	for address, want := range map[string]Scope{
		"93.184.216.34": ScopePublic, "10.1.2.3": ScopePrivate, "172.31.0.1": ScopePrivate, "192.168.0.1": ScopePrivate,
		"100.64.0.1": ScopeCGNAT, "100.128.0.1": ScopePublic, "127.0.0.1": ScopeLocal, "169.254.1.1": ScopeLocal,
		"2a00:1450::1": ScopePublic, "fd00::1": ScopePrivate, "fe80::1": ScopeLocal, "::ffff:10.0.0.1": ScopePrivate,
		"192.0.2.1": ScopeReserved, "198.51.100.7": ScopeReserved, "203.0.113.255": ScopeReserved, "203.0.114.0": ScopePublic,
		"192.0.0.1": ScopeReserved, "192.0.1.1": ScopePublic, "198.17.255.255": ScopePublic, "198.18.0.1": ScopeReserved,
		"198.19.255.255": ScopeReserved, "198.20.0.0": ScopePublic, "0.1.2.3": ScopeReserved, "240.0.0.1": ScopeReserved,
		"255.255.255.255": ScopeReserved, "2001:db8::1": ScopeReserved, "::ffff:192.0.2.1": ScopeReserved, "2001:db9::1": ScopePublic,
	} {
		require.Equal(t, want, ScopeOf(netip.MustParseAddr(address)), address)
	}
	require.Equal(t, ScopeLocal, ScopeOf(netip.Addr{}))
}

func TestAnEndpointsWordOnTheAddressCountsWhenItIsPublic(t *testing.T) {
	own := netip.MustParsePrefix("192.168.1.40/24")
	n := Network{
		Interfaces: []Interface{{Name: "eth0", Addresses: []netip.Prefix{own}}},
		Public:     PublicAddress{Address: own.Addr(), Source: FromRoute, Scope: ScopePrivate, BehindNAT: true},
	}
	before := n.Public
	n.SeenAs(own.Addr())
	require.Equal(t, before, n.Public, "an endpoint at home knows no more than we do")
	seen := netip.MustParseAddr("93.184.216.34")
	n.SeenAs(seen)
	require.Equal(t, PublicAddress{Address: seen, Source: FromEndpoint, Scope: ScopePublic, BehindNAT: true}, n.Public)
	n.Interfaces[0].Addresses = []netip.Prefix{netip.PrefixFrom(seen, 24)}
	n.SeenAs(seen)
	require.False(t, n.Public.BehindNAT)
}

func TestDefaultRoutesOfBothFamilies(t *testing.T) {
	zeros := "00000000000000000000000000000000"
	host := tree{
		"proc/net/route": "Iface\tDestination\n" +
			"wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n" +
			"eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n" +
			"eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n" +
			"ppp0\t00000000\t00000000\t0001\t0\t0\t900\t00000000\t0\t0\t0\n" +
			"old0\t00000000\t0101A8C0\t0002\t0\t0\t1\t00000000\t0\t0\t0\n",
		"proc/net/ipv6_route": zeros + " 00 " + zeros + " 00 20010db8000000000000000000000001 00000400 00000001 00000000 00000003 eth0\n" +
			zeros + " 00 " + zeros + " 00 " + zeros + " ffffffff 00000001 00000000 00200200 lo\n",
	}.host(t)
	routes, err := host.defaultRoutes()
	require.NoError(t, err)
	require.Equal(t, []route{
		{name: "eth0", gateway: netip.MustParseAddr("192.168.1.1"), metric: 100, v4: true},
		{name: "wlan0", gateway: netip.MustParseAddr("192.168.1.1"), metric: 600, v4: true},
		{name: "ppp0", metric: 900, v4: true},
		{name: "eth0", gateway: netip.MustParseAddr("2001:db8::1"), metric: 1024},
	}, routes)
	for _, bad := range []string{"eth0", "eth0\tx\tzz\t0003\t0\t0\t0\t0", "eth0\t0\t0101\t0003\t0\t0\t0\t0"} {
		_, err := tree{"proc/net/route": "heading\n" + bad + "\n"}.host(t).defaultRoutes()
		require.Error(t, err, bad)
	}
}

func TestMountsAreReadWithBlanksInTheirNames(t *testing.T) {
	m, err := parseMount(`36 35 98:0 /sub /mnt/my\040disk rw,noatime shared:1 master:2 - ext3 /dev/root rw,errors=continue`)
	require.NoError(t, err)
	require.Equal(t, "/mnt/my disk", m.point)
	require.Equal(t, []string{"rw", "noatime", "errors=continue"}, m.options)
	for _, bad := range []string{"", "1 2 3", "36 35 98:0 / /mnt rw - ext3", "36 35 98:0 / /mnt rw ext3 /dev/root rw"} {
		_, err := parseMount(bad)
		require.Error(t, err, bad)
	}
	list := []mount{{point: "/"}, {point: "/data"}, {point: "/data", fsType: "later"}, {point: "/database"}}
	found, ok := mountOf(list, "/data/x")
	require.True(t, ok)
	require.Equal(t, "later", found.fsType)
	found, _ = mountOf(list, "/dat")
	require.Equal(t, "/", found.point)
}

func TestKernelConfigurationTellsQuota(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := z.Write([]byte("#\nCONFIG_QUOTA=y\nCONFIG_QFMT_V2=m\n"))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	host := tree{"proc/config.gz": packed.String(), "proc/sys/fs/quota/syncs": "0"}.host(t)
	require.Equal(t, QuotaOff, host.projectQuota(mount{fsType: "ext4"}).State)
	require.Equal(t, QuotaUnsupported, host.projectQuota(mount{fsType: "xfs"}).State)
	require.Equal(t, QuotaOn, host.projectQuota(mount{fsType: "xfs", options: []string{"prjquota"}}).State)
	require.Equal(t, QuotaUnsupported, tree{"proc/x": ""}.host(t).projectQuota(mount{fsType: "ext4"}).State)
}

func TestDataInMemoryIsVolatile(t *testing.T) {
	host := machine(tree{"proc/self/mountinfo": "1 0 0:21 / / rw - tmpfs tmpfs rw\n"}).host(t)
	facts, err := Probe(context.Background(), host)
	require.NoError(t, err)
	require.True(t, facts.Disk.Volatile)
}

func TestFirmwareTextLosesItsEnd(t *testing.T) {
	host := tree{"proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\x00"}.host(t)
	require.Equal(t, "Raspberry Pi 4 Model B Rev 1.4", host.machine())
}

func TestCacheOfNoSizeIsAnError(t *testing.T) {
	host := machine(tree{
		"sys/devices/system/cpu/online":                  "0-1\n",
		"sys/devices/system/cpu/cpu0/cache/index0/level": "1\n",
		"sys/devices/system/cpu/cpu0/cache/index0/size":  "lots\n",
	}).host(t)
	facts, err := Probe(context.Background(), host)
	require.NoError(t, err)
	require.Contains(t, facts.Notes, Note{Fact: "cpu.caches", State: Failed, Detail: `size of a cache "lots"`})
	require.Empty(t, facts.Failures(), "no capacity depends on it")
}

// engine answers on a socket as Docker does, or never.
func engine(t *testing.T, answer http.HandlerFunc) Host {
	t.Helper()
	root, err := os.MkdirTemp("", "engine") // a socket's path must be short
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	require.NoError(t, os.Mkdir(filepath.Join(root, "run"), 0o755))
	listener, err := net.Listen("unix", filepath.Join(root, "run/docker.sock"))
	require.NoError(t, err)
	server := &http.Server{Handler: answer, ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return Host{Root: root}
}

func TestEnginesAreFoundByTheirSockets(t *testing.T) {
	var notes []Note
	note := func(fact string, state State, _ string, _ ...any) {
		notes = append(notes, Note{Fact: fact, State: state})
	}
	var out System
	engine(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"Version":"28.5.2","Components":[{"Name":"Engine","Version":"28.5.2"},{"Name":"runc","Version":"1.3.0"}]}`))
	}).probeEngines(context.Background(), &out, note)
	require.Equal(t, []Engine{{Name: "docker", Socket: "/run/docker.sock", Version: "28.5.2", Parts: map[string]string{"runc": "1.3.0"}}}, out.Engines)
	require.Empty(t, notes)
	engine(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
	}).probeEngines(context.Background(), &out, note)
	require.Equal(t, []Engine{{Name: "docker", Socket: "/run/docker.sock"}}, out.Engines)
	require.Equal(t, []Note{{Fact: "system.engines", State: Failed}}, notes)
	Host{Root: t.TempDir()}.probeEngines(context.Background(), &out, note)
	require.Empty(t, out.Engines)
	require.Equal(t, Note{Fact: "system.engines", State: Absent}, notes[1])
}
