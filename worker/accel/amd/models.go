package amd

import "strings"

// models are the names of common cards by device and revision, as the driver's
// own list of marketing names has them. A name without revision is for all.
var models = map[string]string{
	"0x66a1":      "AMD Instinct MI60 / MI50",
	"0x66af":      "AMD Radeon VII",
	"0x67df 0xe7": "AMD Radeon RX 580 Series",
	"0x67df 0xef": "AMD Radeon RX 570 Series",
	"0x6860":      "AMD Radeon Instinct MI25",
	"0x687f":      "AMD Radeon RX Vega",
	"0x7312":      "AMD Radeon Pro W5700",
	"0x731f 0xc1": "AMD Radeon RX 5700 XT",
	"0x731f 0xc4": "AMD Radeon RX 5700",
	"0x731f 0xc5": "AMD Radeon RX 5700 XT",
	"0x7340 0xc5": "AMD Radeon RX 5500 XT",
	"0x738c":      "AMD Instinct MI100",
	"0x73a3":      "AMD Radeon Pro W6800",
	"0x73a5 0xc0": "AMD Radeon RX 6950 XT",
	"0x73af 0xc0": "AMD Radeon RX 6900 XT",
	"0x73bf 0xc0": "AMD Radeon RX 6900 XT",
	"0x73bf 0xc1": "AMD Radeon RX 6800 XT",
	"0x73bf 0xc3": "AMD Radeon RX 6800",
	"0x73df 0xc0": "AMD Radeon RX 6750 XT",
	"0x73df 0xc1": "AMD Radeon RX 6700 XT",
	"0x73df 0xc5": "AMD Radeon RX 6700 XT",
	"0x73e3":      "AMD Radeon Pro W6600",
	"0x73ef 0xc1": "AMD Radeon RX 6650 XT",
	"0x73ff 0xc1": "AMD Radeon RX 6600 XT",
	"0x73ff 0xc7": "AMD Radeon RX 6600",
	"0x7408":      "AMD Instinct MI250X",
	"0x740c":      "AMD Instinct MI250X / MI250",
	"0x740f":      "AMD Instinct MI210",
	"0x7448":      "AMD Radeon Pro W7900",
	"0x744c 0xc8": "AMD Radeon RX 7900 XTX",
	"0x744c 0xcc": "AMD Radeon RX 7900 XT",
	"0x744c 0xce": "AMD Radeon RX 7900 GRE",
	"0x745e":      "AMD Radeon Pro W7800",
	"0x747e 0xc8": "AMD Radeon RX 7800 XT",
	"0x747e 0xff": "AMD Radeon RX 7700 XT",
	"0x7480 0xc0": "AMD Radeon RX 7600 XT",
	"0x7480 0xcf": "AMD Radeon RX 7600",
	"0x74a0":      "AMD Instinct MI300A",
	"0x74a1":      "AMD Instinct MI300X",
	"0x74a5":      "AMD Instinct MI325X",
	"0x7550 0xc0": "AMD Radeon RX 9070 XT",
	"0x7550 0xc3": "AMD Radeon RX 9070",
}

// modelOf is empty for a card that the table does not know.
func modelOf(device, revision string) string {
	device = strings.ToLower(device)
	if name, ok := models[device+" "+strings.ToLower(revision)]; ok {
		return name
	}
	return models[device]
}
