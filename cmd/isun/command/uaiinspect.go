package command

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/client/format"
	"github.com/isuncoin/isuncoin/client/tenant"
	"github.com/isuncoin/isuncoin/uai"
)

// inspectedImage is what uai inspect prints as JSON.
type inspectedImage struct {
	Name      string `json:"name,omitempty"`
	Layout    string `json:"layout"`
	Digest    string `json:"digest"`
	SizeBytes int64  `json:"size_bytes"`
	// Config is the UAI configuration; absent in an image of other tools.
	Config   *uai.Config        `json:"config,omitempty"`
	Variants []inspectedVariant `json:"variants"`
}

type inspectedVariant struct {
	Platform   string           `json:"platform"`
	Manifest   string           `json:"manifest"`
	SizeBytes  int64            `json:"size_bytes"`
	Entrypoint []string         `json:"entrypoint,omitempty"`
	Args       []string         `json:"args,omitempty"`
	Env        []string         `json:"env,omitempty"`
	User       string           `json:"user,omitempty"`
	Workdir    string           `json:"workdir,omitempty"`
	Exposed    []string         `json:"exposed,omitempty"`
	Layers     []inspectedLayer `json:"layers"`
}

type inspectedLayer struct {
	Digest    string `json:"digest"`
	SizeBytes int64  `json:"size_bytes"`
	MediaType string `json:"media_type"`
}

func (c *commands) uaiInspect() *cobra.Command {
	var which string
	cmd := &cobra.Command{
		Use:   "inspect IMAGE",
		Short: "Show what an image is and needs",
		Long: `Show what an image is and needs: of a layout folder, an archive of one, or a name or
digest of the store on this machine. Layers are not read; "isun uai validate" does.`,
		Example: `  isun uai inspect site.tar
  isun uai inspect build/images --image someone/hello:1 --output json`,
		Args:              exactArgs("IMAGE"),
		RunE:              func(_ *cobra.Command, args []string) error { return c.runInspectImage(args[0], which) },
		ValidArgsFunction: c.completeLocal,
	}
	addWhich(cmd, &which)
	return cmd
}

// addWhich adds the flag that chooses an image of a layout.
func addWhich(cmd *cobra.Command, which *string) {
	cmd.Flags().StringVar(which, "image", "", "name or digest, if the folder or archive holds several images")
}

func (c *commands) runInspectImage(ref, which string) error {
	found, err := c.locate(ref, which)
	if err != nil {
		return err
	}
	defer found.Close()
	shown := inspectImage(found)
	return c.print(shown, func() error { return c.writeInspectedImage(shown) })
}

func inspectImage(found *located) inspectedImage {
	image := found.image
	shown := inspectedImage{
		Name: found.entry.Name, Layout: found.path, Digest: image.Digest.String(), SizeBytes: image.Size(), Config: image.Config,
		Variants: []inspectedVariant{},
	}
	for _, v := range image.Variants {
		config := v.Settings.Config
		variant := inspectedVariant{
			Platform: v.Platform.String(), Manifest: v.Manifest.Digest.String(), SizeBytes: v.Size(), Entrypoint: config.Entrypoint,
			Args: config.Cmd, Env: config.Env, User: config.User, Workdir: config.WorkingDir, Exposed: slices.Sorted(maps.Keys(config.ExposedPorts)),
			Layers: []inspectedLayer{},
		}
		for _, l := range v.Layers {
			variant.Layers = append(variant.Layers, inspectedLayer{Digest: l.Digest.String(), SizeBytes: l.Size, MediaType: l.MediaType})
		}
		shown.Variants = append(shown.Variants, variant)
	}
	return shown
}

func (c *commands) writeInspectedImage(i inspectedImage) error {
	facts := [][2]string{{"name", i.Name}, {"layout", i.Layout}, {"digest", i.Digest}, {"size", format.Bytes(uint64(i.SizeBytes))}}
	if i.Config != nil {
		facts = append(facts, configFacts(i.Config)...)
	}
	for _, v := range i.Variants {
		what := fmt.Sprintf("%s, %s in %d layers", v.Platform, format.Bytes(uint64(v.SizeBytes)), len(v.Layers))
		facts = append(facts, [2]string{"variant", what},
			[2]string{"  starts", strings.Join(append(slices.Clone(v.Entrypoint), v.Args...), " ") + " as " + or(v.User, "root")})
	}
	var errs []error
	for _, f := range facts {
		if f[1] != "" {
			errs = append(errs, c.say("%-11s %s", f[0], format.Plain(f[1])))
		}
	}
	return errors.Join(errs...)
}

func configFacts(c *uai.Config) [][2]string {
	var image tenant.Image
	publishedImage(c, &image)
	facts := [][2]string{
		{"description", c.Description},
		{"licence", c.Licence},
		{"demand", format.Demand(image.Demand.Proto())},
		{"ports", ports(image.Ports)},
		{"health", health(image.Health)},
	}
	for _, v := range c.Volumes {
		facts = append(facts, [2]string{"volume", fmt.Sprintf("%s:%s:%s, %s", v.Name, v.Path, format.Bytes(v.SizeMiB<<20), or(v.Class, uai.VolumePersistent))})
	}
	for _, v := range c.Environment {
		text := v.Name
		if v.Default != "" {
			text += "=" + v.Default
		}
		for mark, is := range map[string]bool{", required": v.Required, ", secret": v.Secret} {
			if is {
				text += mark
			}
		}
		if v.Description != "" {
			text += ": " + v.Description
		}
		facts = append(facts, [2]string{"variable", text})
	}
	if c.Stop != nil {
		facts = append(facts, [2]string{"stop", strings.TrimSpace(fmt.Sprintf("%s within %d s", or(c.Stop.Signal, "SIGTERM"), c.Stop.GraceSeconds))})
	}
	return facts
}

// validated is what uai validate prints as JSON.
type validated struct {
	Layout    string   `json:"layout"`
	Digest    string   `json:"digest"`
	SizeBytes int64    `json:"size_bytes"`
	Platforms []string `json:"platforms"`
	Valid     bool     `json:"valid"`
}

func (c *commands) uaiValidate() *cobra.Command {
	var which string
	cmd := &cobra.Command{
		Use:   "validate IMAGE",
		Short: "Check every byte of an image, and all it says",
		Long: `Check an image as a node does before it runs it: every blob against its digest, every
layer as it unpacks, the names in it, the UAI configuration against its schema. The
exit code is 0 only for an image that is whole and harmless to unpack.`,
		Example:           `  isun uai validate site.tar`,
		Args:              exactArgs("IMAGE"),
		RunE:              func(cmd *cobra.Command, args []string) error { return c.runValidate(cmd.Context(), args[0], which) },
		ValidArgsFunction: c.completeLocal,
	}
	addWhich(cmd, &which)
	return cmd
}

func (c *commands) runValidate(ctx context.Context, ref, which string) error {
	found, err := c.locate(ref, which)
	if err != nil {
		return err
	}
	defer found.Close()
	bar := c.transferBar("checking")
	err = found.image.Verify(ctx, bar.set)
	bar.clear()
	if err != nil {
		return fmt.Errorf("%s: %w", found.path, err)
	}
	result := validated{Layout: found.path, Digest: found.image.Digest.String(), SizeBytes: found.image.Size(), Valid: true}
	for _, p := range found.image.Platforms() {
		result.Platforms = append(result.Platforms, p.String())
	}
	return c.print(result, func() error {
		note := ""
		if found.image.Config == nil {
			note = "; it carries no UAI configuration, so publishing it takes flags"
		}
		return c.say("%s is valid: %s for %s%s", result.Digest, format.Bytes(uint64(result.SizeBytes)), strings.Join(result.Platforms, ", "), note)
	})
}
