package probe

import (
	"context"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shirou/gopsutil/v4/disk"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write golden files anew")

// unpack makes a fixture tree of an archive. A file "name -> target" is a
// symbolic link; the file "addresses" is what the kernel says of interfaces.
func unpack(t *testing.T, archive string) Host {
	t.Helper()
	parsed, err := txtar.ParseFile(archive)
	require.NoError(t, err)
	root, addresses := t.TempDir(), ""
	for _, f := range parsed.Files {
		name, target, link := strings.Cut(f.Name, " -> ")
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		switch {
		case name == "addresses":
			addresses = string(f.Data)
		case link:
			require.NoError(t, os.Symlink(target, path))
		default:
			require.NoError(t, os.WriteFile(path, f.Data, 0o600))
		}
	}
	return Host{
		Proc: filepath.Join(root, "proc"), Sys: filepath.Join(root, "sys"), Root: root, DataDir: "/var/lib/isun-worker",
		Usage: func(context.Context, string) (*disk.UsageStat, error) {
			return &disk.UsageStat{Fstype: "ext2/ext3", Total: 100 << 30, Free: 40 << 30}, nil
		},
		Addresses: func(name string) ([]netip.Prefix, error) {
			var list []netip.Prefix
			for line := range strings.Lines(addresses) {
				if on, address, _ := strings.Cut(strings.TrimSpace(line), " "); on == name {
					list = append(list, netip.MustParsePrefix(address))
				}
			}
			return list, nil
		},
	}
}

func TestMachines(t *testing.T) {
	archives, err := filepath.Glob("testdata/machines/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, archives)
	for _, archive := range archives {
		name := strings.TrimSuffix(filepath.Base(archive), ".txtar")
		t.Run(name, func(t *testing.T) {
			host := unpack(t, archive)
			host.Arch = "arm64"
			if strings.Contains(name, "amd64") || strings.Contains(name, "xeon") || strings.Contains(name, "container") {
				host.Arch = "amd64"
			}
			facts, err := Probe(context.Background(), host)
			require.NoError(t, err)
			require.Empty(t, facts.Failures())
			got, err := json.MarshalIndent(facts, "", "  ")
			require.NoError(t, err)
			// What would tell this machine from all others is in the fixtures,
			// and must not be in the facts.
			for _, secret := range []string{"SERIAL", "02:00:5e", "5eff:fe10", "upperdir"} {
				require.NotContains(t, string(got), secret)
			}
			golden := strings.TrimSuffix(archive, ".txtar") + ".golden.json"
			if *update {
				require.NoError(t, os.WriteFile(golden, append(got, '\n'), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err, "run the test with -update to write it")
			require.Equal(t, string(want), string(got)+"\n")
		})
	}
}
