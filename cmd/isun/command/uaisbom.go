package command

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/uai/sbom"
)

func (c *commands) uaiSBOM() *cobra.Command {
	var which, platform, out string
	cmd := &cobra.Command{
		Use:   "sbom IMAGE",
		Short: "List the software in an image as SPDX 2.3",
		Long: `List the software in an image as an SPDX 2.3 document in JSON: the packages of dpkg and
apk, and what Go programs were built of. Equal images give equal documents.`,
		Example: `  isun uai sbom site.tar --out site.spdx.json`,
		Args:    exactArgs("IMAGE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.runSBOM(cmd.Context(), args[0], which, platform, out)
		},
		ValidArgsFunction: c.completeLocal,
	}
	addWhich(cmd, &which)
	cmd.Flags().StringVar(&platform, "platform", "", "which variant (default: as this machine, or the only one)")
	cmd.Flags().StringVar(&out, "out", "", "file to write (default: the standard output)")
	return cmd
}

func (c *commands) runSBOM(ctx context.Context, ref, which, platform, out string) error {
	found, err := c.locate(ref, which)
	if err != nil {
		return err
	}
	defer found.Close()
	variant, err := chooseVariant(found.image, platform)
	if err != nil {
		return err
	}
	software, err := sbom.Read(ctx, variant)
	if err != nil {
		return fmt.Errorf("%s: %w", found.path, err)
	}
	name, licence := or(found.entry.Name, found.image.Digest.String()), ""
	if found.image.Config != nil {
		name, licence = found.image.Config.Ref(), found.image.Config.Licence
	}
	raw, err := json.MarshalIndent(sbom.SPDX(name, licence, variant, software), "", "  ")
	if err != nil {
		return fmt.Errorf("write the list: %w", err)
	}
	raw = append(raw, '\n')
	if out == "" {
		_, err := c.streams.Out.Write(raw)
		return err
	}
	if err := os.WriteFile(out, raw, 0o644); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	written := struct {
		File     string `json:"file"`
		Packages int    `json:"packages"`
	}{out, len(software.Packages)}
	return c.print(written, func() error { return c.say("%d packages are listed in %s", written.Packages, out) })
}

// chooseVariant takes the platform that was named, this machine's, or the only
// one there is.
func chooseVariant(image *uai.Image, platform string) (*uai.Variant, error) {
	if platform == "" && len(image.Variants) == 1 {
		return image.Variants[0], nil
	}
	wanted := uai.HostPlatform()
	if platform != "" {
		var err error
		if wanted, err = uai.ParsePlatform(platform); err != nil {
			return nil, fmt.Errorf("--platform: %w", err)
		}
	}
	return image.Select(wanted)
}
