package probe

import (
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// cpuinfo is what /proc/cpuinfo says: a block of fields for each thread, and
// on some boards of arm64 one for the board.
type cpuinfo struct {
	threads []map[string]string
}

func (h Host) cpuinfo() (cpuinfo, error) {
	text, ok, err := readText(h.Proc, "cpuinfo")
	if err != nil {
		return cpuinfo{}, err
	}
	if !ok {
		return cpuinfo{}, errors.New(filepath.Join(h.Proc, "cpuinfo") + " does not exist")
	}
	var info cpuinfo
	for block := range strings.SplitSeq(text, "\n\n") {
		fields := map[string]string{}
		for line := range strings.SplitSeq(block, "\n") {
			name, value, _ := strings.Cut(line, ":")
			fields[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
		if _, ok := fields["processor"]; ok {
			info.threads = append(info.threads, fields)
		}
	}
	return info, nil
}

// models are the names of all kinds of cores, such as "Cortex-A76 +
// Cortex-A55" where big ones and little ones are mixed, and the vendor's.
func (c cpuinfo) models() (model, vendor string) {
	var all []string
	for _, t := range c.threads {
		name, by := t["model name"], t["vendor_id"]
		if t["CPU implementer"] != "" { // arm64 says numbers, not names
			name, by = armName(t["CPU implementer"], t["CPU part"])
		}
		if name != "" && !slices.Contains(all, name) {
			all = append(all, name)
		}
		if vendor == "" {
			vendor = by
		}
	}
	return strings.Join(all, " + "), vendor
}

// flags are what the processor can do, sorted.
func (c cpuinfo) flags() []string {
	if len(c.threads) == 0 {
		return nil
	}
	flags := strings.Fields(c.threads[0]["flags"] + " " + c.threads[0]["Features"])
	slices.Sort(flags)
	return slices.Compact(flags)
}

// megahertz is the fastest thread's clock at the moment; 0 if none is named.
func (c cpuinfo) megahertz() uint64 {
	var most float64
	for _, t := range c.threads {
		if mhz, err := strconv.ParseFloat(t["cpu MHz"], 64); err == nil && mhz < 1e6 {
			most = max(most, mhz)
		}
	}
	return uint64(most)
}

// topology counts by what cpuinfo names itself; 0 where it names nothing.
func (c cpuinfo) topology() (sockets, cores int) {
	inSockets, inCores := map[string]bool{}, map[string]bool{}
	for _, t := range c.threads {
		socket, ok := t["physical id"]
		if !ok {
			return 0, 0
		}
		inSockets[socket] = true
		inCores[socket+"/"+t["core id"]] = true
	}
	return len(inSockets), len(inCores)
}
