package command

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/client/format"
	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/sizing"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// packFlags are those of uai pack.
type packFlags struct {
	config                configFlags
	file, out             string
	add, gzip             bool
	binaries              []string
	rootfs, tarball       string
	image, container      string
	dockerfile, context   string
	buildArgs             []string
	host                  bool
	root                  string
	withSecrets, dryRun   bool
	exclude               []string
	noPause               bool
	platform              string
	entrypoint, args, env []string
	expose                []string
	workdir, user         string
}

// packed is what uai pack prints as JSON.
type packed struct {
	Layout    string   `json:"layout"`
	Name      string   `json:"name,omitempty"`
	Digest    string   `json:"digest"`
	SizeBytes int64    `json:"size_bytes"`
	Platforms []string `json:"platforms"`
	Warnings  []string `json:"warnings,omitempty"`
}

func (c *commands) uaiPack() *cobra.Command {
	f := &packFlags{}
	cmd := &cobra.Command{
		Use:   "pack [PATH]",
		Short: "Make an image of a program, a folder, a container, a machine",
		Long: `Make an image and put it into PATH (or --out): an OCI image layout folder, which is
made if it is not there, or an archive of one if it ends in .tar. Without a path it
goes to the store on this machine.

The source is one of: static programs (--binary, repeated for another platform), a
root folder (--rootfs), a tar file (--tarball), an image of the container engine
(--image), a Dockerfile (--dockerfile), a container with its volumes (--container),
or this machine itself (--host), whose services are found and made to start.

What it needs to run is said by flags or by a file that "isun uai init" begins; flags
go before the file. With --add the new variants join the image that is there. Equal
contents give an equal digest, whatever their times, owners and order.`,
		Example: `  isun uai pack --rootfs rootfs --name someone/site:1 --suns 0.5 --out site.tar --entrypoint /usr/bin/serve --port web:http:8080
  isun uai pack build/hello --binary build/hello-amd64 --binary build/hello-arm64 --name hello:1
  isun uai pack --file uai.yaml
  isun uai pack --container shop --name shop:2 --suns 2 --volume data:/var/lib/postgresql/data:20GiB
  sudo isun uai pack --host --dry-run
  isun uai pack out --add --rootfs arm-root --platform linux/arm64 --name someone/site:1`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && f.out != "" {
				return errors.New("PATH and --out say the same: give one of them")
			}
			return c.runPack(cmd.Context(), f, or(f.out, strings.Join(args, "")))
		},
	}
	f.addTo(cmd)
	return cmd
}

func (f *packFlags) addTo(cmd *cobra.Command) {
	f.config.add(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&f.file, "file", "f", "", "read sources and description from a uai.yaml; - is the standard input")
	flags.StringVar(&f.out, "out", "", "layout folder, or archive of one if it ends in .tar (default: the store)")
	flags.BoolVar(&f.add, "add", false, "add the variants to the image that is there under the name")
	flags.StringArrayVar(&f.binaries, "binary", nil, "a static program, which runs when the container starts")
	flags.StringVar(&f.rootfs, "rootfs", "", "a folder that is the root file system; all of it becomes root's")
	flags.StringVar(&f.rootfs, "folder", "", "the same as --rootfs")
	flags.StringVar(&f.tarball, "tarball", "", "a tar file, plain or gzipped, that is the root file system")
	flags.StringVar(&f.image, "image", "", "an image of the container engine")
	flags.StringVar(&f.dockerfile, "dockerfile", "", "a Dockerfile, which the container engine builds")
	flags.StringVar(&f.context, "context", "", "folder that the Dockerfile sees (default: its own)")
	flags.StringArrayVar(&f.buildArgs, "build-arg", nil, "an argument of the Dockerfile, NAME=VALUE")
	flags.StringVar(&f.container, "container", "", "a container, its file system and its volumes; it stands still meanwhile")
	flags.BoolVar(&f.noPause, "no-pause", false, "let the container run while it is copied")
	flags.BoolVar(&f.host, "host", false, "a Linux machine: its services without what is the machine's own")
	flags.StringVar(&f.root, "root", "/", "root folder of the machine, for one that is mounted here")
	flags.BoolVar(&f.withSecrets, "with-secrets", false, "take keys, passwords and histories of the machine along")
	flags.StringArrayVar(&f.exclude, "exclude", nil, "a path of the machine to leave out, such as /srv/backup")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only say what would become of the machine")
	flags.StringVar(&f.platform, "platform", "", "what a folder or tar file runs on (default: as this machine)")
	flags.StringArrayVar(&f.entrypoint, "entrypoint", nil, "program that runs and its first arguments; repeat it for each")
	flags.StringArrayVar(&f.args, "arg", nil, "an argument that a lease can replace; repeat it for each")
	flags.StringArrayVarP(&f.env, "env", "e", nil, "an environment variable, NAME=VALUE")
	flags.StringArrayVar(&f.expose, "expose", nil, "a port in the OCI configuration, such as 8080/tcp")
	flags.StringVar(&f.workdir, "workdir", "", "folder it starts in")
	flags.StringVar(&f.user, "user", "", "user it runs as (default: what the source says, or else "+uai.DefaultUser+")")
	flags.BoolVar(&f.gzip, "gzip", false, "compress; the digest then depends on the version of isun")
	cmd.MarkFlagsMutuallyExclusive("binary", "rootfs", "folder", "tarball", "image", "dockerfile", "container", "host")
	if err := flags.MarkHidden("folder"); err != nil {
		panic(err) // it was added above
	}
}

// packing is one run of pack.
type packing struct {
	*commands
	flags    *packFlags
	config   uai.Config
	settings uai.Settings
	sources  []uai.Source
	warnings []string
	bar      *transferBar
	// close are what sources hold open.
	close []func() error
}

func (p *packing) end() error {
	var errs []error
	for _, f := range p.close {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// warn tells the author something, now and in the result.
func (p *packing) warn(text string, args ...any) {
	text = fmt.Sprintf(text, args...)
	p.warnings = append(p.warnings, text)
	p.bar.clear()
	fmt.Fprintln(p.streams.Err, "isun: note:", format.Plain(text))
}

func (c *commands) runPack(ctx context.Context, f *packFlags, path string) (err error) {
	p := &packing{commands: c, flags: f, bar: c.transferBar("packing")}
	defer func() { err = errors.Join(err, p.end()) }()
	if path == "" {
		path = c.storeDir()
	}
	if err := p.prepare(ctx, path); err != nil {
		return err
	}
	if f.host && f.dryRun {
		return nil // the plan was shown
	}
	options := uai.PackOptions{
		Sources: p.sources, Settings: p.settings, Name: p.name(), Add: f.add, Gzip: f.gzip, Progress: p.bar.set,
	}
	if p.config.Name != "" {
		p.defaults()
		p.warnOfRoom()
		options.Config = &p.config
	}
	digest, err := uai.PackInto(ctx, path, options)
	p.bar.clear()
	if err != nil {
		return fmt.Errorf("packing into %s: %w", path, err)
	}
	return p.report(path, digest)
}

// name is what the layout's own index calls the image.
func (p *packing) name() string {
	if p.config.Name == "" {
		return ""
	}
	return p.config.Ref()
}

// defaults are what an image has whose author said nothing.
func (p *packing) defaults() {
	c := &p.config
	if c.Version == "" {
		c.Version = "latest"
	}
	if c.Demand == (uai.Demand{}) {
		c.Demand.GeneralMilliSuns = 1000
	}
}

// warnOfRoom tells of volumes that the demand has no storage for.
func (p *packing) warnOfRoom() {
	milliSuns := p.config.Demand.GeneralMilliSuns
	limits, err := sizing.Limits(sunstypes.DefaultParams().Bundle, milliSuns, measured())
	if err != nil {
		return // a demand that is no size at all is refused where it is ordered
	}
	if err := checkRoom(p.config.Volumes, limits, milliSuns); err != nil {
		p.warn("no node will start it: %s; --suns says more, --volume less", err)
	}
}

func (p *packing) report(path string, digest uai.Digest) error {
	layout, err := uai.Open(path)
	if err != nil {
		return err
	}
	defer layout.Close()
	image, err := layout.Image(digest)
	if err != nil {
		return err
	}
	result := packed{Layout: path, Name: p.name(), Digest: digest.String(), SizeBytes: image.Size(), Warnings: p.warnings}
	for _, platform := range image.Platforms() {
		result.Platforms = append(result.Platforms, platform.String())
	}
	return p.print(result, func() error {
		if image.Config == nil {
			return p.say("%s is in %s; publish it with `isun uai publish NAME:TAG --layout %s`", digest, path, path)
		}
		where := " --layout " + path
		if filepath.Clean(path) == filepath.Clean(p.storeDir()) {
			where = ""
		}
		return p.say("%s is %s (%s), in %s; publish it with `isun uai publish %s:%s%s`", p.name(), digest,
			format.Bytes(uint64(image.Size())), path, image.Config.Name, image.Config.Version, where)
	})
}
