package uai

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Settings are the parts of an image's configuration that an author chooses.
// Empty ones leave what a source brings.
type Settings struct {
	Entrypoint   []string
	Cmd          []string
	Env          []string // NAME=value
	ExposedPorts []string // "8080/tcp"
	Volumes      []string // absolute paths
	WorkingDir   string
	User         string // empty means DefaultUser, for a source without one
	StopSignal   string // "SIGINT"
	Labels       map[string]string
}

// config is the OCI configuration of a source's variant.
func (s Source) config(settings Settings, diffIDs []v1.Hash) ([]byte, error) {
	if s.Image != nil {
		return s.Image.config(settings, diffIDs)
	}
	file := v1.ConfigFile{
		Architecture: s.Platform.Architecture, OS: s.Platform.OS, Variant: s.Platform.Variant,
		RootFS: v1.RootFS{Type: "layers", DiffIDs: diffIDs},
	}
	if s.Base != nil {
		file.Config = *s.Base
	}
	settings.change(&file.Config)
	if file.Config.User == "" && s.Base == nil {
		file.Config.User = DefaultUser
	}
	if len(file.Config.Entrypoint) == 0 && s.Binary != "" {
		file.Config.Entrypoint = []string{binaryPath(s.Binary)}
	}
	return json.Marshal(file)
}

// config makes sure that the layers are those of the image, and changes it
// only where settings say so.
func (e *Existing) config(settings Settings, diffIDs []v1.Hash) ([]byte, error) {
	if err := checkJSON(e.Config); err != nil {
		return nil, err
	}
	file, err := v1.ParseConfigFile(bytes.NewReader(e.Config))
	if err != nil {
		return nil, fmt.Errorf("%w: image configuration: %w", ErrMalformed, err)
	}
	if !slices.Equal(file.RootFS.DiffIDs, diffIDs) {
		return nil, fmt.Errorf("%w: the image's layers are not those its configuration names", ErrMismatch)
	}
	if reflect.DeepEqual(settings, Settings{}) {
		return e.Config, nil
	}
	settings.change(&file.Config)
	return json.Marshal(file)
}

// change sets what the author chose.
func (s Settings) change(c *v1.Config) {
	if len(s.Entrypoint) > 0 {
		// The arguments were those of the entry point that goes.
		c.Entrypoint, c.Cmd = s.Entrypoint, nil
	}
	if len(s.Cmd) > 0 {
		c.Cmd = s.Cmd
	}
	c.Env = mergeEnv(c.Env, s.Env)
	c.ExposedPorts = addTo(c.ExposedPorts, s.ExposedPorts)
	c.Volumes = addTo(c.Volumes, s.Volumes)
	for _, field := range []struct {
		to   *string
		from string
	}{{&c.WorkingDir, s.WorkingDir}, {&c.User, s.User}, {&c.StopSignal, s.StopSignal}} {
		if field.from != "" {
			*field.to = field.from
		}
	}
	if len(s.Labels) > 0 {
		labels := maps.Clone(c.Labels)
		if labels == nil {
			labels = map[string]string{}
		}
		maps.Copy(labels, s.Labels)
		c.Labels = labels
	}
}

// mergeEnv replaces variables of the same name and adds the others.
func mergeEnv(env, more []string) []string {
	merged := slices.Clone(env)
	for _, variable := range more {
		name, _, _ := strings.Cut(variable, "=")
		merged = slices.DeleteFunc(merged, func(old string) bool { return strings.HasPrefix(old, name+"=") })
		merged = append(merged, variable)
	}
	return merged
}

func addTo(set map[string]struct{}, list []string) map[string]struct{} {
	if len(list) == 0 {
		return set
	}
	larger := maps.Clone(set)
	if larger == nil {
		larger = make(map[string]struct{}, len(list))
	}
	for _, s := range list {
		larger[s] = struct{}{}
	}
	return larger
}
