package config

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWrittenDefaultLoadsBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	want := Default()
	want.Chain.ID = "isun-1"
	want.Chain.Endpoints = []string{"tcp://a:1", "tcp://b:2"}
	require.NoError(t, Write(path, want))
	got, err := Load(path)
	require.NoError(t, err)
	require.Equal(t, want, got)

	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(raw), "# Part of the machine to rent out", "the file explains itself")
	require.Contains(t, string(raw), "share = '60%'")

	require.ErrorIs(t, Write(path, want), os.ErrExist, "an existing config is never overwritten")
}

func TestLoadSaysWhatIsWrong(t *testing.T) {
	for name, tc := range map[string]struct{ body, want string }{
		"unknown key":       {"[offer]\nshaer = '60%'\n", `unknown key "offer.shaer"`},
		"share of nothing":  {"[offer]\nshare = '0%'\n", "want 1% to 100%"},
		"share above whole": {"[offer]\nshare = '101%'\n", "want 1% to 100%"},
		"no endpoint":       {"[chain]\nendpoints = []\n", "chain.endpoints is empty"},
		"poll too often":    {"[chain]\npoll_interval = '99ms'\n", "chain.poll_interval is 99ms"},
		"log level":         {"[log]\nlevel = 'loud'\n", "log.level"},
		"measuring address": {"[measuring]\nlisten = 'here'\n", "measuring.listen"},
		"metrics address":   {"[metrics]\nlisten = 'here'\n", "metrics.listen"},
		"cloud limit":       {"[cloud]\nlimit = '50%'\n", "cloud.limit"},
		"cloud too small":   {"[cloud]\nlimit = '1MiB'\n", "no image would fit"},
		"cloud folder":      {"[cloud]\ndata_dir = 'here'\n", "cloud.data_dir"},
		"cloud address":     {"[cloud]\nlisten = [':9466']\n", "cloud.listen"},
		"cloud announced":   {"[cloud]\nannounce = ['example.org']\n", "cloud.announce"},
		"public registry":   {"[cloud]\nregistry = '0.0.0.0:5000'\n", "cloud.registry"},
		"published address": {"[network]\npublished_address = 'http://x/'\n", "published_address"},
		"gas adjustment":    {"[fees]\ngas_adjustment = 0.5\n", "gas_adjustment"},
		"parallel":          {"[placements]\nparallel = 0\n", "placements.parallel"},
		"relative plugin":   {"[accelerators]\nplugins = ['bin/acme']\n", "accelerators.plugins"},
		"plugin's name":     {"[accelerators]\nplugins = ['/opt/opencl']\n", `called "opencl" already`},
		"plugins' names":    {"[accelerators]\nplugins = ['/opt/a/x', '/opt/b/x']\n", `called "x" already`},
		"failures":          {"[placements]\nmax_failures = 0\n", "placements.max_failures"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.toml")
			require.NoError(t, os.WriteFile(path, []byte(tc.body), 0o600))
			_, err := Load(path)
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestLoadWithoutInit(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "config.toml"))
	require.ErrorIs(t, err, ErrNotInitialised)
	require.ErrorContains(t, err, "isun-worker init")
}

func TestShareOf(t *testing.T) {
	for _, tc := range []struct {
		share    Share
		of, want uint64
	}{{60, 1000, 600}, {60, 1, 0}, {100, 1<<64 - 1, 1<<64 - 1}, {1, 99, 0}, {1, 100, 1}, {33, 7, 2}} {
		require.Equal(t, tc.want, tc.share.Of(tc.of), "%s of %d", tc.share, tc.of)
	}
}

func TestDurationText(t *testing.T) {
	var d Duration
	require.NoError(t, d.UnmarshalText([]byte("1m30s")))
	require.Equal(t, 90*time.Second, d.D())
	require.Error(t, d.UnmarshalText([]byte("soon")))
}
