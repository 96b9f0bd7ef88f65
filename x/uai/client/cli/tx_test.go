package cli_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"

	"github.com/isuncoin/isuncoin/x/testkit"
	"github.com/isuncoin/isuncoin/x/uai/client/cli"
	"github.com/isuncoin/isuncoin/x/uai/types"
)

func TestParseImage(t *testing.T) {
	cdc := codec.NewProtoCodec(codectypes.NewInterfaceRegistry())
	signer := testkit.Addr("publisher").String()

	msg, err := cli.ParseImage(cdc, []byte(cli.ExampleImage), signer)
	require.NoError(t, err)
	require.Equal(t, signer, msg.Publisher)
	require.Equal(t, "hello", msg.Name)
	require.EqualValues(t, 500, msg.Demand.GeneralMilliSuns)
	require.EqualValues(t, 256, msg.Volumes[0].SizeMiB)
	require.Equal(t, "/healthz", msg.Health.Path)

	_, err = cli.ParseImage(cdc, []byte(strings.Replace(cli.ExampleImage, `"name": "hello"`, `"nickname": "hello"`, 1)), signer)
	require.ErrorContains(t, err, "nickname")
	_, err = cli.ParseImage(cdc, []byte(strings.Replace(cli.ExampleImage, "4194304", "0", 1)), signer)
	require.ErrorIs(t, err, types.ErrInvalidImage)
	other := `{"publisher": "` + testkit.Addr("other").String() + `"}`
	_, err = cli.ParseImage(cdc, []byte(other), signer)
	require.ErrorContains(t, err, "is not the signer")
	_, err = cli.ParseImage(cdc, nil, signer)
	require.Error(t, err)
}

func TestCommands(t *testing.T) {
	cmd := cli.NewTxCmd()
	publish, _, err := cmd.Find([]string{"publish-image"})
	require.NoError(t, err)
	require.NotNil(t, publish.Flags().Lookup("from"))
	require.Contains(t, publish.Long, cli.ExampleImage)
	require.Error(t, publish.Args(publish, nil))
}
