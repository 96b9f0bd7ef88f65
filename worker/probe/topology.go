package probe

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Cache is one level of the processor's caches.
type Cache struct {
	Level int `json:"level"`
	// Type is "data", "instruction" or "unified".
	Type string `json:"type"`
	// KiB is the size of each of Instances.
	KiB       uint64 `json:"kib"`
	Instances int    `json:"instances"`
}

// shown are the threads whose topology counts: those that are on. Where
// cpuinfo shows fewer, as in a container that is told of its own ones only,
// those that this process may run on.
func (h Host) shown(threads int, allowed []int) []int {
	online, err := parseList(textOf(h.Sys, "devices/system/cpu/online"))
	if err != nil {
		return nil
	}
	if len(online) > threads && len(allowed) > 0 {
		online = slices.DeleteFunc(online, func(n int) bool { return !slices.Contains(allowed, n) })
	}
	return online
}

func (h Host) cpuDir(n int) string {
	return filepath.Join(h.Sys, "devices/system/cpu", "cpu"+strconv.Itoa(n))
}

// topology counts sockets and cores; 0 where the kernel shows none.
func (h Host) topology(shown []int) (sockets, cores int) {
	inSockets, inCores := map[int64]bool{}, map[string]bool{}
	for _, n := range shown {
		dir := filepath.Join(h.cpuDir(n), "topology")
		// Firmware that does not know says -1.
		if id, ok := numberOf(dir, "physical_package_id"); ok && id >= 0 {
			inSockets[id] = true
		}
		siblings := textOf(dir, "core_cpus_list")
		if siblings == "" {
			siblings = textOf(dir, "thread_siblings_list") // before Linux 5.3
		}
		if siblings != "" {
			inCores[siblings] = true
		}
	}
	return len(inSockets), len(inCores)
}

// caches lists them by level; each is counted once, however many threads
// share it.
func (h Host) caches(shown []int) ([]Cache, error) {
	seen, kinds := map[string]bool{}, map[string]*Cache{}
	for _, n := range shown {
		dir := filepath.Join(h.cpuDir(n), "cache")
		for _, index := range names(dir) {
			level, ok := numberOf(dir, index, "level")
			size := textOf(dir, index, "size")
			if !ok || size == "" {
				continue // older boards name a cache and no size
			}
			kib, err := parseKiB(size)
			if err != nil {
				return nil, err
			}
			kind := fmt.Sprintf("%d %s", level, strings.ToLower(textOf(dir, index, "type")))
			instance := kind + " " + textOf(dir, index, "shared_cpu_list")
			if seen[instance] {
				continue
			}
			seen[instance] = true
			// Big and little cores have caches of different sizes.
			key := kind + " " + size
			if kinds[key] == nil {
				_, name, _ := strings.Cut(kind, " ")
				kinds[key] = &Cache{Level: int(level), Type: name, KiB: kib}
			}
			kinds[key].Instances++
		}
	}
	list := make([]Cache, 0, len(kinds))
	for _, c := range kinds {
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b Cache) int {
		if a.Level != b.Level {
			return a.Level - b.Level
		}
		if a.Type != b.Type {
			return strings.Compare(a.Type, b.Type)
		}
		return int(min(max(int64(b.KiB)-int64(a.KiB), -1), 1)) // big cores first
	})
	return list, nil
}

// parseKiB reads "48K", "2M" or a number of bytes.
func parseKiB(size string) (uint64, error) {
	for unit, kib := range map[string]uint64{"K": 1, "M": 1 << 10, "G": 1 << 20} {
		if number, ok := strings.CutSuffix(size, unit); ok {
			n, err := strconv.ParseUint(number, 10, 64)
			if err != nil || n > math.MaxUint64/kib {
				return 0, fmt.Errorf("size of a cache %q", size)
			}
			return n * kib, nil
		}
	}
	n, err := strconv.ParseUint(size, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("size of a cache %q", size)
	}
	return n / 1024, nil
}

// numaNodes counts the nodes that have one of the threads.
func (h Host) numaNodes(shown []int) int {
	nodes := 0
	for _, name := range names(h.Sys, "devices/system/node") {
		if _, err := strconv.Atoi(strings.TrimPrefix(name, "node")); err != nil || !strings.HasPrefix(name, "node") {
			continue
		}
		threads, err := parseList(textOf(h.Sys, "devices/system/node", name, "cpulist"))
		if err == nil && slices.ContainsFunc(threads, func(n int) bool { return slices.Contains(shown, n) }) {
			nodes++
		}
	}
	return nodes
}

// maxMHz is the highest clock that any thread may have; 0 if nothing says it.
func (h Host) maxMHz(shown []int) uint64 {
	var most int64
	for _, n := range shown {
		if khz, ok := numberOf(h.cpuDir(n), "cpufreq/cpuinfo_max_freq"); ok {
			most = max(most, khz)
		}
	}
	return uint64(most) / 1000
}
