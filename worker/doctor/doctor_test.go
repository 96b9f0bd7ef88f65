package doctor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	chainclient "github.com/isuncoin/isuncoin/client/chain"
	"github.com/isuncoin/isuncoin/worker/config"
	"github.com/isuncoin/isuncoin/worker/identity"
	"github.com/isuncoin/isuncoin/worker/netguard"
	"github.com/isuncoin/isuncoin/worker/runtime"
)

type fakeEngine struct{ info runtime.Info }

func (e fakeEngine) Info(context.Context) (runtime.Info, error) { return e.info, nil }
func (fakeEngine) Close() error                                 { return nil }

type fakeGuard struct {
	problems []string
	err      error
}

func (g fakeGuard) Check(context.Context) ([]string, error) { return g.problems, g.err }

type fakeChain struct{ block chainclient.Block }

func (fakeChain) ChainID() string  { return "isun-1" }
func (fakeChain) Endpoint() string { return "tcp://x" }
func (fakeChain) Close() error     { return nil }
func (c fakeChain) LatestBlock(context.Context) (chainclient.Block, error) {
	return c.block, nil
}

var now = time.Unix(1_800_000_000, 0)

// healthy is a patient with nothing wrong but that it has not joined.
func healthy(t *testing.T) Patient {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"proc/cpuinfo":     "processor\t: 0\nmodel name\t: Example\n\n",
		"proc/stat":        "cpu  1 1 1 1 1 1 1 0 0 0\ncpu0 1 1 1 1 1 1 1 0 0 0\n",
		"proc/meminfo":     "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n",
		"proc/self/status": "Cpus_allowed_list:\t0\n",
	} {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	require.NoError(t, os.MkdirAll(filepath.Join(root, "sys/fs/cgroup"), 0o755))
	cfg := config.Default()
	cfg.Host = config.Host{Proc: filepath.Join(root, "proc"), Sys: filepath.Join(root, "sys")}
	cfg.Offer.ReserveDisk = 1
	return Patient{
		Home: config.Home(filepath.Join(root, "home")), Config: cfg, Now: func() time.Time { return now },
		Engine: func(context.Context) (Engine, error) {
			return fakeEngine{runtime.Info{
				Engine: "docker", Version: "20.10", CgroupVersion: "2", Storage: runtime.StorageLoop,
				Bounds: []runtime.Bound{{Limit: "cpu", Held: runtime.Fully, Vital: true}},
			}}, nil
		},
		Guard: func() (Guard, error) { return fakeGuard{}, nil },
		Chain: func(context.Context, string) (Chain, error) {
			return fakeChain{chainclient.Block{Height: 7, Time: now.Add(-time.Second)}}, nil
		},
	}
}

func engineIs(info runtime.Info) func(*Patient) {
	return func(p *Patient) {
		p.Engine = func(context.Context) (Engine, error) { return fakeEngine{info}, nil }
	}
}

func blockIs(b chainclient.Block) func(*Patient) {
	return func(p *Patient) {
		p.Chain = func(context.Context, string) (Chain, error) { return fakeChain{b}, nil }
	}
}

func guardIs(g fakeGuard) func(*Patient) {
	return func(p *Patient) { p.Guard = func() (Guard, error) { return g, nil } }
}

func TestChecks(t *testing.T) {
	for name, tc := range map[string]struct {
		edit  func(*Patient)
		check string
		grade Grade
		says  string
	}{
		"engine": {check: "engine", grade: OK, says: "docker 20.10"},
		"limits": {check: "limits", grade: OK, says: "1 of 1"},
		"a limit is weak": {edit: engineIs(runtime.Info{CgroupVersion: "2", Bounds: []runtime.Bound{
			{Limit: "cpu", Held: runtime.Fully, Vital: true},
			{Limit: "pids", Held: runtime.Partly, Mend: "x", Vital: true},
			{Limit: "swap", Held: runtime.NotAt, Mend: "y"},
		}}), check: "limits", grade: Warn, says: "enable pids, swap"},
		"a vital limit is absent": {edit: engineIs(runtime.Info{CgroupVersion: "2", Bounds: []runtime.Bound{
			{Limit: "memory", Held: runtime.NotAt, Mend: "boot", Vital: true},
		}}), check: "limits", grade: Fail, says: "no placement may run without memory"},
		"cgroups":        {check: "cgroups", grade: OK, says: "version 2"},
		"machine":        {check: "machine", grade: OK, says: "8192 MiB"},
		"disk":           {check: "disk", grade: OK, says: "limits by loop"},
		"firewall":       {check: "firewall", grade: OK},
		"ports":          {check: "ports", grade: OK},
		"chain":          {check: "chain", grade: OK, says: "isun-1 at tcp://x, height 7"},
		"clock":          {check: "clock", grade: OK, says: "1s ahead"},
		"images":         {check: "images", grade: OK},
		"not joined":     {check: "identity", grade: Warn, says: "isun-worker join"},
		"no cgroups":     {edit: engineIs(runtime.Info{}), check: "cgroups", grade: Fail},
		"tmpfs":          {edit: engineIs(runtime.Info{CgroupVersion: "1", Storage: runtime.StorageTmpfs}), check: "disk", grade: Warn, says: "root"},
		"catching up":    {edit: blockIs(chainclient.Block{CatchingUp: true}), check: "chain", grade: Warn},
		"clock 9.9 s":    {edit: blockIs(chainclient.Block{Time: now.Add(9900 * time.Millisecond)}), check: "clock", grade: OK},
		"clock 10 s":     {edit: blockIs(chainclient.Block{Time: now.Add(10 * time.Second)}), check: "clock", grade: Warn, says: "chrony"},
		"clock 10 min":   {edit: blockIs(chainclient.Block{Time: now.Add(-10 * time.Minute)}), check: "clock", grade: Fail},
		"rules absent":   {edit: guardIs(fakeGuard{problems: []string{"x"}}), check: "firewall", grade: Warn},
		"no iptables":    {edit: guardIs(fakeGuard{err: netguard.ErrUnavailable}), check: "firewall", grade: Fail, says: "apt-get install iptables"},
		"no DOCKER-USER": {edit: guardIs(fakeGuard{err: netguard.ErrNoDockerChain}), check: "firewall", grade: Fail, says: "iptables option"},
		"guard off":      {edit: func(p *Patient) { p.Config.Engine.Guard = false }, check: "firewall", grade: Warn},
		"engine down": {edit: func(p *Patient) {
			p.Engine = func(context.Context) (Engine, error) { return nil, runtime.ErrUnavailable }
		}, check: "engine", grade: Fail, says: "apt-get install docker.io"},
		"engine forbidden": {edit: func(p *Patient) {
			p.Engine = func(context.Context) (Engine, error) { return nil, os.ErrPermission }
		}, check: "engine", grade: Fail, says: "group docker"},
		"chain down": {edit: func(p *Patient) {
			p.Chain = func(context.Context, string) (Chain, error) { return nil, errors.New("no node answers") }
		}, check: "chain", grade: Fail, says: "isunchaind localnet"},
		"disk all reserved":   {edit: func(p *Patient) { p.Config.Offer.ReserveDisk = 1 << 40 }, check: "disk", grade: Fail},
		"memory all reserved": {edit: func(p *Patient) { p.Config.Offer.ReserveMemory = 8192 }, check: "machine", grade: Fail},
		"memory hidden": {edit: func(p *Patient) {
			require.NoError(t, os.Remove(filepath.Join(p.Config.Host.Proc, "meminfo")))
		}, check: "machine", grade: Fail},
		"no layout folder": {edit: func(p *Patient) { p.Config.Images.Layouts = []string{"/nowhere"} }, check: "images", grade: Warn},
		"no images at all": {edit: func(p *Patient) { p.Config.Images.Registries = false }, check: "images", grade: Fail},
		"joined": {edit: func(p *Patient) {
			require.NoError(t, p.Home.Create())
			key, err := identity.LoadOrCreateKey(p.Home.AgentKey())
			require.NoError(t, err)
			require.NoError(t, identity.SaveNode(p.Home.Node(), identity.Node{
				ChainID: "isun-1", Operator: identity.NewKey().Address().String(), Number: 1, Agent: key.Address().String(),
			}))
		}, check: "identity", grade: OK, says: "/1 of isun-1"},
	} {
		t.Run(name, func(t *testing.T) {
			p := healthy(t)
			if tc.edit != nil {
				tc.edit(&p)
			}
			findings := Examine(context.Background(), Checks(p))
			require.Len(t, findings, len(Checks(p)))
			for _, f := range findings {
				require.Equal(t, f.Grade == OK, f.Mend == "", "%s: what is wrong comes with how to mend it", f.Check)
				if f.Check == tc.check {
					require.Equal(t, tc.grade, f.Grade, f.Detail)
					require.Contains(t, f.Detail+f.Mend, tc.says)
				}
			}
			require.Equal(t, tc.grade != Fail, Healthy(findings), "%+v", findings)
		})
	}
}
