package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPartOf(t *testing.T) {
	const gib = 1024 * 1000
	for name, tc := range map[string]struct {
		part  Part
		unit  Unit
		total uint64
		want  uint64
		err   string
	}{
		"nothing said takes the share": {"", Bytes, 10 * gib, 6 * gib, ""},
		"percent":                      {"25%", Bytes, 8 * gib, 2 * gib, ""},
		"gibibytes":                    {"8GiB", Bytes, 8 * gib, 8 * gib, ""},
		"spaces and case":              {" 512 mib ", Bytes, 8 * gib, gib / 2, ""},
		"a fraction":                   {"1.5GiB", Bytes, 8 * gib, 3 * gib / 2, ""},
		"threads":                      {"4 threads", Threads, 8000, 4000, ""},
		"one thread":                   {"1 thread", Threads, 8000, 1000, ""},
		"threads without a name":       {"2.5", Threads, 8000, 2500, ""},
		"speed":                        {"1Gbit/s", Speed, 2_000_000, 1_000_000, ""},
		"speed without a name":         {"50", Speed, 2_000_000, 50_000, ""},
		"more than there is":           {"9GiB", Bytes, 8 * gib, 0, `"9GiB" of 8192 MiB`},
		"more threads than there are":  {"9 threads", Threads, 8000, 0, "of 8 threads"},
		"a part of nothing":            {"0%", Bytes, 8 * gib, 0, "1% to 100%"},
		"more than all":                {"101%", Bytes, 8 * gib, 0, "1% to 100%"},
		"bytes without a unit":         {"8", Bytes, 8 * gib, 0, "such as 8GiB"},
		"another unit":                 {"8 apples", Bytes, 8 * gib, 0, "such as 8GiB"},
		"nothing":                      {"0GiB", Bytes, 8 * gib, 0, "more than nothing"},
		"below nothing":                {"-1GiB", Bytes, 8 * gib, 0, "such as 8GiB"},
		"no number":                    {"GiB", Bytes, 8 * gib, 0, "such as 8GiB"},
		"two points":                   {"1.2.3GiB", Bytes, 8 * gib, 0, "such as 8GiB"},
		"digits without end":           {"99999999999999999999999GiB", Bytes, 8 * gib, 0, "such as 8GiB"},
		"beyond 64 bits":               {"99999999999999999TiB", Bytes, 8 * gib, 0, "less than everything"},
		"below the smallest":           {"0.00001MiB", Bytes, 8 * gib, 0, "more than nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tc.part.Of(tc.total, 60, tc.unit)
			if tc.err != "" {
				require.ErrorContains(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
}

func TestKeptDevices(t *testing.T) {
	require.False(t, Offer{}.Keeps("GPU-1"))
	require.True(t, Offer{KeepDevices: []string{"GPU-1"}}.Keeps("GPU-1"))
	require.False(t, Offer{KeepDevices: []string{"GPU-1"}}.Keeps("GPU-2"))
	require.True(t, Offer{KeepDevices: []string{AllDevices}}.Keeps("GPU-2"))
}

func TestOldOfferStillLoads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	old := "[offer]\nshare = '50%'\nreserve_memory_mib = 1\nreserve_disk_mib = 2\nbandwidth_mbps = 3\n"
	require.NoError(t, os.WriteFile(path, []byte(old), 0o600))
	cfg, err := Load(path)
	require.NoError(t, err)
	require.Equal(t, Offer{Share: 50, ReserveMemory: 1, ReserveDisk: 2, BandwidthMbps: 3, KeepDevices: []string{}}, cfg.Offer)

	require.NoError(t, os.WriteFile(path, []byte("[offer]\nmemory = '8 apples'\n"), 0o600))
	_, err = Load(path)
	require.ErrorContains(t, err, "offer.memory")
}
