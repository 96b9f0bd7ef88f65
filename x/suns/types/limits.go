package types

// Bounds of what messages, reports and genesis may hold. They are far above any machine there is; what each protects stands
// beside it.
const (
	// MaxCPUPoints and the next three keep a thousand times a resource within 64 bits.
	MaxCPUPoints     = 1_000_000_000
	MaxMemoryMiB     = 1 << 30 // 1 PiB
	MaxStorageMiB    = 1 << 40 // 1 EiB
	MaxBandwidthMbps = 100_000_000

	// MaxDeviceMemoryMiB and the next two do the same for one accelerator.
	MaxDeviceMemoryMiB    = 1 << 24 // 16 TiB
	MaxDeviceBandwidthMBs = 1_000_000_000
	MaxDeviceGflops       = 1_000_000_000

	// MaxAccelerators bounds the devices a match looks at on one node.
	MaxAccelerators = 16
	// MaxAcceleratorModels bounds the keys a node has in the match index.
	MaxAcceleratorModels = 4

	// MaxNodeMilliSuns is a thousand million SUNS: more than all machines there are. It keeps price times SUNS, summed over
	// a node, within 128 bits.
	MaxNodeMilliSuns uint64 = 1_000_000_000_000

	// MaxAskPrice keeps price times milli-SUNS times an hour's milliseconds far from overflow in the modules above; it is a
	// million ISC per SUNS-hour.
	MaxAskPrice uint64 = 1_000_000_000_000

	// MaxMonikerBytes, and the other lengths, bound what one message can put in state for its gas.
	MaxMonikerBytes  = 64
	MaxZoneBytes     = 32
	MaxGateways      = 4
	MaxGatewayBytes  = 128
	MaxDeviceIDBytes = 64
	MaxVendorBytes   = 32
	MaxModelBytes    = 64

	// MaxContactAddresses and MaxContactAddressBytes bound what whoever looks for a node has to read and dial.
	MaxContactAddresses    = 8
	MaxContactAddressBytes = 256

	// MaxClockMs is 285,000 years on the chain clock: times in state stay below it, so a duration added to one fits 64 bits.
	MaxClockMs uint64 = 1 << 53

	// DigestBytes is the size of a SHA-256 digest.
	DigestBytes = 32
)

// Architectures and kinds of accelerator the chain knows.
const (
	ArchAMD64 = "amd64"
	ArchARM64 = "arm64"

	KindGPU  = "gpu"
	KindFPGA = "fpga"
	KindASIC = "asic"
)

// ValidArchitecture says whether an architecture is known.
func ValidArchitecture(architecture string) bool {
	return architecture == ArchAMD64 || architecture == ArchARM64
}

// ValidKind says whether a kind of accelerator is known.
func ValidKind(kind string) bool {
	return kind == KindGPU || kind == KindFPGA || kind == KindASIC
}

// printable says whether text is between 1 and limit bytes of printable ASCII, without spaces at its ends: what shows in a
// terminal as it is, and is the same text when it looks the same.
func printable(text string, limit int) bool {
	if text == "" || len(text) > limit || text[0] == ' ' || text[len(text)-1] == ' ' {
		return false
	}
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}
