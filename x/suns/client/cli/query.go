package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/client/flags"
	"github.com/cosmos/cosmos-sdk/codec"
	"github.com/cosmos/cosmos-sdk/version"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

const (
	flagCPU         = "cpu"
	flagMemory      = "memory"
	flagStorage     = "storage"
	flagBandwidth   = "bandwidth"
	flagAccelerator = "accelerator"
	flagSuns        = "suns"
	flagReport      = "report"
)

// NewQueryCmd gives the queries of x/suns that read better with flags of their own.
func NewQueryCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:                        types.ModuleName,
		Short:                      "Look at machines, their capacity and rewards",
		SuggestionsMinimumDistance: 2,
		RunE:                       client.ValidateCmd,
	}
	cmd.AddCommand(newConvertCmd())
	return cmd
}

func newConvertCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "convert [CAPACITY]",
		Short: "Compute SUNS from resources, or resources from SUNS, as the chain does",
		Long: `Compute SUNS from resources, or resources from SUNS, as the chain does.

Of general resources (as flags, or CAPACITY as JSON) it gives what a machine of them offers, bound by the scarcest, what an
application that needs them must ask for, and each by itself; of each accelerator what it offers. --report reads all of it
from a benchmark report, as isun-worker bench prints it or as a node file holds it. --suns gives what so many SUNS are: of general resources what a
tenant gets at least, of an accelerator what it has at least.`,
		Example: fmt.Sprintf(`  %[1]s query suns convert --cpu 8000 --memory 16384 --storage 262144 --bandwidth 100
  %[1]s query suns convert --accelerator memory_mib=24576,memory_bandwidth_mbs=1008000,fp32_gflops=82600
  %[1]s query suns convert --suns 2.5
  isun-worker bench -o json | %[1]s query suns convert --report -`, version.AppName),
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			clientCtx, err := client.GetClientQueryContext(cmd)
			if err != nil {
				return err
			}
			req, err := convertRequest(cmd, clientCtx.Codec, args)
			if err != nil {
				return err
			}
			res, err := types.NewQueryClient(clientCtx).Convert(cmd.Context(), req)
			if err != nil {
				return err
			}
			return clientCtx.PrintProto(res)
		},
	}
	cmd.Flags().Uint64(flagCPU, 0, "CPU points; 1000 are a reference core's")
	cmd.Flags().Uint64(flagMemory, 0, "memory in MiB")
	cmd.Flags().Uint64(flagStorage, 0, "storage in MiB")
	cmd.Flags().Uint64(flagBandwidth, 0, "bandwidth in Mbit/s")
	cmd.Flags().StringArray(flagAccelerator, nil, "a device: memory_mib=…,memory_bandwidth_mbs=…,fp32_gflops=…; once for each")
	cmd.Flags().String(flagSuns, "", "SUNS to turn into resources, such as 2.5")
	cmd.Flags().String(flagReport, "", "file with a benchmark report as JSON ('-' reads standard input)")
	flags.AddQueryFlagsToCmd(cmd)
	return cmd
}

// convertRequest puts together what flags, argument and report ask.
func convertRequest(cmd *cobra.Command, cdc codec.JSONCodec, args []string) (*types.QueryConvertRequest, error) {
	req := new(types.QueryConvertRequest)
	if err := readReport(cmd, req); err != nil {
		return nil, err
	}
	if len(args) == 1 {
		if err := cdc.UnmarshalJSON([]byte(args[0]), &req.Capacity); err != nil {
			return nil, fmt.Errorf("capacity: %w", err)
		}
	}
	for name, field := range map[string]*uint64{
		flagCPU: &req.Capacity.CpuPoints, flagMemory: &req.Capacity.MemoryMiB,
		flagStorage: &req.Capacity.StorageMiB, flagBandwidth: &req.Capacity.BandwidthMbps,
	} {
		value, err := cmd.Flags().GetUint64(name)
		if err != nil {
			return nil, err
		}
		if cmd.Flags().Changed(name) {
			*field = value
		}
	}
	devices, err := cmd.Flags().GetStringArray(flagAccelerator)
	if err != nil {
		return nil, err
	}
	for _, text := range devices {
		device, err := parseAccelerator(text)
		if err != nil {
			return nil, err
		}
		req.Accelerators = append(req.Accelerators, device)
	}
	if req.MilliSuns, err = milliSuns(cmd); err != nil {
		return nil, err
	}
	if req.Capacity == (types.Capacity{}) && len(req.Accelerators) == 0 && req.MilliSuns == 0 {
		return nil, errors.New("nothing to convert: give resources, an --accelerator, a --report or --suns")
	}
	return req, nil
}

// figure is a number that JSON may have in quotes, as the chain's has.
type figure uint64

func (f *figure) UnmarshalJSON(text []byte) error {
	number, err := strconv.ParseUint(strings.Trim(string(text), `"`), 10, 64)
	*f = figure(number)
	return err
}

// measured is what a report is converted by. A worker's own has more in it, and devices that are not for rent.
type measured struct {
	Capacity *struct {
		CPUPoints     figure `json:"cpu_points"`
		MemoryMiB     figure `json:"memory_mib"`
		StorageMiB    figure `json:"storage_mib"`
		BandwidthMbps figure `json:"bandwidth_mbps"`
	} `json:"capacity"`
	Accelerators []struct {
		DeviceID           string `json:"device_id"`
		Kind               string `json:"kind"`
		MemoryMiB          figure `json:"memory_mib"`
		MemoryBandwidthMBs figure `json:"memory_bandwidth_mbs"`
		Fp32Gflops         figure `json:"fp32_gflops"`
		Offered            *bool  `json:"offered"`
	} `json:"accelerators"`
}

func readReport(cmd *cobra.Command, req *types.QueryConvertRequest) error {
	name, err := cmd.Flags().GetString(flagReport)
	if err != nil || name == "" {
		return err
	}
	content, err := readFile(cmd.InOrStdin(), name)
	if err != nil {
		return err
	}
	var report measured
	if err := json.Unmarshal(content, &report); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if report.Capacity == nil {
		return fmt.Errorf("%s: no capacity in it: want a report of isun-worker bench", name)
	}
	c := *report.Capacity
	req.Capacity = types.Capacity{
		CpuPoints: uint64(c.CPUPoints), MemoryMiB: uint64(c.MemoryMiB),
		StorageMiB: uint64(c.StorageMiB), BandwidthMbps: uint64(c.BandwidthMbps),
	}
	for _, a := range report.Accelerators {
		if a.Offered != nil && !*a.Offered {
			continue
		}
		req.Accelerators = append(req.Accelerators, types.Accelerator{
			DeviceID: a.DeviceID, Kind: a.Kind,
			MemoryMiB: uint64(a.MemoryMiB), MemoryBandwidthMbs: uint64(a.MemoryBandwidthMBs), Fp32Gflops: uint64(a.Fp32Gflops),
		})
	}
	return nil
}

// parseAccelerator reads name=number pairs.
func parseAccelerator(text string) (device types.Accelerator, err error) {
	fields := map[string]*uint64{
		"memory_mib": &device.MemoryMiB, "memory_bandwidth_mbs": &device.MemoryBandwidthMbs, "fp32_gflops": &device.Fp32Gflops,
	}
	for pair := range strings.SplitSeq(text, ",") {
		name, number, _ := strings.Cut(strings.TrimSpace(pair), "=")
		field := fields[name]
		if field == nil {
			return device, fmt.Errorf(
				"--%s %q: want memory_mib, memory_bandwidth_mbs and fp32_gflops, each once and with a number", flagAccelerator, text)
		}
		if *field, err = strconv.ParseUint(number, 10, 64); err != nil {
			return device, fmt.Errorf("--%s %q: %s is no whole number", flagAccelerator, text, name)
		}
		delete(fields, name)
	}
	if len(fields) > 0 {
		return device, fmt.Errorf("--%s %q: memory_mib, memory_bandwidth_mbs and fp32_gflops are all needed", flagAccelerator, text)
	}
	return device, nil
}

// milliSuns reads --suns in thousandths; 0 when it is not given.
func milliSuns(cmd *cobra.Command) (uint64, error) {
	text, err := cmd.Flags().GetString(flagSuns)
	if err != nil || text == "" {
		return 0, err
	}
	suns, err := math.LegacyNewDecFromStr(text)
	if err != nil {
		return 0, fmt.Errorf("--%s %q: want a number such as 2.5", flagSuns, text)
	}
	milli := suns.MulInt64(types.MilliPerSuns)
	most := math.LegacyNewDecFromInt(math.NewIntFromUint64(types.MaxNodeMilliSuns))
	if !milli.IsInteger() || !milli.IsPositive() || milli.GT(most) {
		return 0, fmt.Errorf("--%s %q: want more than 0, at most %d, in thousandths at the finest",
			flagSuns, text, types.MaxNodeMilliSuns/types.MilliPerSuns)
	}
	return milli.TruncateInt().Uint64(), nil
}
