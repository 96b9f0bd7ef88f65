package uai_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/isuncoin/isuncoin/uai"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// fullConfig has every field.
func fullConfig() uai.Config {
	return uai.Config{
		SchemaVersion: 1, Owner: "someone", Name: "web", Version: "1.2", Description: "A web server.", Licence: "Apache-2.0 OR MIT",
		Platforms: []string{"linux/amd64", "linux/arm64"},
		Demand: uai.Demand{GeneralMilliSuns: 500, Accelerator: &uai.Accelerator{
			Kind: "gpu", Model: "NVIDIA GeForce RTX 4090", Count: 1, MilliSuns: 26_000,
		}},
		Ports: []uai.Port{{Name: "web", Protocol: "http", ContainerPort: 80}, {Name: "dns", Protocol: "udp", ContainerPort: 53}},
		Environment: []uai.Variable{
			{Name: "TOKEN", Required: true, Secret: true, Description: "of the upstream"}, {Name: "LEVEL", Default: "info"},
		},
		Volumes: []uai.Volume{
			{Name: "data", Path: "/data", SizeMiB: 1024, Class: uai.VolumePersistent}, {Name: "cache", Path: "/cache", SizeMiB: 64, Class: uai.VolumeScratch},
		},
		Health: &uai.Health{
			Kind: "http", Port: "web", Path: "/healthz", IntervalSeconds: 10, TimeoutSeconds: 5, Retries: 3, StartPeriodSeconds: 60,
		},
		Stop: &uai.Stop{Signal: "SIGQUIT", GraceSeconds: 30},
	}
}

func encode(t *testing.T, c uai.Config) []byte {
	raw, err := json.Marshal(c)
	require.NoError(t, err)
	return raw
}

func TestConfigSurvivesItsJSON(t *testing.T) {
	again, err := uai.ParseConfig(encode(t, fullConfig()))
	require.NoError(t, err)
	require.Equal(t, fullConfig(), again)
}

func TestConfigRefuses(t *testing.T) {
	good := string(encode(t, fullConfig()))
	for name, c := range map[string]struct {
		old, new string
		want     error
		says     string
	}{
		"a newer version":          {`"schemaVersion":1`, `"schemaVersion":2`, uai.ErrVersion, "newer isun"},
		"no version":               {`"schemaVersion":1,`, ``, uai.ErrMalformed, "schemaVersion"},
		"a version as text":        {`"schemaVersion":1`, `"schemaVersion":"1"`, uai.ErrMalformed, "schemaVersion"},
		"an unknown field":         {`"name":"web",`, `"name":"web","colour":"red",`, uai.ErrMalformed, "colour"},
		"an unknown inner field":   {`"containerPort":80`, `"containerPort":80,"hostPort":80`, uai.ErrMalformed, "hostPort"},
		"a field in other letters": {`"licence"`, `"Licence"`, uai.ErrMalformed, "Licence"},
		"a key twice":              {`"name":"web",`, `"name":"web","name":"bad",`, uai.ErrMalformed, "twice"},
		"a key twice, folded":      {`"name":"web",`, `"name":"web","NAME":"bad",`, uai.ErrMalformed, "twice"},
		"a number with a fraction": {`"generalMilliSuns":500`, `"generalMilliSuns":500.5`, uai.ErrMalformed, "generalMilliSuns"},
		"a huge number":            {`"generalMilliSuns":500`, `"generalMilliSuns":1e30`, uai.ErrMalformed, "generalMilliSuns"},
		"another platform":         {`"linux/arm64"`, `"windows/amd64"`, uai.ErrMalformed, "platforms"},
		"unsorted platforms":       {`"linux/amd64","linux/arm64"`, `"linux/arm64","linux/amd64"`, uai.ErrMalformed, "sorted"},
		"a path that climbs":       {`"path":"/data"`, `"path":"/data/../etc"`, uai.ErrMalformed, "path"},
		"a path of the kernel":     {`"path":"/data"`, `"path":"/proc/sys"`, uai.ErrMalformed, "path"},
		"a check of no port":       {`"port":"web"`, `"port":"api"`, uai.ErrMalformed, "api"},
		"a check of a udp port":    {`"port":"web"`, `"port":"dns"`, uai.ErrMalformed, "udp"},
		"a command for http":       {`"kind":"http"`, `"kind":"exec"`, uai.ErrMalformed, "health"},
		"a secret with a default":  {`"secret":true`, `"secret":true,"default":"x"`, uai.ErrMalformed, "TOKEN"},
		"a port twice":             {`"name":"dns"`, `"name":"web"`, uai.ErrMalformed, "two ports"},
		"a volume twice":           {`"path":"/cache"`, `"path":"/data"`, uai.ErrMalformed, "twice"},
		"an unknown class":         {`"class":"scratch"`, `"class":"eternal"`, uai.ErrMalformed, "class"},
		"a strange signal":         {`"SIGQUIT"`, `"9"`, uai.ErrMalformed, "signal"},
		"something behind":         {`"graceSeconds":30}}`, `"graceSeconds":30}} {}`, uai.ErrMalformed, "follows"},
		"nothing demanded":         {`"generalMilliSuns":500,"accelerator"`, `"accelerator"`, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, good, c.old)
			_, err := uai.ParseConfig([]byte(strings.Replace(good, c.old, c.new, 1)))
			require.ErrorIs(t, err, c.want)
			if c.want != nil {
				require.ErrorContains(t, err, c.says)
			}
		})
	}
	_, err := uai.ParseConfig(bytes.Repeat([]byte(" "), 1<<20))
	require.ErrorIs(t, err, uai.ErrTooLarge)
	_, err = uai.ParseConfig([]byte(strings.Repeat("[", 1000)))
	require.ErrorIs(t, err, uai.ErrMalformed)
}

// onChain is the image that publishing a configuration makes.
func onChain(c uai.Config) uaitypes.Image {
	image := uaitypes.Image{
		Publisher: sdk.AccAddress(make([]byte, 20)).String(), Owner: sdk.AccAddress(make([]byte, 20)).String(),
		Name: c.Name, Tag: c.Version, Digest: "sha256:" + strings.Repeat("0", 64), SizeBytes: 1, Platforms: c.Platforms,
		Demand: sunstypes.Demand{GeneralMilliSuns: c.Demand.GeneralMilliSuns}, Licence: c.Licence,
		Status: uaitypes.IMAGE_STATUS_PUBLISHED,
	}
	if a := c.Demand.Accelerator; a != nil {
		image.Demand.Accelerator = &sunstypes.AcceleratorDemand{Kind: a.Kind, Model: a.Model, Count: a.Count, MilliSuns: a.MilliSuns}
	}
	for _, p := range c.Ports {
		image.Ports = append(image.Ports, uaitypes.Port{Name: p.Name, Protocol: p.Protocol, ContainerPort: p.ContainerPort})
	}
	for _, v := range c.Volumes {
		image.Volumes = append(image.Volumes, uaitypes.Volume{Name: v.Name, Path: v.Path, SizeMiB: v.SizeMiB})
	}
	if h := c.Health; h != nil {
		image.Health = &uaitypes.HealthCheck{
			Kind: h.Kind, Port: h.Port, Path: h.Path, Command: h.Command, IntervalSeconds: h.IntervalSeconds,
			TimeoutSeconds: h.TimeoutSeconds, Retries: h.Retries, StartPeriodSeconds: h.StartPeriodSeconds,
		}
	}
	return image
}

// near draws a number at or beside a bound.
func near(t *rapid.T, bounds ...uint64) uint64 {
	return rapid.SampledFrom(bounds).Draw(t, "bound") + rapid.SampledFrom([]uint64{0, 1}).Draw(t, "beside")
}

func word(t *rapid.T, letters string, most int) string {
	length := rapid.SampledFrom([]int{0, 1, 2, most, most + 1}).Draw(t, "length")
	return strings.Repeat(rapid.SampledFrom(strings.Split(letters, "")).Draw(t, "letter"), length) +
		rapid.SampledFrom([]string{"", "", "a", "-", ".", "\n", "é"}).Draw(t, "end")
}

// TestLimitsAreThoseOfTheChain changes one field at a time to something near
// its bounds: what a configuration may say is what can be published.
func TestLimitsAreThoseOfTheChain(t *testing.T) {
	changes := []func(*rapid.T, *uai.Config){
		func(t *rapid.T, c *uai.Config) { c.Name = word(t, "a1-._A", uaitypes.MaxNameLength) },
		func(t *rapid.T, c *uai.Config) { c.Version = word(t, "a1-._A", uaitypes.MaxTagLength) },
		func(t *rapid.T, c *uai.Config) { c.Licence = word(t, "aA1-+ (", uaitypes.MaxLicenceLength) },
		func(t *rapid.T, c *uai.Config) { c.Demand.GeneralMilliSuns = near(t, 0, 1, sunstypes.MaxNodeMilliSuns) },
		func(t *rapid.T, c *uai.Config) {
			c.Demand.Accelerator.MilliSuns = near(t, 0, sunstypes.MaxNodeMilliSuns)
			c.Demand.Accelerator.Count = uint32(near(t, 0, sunstypes.MaxDemandDevices))
		},
		func(t *rapid.T, c *uai.Config) {
			c.Demand.Accelerator.Model = word(t, "aA1- (", sunstypes.MaxModelBytes)
		},
		func(t *rapid.T, c *uai.Config) {
			c.Ports[0].ContainerPort = uint32(near(t, 0, 52, uaitypes.MaxPortNumber))
		},
		func(t *rapid.T, c *uai.Config) { c.Ports[1].Name = word(t, "a1-A_", uaitypes.MaxLabelLength) },
		func(t *rapid.T, c *uai.Config) { c.Volumes[0].SizeMiB = near(t, 0, uaitypes.MaxVolumeMiB) },
		func(t *rapid.T, c *uai.Config) {
			c.Volumes[0].Path = "/" + word(t, "aA1/._-@+ ", uaitypes.MaxPathLength-1)
		},
		func(t *rapid.T, c *uai.Config) {
			c.Volumes[0].Path = rapid.SampledFrom([]string{"/dev", "/dev/x", "/devx", "/sys", "/proc/1", "/a/..", "/a/./b", "/a/.b", "a", "/"}).Draw(t, "path")
		},
		func(t *rapid.T, c *uai.Config) { c.Health.Path = "/" + word(t, "aA1/%? ", uaitypes.MaxPathLength-1) },
		func(t *rapid.T, c *uai.Config) {
			c.Health.IntervalSeconds = uint32(near(t, 0, 4, uint64(uaitypes.MaxHealthInterval)))
			c.Health.TimeoutSeconds = uint32(near(t, 0, 5))
		},
		func(t *rapid.T, c *uai.Config) {
			c.Health.Retries = uint32(near(t, 0, uint64(uaitypes.MaxHealthRetries)))
		},
		func(t *rapid.T, c *uai.Config) {
			c.Health.StartPeriodSeconds = uint32(near(t, 0, uint64(uaitypes.MaxHealthStartPeriod)))
		},
		func(t *rapid.T, c *uai.Config) {
			c.Health.Kind, c.Health.Port, c.Health.Path = "exec", "", ""
			c.Health.Command = strings.Split(strings.Repeat("x ", int(near(t, 0, uaitypes.MaxCommandArgs-1)))+
				strings.Repeat("y", int(near(t, 0, uaitypes.MaxCommandBytes-62))), " ")
		},
		func(t *rapid.T, c *uai.Config) {
			c.Ports = c.Ports[:1]
			for i := range near(t, 1, uaitypes.MaxPorts-1) {
				c.Ports = append(c.Ports, uai.Port{Name: "p" + strings.Repeat("x", int(i)), Protocol: "tcp", ContainerPort: uint32(1000 + i)})
			}
		},
		func(t *rapid.T, c *uai.Config) {
			c.Volumes = nil
			for i := range near(t, 1, uaitypes.MaxVolumes) {
				name := "v" + strings.Repeat("x", int(i))
				c.Volumes = append(c.Volumes, uai.Volume{Name: name, Path: "/" + name, SizeMiB: 1})
			}
		},
	}
	rapid.Check(t, func(t *rapid.T) {
		c := fullConfig()
		changes[rapid.IntRange(0, len(changes)-1).Draw(t, "change")](t, &c)
		if c.Licence == "" && fullConfig().Licence != "" {
			c.Licence = "MIT" // an empty one is left out of the document
		}
		ours, chain := c.Validate(), onChain(c).Validate()
		if (ours == nil) != (chain == nil) {
			t.Fatalf("%+v\nconfiguration: %v\nchain: %v", c, ours, chain)
		}
	})
}

func TestEnvironmentFitsALease(t *testing.T) {
	c := fullConfig()
	c.Environment = []uai.Variable{{Name: strings.Repeat("A", leasetypes.MaxNameBytes)}}
	require.NoError(t, c.Validate())
	c.Environment[0].Name += "A"
	require.ErrorIs(t, c.Validate(), uai.ErrMalformed)
	c.Environment = make([]uai.Variable, leasetypes.MaxEnv+1)
	for i := range c.Environment {
		c.Environment[i].Name = strings.Repeat("A", i+1)
	}
	require.ErrorIs(t, c.Validate(), uai.ErrMalformed)
	c.Environment = c.Environment[1:]
	require.NoError(t, c.Validate())
}

// packConfigured packs the usual folder with a configuration.
func packConfigured(t *testing.T) (string, uai.Digest) {
	return packFolder(t, func(o *uai.PackOptions) {
		c := fullConfig()
		o.Config = &c
	})
}

func TestIndexCarriesTheConfig(t *testing.T) {
	dir, digest := packConfigured(t)
	image, err := open(t, dir).Image(digest)
	require.NoError(t, err)
	require.NoError(t, image.Verify(t.Context(), nil))
	want := fullConfig()
	want.Platforms = []string{"linux/amd64"}
	require.Equal(t, &want, image.Config)
	require.Len(t, image.Variants, 1)

	// The size is that of the whole tree.
	blobs, err := os.ReadDir(filepath.Join(dir, "blobs", "sha256"))
	require.NoError(t, err)
	var total int64
	for _, b := range blobs {
		info, err := b.Info()
		require.NoError(t, err)
		total += info.Size()
	}
	require.Equal(t, total, image.Size())
}

// TestConfigOfAnotherVersionIsRefused: an image of the future is not run
// without what it asks for.
func TestConfigOfAnotherVersionIsRefused(t *testing.T) {
	dir, digest := packConfigured(t)
	index, err := os.ReadFile(blobPath(dir, digest))
	require.NoError(t, err)
	var parsed struct {
		Manifests []struct{ Digest, ArtifactType string }
	}
	require.NoError(t, json.Unmarshal(index, &parsed))
	last := parsed.Manifests[len(parsed.Manifests)-1]
	require.Equal(t, uai.ConfigMediaType, last.ArtifactType)
	manifest, err := os.ReadFile(blobPath(dir, uai.Digest(last.Digest)))
	require.NoError(t, err)
	newer := bytes.ReplaceAll(manifest, []byte("config.v1+"), []byte("config.v2+"))
	index = bytes.ReplaceAll(index, []byte(last.Digest), []byte(put(t, dir, newer)))
	_, err = open(t, dir).Image(put(t, dir, index))
	require.ErrorIs(t, err, uai.ErrVersion)
}

func TestSetRef(t *testing.T) {
	for ref, want := range map[string]string{"a/b:c": "a/b:c", "b:c": "b:c", "b": "b:"} {
		var c uai.Config
		require.NoError(t, c.SetRef(ref))
		require.Equal(t, want, c.Ref())
	}
	for _, bad := range []string{"", ":", "a/", "/b:c", "a/b/c:d", "b:", "a/:c"} {
		require.ErrorIs(t, new(uai.Config).SetRef(bad), uai.ErrMalformed, bad)
	}
}

// FuzzParseConfig: any bytes give an error or a configuration that is valid
// again when it is written.
func FuzzParseConfig(f *testing.F) {
	raw, err := json.Marshal(fullConfig())
	require.NoError(f, err)
	f.Add(raw)
	f.Add([]byte(`{"schemaVersion":1,"name":"a","version":"1","platforms":["linux/amd64"],"demand":{"generalMilliSuns":1}}`))
	f.Add([]byte(`{"schemaVersion":2}`))
	f.Add([]byte(`{"a":1,"A":2}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		c, err := uai.ParseConfig(content)
		if err != nil {
			return
		}
		again, err := uai.ParseConfig(encode(t, c))
		require.NoError(t, err)
		require.Equal(t, encode(t, c), encode(t, again))
	})
}

// TestEveryFieldIsDocumented looks for what the schema names in the page about it.
func TestEveryFieldIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/uai.md")
	require.NoError(t, err)
	raw, err := os.ReadFile("schema/config-v1.json")
	require.NoError(t, err)
	var schema any
	require.NoError(t, json.Unmarshal(raw, &schema))
	var look func(any)
	look = func(node any) {
		object, ok := node.(map[string]any)
		if !ok {
			return
		}
		if properties, ok := object["properties"].(map[string]any); ok {
			for name := range properties {
				require.Regexp(t, "`([a-z]+\\.)?"+name+"`", string(page), "field %s", name)
			}
		}
		for _, inner := range object {
			look(inner)
		}
	}
	look(schema)
}
