package types

import (
	"net"
	"strconv"
)

// Live says whether a node is in the market or may come back to it: anything but retired.
func (n Node) Live() bool { return n.Status != NODE_STATUS_RETIRED }

// ValidateMoniker says whether a moniker is at most MaxMonikerBytes of text that is shown as it is. It may be empty.
func ValidateMoniker(moniker string) error {
	if len(moniker) > MaxMonikerBytes {
		return ErrInvalidNode.Wrapf("moniker %.80q is longer than %d bytes", moniker, MaxMonikerBytes)
	}
	if !ShownAsIs(moniker) {
		return ErrInvalidNode.Wrapf("moniker %q is not UTF-8 or has characters that are not shown", moniker)
	}
	return nil
}

// ValidateZone says whether a zone is lower-case letters, digits and dashes. It may be empty.
func ValidateZone(zone string) error {
	if len(zone) > MaxZoneBytes {
		return ErrInvalidNode.Wrapf("zone %.80q is longer than %d", zone, MaxZoneBytes)
	}
	for i := range len(zone) {
		c := zone[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return ErrInvalidNode.Wrapf("zone %q must be lower-case letters, digits and dashes", zone)
		}
	}
	return nil
}

// ValidateGateways says whether gateways are a few distinct host:port addresses. There may be none.
func ValidateGateways(gateways []string) error {
	if len(gateways) > MaxGateways {
		return ErrInvalidNode.Wrapf("%d gateways: at most %d", len(gateways), MaxGateways)
	}
	seen := make(map[string]bool, len(gateways))
	for _, gateway := range gateways {
		if !printable(gateway, MaxGatewayBytes) {
			return ErrInvalidNode.Wrapf("gateway %.140q must be 1 to %d printable characters", gateway, MaxGatewayBytes)
		}
		host, port, err := net.SplitHostPort(gateway)
		if err != nil || host == "" {
			return ErrInvalidNode.Wrapf("gateway %q is not host:port", gateway)
		}
		if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
			return ErrInvalidNode.Wrapf("gateway %q: port %q is not between 1 and 65535", gateway, port)
		}
		if seen[gateway] {
			return ErrInvalidNode.Wrapf("gateway %q appears twice", gateway)
		}
		seen[gateway] = true
	}
	return nil
}

// ValidateAsk says whether an ask price is between the param's least and the most there may be.
func ValidateAsk(params Params, ask uint64) error {
	if ask < params.MinAsk || ask > MaxAskPrice {
		return ErrInvalidAsk.Wrapf("%d uisc per SUNS-hour is not between %d and %d", ask, params.MinAsk, MaxAskPrice)
	}
	return nil
}
