package types_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

func TestTextThatIsShownAsItIs(t *testing.T) {
	for _, text := range []string{"", "attic #1", "太陽幣", "é", "a\u00a0b", "می\u200cخواهم", "👩\u200d💻"} {
		require.True(t, types.ShownAsIs(text), "%q", text)
		require.Equal(t, text, types.Shown(text))
	}
}

func TestTextThatTerminalsActOn(t *testing.T) {
	for text, shown := range map[string]string{
		"a\x00b": "a b", "a\nb": "a b", "\x1b[2J": " [2J", "a\x7f": "a ", "a\u0080b": "a b", "a\u009fb": "a b",
		"a\u202eb": "a b", "a\u2028b": "a b", "a\u2066b": "a b", "a\u200bb": "a b", "\ufeffa": " a", "a\U000e0041": "a ",
		"a\xffb": "a b",
	} {
		require.False(t, types.ShownAsIs(text), "%q", text)
		require.Equal(t, shown, types.Shown(text))
		require.True(t, types.ShownAsIs(types.Shown(text)))
	}
}
