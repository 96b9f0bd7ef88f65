package types

import (
	"strings"
	"unicode/utf8"
)

// ShownAsIs says whether text is UTF-8 that a terminal or a page shows as it is: without control characters, which terminals
// act on, and without marks that hide or reorder what stands beside them. The ranges are listed here, since Go's tables of
// letters change with its version and validators must agree.
func ShownAsIs(text string) bool {
	if !utf8.ValidString(text) {
		return false
	}
	for _, r := range text {
		if hidden(r) {
			return false
		}
	}
	return true
}

// Shown is text with spaces for all that ShownAsIs refuses: what a program says may go on chain then.
func Shown(text string) string {
	return strings.Map(func(r rune) rune {
		if hidden(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, " "))
}

// hidden says whether a character controls the terminal, is invisible, or changes the direction of others. Joiners
// (U+200C, U+200D) are letters of many languages, so they may stand.
func hidden(r rune) bool {
	switch {
	case r < ' ', r >= 0x7f && r <= 0x9f: // C0, delete, C1
		return true
	case r == 0xad, r == 0x61c, r == 0x180e, r == 0x200b, r == 0xfeff: // soft hyphen, Arabic mark, spaces of no width
		return true
	case r == 0x200e, r == 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2060 && r <= 0x206f: // directions, line ends
		return true
	case r >= 0xfff9 && r <= 0xfffb, r >= 0xe0000 && r <= 0xe0fff: // annotations, tags
		return true
	default:
		return false
	}
}
