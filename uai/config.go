package uai

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	// ConfigMediaType is the media type of a UAI configuration, and the
	// artifact type of the manifest that carries it in an index.
	ConfigMediaType = configTypePrefix + "v1" + configTypeSuffix
	// ConfigVersion is the schemaVersion this package reads and writes.
	ConfigVersion = 1

	configTypePrefix = "application/vnd.isun.uai.config."
	configTypeSuffix = "+json"

	// maxConfigBytes bounds a configuration; everything its limits allow
	// together is below it.
	maxConfigBytes = 512 << 10
	// maxCommandBytes bounds all words of a health check's command.
	maxCommandBytes = 4096
)

// ErrVersion: the configuration is of a version that this program does not
// know.
var ErrVersion = errors.New("unknown version of the UAI configuration")

// Classes of volumes.
const (
	// VolumePersistent is snapshotted and restored where a lease goes on.
	VolumePersistent = "persistent"
	// VolumeScratch ends with the placement.
	VolumeScratch = "scratch"
)

// Config says what an image is and what it needs. Its JSON form is the blob
// that an index carries; the schema in this package and Validate say what is
// allowed.
type Config struct {
	SchemaVersion int `json:"schemaVersion"`
	// Owner is whoever publishes it, as far as the author knew; may be empty.
	Owner       string `json:"owner,omitempty"`
	Name        string `json:"name"`
	Version     string `json:"version"`
	Description string `json:"description,omitempty"`
	// Licence is an SPDX expression.
	Licence string `json:"licence,omitempty"`
	// Platforms it runs on, without variant, sorted: "linux/amd64".
	Platforms   []string   `json:"platforms"`
	Demand      Demand     `json:"demand"`
	Ports       []Port     `json:"ports,omitempty"`
	Environment []Variable `json:"environment,omitempty"`
	Volumes     []Volume   `json:"volumes,omitempty"`
	Health      *Health    `json:"health,omitempty"`
	Stop        *Stop      `json:"stop,omitempty"`
}

// Demand is what one replica needs at least.
type Demand struct {
	GeneralMilliSuns uint64       `json:"generalMilliSuns,omitempty"`
	Accelerator      *Accelerator `json:"accelerator,omitempty"`
}

// Accelerator asks for whole devices.
type Accelerator struct {
	Kind  string `json:"kind"`            // "gpu", "fpga", "asic"
	Model string `json:"model,omitempty"` // exact; empty is any
	Count uint32 `json:"count"`
	// MilliSuns is the least each device must have.
	MilliSuns uint64 `json:"milliSuns,omitempty"`
}

// Port is what the image listens on.
type Port struct {
	Name          string `json:"name"`
	Protocol      string `json:"protocol"` // "http", "tcp", "udp"
	ContainerPort uint32 `json:"containerPort"`
}

// Variable is an environment variable that the image reads.
type Variable struct {
	Name string `json:"name"`
	// Required: it does not start without one from the lease.
	Required bool `json:"required,omitempty"`
	// Secret must not be set where everybody can read it.
	Secret      bool   `json:"secret,omitempty"`
	Default     string `json:"default,omitempty"`
	Description string `json:"description,omitempty"`
}

// Volume is storage that the image wants at a path.
type Volume struct {
	Name    string `json:"name"`
	Path    string `json:"path"`
	SizeMiB uint64 `json:"sizeMiB"`
	Class   string `json:"class,omitempty"` // empty is persistent
}

// Health says how to see that a container works.
type Health struct {
	Kind               string   `json:"kind"` // "http", "tcp", "exec"
	Port               string   `json:"port,omitempty"`
	Path               string   `json:"path,omitempty"`
	Command            []string `json:"command,omitempty"`
	IntervalSeconds    uint32   `json:"intervalSeconds"`
	TimeoutSeconds     uint32   `json:"timeoutSeconds"`
	Retries            uint32   `json:"retries"`
	StartPeriodSeconds uint32   `json:"startPeriodSeconds,omitempty"`
}

// Stop says how to end a container.
type Stop struct {
	Signal       string `json:"signal,omitempty"` // "SIGTERM" if empty
	GraceSeconds uint32 `json:"graceSeconds,omitempty"`
}

// ParseConfig reads a configuration: ErrVersion for one of another version,
// ErrTooLarge, or ErrMalformed with the fields at fault.
func ParseConfig(raw []byte) (Config, error) {
	if len(raw) > maxConfigBytes {
		return Config{}, fmt.Errorf("%w: UAI configuration has %d bytes, at most %d", ErrTooLarge, len(raw), maxConfigBytes)
	}
	if err := checkJSON(raw); err != nil {
		return Config{}, fmt.Errorf("UAI configuration: %w", err)
	}
	var head struct {
		SchemaVersion json.Number `json:"schemaVersion"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return Config{}, fmt.Errorf("%w: UAI configuration: %w", ErrMalformed, err)
	}
	if head.SchemaVersion != "" && head.SchemaVersion != "1" {
		return Config{}, fmt.Errorf("%w: schemaVersion is %.20s, and this program reads %d; a newer isun may read it",
			ErrVersion, head.SchemaVersion, ConfigVersion)
	}
	if err := checkSchema(raw); err != nil {
		return Config{}, err
	}
	var c Config
	if err := json.Unmarshal(raw, &c); err != nil {
		return Config{}, fmt.Errorf("%w: UAI configuration: %w", ErrMalformed, err)
	}
	return c, c.checkWhole()
}

// Validate holds a configuration to the schema and to what a schema cannot
// say: ErrMalformed with the field at fault.
func (c Config) Validate() error {
	raw, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("%w: UAI configuration: %w", ErrMalformed, err)
	}
	_, err = ParseConfig(raw)
	return err
}

// Ref is "owner/name:version", without the owner if there is none.
func (c Config) Ref() string {
	ref := c.Name + ":" + c.Version
	if c.Owner != "" {
		ref = c.Owner + "/" + ref
	}
	return ref
}

// SetRef reads "owner/name:version" or a part of it that has a name.
func (c *Config) SetRef(ref string) error {
	name, version, versioned := strings.Cut(ref, ":")
	owner, rest, owned := strings.Cut(name, "/")
	if owned {
		name = rest
	}
	if name == "" || versioned && version == "" || owned && owner == "" || strings.ContainsAny(name, "/") {
		return fmt.Errorf("%w: %.200q is not owner/name:tag", ErrMalformed, ref)
	}
	c.Name = name
	if owned {
		c.Owner = owner
	}
	if versioned {
		c.Version = version
	}
	return nil
}

func (c Config) malformed(format string, args ...any) error {
	return fmt.Errorf("%w: UAI configuration: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// checkWhole is what concerns several fields at once.
func (c Config) checkWhole() error {
	if !slices.IsSorted(c.Platforms) {
		return c.malformed("platforms %v are not sorted", c.Platforms)
	}
	for _, check := range []func() error{c.checkPorts, c.checkEnvironment, c.checkVolumes, c.checkHealth} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c Config) checkPorts() error {
	type socket struct {
		udp    bool
		number uint32
	}
	names, sockets := map[string]bool{}, map[socket]bool{}
	for _, p := range c.Ports {
		at := socket{p.Protocol == "udp", p.ContainerPort}
		if names[p.Name] {
			return c.malformed("two ports are called %s", p.Name)
		}
		if sockets[at] {
			return c.malformed("port %s: containerPort %d is there twice", p.Name, p.ContainerPort)
		}
		names[p.Name], sockets[at] = true, true
	}
	return nil
}

func (c Config) checkEnvironment() error {
	names := map[string]bool{}
	for _, v := range c.Environment {
		switch {
		case names[v.Name]:
			return c.malformed("environment: %s is there twice", v.Name)
		case v.Secret && v.Default != "":
			return c.malformed("environment: %s is secret and has a default, which everybody could read", v.Name)
		case v.Required && v.Default != "":
			return c.malformed("environment: %s is required and has a default: it can be one of them", v.Name)
		case strings.ContainsRune(v.Default, 0):
			return c.malformed("environment: the default of %s holds a zero byte", v.Name)
		}
		names[v.Name] = true
	}
	return nil
}

func (c Config) checkVolumes() error {
	names, paths := map[string]bool{}, map[string]bool{}
	for _, v := range c.Volumes {
		if names[v.Name] {
			return c.malformed("two volumes are called %s", v.Name)
		}
		if paths[v.Path] {
			return c.malformed("volume %s: path %s is there twice", v.Name, v.Path)
		}
		names[v.Name], paths[v.Path] = true, true
	}
	return nil
}

func (c Config) checkHealth() error {
	h := c.Health
	if h == nil {
		return nil
	}
	if h.TimeoutSeconds > h.IntervalSeconds {
		return c.malformed("health: timeoutSeconds %d is more than the interval, %d", h.TimeoutSeconds, h.IntervalSeconds)
	}
	if h.Kind == "exec" {
		return c.checkCommand()
	}
	for _, p := range c.Ports {
		if p.Name != h.Port {
			continue
		}
		if p.Protocol == "udp" {
			return c.malformed("health: port %s is udp, which cannot be asked", h.Port)
		}
		return nil
	}
	return c.malformed("health: there is no port %s", h.Port)
}

func (c Config) checkCommand() error {
	size := 0
	for _, word := range c.Health.Command {
		size += len(word)
		if strings.ContainsRune(word, 0) {
			return c.malformed("health: word %.100q of the command holds a zero byte", word)
		}
	}
	if c.Health.Command[0] == "" || size > maxCommandBytes {
		return c.malformed("health: the command has no program or more than %d bytes", maxCommandBytes)
	}
	return nil
}
