// Package format writes and reads what people see of the network: amounts in ISC, SUNS, durations, tables and a live status
// line. Nothing it writes is rounded, except where a function says so.
package format

import (
	"fmt"
	"strings"

	"cosmossdk.io/math"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// coinDecimals is how many digits follow the point of an amount in ISC.
const coinDecimals = 6

// maxDigits bounds a number that is read, far above the supply in uisc.
const maxDigits = 30

// ISC writes an amount of uisc in ISC, in full: 1250000 is "1.25 ISC".
func ISC(uisc math.Int) string { return decimal(uisc, coinDecimals) + " ISC" }

// HourPrice writes a price in uisc per hour: 500000 is "0.5 ISC/h".
func HourPrice(uisc uint64) string { return ISC(math.NewIntFromUint64(uisc)) + "/h" }

// ParseAmount reads an amount and gives it in uisc: "1.5", "1.5isc" and "1.5 ISC" are ISC, "1500000uisc" is uisc. What is
// finer than a uisc is an error, and so is a negative amount.
func ParseAmount(s string) (math.Int, error) {
	text := strings.ToLower(strings.TrimSpace(s))
	if number, ok := strings.CutSuffix(text, sunstypes.BaseDenom); ok {
		amount, err := parseDecimal(strings.TrimSpace(number), 0)
		if err != nil {
			return math.Int{}, fmt.Errorf("amount %q: %w (uisc are whole: 1500000uisc)", s, err)
		}
		return amount, nil
	}
	amount, err := parseDecimal(strings.TrimSpace(strings.TrimSuffix(text, sunstypes.DisplayDenom)), coinDecimals)
	if err != nil {
		return math.Int{}, fmt.Errorf("amount %q: %w (examples: 1.5, 1.5isc, 1500000uisc)", s, err)
	}
	return amount, nil
}

// ParseHourPrice reads a price per hour, as ParseAmount does; "/h" may follow. It gives uisc.
func ParseHourPrice(s string) (uint64, error) {
	amount, err := ParseAmount(strings.TrimSuffix(strings.TrimSpace(s), "/h"))
	if err != nil {
		return 0, err
	}
	if !amount.IsUint64() {
		return 0, fmt.Errorf("amount %q is too large for a price", s)
	}
	return amount.Uint64(), nil
}

// decimal writes n · 10^-decimals without trailing zeros.
func decimal(n math.Int, decimals int) string {
	sign := ""
	if n.IsNegative() {
		sign, n = "-", n.Neg()
	}
	digits := n.String()
	if pad := decimals + 1 - len(digits); pad > 0 {
		digits = strings.Repeat("0", pad) + digits
	}
	point := len(digits) - decimals
	return sign + strings.TrimSuffix(strings.TrimRight(digits[:point]+"."+digits[point:], "0"), ".")
}

// parseDecimal reads s · 10^decimals.
func parseDecimal(s string, decimals int) (math.Int, error) {
	whole, fraction, hasPoint := strings.Cut(s, ".")
	switch {
	case whole == "" && fraction == "":
		return math.Int{}, fmt.Errorf("no number")
	case hasPoint && fraction == "":
		return math.Int{}, fmt.Errorf("nothing follows the point")
	case len(strings.TrimRight(fraction, "0")) > decimals:
		return math.Int{}, fmt.Errorf("more than %d digits follow the point", decimals)
	case len(s) > maxDigits:
		return math.Int{}, fmt.Errorf("too many digits")
	}
	for _, c := range whole + fraction {
		if c < '0' || c > '9' {
			return math.Int{}, fmt.Errorf("%q is no digit", c)
		}
	}
	fraction = (fraction + strings.Repeat("0", decimals))[:decimals]
	// A leading zero would make the number octal.
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		digits = "0"
	}
	n, ok := math.NewIntFromString(digits)
	if !ok {
		return math.Int{}, fmt.Errorf("not a number")
	}
	return n, nil
}
