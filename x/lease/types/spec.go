package types

import (
	"net"
	"strconv"
	"strings"
	"unicode/utf8"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// Bounds of what a tenant or an agent may send. Each keeps a record of state, and the block work that reads it, small.
const (
	// MaxPrice is the largest cap, in uisc per placement-hour: a million ISC an hour is more than any machine.
	MaxPrice = 1_000_000_000_000
	// MaxListed bounds the countries, zones and avoided nodes of the rules, each.
	MaxListed = 32
	// MaxNameBytes bounds zones, names of ports and of variables.
	MaxNameBytes = 128
	// MaxArgs and MaxEnv bound the arguments and variables; MaxSpecBytes bounds all their bytes.
	MaxArgs      = 64
	MaxEnv       = 64
	MaxSpecBytes = 8_192
	// MaxEndpoints bounds what an agent reports of a placement.
	MaxEndpoints = 32
	// MaxAddressBytes bounds an endpoint's address.
	MaxAddressBytes = 261
	// MaxReasonBytes bounds an agent's words.
	MaxReasonBytes = 256
	// ReplicaGas is what an update pays for each replica it ends, replaces or adds: the end blocker does that work, and what
	// costs nothing to ask for could be asked for without end.
	ReplicaGas = 20_000
	// MaxFailedNodes is how many nodes a lease remembers as failed; the oldest are forgotten.
	MaxFailedNodes = 32
)

// MaxAmount is the largest sum that may be paid in at once, in uisc: sums of balances stay far below 2^256.
var MaxAmount = math.NewIntFromUint64(1 << 62)

// Validate says whether the rules are well formed.
func (r PlacementRules) Validate() error {
	if len(r.Countries) > MaxListed || len(r.Zones) > MaxListed || len(r.Avoid) > MaxListed || len(r.Architectures) > MaxListed {
		return ErrInvalidRules.Wrapf("a list has more than %d entries", MaxListed)
	}
	seen := make(map[string]bool, len(r.Countries))
	for _, country := range r.Countries {
		if sunstypes.ValidateCountry(country) != nil {
			return ErrInvalidRules.Wrapf("%.10q is not an ISO 3166-1 alpha-2 country code in upper case", country)
		}
		if seen[country] {
			return ErrInvalidRules.Wrapf("country %s is listed twice", country)
		}
		seen[country] = true
	}
	for _, zone := range r.Zones {
		if !isName(zone) {
			return ErrInvalidRules.Wrapf("zone %.40q", zone)
		}
	}
	for _, arch := range r.Architectures {
		if !sunstypes.ValidArchitecture(arch) {
			return ErrInvalidRules.Wrapf("%.20q is not an architecture: use amd64 or arm64", arch)
		}
	}
	for _, node := range r.Avoid {
		if _, err := node.Canonical(); err != nil {
			return ErrInvalidRules.Wrapf("avoid: %s", err)
		}
	}
	if r.Node != nil {
		if _, err := r.Node.Canonical(); err != nil {
			return ErrInvalidRules.Wrapf("node: %s", err)
		}
	}
	return nil
}

// ValidatePrice says whether a cap is within its bounds.
func ValidatePrice(maxPrice uint64) error {
	if maxPrice == 0 || maxPrice > MaxPrice {
		return ErrInvalidPrice.Wrapf("%d uisc per placement-hour is not within 1 and %d", maxPrice, uint64(MaxPrice))
	}
	return nil
}

// ValidateAmount says whether a coin is a positive amount of uisc within its bound.
func ValidateAmount(coin sdk.Coin) error {
	if coin.Denom != sunstypes.BaseDenom {
		return ErrInvalidAmount.Wrapf("denom is %.40q, only %s is accepted", coin.Denom, sunstypes.BaseDenom)
	}
	if coin.Amount.IsNil() || !coin.Amount.IsPositive() {
		return ErrInvalidAmount.Wrap("amount must be above 0")
	}
	if coin.Amount.GT(MaxAmount) {
		return ErrInvalidAmount.Wrapf("amount %s is above %s", coin.Amount, MaxAmount)
	}
	return nil
}

// ValidateCommand says whether arguments and environment are within their bounds.
func ValidateCommand(args []string, env []EnvVar) error {
	if len(args) > MaxArgs || len(env) > MaxEnv {
		return ErrInvalidSpec.Wrapf("more than %d arguments or %d variables", MaxArgs, MaxEnv)
	}
	size := 0
	for _, arg := range args {
		if !isText(arg) {
			return ErrInvalidSpec.Wrap("an argument is not text")
		}
		size += len(arg)
	}
	seen := make(map[string]bool, len(env))
	for _, v := range env {
		if !isName(v.Name) || strings.ContainsAny(v.Name, "= ") || !isText(v.Value) {
			return ErrInvalidSpec.Wrapf("variable %.80q", v.Name)
		}
		if seen[v.Name] {
			return ErrInvalidSpec.Wrapf("variable %.80q is set twice", v.Name)
		}
		seen[v.Name] = true
		size += len(v.Name) + len(v.Value)
	}
	if size > MaxSpecBytes {
		return ErrInvalidSpec.Wrapf("%d bytes of arguments and variables, more than %d", size, MaxSpecBytes)
	}
	return nil
}

// isText says whether a program can be given s: text without NUL, which ends a string of C.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// isName says whether s is short and shown as it is.
func isName(s string) bool { return s != "" && len(s) <= MaxNameBytes && sunstypes.ShownAsIs(s) }

// ValidateEndpoints says whether endpoints are well formed.
func ValidateEndpoints(endpoints []Endpoint) error {
	if len(endpoints) > MaxEndpoints {
		return ErrInvalidEndpoints.Wrapf("%d endpoints, more than %d", len(endpoints), MaxEndpoints)
	}
	seen := make(map[string]bool, len(endpoints))
	for _, e := range endpoints {
		if !isName(e.Name) || seen[e.Name] {
			return ErrInvalidEndpoints.Wrapf("name %.80q", e.Name)
		}
		seen[e.Name] = true
		switch e.Protocol {
		case "http", "tcp", "udp":
		default:
			return ErrInvalidEndpoints.Wrapf("protocol %.20q of %s: use http, tcp or udp", e.Protocol, e.Name)
		}
		if e.ContainerPort == 0 || e.ContainerPort > 65_535 {
			return ErrInvalidEndpoints.Wrapf("container port %d of %s", e.ContainerPort, e.Name)
		}
		if err := validateAddress(e.Address); err != nil {
			return ErrInvalidEndpoints.Wrapf("address %.80q of %s: %s", e.Address, e.Name, err)
		}
	}
	return nil
}

func validateAddress(address string) error {
	if len(address) > MaxAddressBytes || !sunstypes.ShownAsIs(address) {
		return ErrInvalidEndpoints.Wrap("not a short text")
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 || host == "" || strings.ContainsAny(host, " /@?#") {
		return ErrInvalidEndpoints.Wrap("not host:port")
	}
	return nil
}

// ValidateReason says whether an agent's words are within their bounds.
func ValidateReason(reason string) error {
	if reason == "" || len(reason) > MaxReasonBytes || !sunstypes.ShownAsIs(reason) {
		return ErrInvalidReason.Wrapf("a reason is 1 to %d bytes of text in one line", MaxReasonBytes)
	}
	return nil
}

// Live says whether the placement holds its node.
func (p Placement) Live() bool {
	return p.Status == PLACEMENT_STATUS_ASSIGNED || p.Status == PLACEMENT_STATUS_RUNNING
}

// Ending says whether a transaction ended a placement that still holds its node. Its end and its reason stand: they say what is
// paid, and by whom, whoever comes to it first.
func (p Placement) Ending() bool { return p.Live() && p.EndReason != END_REASON_UNSPECIFIED }

// DeviceIDs are the ids of the devices the placement holds.
func (p Placement) DeviceIDs() []string {
	ids := make([]string, len(p.Devices))
	for i, device := range p.Devices {
		ids[i] = device.DeviceID
	}
	return ids
}

// Open says whether the lease is neither closing nor closed.
func (l Lease) Open() bool {
	switch l.Status {
	case LEASE_STATUS_ACTIVE, LEASE_STATUS_UNFUNDED, LEASE_STATUS_SUSPENDED:
		return true
	default:
		return false
	}
}

// FailedOn says whether the node failed this lease before.
func (l Lease) FailedOn(node sunstypes.NodeID) bool {
	for _, failed := range l.FailedNodes {
		if failed.Equal(node) {
			return true
		}
	}
	return false
}

// ByTenant says whether the tenant ended the placement.
func (r EndReason) ByTenant() bool {
	switch r {
	case END_REASON_CLOSED, END_REASON_SCALED_DOWN, END_REASON_MIGRATED, END_REASON_UPDATED,
		END_REASON_RESTORED:
		return true
	default:
		return false
	}
}

// ByNodeFault says whether the node failed the lease: it is not used for it again.
func (r EndReason) ByNodeFault() bool {
	switch r {
	case END_REASON_NOT_STARTED, END_REASON_REJECTED, END_REASON_NODE_SILENT, END_REASON_NOT_SERVED:
		return true
	default:
		return false
	}
}
