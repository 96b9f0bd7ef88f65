package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

func convert(t *testing.T, args ...string) (*types.QueryConvertRequest, error) {
	t.Helper()
	cmd := newConvertCmd()
	require.NoError(t, cmd.ParseFlags(args))
	return convertRequest(cmd, newCodec(), cmd.Flags().Args())
}

func TestConvertAsksWhatItsFlagsSay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"version":1,"capacity":{"cpu_points":4000,"memory_mib":"8192"},
		"accelerators":[{"device_id":"GPU-0","kind":"gpu","memory_mib":"24576","offered":true},
		{"device_id":"kept","memory_mib":1,"offered":false}],"measurements":[],"milli_suns":0}`), 0o600))
	card := types.Accelerator{MemoryMiB: 24_576, MemoryBandwidthMbs: 1_008_000, Fp32Gflops: 82_600}
	const cardText = "memory_mib=24576, memory_bandwidth_mbs=1008000,fp32_gflops=82600"
	for name, tc := range map[string]struct {
		args []string
		want types.QueryConvertRequest
	}{
		"flags": {
			[]string{"--cpu", "8000", "--memory=16384", "--storage=262144", "--bandwidth=100"},
			types.QueryConvertRequest{Capacity: types.Capacity{CpuPoints: 8000, MemoryMiB: 16384, StorageMiB: 262144, BandwidthMbps: 100}},
		},
		"JSON": {
			[]string{`{"cpu_points":"8000","bandwidth_mbps":"100"}`},
			types.QueryConvertRequest{Capacity: types.Capacity{CpuPoints: 8000, BandwidthMbps: 100}},
		},
		"a flag over JSON": {
			[]string{`{"cpu_points":"8000"}`, "--cpu=1"},
			types.QueryConvertRequest{Capacity: types.Capacity{CpuPoints: 1}},
		},
		"accelerators": {
			[]string{"--accelerator", cardText, "--accelerator", "fp32_gflops=1,memory_mib=2,memory_bandwidth_mbs=3"},
			types.QueryConvertRequest{Accelerators: []types.Accelerator{card, {Fp32Gflops: 1, MemoryMiB: 2, MemoryBandwidthMbs: 3}}},
		},
		"SUNS":           {[]string{"--suns", "2.5"}, types.QueryConvertRequest{MilliSuns: 2_500}},
		"the least SUNS": {[]string{"--suns", "0.001"}, types.QueryConvertRequest{MilliSuns: 1}},
		"the most SUNS":  {[]string{"--suns", "1000000000"}, types.QueryConvertRequest{MilliSuns: types.MaxNodeMilliSuns}},
		"report and SUNS": {
			[]string{"--report", file, "--suns", "1", "--bandwidth=7"},
			types.QueryConvertRequest{
				Capacity:     types.Capacity{CpuPoints: 4000, MemoryMiB: 8192, BandwidthMbps: 7},
				Accelerators: []types.Accelerator{{DeviceID: "GPU-0", Kind: "gpu", MemoryMiB: 24_576}},
				MilliSuns:    1_000,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := convert(t, tc.args...)
			require.NoError(t, err)
			require.Equal(t, &tc.want, got)
		})
	}
}

func TestConvertRefuses(t *testing.T) {
	for name, args := range map[string][]string{
		"nothing":               nil,
		"zeros":                 {"--cpu=0"},
		"no JSON":               {"8000"},
		"unknown resource":      {`{"gpus":"1"}`},
		"accelerator: unknown":  {"--accelerator=memory=1"},
		"accelerator: missing":  {"--accelerator=memory_mib=1"},
		"accelerator: twice":    {"--accelerator=memory_mib=1,memory_mib=1,fp32_gflops=1"},
		"accelerator: no value": {"--accelerator=memory_mib"},
		"accelerator: negative": {"--accelerator=memory_mib=-1,memory_bandwidth_mbs=1,fp32_gflops=1"},
		"SUNS: too fine":        {"--suns=0.0001"},
		"SUNS: too many":        {"--suns=1000000000.001"},
		"SUNS: none":            {"--suns=0"},
		"SUNS: negative":        {"--suns=-1"},
		"SUNS: no number":       {"--suns=many"},
		"no such file":          {"--report=/nonexistent/report.json"},
	} {
		_, err := convert(t, args...)
		require.Error(t, err, name)
	}
}
