package probe

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// route is a default route.
type route struct {
	name string
	// gateway is not valid where the link itself is the way.
	gateway netip.Addr
	metric  uint64
	v4      bool
}

const (
	routeUp     = 0x1
	routeReject = 0x200
)

// defaultRoutes are those of IPv4 and then of IPv6, the preferred first.
func (h Host) defaultRoutes() ([]route, error) {
	v4, err := h.readRoutes("net/route", 1, parseRoute4)
	if err != nil {
		return nil, err
	}
	v6, err := h.readRoutes("net/ipv6_route", 0, parseRoute6)
	return append(v4, v6...), err
}

// readRoutes takes the default routes out of a table with so many lines of
// headings.
func (h Host) readRoutes(file string, headings int, parse func([]string) (route, bool, error)) ([]route, error) {
	text, ok, err := readText(h.Proc, file)
	if err != nil || !ok || text == "" {
		return nil, err
	}
	var list []route
	for i, line := range strings.Split(text, "\n") {
		if i < headings {
			continue
		}
		r, ok, err := parse(strings.Fields(line))
		if err != nil {
			return nil, fmt.Errorf("line %q of %s: %w", line, file, err)
		}
		if ok {
			list = append(list, r)
		}
	}
	slices.SortStableFunc(list, func(a, b route) int { return int(min(max(int64(a.metric)-int64(b.metric), -1), 1)) })
	return list, nil
}

// parseRoute4 reads "interface destination gateway flags references use
// metric mask …", addresses as the machine's own words in hex.
func parseRoute4(f []string) (route, bool, error) {
	if len(f) < 8 {
		return route{}, false, fmt.Errorf("%d fields", len(f))
	}
	flags, err1 := strconv.ParseUint(f[3], 16, 64)
	metric, err2 := strconv.ParseUint(f[6], 10, 32)
	raw, err3 := hex.DecodeString(f[2])
	if err1 != nil || err2 != nil || err3 != nil || len(raw) != 4 {
		return route{}, false, fmt.Errorf("gateway %q, flags %q, metric %q", f[2], f[3], f[6])
	}
	if f[1] != "00000000" || f[7] != "00000000" || flags&routeUp == 0 || flags&routeReject != 0 {
		return route{}, false, nil
	}
	r := route{name: f[0], metric: metric, v4: true}
	// Linux on amd64 and arm64 is little-endian.
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], binary.BigEndian.Uint32(raw))
	if gateway := netip.AddrFrom4(b); !gateway.IsUnspecified() {
		r.gateway = gateway
	}
	return r, true, nil
}

// parseRoute6 reads "destination length source length gateway metric
// references use flags interface", all in hex.
func parseRoute6(f []string) (route, bool, error) {
	if len(f) < 10 {
		return route{}, false, fmt.Errorf("%d fields", len(f))
	}
	flags, err1 := strconv.ParseUint(f[8], 16, 64)
	metric, err2 := strconv.ParseUint(f[5], 16, 32)
	raw, err3 := hex.DecodeString(f[4])
	if err1 != nil || err2 != nil || err3 != nil || len(raw) != 16 {
		return route{}, false, fmt.Errorf("gateway %q, flags %q, metric %q", f[4], f[8], f[5])
	}
	if strings.Trim(f[0], "0") != "" || f[1] != "00" || flags&routeUp == 0 || flags&routeReject != 0 || f[9] == "lo" {
		return route{}, false, nil
	}
	r := route{name: f[9], metric: metric}
	if gateway := netip.AddrFrom16([16]byte(raw)); !gateway.IsUnspecified() {
		r.gateway = gateway
		if eui64(gateway) { // the router's hardware address is nobody's business either
			r.gateway = netip.Addr{}
		}
	}
	return r, true, nil
}
