package command

import (
	_ "embed" // the manifest to begin with
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/uai"
)

//go:embed uai.yaml
var manifestTemplate string

// nameLine is the template's, which init replaces.
const nameLine = "name: someone/hello:1"

func (c *commands) uaiInit() *cobra.Command {
	var name string
	var force bool
	cmd := &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a commented uai.yaml to begin with",
		Example: `  isun uai init
  isun uai init --name someone/shop:1 shop.yaml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return c.runInit(or(strings.Join(args, ""), "uai.yaml"), name, force)
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "owner/name:tag of the image")
	cmd.Flags().BoolVar(&force, "force", false, "write over a file that is there")
	return cmd
}

func (c *commands) runInit(file, name string, force bool) error {
	text := manifestTemplate
	if name != "" {
		if err := new(uai.Config).SetRef(name); err != nil {
			return fmt.Errorf("--name: %w", err)
		}
		text = strings.Replace(text, nameLine, "name: "+name, 1)
	}
	mode := os.O_CREATE | os.O_WRONLY | os.O_EXCL
	if force {
		mode = os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	}
	out, err := os.OpenFile(file, mode, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already; --force writes over it", file)
	}
	if err != nil {
		return err
	}
	_, err = out.WriteString(text)
	if err := errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	written := struct {
		File string `json:"file"`
	}{file}
	return c.print(written, func() error {
		return c.say("%s is written; change it, and `isun uai pack --file %s` packs it", file, file)
	})
}
