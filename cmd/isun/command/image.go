package command

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/client/format"
	"github.com/isuncoin/isuncoin/client/tenant"
)

// imageList is what uai ls prints as JSON.
type imageList struct {
	// Local are those of the store on this machine.
	Local []localImage `json:"local"`
	// Images are those on the chain.
	Images []tenant.Image `json:"images"`
}

// localList is what uai ls --local prints as JSON.
type localList struct {
	Local []localImage `json:"local"`
}

func (c *commands) uai() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "uai",
		Aliases: []string{"image"},
		Short:   "Make images, look into them, run and publish them",
		Long: `Make images (UAIs, Unified Application Images), look into them, run and publish them.

An image is an OCI image index, which any tool of containers reads, and what it needs
to run: SUNS, ports, a health check, volumes. On the chain it is a name, the digest of
that index and the same needs. A published tag never changes.

IMAGE is a layout folder, an archive of one (.tar), or a name or digest of the store
on this machine; for show, deprecate and ls it is a published one.`,
	}
	cmd.AddCommand(
		c.uaiInit(), c.uaiPack(), c.uaiInspect(), c.uaiValidate(), c.uaiRun(), c.uaiSBOM(), c.uaiRemove(), c.uaiPush(), c.uaiPull(),
		c.uaiAccess(), c.uaiKeys(),
		c.imagePublish(), c.imageList(), c.imageShow(), c.imageDeprecate(),
	)
	return cmd
}

func (c *commands) imageList() *cobra.Command {
	var publisher, owner string
	var limit int
	var local bool
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the images on this machine and the published ones",
		Example: `  isun uai ls
  isun uai ls --local
  isun uai ls --publisher isun1...`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if local {
				return c.runLocalList()
			}
			return c.runImageList(cmd.Context(), publisher, owner, limit)
		},
	}
	cmd.Flags().BoolVar(&local, "local", false, "only those on this machine, without asking the chain")
	cmd.Flags().StringVar(&publisher, "publisher", "", "only those published by this address")
	cmd.Flags().StringVar(&owner, "owner", "", "only those whose royalty goes to this address")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many published ones at most; 0 is all")
	cmd.MarkFlagsMutuallyExclusive("publisher", "owner", "local")
	return cmd
}

func (c *commands) runLocalList() error {
	images, err := c.localImages()
	if err != nil {
		return err
	}
	return c.print(localList{Local: images}, func() error { return c.writeLocal(images) })
}

func (c *commands) runImageList(ctx context.Context, publisher, owner string, limit int) error {
	if limit < 0 {
		return fmt.Errorf("--limit is %d: it cannot be negative", limit)
	}
	local, err := c.localImages()
	if err != nil {
		return err
	}
	s, err := c.open(ctx, false)
	if err != nil {
		return fmt.Errorf("%w; --local lists what is on this machine", err)
	}
	defer s.end()
	images, err := s.client.Images(ctx, publisher, owner, limit)
	if err != nil {
		return err
	}
	return c.print(imageList{Local: local, Images: images}, func() error {
		if len(local) > 0 && publisher+owner == "" {
			if err := errors.Join(c.writeLocal(local), c.say("")); err != nil {
				return err
			}
		}
		return c.writePublished(images)
	})
}

func (c *commands) writePublished(images []tenant.Image) error {
	if len(images) == 0 {
		return c.say("no published images; `isun uai publish` publishes one")
	}
	table := format.NewTable("IMAGE", "STATUS", ">SIZE", "PLATFORMS", "DEMAND", "PORTS", ">ROYALTY")
	for _, i := range images {
		royalty := ""
		if i.Royalty > 0 {
			royalty = format.HourPrice(i.Royalty)
		}
		table.Add(i.Image, i.Status, format.Bytes(i.SizeBytes), strings.Join(i.Platforms, " "),
			format.Demand(i.Demand.Proto()), ports(i.Ports), royalty)
	}
	return table.Write(c.streams.Out)
}

func ports(list []tenant.Port) string {
	parts := make([]string, 0, len(list))
	for _, p := range list {
		parts = append(parts, fmt.Sprintf("%s:%s:%d", p.Name, p.Protocol, p.ContainerPort))
	}
	return strings.Join(parts, " ")
}

func (c *commands) imageShow() *cobra.Command {
	return &cobra.Command{
		Use:               "show IMAGE",
		Short:             "Show a published image",
		Example:           `  isun uai show hello:1 --output json`,
		Args:              exactArgs("IMAGE"),
		RunE:              func(cmd *cobra.Command, args []string) error { return c.runImageShow(cmd.Context(), args[0]) },
		ValidArgsFunction: c.completeImages,
	}
}

func (c *commands) runImageShow(ctx context.Context, text string) error {
	s, err := c.open(ctx, !strings.Contains(text, "/"))
	if err != nil {
		return err
	}
	defer s.end()
	ref, err := s.client.ImageRef(text)
	if err != nil {
		return err
	}
	i, err := s.client.Image(ctx, ref)
	if err != nil {
		return err
	}
	return c.print(i, func() error { return c.writeImage(i) })
}

func (c *commands) writeImage(i tenant.Image) error {
	facts := [][2]string{
		{"image", i.Image},
		{"status", i.Status},
		{"owner", i.Owner},
		{"digest", i.Digest},
		{"size", format.Bytes(i.SizeBytes)},
		{"platforms", strings.Join(i.Platforms, " ")},
		{"demand", format.Demand(i.Demand.Proto())},
		{"ports", ports(i.Ports)},
		{"health", health(i.Health)},
		{"volumes", volumes(i.Volumes)},
		{"licence", i.Licence},
		{"royalty", format.HourPrice(i.Royalty)},
		{"reference", i.Reference},
		{"may run", mayRun(i.Restricted)},
	}
	var errs []error
	for _, f := range facts {
		if f[1] == "" {
			f[1] = "-"
		}
		errs = append(errs, c.say("%-9s %s", f[0], format.Plain(f[1])))
	}
	return errors.Join(errs...)
}

func mayRun(restricted bool) string {
	if restricted {
		return "its owner and whom it was granted to"
	}
	return "everybody"
}

func health(h *tenant.Health) string {
	if h == nil {
		return ""
	}
	what := strings.TrimSpace(h.Port + " " + h.Path + " " + strings.Join(h.Command, " "))
	return fmt.Sprintf("%s %s every %d s", h.Kind, what, h.IntervalSeconds)
}

func volumes(list []tenant.Volume) string {
	parts := make([]string, 0, len(list))
	for _, v := range list {
		parts = append(parts, fmt.Sprintf("%s:%s:%s", v.Name, v.Path, format.Bytes(v.SizeMiB<<20)))
	}
	return strings.Join(parts, " ")
}

func (c *commands) imageDeprecate() *cobra.Command {
	return &cobra.Command{
		Use:     "deprecate IMAGE",
		Short:   "Let nobody order an image any more; leases that run it go on",
		Example: `  isun uai deprecate hello:1`,
		Args:    exactArgs("IMAGE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.runImageDeprecate(cmd.Context(), args[0])
		},
		ValidArgsFunction: c.completeImages,
	}
}

// imageSent is what publish and deprecate print as JSON.
type imageSent struct {
	Image string `json:"image"`
	// Digest is that of the published index; empty for deprecate.
	Digest string `json:"digest,omitempty"`
	tenant.Sent
}

func (c *commands) runImageDeprecate(ctx context.Context, text string) error {
	s, err := c.open(ctx, true)
	if err != nil {
		return err
	}
	defer s.end()
	ref, err := s.client.ImageRef(text)
	if err != nil {
		return err
	}
	if err := c.confirm(ctx, fmt.Sprintf("Deprecate %s for good", ref)); err != nil {
		return err
	}
	sent, err := s.client.Deprecate(ctx, ref)
	if err != nil {
		return err
	}
	return c.print(imageSent{Image: ref, Sent: sent}, func() error {
		return c.say("%s takes no new leases (transaction %s)", ref, sent.Tx)
	})
}
