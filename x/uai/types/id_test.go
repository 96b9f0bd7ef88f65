package types_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/testkit"
	"github.com/isuncoin/isuncoin/x/uai/types"
)

func TestParseImageID(t *testing.T) {
	publisher := testkit.Addr("publisher").String()
	long := sdk.AccAddress(make([]byte, 32)).String()
	valid := []string{
		publisher + "/hello:v1",
		publisher + "/a:1",
		publisher + "/a-b.c_d9:_edge",
		publisher + "/hello:v1.0-rc.1",
		long + "/hello:v1",
		publisher + "/" + strings.Repeat("n", types.MaxNameLength) + ":" + strings.Repeat("t", types.MaxTagLength),
	}
	for _, ref := range valid {
		id, err := types.ParseImageID(ref)
		require.NoError(t, err, ref)
		require.Equal(t, ref, id.String())
		key, err := id.Key()
		require.NoError(t, err)
		require.Equal(t, id, types.ImageIDFromKey(key))
	}

	invalid := map[string]string{
		"empty":                  "",
		"no name":                publisher,
		"no tag":                 publisher + "/hello",
		"empty name":             publisher + "/:v1",
		"empty tag":              publisher + "/hello:",
		"no publisher":           "/hello:v1",
		"another chain's prefix": "cosmos1qyqszqgpqyqszqgpqyqszqgpqyqszqgpjnp7du/hello:v1",
		"upper case publisher":   strings.ToUpper(publisher) + "/hello:v1",
		"upper case name":        publisher + "/Hello:v1",
		"upper case tag":         publisher + "/hello:V1",
		"path in the name":       publisher + "/a/b:v1",
		"two tags":               publisher + "/hello:v1:v2",
		"digest":                 publisher + "/hello@sha256:00",
		"separator first":        publisher + "/-hello:v1",
		"separator last":         publisher + "/hello-:v1",
		"separators together":    publisher + "/he--llo:v1",
		"tag begins with a dot":  publisher + "/hello:.v1",
		"space":                  publisher + "/hello :v1",
		"NUL":                    publisher + "/hel\x00lo:v1",
		"not UTF-8":              publisher + "/hel\xfflo:v1",
		"letters beyond ASCII":   publisher + "/héllo:v1",
		"name too long":          publisher + "/" + strings.Repeat("n", types.MaxNameLength+1) + ":v1",
		"tag too long":           publisher + "/hello:" + strings.Repeat("t", types.MaxTagLength+1),
		"huge":                   strings.Repeat("x", 1<<20),
	}
	for name, ref := range invalid {
		t.Run(name, func(t *testing.T) {
			_, err := types.ParseImageID(ref)
			require.ErrorIs(t, err, types.ErrInvalidImageID)
			require.Less(t, len(err.Error()), 2000, "errors must not carry back what was sent")
		})
	}
}

// Whatever is parsed is written back as it came: one image has one name.
func FuzzParseImageID(f *testing.F) {
	f.Add(testkit.Addr("publisher").String() + "/hello:v1")
	f.Add("isun1/hello:v1")
	f.Fuzz(func(t *testing.T, ref string) {
		id, err := types.ParseImageID(ref)
		if err != nil {
			require.ErrorIs(t, err, types.ErrInvalidImageID)
			return
		}
		require.Equal(t, ref, id.String())
	})
}
