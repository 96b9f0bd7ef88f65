// Package cli holds the commands of x/uai that AutoCLI cannot make.
package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/client/flags"
	"github.com/cosmos/cosmos-sdk/client/tx"
	"github.com/cosmos/cosmos-sdk/codec"
	"github.com/cosmos/cosmos-sdk/version"

	"github.com/isuncoin/isuncoin/x/uai/types"
)

// maxImageFile bounds what is read: the longest valid image is far shorter.
const maxImageFile = 1 << 20

// ExampleImage is a file that publish-image reads, with every field.
const ExampleImage = `{
  "name": "hello",
  "tag": "v1",
  "digest": "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
  "size_bytes": "4194304",
  "platforms": ["linux/amd64", "linux/arm64"],
  "demand": {"general_milli_suns": "500"},
  "ports": [{"name": "web", "protocol": "http", "container_port": 8080}],
  "health": {
    "kind": "http", "port": "web", "path": "/healthz",
    "interval_seconds": 10, "timeout_seconds": 2, "retries": 3, "start_period_seconds": 5
  },
  "volumes": [{"name": "data", "path": "/data", "size_mib": "256", "class": "persistent"}],
  "licence": "Apache-2.0",
  "royalty": "0",
  "reference": "registry.example.org/hello",
  "restricted": false
}`

// NewTxCmd gives the transactions of x/uai.
func NewTxCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:                        types.ModuleName,
		Short:                      "Publish images and manage your own",
		SuggestionsMinimumDistance: 2,
		RunE:                       client.ValidateCmd,
	}
	cmd.AddCommand(NewPublishImageCmd(), NewSetKeyHoldersCmd())
	return cmd
}

// NewPublishImageCmd publishes the image that a JSON file describes.
func NewPublishImageCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "publish-image FILE",
		Short: "Publish the image that a JSON file describes ('-' reads standard input)",
		Long: `Publish the image that a JSON file describes ('-' reads standard input).

The publisher is the signer. The digest is that of the OCI image index. demand is what one replica needs at least, in
thousandths of a SUNS; royalty is in uisc per hour. health, ports, volumes, licence, royalty and reference may be left out. A
volume of class "scratch" dies with the placement; others are in snapshots. A restricted image may be ordered by its owner,
and whom set-access grants it, alone:

` + ExampleImage,
		Example: fmt.Sprintf("%s tx uai publish-image hello.json --from publisher", version.AppName),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			clientCtx, err := client.GetClientTxContext(cmd)
			if err != nil {
				return err
			}
			file, err := readImageFile(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			msg, err := ParseImage(clientCtx.Codec, file, clientCtx.GetFromAddress().String())
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return tx.GenerateOrBroadcastTxCLI(clientCtx, cmd.Flags(), msg)
		},
	}
	flags.AddTxFlagsToCmd(cmd)
	return cmd
}

// ParseImage reads a message from JSON, unknown fields being an error, and says what is wrong with it before any fee is
// paid. The file may name the publisher, but only the signer.
func ParseImage(cdc codec.JSONCodec, file []byte, publisher string) (*types.MsgPublishImage, error) {
	msg := new(types.MsgPublishImage)
	if err := cdc.UnmarshalJSON(file, msg); err != nil {
		return nil, err
	}
	if msg.Publisher == "" {
		msg.Publisher = publisher
	}
	if msg.Publisher != publisher {
		return nil, fmt.Errorf("the publisher %s is not the signer %s", msg.Publisher, publisher)
	}
	return msg, types.NewImage(msg, 0).Validate()
}

// ExampleKeyHolders is a file that set-key-holders reads, of a key that the owner keeps alone.
const ExampleKeyHolders = `{
  "subject": "lease/isun1.../3",
  "recipient": "age1...",
  "threshold": 0,
  "shares": [],
  "commitments": []
}`

// NewSetKeyHoldersCmd says who holds a key, as a JSON file describes it.
func NewSetKeyHoldersCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set-key-holders FILE",
		Short: "Say who holds the key to an image or a lease of yours ('-' reads standard input)",
		Long: `Say who holds the key to an image (image/PUBLISHER/NAME:TAG) or a lease (lease/TENANT/NUMBER) of yours.

The file holds the recipient (an empty one removes the record) and either no shares, when you keep the key alone, or at most
16 of {"node": {"operator", "number"}, "index", "sealed"}, the threshold and as many commitments, bytes in base64:

` + ExampleKeyHolders,
		Example: fmt.Sprintf("%s tx uai set-key-holders holders.json --from owner", version.AppName),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			clientCtx, err := client.GetClientTxContext(cmd)
			if err != nil {
				return err
			}
			file, err := readImageFile(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			msg := new(types.MsgSetKeyHolders)
			if err := clientCtx.Codec.UnmarshalJSON(file, msg); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			msg.Owner = clientCtx.GetFromAddress().String()
			return tx.GenerateOrBroadcastTxCLI(clientCtx, cmd.Flags(), msg)
		},
	}
	flags.AddTxFlagsToCmd(cmd)
	return cmd
}

func readImageFile(stdin io.Reader, name string) ([]byte, error) {
	in := stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	content, err := io.ReadAll(io.LimitReader(in, maxImageFile+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxImageFile {
		return nil, fmt.Errorf("%s is longer than %d bytes: that is no file for this", name, maxImageFile)
	}
	return content, nil
}
