package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/engine"
)

// prepare puts configuration, settings and sources together: the image that is
// added to, then the file, then the flags.
func (p *packing) prepare(ctx context.Context, path string) error {
	f := p.flags
	var manifest *manifestFile
	if f.file != "" {
		var err error
		if manifest, err = readManifest(f.file, p.streams.In); err != nil {
			return err
		}
		config, err := manifest.config()
		if err != nil {
			return fmt.Errorf("--file %s: %w", f.file, err)
		}
		p.config = *config
		p.settings = manifest.settings()
	}
	if f.add {
		if err := p.beginWith(path); err != nil {
			return err
		}
	}
	if err := f.config.change(&p.config); err != nil {
		return err
	}
	if p.config.Name == "" && f.config.given() {
		return errors.New("what an image needs goes with its name: say --name owner/name:tag too")
	}
	p.mergeSettings()
	sources := f.sources()
	if len(sources) == 0 && manifest != nil {
		sources = manifest.From
		p.inFolder(sources, filepath.Dir(f.file))
	}
	if len(sources) == 0 && !f.host {
		return errors.New("what is to be packed? Say one of --rootfs, --tarball, --binary, --image, --dockerfile, --container, --host, or --file")
	}
	for _, source := range sources {
		if err := p.addSource(ctx, source); err != nil {
			return err
		}
	}
	if f.host {
		return p.addHost(path)
	}
	return nil
}

// beginWith takes the configuration of the image that is added to.
func (p *packing) beginWith(path string) error {
	layout, err := uai.Open(path)
	if err != nil {
		return fmt.Errorf("--add: %w", err)
	}
	defer layout.Close()
	name := p.flags.config.name
	if name == "" && p.config.Name != "" {
		name = p.config.Ref()
	}
	entry, err := layout.Find(name)
	if err != nil {
		return fmt.Errorf("--add: %w", err)
	}
	image, err := layout.Image(entry.Digest)
	if err != nil {
		return fmt.Errorf("--add: %w", err)
	}
	if image.Config != nil && p.config.Name == "" {
		p.config = *image.Config
	}
	return nil
}

// given says whether a flag asks for a configuration.
func (f *configFlags) given() bool {
	return f.demand != (demandFlags{}) || len(f.ports)+len(f.volumes)+len(f.variables) > 0 ||
		f.health+f.licence+f.description+f.stopSignal+f.stopGrace != ""
}

// sources are those that flags name.
func (f *packFlags) sources() []manifestSource {
	var sources []manifestSource
	for _, binary := range f.binaries {
		sources = append(sources, manifestSource{Binary: binary, Platform: f.platform})
	}
	one := manifestSource{
		Platform: f.platform, RootFS: f.rootfs, Tarball: f.tarball, Image: f.image, Container: f.container, Dockerfile: f.dockerfile, Context: f.context,
	}
	if f.rootfs+f.tarball+f.image+f.container+f.dockerfile+f.context == "" {
		return sources
	}
	one.BuildArgs = map[string]string{}
	for _, arg := range f.buildArgs {
		name, value, _ := strings.Cut(arg, "=")
		one.BuildArgs[name] = value
	}
	return append(sources, one)
}

func (m *manifestFile) settings() uai.Settings {
	s := uai.Settings{Entrypoint: m.Run.Entrypoint, Cmd: m.Run.Args, WorkingDir: m.Run.Workdir, User: m.Run.User}
	for _, name := range slices.Sorted(maps.Keys(m.Run.Env)) {
		s.Env = append(s.Env, name+"="+m.Run.Env[name])
	}
	return s
}

// mergeSettings puts flags before what the file says.
func (p *packing) mergeSettings() {
	f, s := p.flags, &p.settings
	if len(f.entrypoint) > 0 {
		s.Entrypoint = f.entrypoint
	}
	if len(f.args) > 0 {
		s.Cmd = f.args
	}
	s.Env = append(s.Env, f.env...)
	s.ExposedPorts = f.expose
	s.WorkingDir, s.User = or(f.workdir, s.WorkingDir), or(f.user, s.User)
	for _, port := range p.config.Ports {
		transport := "tcp"
		if port.Protocol == "udp" {
			transport = "udp"
		}
		s.ExposedPorts = append(s.ExposedPorts, fmt.Sprintf("%d/%s", port.ContainerPort, transport))
	}
	if p.config.Stop != nil {
		s.StopSignal = p.config.Stop.Signal
	}
	if p.config.Name == "" {
		return
	}
	for _, v := range p.config.Environment {
		if v.Default != "" && !slices.ContainsFunc(s.Env, func(set string) bool { return strings.HasPrefix(set, v.Name+"=") }) {
			s.Env = append(s.Env, v.Name+"="+v.Default)
		}
	}
}

// inFolder makes the paths of a manifest those beside it.
func (p *packing) inFolder(sources []manifestSource, dir string) {
	for i := range sources {
		for _, path := range []*string{&sources[i].RootFS, &sources[i].Tarball, &sources[i].Binary, &sources[i].Dockerfile, &sources[i].Context} {
			if *path != "" && !filepath.IsAbs(*path) {
				*path = filepath.Join(dir, *path)
			}
		}
	}
}

func (p *packing) addSource(ctx context.Context, m manifestSource) error {
	given := 0
	for _, text := range []string{m.RootFS, m.Tarball, m.Binary, m.Image, m.Container, or(m.Dockerfile, m.Context)} {
		if text != "" {
			given++
		}
	}
	if given != 1 {
		return errors.New("each entry of from has exactly one of rootfs, tarball, binary, image, dockerfile and container")
	}
	switch {
	case m.Binary != "":
		return p.addBinary(m)
	case m.Image != "":
		return p.addImage(ctx, m.Image, m.Platform)
	case m.Container != "":
		return p.addContainer(ctx, m.Container)
	case m.Dockerfile != "" || m.Context != "":
		return p.addBuild(ctx, m)
	}
	platform := uai.HostPlatform()
	if m.Platform != "" {
		var err error
		if platform, err = uai.ParsePlatform(m.Platform); err != nil {
			return fmt.Errorf("--platform: %w", err)
		}
	}
	p.sources = append(p.sources, uai.Source{Platform: platform, Folder: m.RootFS, Tarball: m.Tarball})
	return nil
}

func (p *packing) addBinary(m manifestSource) error {
	if p.flags.platform != "" {
		return errors.New("--platform is for --rootfs and --tarball: a program says itself what it runs on")
	}
	platform, err := uai.BinaryPlatform(m.Binary)
	if err != nil {
		return fmt.Errorf("--binary: %w", err)
	}
	if m.Platform != "" && m.Platform != platform.String() {
		return fmt.Errorf("%s runs on %s, not on %s", m.Binary, platform, m.Platform)
	}
	p.sources = append(p.sources, uai.Source{Platform: platform, Binary: m.Binary})
	return nil
}

// engine connects to the container engine for as long as packing takes.
func (p *packing) engine(ctx context.Context) (*engine.Engine, error) {
	e, err := engine.Open(ctx)
	if errors.Is(err, engine.ErrUnavailable) {
		return nil, fmt.Errorf("%w; is Docker running, and may this user talk to it?", err)
	}
	if err != nil {
		return nil, err
	}
	p.close = append(p.close, e.Close)
	return e, nil
}

func (p *packing) addImage(ctx context.Context, ref, platform string) error {
	e, err := p.engine(ctx)
	if err != nil {
		return err
	}
	image, err := e.Image(ctx, ref, p.bar.set)
	if errors.Is(err, engine.ErrNotFound) {
		return fmt.Errorf("%w; `docker pull %s` brings it", err, ref)
	}
	if err != nil {
		return err
	}
	p.close = append(p.close, image.Close)
	if platform != "" && platform != image.Platform.String() {
		return fmt.Errorf("image %s is for %s, not %s", ref, image.Platform, platform)
	}
	settings := image.Settings.Config
	p.suggest(settings.ExposedPorts, settings.Volumes, settings.StopSignal)
	p.sources = append(p.sources, uai.Source{Platform: image.Platform, Image: image.Existing})
	return nil
}

func (p *packing) addBuild(ctx context.Context, m manifestSource) error {
	e, err := p.engine(ctx)
	if err != nil {
		return err
	}
	options := engine.BuildOptions{Context: m.Context, Platform: m.Platform, Args: m.BuildArgs}
	if options.Context == "" {
		options.Context = filepath.Dir(m.Dockerfile)
	}
	if m.Dockerfile != "" {
		if options.Dockerfile, err = filepath.Rel(options.Context, m.Dockerfile); err != nil {
			return fmt.Errorf("--dockerfile: %w", err)
		}
	}
	if _, err := os.Stat(filepath.Join(options.Context, or(options.Dockerfile, "Dockerfile"))); err != nil {
		return fmt.Errorf("--dockerfile: %w", err)
	}
	words := io.Discard
	if !p.json() {
		words = p.streams.Err
	}
	id, err := e.Build(ctx, options, words)
	if err != nil {
		return err
	}
	return p.addImage(ctx, id, "")
}

func (p *packing) addContainer(ctx context.Context, name string) error {
	e, err := p.engine(ctx)
	if err != nil {
		return err
	}
	container, err := e.Container(ctx, name)
	if err != nil {
		return err
	}
	container.Pause = container.Pause && !p.flags.noPause
	container.Warn = func(name, why string) { p.warn("%s: %s", name, why) }
	volumes := map[string]struct{}{}
	for _, v := range container.Volumes {
		volumes[v] = struct{}{}
	}
	p.suggest(container.Config.ExposedPorts, volumes, container.Config.StopSignal)
	p.sources = append(p.sources, uai.Source{
		Platform: container.Platform, Base: container.Config,
		Stream: func(w io.Writer) error { return container.Stream(ctx, w) },
	})
	return nil
}

// suggestedVolumeMiB is a volume's size when nothing says how large it gets.
const suggestedVolumeMiB = 1024

// suggest fills in what the author left open from what the source says.
func (p *packing) suggest(ports, volumes map[string]struct{}, stopSignal string) {
	c := &p.config
	if c.Name == "" {
		return
	}
	suggestPorts(c, slices.Collect(maps.Keys(ports)))
	if len(c.Volumes) == 0 {
		for n, path := range slices.Sorted(maps.Keys(volumes)) {
			name := fmt.Sprintf("data-%d", n)
			if n == 0 {
				name = "data"
			}
			c.Volumes = append(c.Volumes, uai.Volume{Name: name, Path: path, SizeMiB: suggestedVolumeMiB})
			p.warn("volume %s: %s gets %d MiB; --volume says otherwise", name, path, suggestedVolumeMiB)
		}
	}
	if c.Stop == nil && strings.HasPrefix(stopSignal, "SIG") {
		c.Stop = &uai.Stop{Signal: stopSignal}
	}
}
