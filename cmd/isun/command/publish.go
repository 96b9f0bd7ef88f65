package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/client/format"
	"github.com/isuncoin/isuncoin/client/tenant"
	"github.com/isuncoin/isuncoin/uai"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// Health checks that are not said otherwise: often enough to notice a failure within a minute.
const (
	healthInterval = 10
	healthTimeout  = 5
	healthRetries  = 3
)

// publishFlags are those of image publish.
type publishFlags struct {
	demand           demandFlags
	file, layout     string
	digest           string
	size             uint64
	platforms        []string
	ports, volumes   []string
	health           string
	healthStart      uint32
	licence, royalty string
	reference        string
	verify           bool
	// which is a name in the store.
	which string
}

func (c *commands) imagePublish() *cobra.Command {
	f := &publishFlags{}
	cmd := &cobra.Command{
		Use:   "publish [NAME:TAG]",
		Short: "Publish an image under your address",
		Long: `Publish an image under your address.

Digest, size and platforms are read from an OCI image layout (--layout, or else the
store on this machine), which is verified, or given. Name and needs are what the image
says in its UAI configuration; a JSON file in the form that "isun uai show --output
json" prints goes before that, and flags before both.`,
		Example: `  isun uai publish --layout site.tar
  isun uai publish hello:1 --layout build/hello --suns 0.2 --port web:http:8080 --health http:web:/healthz
  isun uai publish llama:3 --layout out/llama --general 4 --gpu gpu:1:26 --port api:http:8000 \
      --volume models:/models:40GiB --royalty 0.05 --licence Apache-2.0
  isun uai publish hello:1 --file hello.json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.runPublish(cmd.Context(), f, strings.Join(args, ""))
		},
	}
	f.addDescription(cmd)
	flags := cmd.Flags()
	flags.Uint64Var(&f.size, "size", 0, "bytes of the image, without a layout")
	flags.StringSliceVar(&f.platforms, "platform", nil, "what it runs on, without a layout: linux/amd64, linux/arm64")
	return cmd
}

// addDescription adds the flags that say which image it is and what it needs.
func (f *publishFlags) addDescription(cmd *cobra.Command) {
	f.demand.add(cmd, "1")
	flags := cmd.Flags()
	flags.StringVarP(&f.file, "file", "f", "", "read the description from a JSON file; - is the standard input")
	flags.StringVar(&f.layout, "layout", "", "OCI image layout that holds the image, a folder or an archive (default: the store)")
	flags.BoolVar(&f.verify, "verify", true, "check every byte of the layout against its digests")
	flags.StringVar(&f.digest, "digest", "", "digest of the image index, sha256:…; chooses one of a layout with several")
	flags.StringArrayVar(&f.ports, "port", nil, "what it listens on, name:protocol:port; http, tcp or udp")
	flags.StringVar(&f.health, "health", "", "how to see that it works: http:PORT:/path, tcp:PORT or exec:command with words")
	flags.Uint32Var(&f.healthStart, "health-start", 0, "seconds after the start in which failed checks do not count")
	flags.StringArrayVar(&f.volumes, "volume", nil, "storage it wants, name:/path:size, such as data:/data:10GiB")
	flags.StringVar(&f.licence, "licence", "", "SPDX expression, such as Apache-2.0")
	flags.StringVar(&f.royalty, "royalty", "", "what you earn an hour of each replica, in ISC or uisc")
	flags.StringVar(&f.reference, "reference", "", "where a registry holds the digest, such as docker.io/library/nginx")
}

// described is an image as it will be published.
type described struct {
	// name is NAME:TAG.
	name   string
	image  tenant.Image
	config *uai.Config
}

// describe puts together what is published under which name.
func (c *commands) describe(ctx context.Context, f *publishFlags, text string) (described, error) {
	if text != "" && !strings.Contains(text, ":") {
		return described{}, fmt.Errorf("image %q has no tag: say %s:1", text, text)
	}
	if f.layout == "" && f.digest == "" && f.file == "" {
		f.layout, f.which = c.storeDir(), text
	}
	image, config, err := f.image(ctx, c.streams.In)
	if err != nil {
		return described{}, err
	}
	if text == "" && config == nil {
		return described{}, errors.New("the image does not say its name: say NAME:TAG")
	}
	if text == "" {
		text = config.Name + ":" + config.Version
	}
	return described{name: text, image: image, config: config}, nil
}

func (c *commands) runPublish(ctx context.Context, f *publishFlags, text string) error {
	d, err := c.describe(ctx, f, text)
	if err != nil {
		return err
	}
	name, tag, _ := strings.Cut(d.name, ":")
	s, err := c.open(ctx, true)
	if err != nil {
		return err
	}
	defer s.end()
	if err := s.checkOwner(d.config); err != nil {
		return err
	}
	if err := c.confirm(ctx, "Publish it for good", describeImage(d.name, d.image)...); err != nil {
		return err
	}
	sent, ref, err := s.client.Publish(ctx, name, tag, d.image)
	if err != nil {
		return err
	}
	return c.print(imageSent{Image: ref, Digest: d.image.Digest, Sent: sent}, func() error {
		return c.say("%s is published (transaction %s); order it with `isun deploy %s`", ref, sent.Tx, ref)
	})
}

// checkOwner refuses an image that was packed for another address.
func (s *session) checkOwner(config *uai.Config) error {
	if config == nil || !strings.HasPrefix(config.Owner, sdk.GetConfig().GetBech32AccountAddrPrefix()+"1") {
		return nil // nobody's, or a word of the author's
	}
	address, err := s.client.Address()
	if err == nil && address != config.Owner {
		return fmt.Errorf("the image says that it is %s's, and you sign as %s", config.Owner, address)
	}
	return err
}

func describeImage(name string, i tenant.Image) []string {
	return []string{
		fmt.Sprintf("%s: %s, %s, %s", name, i.Digest, format.Bytes(i.SizeBytes), strings.Join(i.Platforms, " ")),
		fmt.Sprintf("  demand  %s", format.Demand(i.Demand.Proto())),
		fmt.Sprintf("  ports   %s", ports(i.Ports)),
	}
}

// image puts the description together: what the image says, then the file, then the flags.
func (f *publishFlags) image(ctx context.Context, stdin io.Reader) (tenant.Image, *uai.Config, error) {
	image := tenant.Image{}
	if f.file != "" {
		if err := readImage(f.file, stdin, &image); err != nil {
			return image, nil, err
		}
	}
	if f.digest != "" {
		image.Digest = f.digest
	}
	var config *uai.Config
	if f.layout != "" {
		var err error
		if config, err = f.fromLayout(ctx, &image); err != nil {
			return image, nil, fmt.Errorf("--layout %s: %w", f.layout, err)
		}
		if config != nil && f.file == "" {
			publishedImage(config, &image)
		}
	}
	if f.size > 0 {
		image.SizeBytes = f.size
	}
	if len(f.platforms) > 0 {
		image.Platforms = slices.Compact(slices.Sorted(slices.Values(f.platforms)))
	}
	if image.Digest == "" || image.SizeBytes == 0 || len(image.Platforms) == 0 {
		return image, nil, errors.New("which image? Say --layout with its folder, or --digest, --size and --platform")
	}
	return image, config, f.describe(&image)
}

// describe sets what flags say about an image's needs.
func (f *publishFlags) describe(image *tenant.Image) error {
	general, accelerator, err := f.demand.parse()
	if err != nil {
		return err
	}
	demand := changedDemand(image.Demand.Proto(), general, accelerator)
	if demand.GeneralMilliSuns == 0 && image.Demand.Accelerator == nil {
		demand.GeneralMilliSuns = 1000
	}
	image.Demand = tenant.Demand{GeneralMilliSuns: demand.GeneralMilliSuns}
	if a := demand.Accelerator; a != nil {
		image.Demand.Accelerator = &tenant.Accelerator{Kind: a.Kind, Model: a.Model, Count: a.Count, MilliSuns: a.MilliSuns}
	}
	if len(f.ports) > 0 {
		if image.Ports, err = parsePorts(f.ports); err != nil {
			return err
		}
	}
	if len(f.volumes) > 0 {
		if image.Volumes, err = parseVolumes(f.volumes); err != nil {
			return err
		}
	}
	if f.health != "" {
		if image.Health, err = parseHealth(f.health); err != nil {
			return err
		}
	}
	if f.healthStart > 0 {
		if image.Health == nil {
			return errors.New("--health-start needs --health")
		}
		image.Health.StartPeriodSeconds = f.healthStart
	}
	if f.royalty != "" {
		if image.Royalty, err = format.ParseHourPrice(f.royalty); err != nil {
			return fmt.Errorf("--royalty: %w", err)
		}
	}
	image.Licence = or(f.licence, image.Licence)
	image.Reference = or(f.reference, image.Reference)
	return nil
}

func or(first, second string) string {
	if first != "" {
		return first
	}
	return second
}

// readImage reads a description; a misspelt field is an error.
func readImage(file string, stdin io.Reader, image *tenant.Image) error {
	raw, err := readFile(file, stdin)
	if err != nil {
		return fmt.Errorf("--file: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(image); err != nil {
		return fmt.Errorf("--file %s: %w", file, err)
	}
	return nil
}

func readFile(file string, stdin io.Reader) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(file)
}

// fromLayout reads digest, size and platforms from a layout, and gives the image's own configuration if it has one.
func (f *publishFlags) fromLayout(ctx context.Context, into *tenant.Image) (*uai.Config, error) {
	layout, err := uai.Open(f.layout)
	if errors.Is(err, fs.ErrNotExist) && f.which != "" {
		return nil, errors.New("there are no images on this machine. Say --layout with a folder or archive, or --digest, --size and --platform")
	}
	if err != nil {
		return nil, err
	}
	defer layout.Close()
	digest, err := f.chooseDigest(layout, into.Digest)
	if err != nil {
		return nil, err
	}
	image, err := layout.Image(digest)
	if err != nil {
		return nil, err
	}
	if f.verify {
		if err := image.Verify(ctx, nil); err != nil {
			return nil, err
		}
	}
	into.Digest = digest.String()
	into.SizeBytes = uint64(image.Size())
	into.Platforms = nil
	for _, p := range image.Platforms() {
		// Workers know an architecture without its variant.
		into.Platforms = append(into.Platforms, p.OS+"/"+p.Architecture)
	}
	slices.Sort(into.Platforms)
	into.Platforms = slices.Compact(into.Platforms)
	return image.Config, nil
}

// chooseDigest takes the digest that was named, the store's image of the name, or the only one there is.
func (f *publishFlags) chooseDigest(layout *uai.Layout, named string) (uai.Digest, error) {
	if named != "" {
		return uai.ParseDigest(named)
	}
	entries, err := layout.Entries()
	if err != nil {
		return "", err
	}
	if f.which != "" {
		entries = slices.DeleteFunc(entries, func(e uai.Entry) bool { return e.Name != f.which && !strings.HasSuffix(e.Name, "/"+f.which) })
	}
	switch len(entries) {
	case 0:
		return "", errors.New("it holds no such image")
	case 1:
		return entries[0].Digest, nil
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, strings.TrimSpace(e.Digest.String()+" "+e.Name))
	}
	return "", fmt.Errorf("it holds several images: choose one with --digest: %s", strings.Join(names, ", "))
}

// parsePorts reads name:protocol:port.
func parsePorts(list []string) ([]tenant.Port, error) {
	parsed := make([]tenant.Port, 0, len(list))
	for _, text := range list {
		parts := strings.Split(text, ":")
		if len(parts) != 3 {
			return nil, fmt.Errorf("--port %q is not name:protocol:port, such as web:http:8080", text)
		}
		number, err := strconv.ParseUint(parts[2], 10, 16)
		if err != nil {
			return nil, fmt.Errorf("--port %q: %q is not a port number", text, parts[2])
		}
		parsed = append(parsed, tenant.Port{Name: parts[0], Protocol: parts[1], ContainerPort: uint32(number)})
	}
	return parsed, nil
}

// parseVolumes reads name:/path:size.
func parseVolumes(list []string) ([]tenant.Volume, error) {
	parsed := make([]tenant.Volume, 0, len(list))
	for _, text := range list {
		parts := strings.Split(text, ":")
		if len(parts) != 3 {
			return nil, fmt.Errorf("--volume %q is not name:/path:size, such as data:/data:10GiB", text)
		}
		size, err := parseMiB(parts[2])
		if err != nil {
			return nil, fmt.Errorf("--volume %q: %w", text, err)
		}
		parsed = append(parsed, tenant.Volume{Name: parts[0], Path: parts[1], SizeMiB: size})
	}
	return parsed, nil
}

// parseMiB reads "512MiB", "10GiB" or "1TiB" and gives MiB.
func parseMiB(text string) (uint64, error) {
	for _, unit := range []struct {
		name string
		mib  uint64
	}{{"MiB", 1}, {"GiB", 1 << 10}, {"TiB", 1 << 20}} {
		number, ok := strings.CutSuffix(text, unit.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 32)
		if err != nil || n == 0 {
			break
		}
		return n * unit.mib, nil
	}
	return 0, fmt.Errorf("size %q is not a whole number of MiB, GiB or TiB", text)
}

// parseHealth reads http:PORT:/path, tcp:PORT or exec:words.
func parseHealth(text string) (*tenant.Health, error) {
	kind, rest, _ := strings.Cut(text, ":")
	h := &tenant.Health{Kind: kind, IntervalSeconds: healthInterval, TimeoutSeconds: healthTimeout, Retries: healthRetries}
	switch kind {
	case uaitypes.HealthHTTP:
		h.Port, h.Path, _ = strings.Cut(rest, ":")
		h.Path = or(h.Path, "/")
	case uaitypes.HealthTCP:
		h.Port = rest
	case uaitypes.HealthExec:
		h.Command = strings.Fields(rest)
	}
	if h.Port == "" && len(h.Command) == 0 {
		return nil, fmt.Errorf("--health %q is not http:PORT:/path, tcp:PORT or exec:command", text)
	}
	return h, nil
}
