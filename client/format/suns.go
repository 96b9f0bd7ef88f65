package format

import (
	"fmt"
	"strconv"
	"strings"

	"cosmossdk.io/math"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// sunsDecimals is how many digits follow the point of SUNS, which the chain keeps in thousandths.
const sunsDecimals = 3

// SUNS writes milli-SUNS in SUNS: 500 is "0.5".
func SUNS(milliSuns uint64) string { return decimal(math.NewIntFromUint64(milliSuns), sunsDecimals) }

// ParseSUNS reads SUNS and gives milli-SUNS: "0.5" and "500m" are 500.
func ParseSUNS(s string) (uint64, error) {
	text := strings.ToLower(strings.TrimSpace(s))
	decimals := sunsDecimals
	if milli, ok := strings.CutSuffix(text, "m"); ok {
		text, decimals = milli, 0
	}
	n, err := parseDecimal(text, decimals)
	if err != nil {
		return 0, fmt.Errorf("SUNS %q: %w (examples: 2, 0.5, 500m)", s, err)
	}
	if !n.IsUint64() || n.Uint64() > sunstypes.MaxNodeMilliSuns {
		return 0, fmt.Errorf("SUNS %q: more than there can be", s)
	}
	return n.Uint64(), nil
}

// Demand writes what a replica needs: "0.5 SUNS", "4 SUNS + 1 gpu of 26 SUNS".
func Demand(d sunstypes.Demand) string {
	var parts []string
	if d.GeneralMilliSuns > 0 || d.Accelerator == nil {
		parts = append(parts, SUNS(d.GeneralMilliSuns)+" SUNS")
	}
	if a := d.Accelerator; a != nil {
		device := fmt.Sprintf("%d %s of %s SUNS", a.Count, a.Kind, SUNS(a.MilliSuns))
		if a.Model != "" {
			device += " (" + a.Model + ")"
		}
		parts = append(parts, device)
	}
	return strings.Join(parts, " + ")
}

// ParseAccelerator reads "kind:count:suns[:model]", such as "gpu:1:26" or "gpu:2:30:NVIDIA GeForce RTX 4090"; the SUNS are
// those each device must have at least.
func ParseAccelerator(s string) (*sunstypes.AcceleratorDemand, error) {
	parts := strings.SplitN(s, ":", 4)
	if len(parts) < 3 {
		return nil, fmt.Errorf("accelerator %q is not kind:count:suns[:model] (an example: gpu:1:26)", s)
	}
	count, err := strconv.ParseUint(parts[1], 10, 32)
	if err != nil {
		return nil, fmt.Errorf("accelerator %q: count %q is not a number", s, parts[1])
	}
	milliSuns, err := ParseSUNS(parts[2])
	if err != nil {
		return nil, fmt.Errorf("accelerator %q: %w", s, err)
	}
	demand := &sunstypes.AcceleratorDemand{Kind: parts[0], Count: uint32(count), MilliSuns: milliSuns}
	if len(parts) == 4 {
		demand.Model = parts[3]
	}
	if err := demand.Validate(); err != nil {
		return nil, fmt.Errorf("accelerator %q: %w", s, err)
	}
	return demand, nil
}
