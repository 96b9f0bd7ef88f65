package command

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/isuncoin/isuncoin/client/format"
	"github.com/isuncoin/isuncoin/uai"
)

// manifestVersion is the version of uai.yaml that this program reads.
const manifestVersion = 1

// maxManifest bounds uai.yaml, which a person writes.
const maxManifest = 256 << 10

// manifestFile is uai.yaml.
type manifestFile struct {
	Manifest    int                `yaml:"manifest"`
	Name        string             `yaml:"name"`
	Description string             `yaml:"description"`
	Licence     string             `yaml:"licence"`
	Demand      manifestDemand     `yaml:"demand"`
	From        []manifestSource   `yaml:"from"`
	Run         manifestRun        `yaml:"run"`
	Ports       []manifestPort     `yaml:"ports"`
	Environment []manifestVariable `yaml:"environment"`
	Volumes     []manifestVolume   `yaml:"volumes"`
	Health      *manifestHealth    `yaml:"health"`
	Stop        *manifestStop      `yaml:"stop"`
}

type manifestDemand struct {
	SUNS        string               `yaml:"suns"`
	Accelerator *manifestAccelerator `yaml:"accelerator"`
}

type manifestAccelerator struct {
	Kind  string `yaml:"kind"`
	Model string `yaml:"model"`
	Count uint32 `yaml:"count"`
	SUNS  string `yaml:"suns"`
}

// manifestSource is one of the sources of pack.
type manifestSource struct {
	Platform   string            `yaml:"platform"`
	RootFS     string            `yaml:"rootfs"`
	Tarball    string            `yaml:"tarball"`
	Binary     string            `yaml:"binary"`
	Image      string            `yaml:"image"`
	Dockerfile string            `yaml:"dockerfile"`
	Context    string            `yaml:"context"`
	BuildArgs  map[string]string `yaml:"build_args"`
	Container  string            `yaml:"container"`
}

type manifestRun struct {
	Entrypoint []string          `yaml:"entrypoint"`
	Args       []string          `yaml:"args"`
	Env        map[string]string `yaml:"env"`
	Workdir    string            `yaml:"workdir"`
	User       string            `yaml:"user"`
}

type manifestPort struct {
	Name     string `yaml:"name"`
	Protocol string `yaml:"protocol"`
	Port     uint32 `yaml:"port"`
}

type manifestVariable struct {
	Name        string `yaml:"name"`
	Required    bool   `yaml:"required"`
	Secret      bool   `yaml:"secret"`
	Default     string `yaml:"default"`
	Description string `yaml:"description"`
}

type manifestVolume struct {
	Name  string `yaml:"name"`
	Path  string `yaml:"path"`
	Size  string `yaml:"size"`
	Class string `yaml:"class"`
}

type manifestHealth struct {
	Kind        string   `yaml:"kind"`
	Port        string   `yaml:"port"`
	Path        string   `yaml:"path"`
	Command     []string `yaml:"command"`
	Interval    string   `yaml:"interval"`
	Timeout     string   `yaml:"timeout"`
	Retries     uint32   `yaml:"retries"`
	StartPeriod string   `yaml:"start_period"`
}

type manifestStop struct {
	Signal string `yaml:"signal"`
	Grace  string `yaml:"grace"`
}

// readManifest reads uai.yaml: one document, no unknown and no repeated
// fields.
func readManifest(name string, stdin io.Reader) (*manifestFile, error) {
	raw, err := readFile(name, stdin)
	if err != nil {
		return nil, fmt.Errorf("--file: %w", err)
	}
	m, err := parseManifest(raw)
	if err != nil {
		return nil, fmt.Errorf("--file %s: %w", name, err)
	}
	return m, nil
}

func parseManifest(raw []byte) (*manifestFile, error) {
	if len(raw) > maxManifest {
		return nil, fmt.Errorf("it has %d bytes, more than %d", len(raw), maxManifest)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	decoder.KnownFields(true)
	m := &manifestFile{}
	if err := decoder.Decode(m); errors.Is(err, io.EOF) {
		return nil, errors.New("it is empty; `isun uai init` writes one to begin with")
	} else if err != nil {
		return nil, err
	}
	if m.Manifest != manifestVersion {
		return nil, fmt.Errorf("it says `manifest: %d`, and this isun reads %d", m.Manifest, manifestVersion)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("it holds more than one document")
	}
	return m, nil
}

// config is what the manifest says of the image.
func (m *manifestFile) config() (*uai.Config, error) {
	c := &uai.Config{Description: m.Description, Licence: m.Licence}
	if err := c.SetRef(m.Name); err != nil {
		return nil, fmt.Errorf("name: %w", err)
	}
	for _, p := range m.Ports {
		c.Ports = append(c.Ports, uai.Port{Name: p.Name, Protocol: p.Protocol, ContainerPort: p.Port})
	}
	for _, v := range m.Environment {
		c.Environment = append(c.Environment, uai.Variable(v))
	}
	return c, errors.Join(m.setDemand(c), m.setVolumes(c), m.setHealth(c), m.setStop(c))
}

func (m *manifestFile) setDemand(c *uai.Config) (err error) {
	if m.Demand.SUNS != "" {
		if c.Demand.GeneralMilliSuns, err = format.ParseSUNS(m.Demand.SUNS); err != nil {
			return fmt.Errorf("demand: %w", err)
		}
	}
	a := m.Demand.Accelerator
	if a == nil {
		return nil
	}
	c.Demand.Accelerator = &uai.Accelerator{Kind: a.Kind, Model: a.Model, Count: max(a.Count, 1)}
	if a.SUNS != "" {
		if c.Demand.Accelerator.MilliSuns, err = format.ParseSUNS(a.SUNS); err != nil {
			return fmt.Errorf("demand: accelerator: %w", err)
		}
	}
	return nil
}

func (m *manifestFile) setVolumes(c *uai.Config) error {
	for _, v := range m.Volumes {
		size, err := parseMiB(v.Size)
		if err != nil {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
		c.Volumes = append(c.Volumes, uai.Volume{Name: v.Name, Path: v.Path, SizeMiB: size, Class: v.Class})
	}
	return nil
}

func (m *manifestFile) setHealth(c *uai.Config) error {
	h := m.Health
	if h == nil {
		return nil
	}
	c.Health = &uai.Health{
		Kind: h.Kind, Port: h.Port, Path: h.Path, Command: h.Command, IntervalSeconds: healthInterval, TimeoutSeconds: healthTimeout, Retries: healthRetries,
	}
	if h.Retries > 0 {
		c.Health.Retries = h.Retries
	}
	for _, field := range []struct {
		text string
		to   *uint32
	}{{h.Interval, &c.Health.IntervalSeconds}, {h.Timeout, &c.Health.TimeoutSeconds}, {h.StartPeriod, &c.Health.StartPeriodSeconds}} {
		if field.text == "" {
			continue
		}
		seconds, err := wholeSeconds(field.text)
		if err != nil {
			return fmt.Errorf("health: %w", err)
		}
		*field.to = seconds
	}
	return nil
}

func (m *manifestFile) setStop(c *uai.Config) error {
	if m.Stop == nil {
		return nil
	}
	c.Stop = &uai.Stop{Signal: m.Stop.Signal}
	if m.Stop.Grace == "" {
		return nil
	}
	seconds, err := wholeSeconds(m.Stop.Grace)
	if err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	c.Stop.GraceSeconds = seconds
	return nil
}

// wholeSeconds reads "10s" or "2m".
func wholeSeconds(text string) (uint32, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d%time.Second != 0 || d/time.Second > math.MaxUint32 {
		return 0, fmt.Errorf("%q is not a time in whole seconds, such as 30s or 2m", text)
	}
	return uint32(d / time.Second), nil
}
