package probe

import (
	"strconv"
)

// armVendors are the companies that design arm64 cores, by the number in the
// MIDR register that the kernel shows as "CPU implementer".
var armVendors = map[uint64]string{
	0x41: "ARM", 0x42: "Broadcom", 0x43: "Cavium", 0x46: "Fujitsu", 0x48: "HiSilicon", 0x4e: "NVIDIA",
	0x50: "APM", 0x51: "Qualcomm", 0x53: "Samsung", 0x61: "Apple", 0x6d: "Microsoft", 0x70: "Phytium", 0xc0: "Ampere",
}

// armParts are their cores, by implementer and "CPU part". Servers and boards
// that people have are here; what is missing is named by its numbers.
var armParts = map[uint64]map[uint64]string{
	0x41: {
		0xd03: "Cortex-A53", 0xd04: "Cortex-A35", 0xd05: "Cortex-A55", 0xd07: "Cortex-A57", 0xd08: "Cortex-A72",
		0xd09: "Cortex-A73", 0xd0a: "Cortex-A75", 0xd0b: "Cortex-A76", 0xd0c: "Neoverse-N1", 0xd0d: "Cortex-A77",
		0xd0e: "Cortex-A76AE", 0xd40: "Neoverse-V1", 0xd41: "Cortex-A78", 0xd42: "Cortex-A78AE", 0xd44: "Cortex-X1",
		0xd46: "Cortex-A510", 0xd47: "Cortex-A710", 0xd48: "Cortex-X2", 0xd49: "Neoverse-N2", 0xd4a: "Neoverse-E1",
		0xd4b: "Cortex-A78C", 0xd4d: "Cortex-A715", 0xd4e: "Cortex-X3", 0xd4f: "Neoverse-V2", 0xd80: "Cortex-A520",
		0xd81: "Cortex-A720", 0xd82: "Cortex-X4", 0xd84: "Neoverse-V3", 0xd85: "Cortex-X925", 0xd87: "Cortex-A725",
		0xd8e: "Neoverse-N3",
	},
	0x43: {0x0a1: "ThunderX", 0x0af: "ThunderX2", 0x0b8: "ThunderX3"},
	0x46: {0x001: "A64FX"},
	0x48: {0xd01: "TaiShan v110", 0xd02: "TaiShan v120"},
	0x4e: {0x003: "Denver 2", 0x004: "Carmel", 0x010: "Olympus"},
	0x50: {0x000: "X-Gene"},
	0x51: {
		0x001: "Oryon", 0xc00: "Falkor", 0xc01: "Saphira", 0x802: "Kryo 3xx Gold", 0x803: "Kryo 3xx Silver",
		0x804: "Kryo 4xx Gold", 0x805: "Kryo 4xx Silver",
	},
	0x61: {
		0x022: "Icestorm (M1)", 0x023: "Firestorm (M1)", 0x024: "Icestorm (M1 Pro)", 0x025: "Firestorm (M1 Pro)",
		0x028: "Icestorm (M1 Max)", 0x029: "Firestorm (M1 Max)", 0x032: "Blizzard (M2)", 0x033: "Avalanche (M2)",
		0x034: "Blizzard (M2 Pro)", 0x035: "Avalanche (M2 Pro)", 0x038: "Blizzard (M2 Max)", 0x039: "Avalanche (M2 Max)",
	},
	0x6d: {0xd49: "Azure Cobalt 100"},
	0x70: {0x303: "FTC310", 0x660: "FTC660", 0x661: "FTC661", 0x662: "FTC662", 0x663: "FTC663", 0x664: "FTC664", 0x862: "FTC862"},
	0xc0: {0xac3: "Ampere-1", 0xac4: "Ampere-1a", 0xac5: "Ampere-1b"},
}

// armName is the core's name and its designer's.
func armName(implementer, part string) (model, vendor string) {
	who, err := strconv.ParseUint(implementer, 0, 64)
	if err != nil {
		return "", ""
	}
	vendor = armVendors[who]
	if vendor == "" {
		vendor = "implementer " + implementer
	}
	what, err := strconv.ParseUint(part, 0, 64)
	if err != nil {
		return "", vendor
	}
	if model = armParts[who][what]; model == "" {
		model = vendor + " part " + part
	}
	return model, vendor
}
