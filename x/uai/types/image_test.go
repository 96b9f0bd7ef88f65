package types_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
	"github.com/isuncoin/isuncoin/x/uai/types"
)

// fullImage uses every field.
func fullImage() types.Image {
	publisher := testkit.Addr("publisher").String()
	return types.Image{
		Publisher: publisher,
		Name:      "hello",
		Tag:       "v1",
		Owner:     publisher,
		Digest:    "sha256:" + strings.Repeat("0a", 32),
		SizeBytes: 1 << 20,
		Platforms: []string{"linux/amd64", "linux/arm64"},
		Demand:    sunstypes.Demand{GeneralMilliSuns: 500},
		Ports: []types.Port{
			{Name: "web", Protocol: "http", ContainerPort: 8080},
			{Name: "raw", Protocol: "tcp", ContainerPort: 1},
			{Name: "dns", Protocol: "udp", ContainerPort: 65535},
		},
		Health: &types.HealthCheck{
			Kind: "http", Port: "web", Path: "/healthz?full=1", IntervalSeconds: 10, TimeoutSeconds: 10, Retries: 3, StartPeriodSeconds: 5,
		},
		Volumes:         []types.Volume{{Name: "data", Path: "/data", SizeMiB: 1}, {Name: "cache", Path: "/var/cache/app", SizeMiB: 2}},
		Licence:         "Apache-2.0 OR (MIT AND LicenseRef-x+)",
		Royalty:         7,
		Reference:       "registry.example.org:5000/team/hello__x",
		Status:          types.IMAGE_STATUS_PUBLISHED,
		PublishedHeight: 3,
	}
}

func TestImageNames(t *testing.T) {
	image := fullImage()
	require.NoError(t, image.Validate())
	require.Equal(t, image.Publisher+"/hello:v1", image.Ref())
	require.Equal(t, []string{"amd64", "arm64"}, image.Architectures())
}

// Each case changes a valid image; ok says whether it stays one.
func TestImageValidate(t *testing.T) {
	ports := func(n int) (ports []types.Port) {
		for i := range n {
			ports = append(ports, types.Port{Name: "p" + strings.Repeat("x", i), Protocol: "tcp", ContainerPort: uint32(i + 1)})
		}
		return ports
	}
	volumes := func(n int) (volumes []types.Volume) {
		for i := range n {
			name := "v" + strings.Repeat("x", i)
			volumes = append(volumes, types.Volume{Name: name, Path: "/" + name, SizeMiB: 1})
		}
		return volumes
	}
	exec := func(command ...string) *types.HealthCheck {
		return &types.HealthCheck{Kind: "exec", Command: command, IntervalSeconds: 1, TimeoutSeconds: 1, Retries: 1}
	}
	cases := []struct {
		name   string
		change func(*types.Image)
		ok     bool
	}{
		{"as it is", func(*types.Image) {}, true},
		{"least", func(i *types.Image) {
			*i = types.Image{
				Publisher: i.Publisher, Name: "a", Tag: "1", Owner: i.Owner, Digest: i.Digest, SizeBytes: 1,
				Platforms: []string{"linux/arm64"}, Demand: i.Demand, Status: types.IMAGE_STATUS_DEPRECATED,
			}
		}, true},
		{"owner missing", func(i *types.Image) { i.Owner = "" }, false},
		{"owner in upper case", func(i *types.Image) { i.Owner = strings.ToUpper(i.Owner) }, false},
		{"status missing", func(i *types.Image) { i.Status = 0 }, false},
		{"status unknown", func(i *types.Image) { i.Status = 3 }, false},
		{"height negative", func(i *types.Image) { i.PublishedHeight = -1 }, false},
		{"height 0", func(i *types.Image) { i.PublishedHeight = 0 }, true},

		{"size 0", func(i *types.Image) { i.SizeBytes = 0 }, false},
		{"size most", func(i *types.Image) { i.SizeBytes = types.HighestMaxImageBytes }, true},
		{"size above", func(i *types.Image) { i.SizeBytes = types.HighestMaxImageBytes + 1 }, false},
		{"royalty 0", func(i *types.Image) { i.Royalty = 0 }, true},
		{"royalty most", func(i *types.Image) { i.Royalty = types.HighestMaxRoyalty }, true},
		{"royalty above", func(i *types.Image) { i.Royalty = types.HighestMaxRoyalty + 1 }, false},

		{"digest missing", func(i *types.Image) { i.Digest = "" }, false},
		{"digest of another kind", func(i *types.Image) { i.Digest = "sha512:" + strings.Repeat("0a", 32) }, false},
		{"digest short", func(i *types.Image) { i.Digest = i.Digest[:70] }, false},
		{"digest long", func(i *types.Image) { i.Digest += "0a" }, false},
		{"digest in upper case", func(i *types.Image) { i.Digest = "sha256:" + strings.Repeat("0A", 32) }, false},
		{"digest not hexadecimal", func(i *types.Image) { i.Digest = "sha256:" + strings.Repeat("0g", 32) }, false},

		{"no platform", func(i *types.Image) { i.Platforms = nil }, false},
		{"platform unknown", func(i *types.Image) { i.Platforms = []string{"windows/amd64"} }, false},
		{"platforms unsorted", func(i *types.Image) { i.Platforms = []string{"linux/arm64", "linux/amd64"} }, false},
		{"platform twice", func(i *types.Image) { i.Platforms = []string{"linux/amd64", "linux/amd64"} }, false},
		{"too many platforms", func(i *types.Image) { i.Platforms = make([]string, types.MaxPlatforms+1) }, false},

		{"demand for nothing", func(i *types.Image) { i.Demand = sunstypes.Demand{} }, false},
		{"demand too big", func(i *types.Image) { i.Demand.GeneralMilliSuns = sunstypes.MaxNodeMilliSuns + 1 }, false},

		{"no ports", func(i *types.Image) { i.Ports, i.Health = nil, nil }, true},
		{"most ports", func(i *types.Image) { i.Ports, i.Health = ports(types.MaxPorts), nil }, true},
		{"too many ports", func(i *types.Image) { i.Ports, i.Health = ports(types.MaxPorts+1), nil }, false},
		{"port name missing", func(i *types.Image) { i.Ports[1].Name = "" }, false},
		{"port name twice", func(i *types.Image) { i.Ports[1].Name = "web" }, false},
		{"port name no label", func(i *types.Image) { i.Ports[1].Name = "a_b" }, false},
		{"port name longest", func(i *types.Image) { i.Ports[1].Name = strings.Repeat("n", types.MaxLabelLength) }, true},
		{"port name too long", func(i *types.Image) { i.Ports[1].Name = strings.Repeat("n", types.MaxLabelLength+1) }, false},
		{"protocol unknown", func(i *types.Image) { i.Ports[1].Protocol = "sctp" }, false},
		{"port 0", func(i *types.Image) { i.Ports[1].ContainerPort = 0 }, false},
		{"port 65536", func(i *types.Image) { i.Ports[2].ContainerPort = 65536 }, false},
		{"port twice in tcp and http", func(i *types.Image) { i.Ports[1].ContainerPort = 8080 }, false},
		{"port in tcp and udp", func(i *types.Image) { i.Ports[2].ContainerPort = 8080 }, true},

		{"no health check", func(i *types.Image) { i.Health = nil }, true},
		{"health kind unknown", func(i *types.Image) { i.Health.Kind = "icmp" }, false},
		{"health of no port", func(i *types.Image) { i.Health.Port = "" }, false},
		{"health of a missing port", func(i *types.Image) { i.Health.Port = "admin" }, false},
		{"health of a udp port", func(i *types.Image) { i.Health.Port = "dns" }, false},
		{"http over a tcp port", func(i *types.Image) { i.Health.Port = "raw" }, true},
		{"http without path", func(i *types.Image) { i.Health.Path = "" }, false},
		{"http relative path", func(i *types.Image) { i.Health.Path = "healthz" }, false},
		{"http path with a line break", func(i *types.Image) { i.Health.Path = "/a\r\nX: y" }, false},
		{"http longest path", func(i *types.Image) { i.Health.Path = "/" + strings.Repeat("p", types.MaxPathLength-1) }, true},
		{"http path too long", func(i *types.Image) { i.Health.Path = "/" + strings.Repeat("p", types.MaxPathLength) }, false},
		{"http with a command", func(i *types.Image) { i.Health.Command = []string{"true"} }, false},
		{"tcp", func(i *types.Image) { i.Health.Kind, i.Health.Path = "tcp", "" }, true},
		{"tcp with a path", func(i *types.Image) { i.Health.Kind = "tcp" }, false},
		{"tcp with a command", func(i *types.Image) { i.Health.Kind, i.Health.Path, i.Health.Command = "tcp", "", []string{"true"} }, false},
		{"exec", func(i *types.Image) { i.Health = exec("/bin/check", "", "x y") }, true},
		{"exec without command", func(i *types.Image) { i.Health = exec() }, false},
		{"exec without program", func(i *types.Image) { i.Health = exec("", "x") }, false},
		{"exec with a port", func(i *types.Image) { i.Health = exec("true"); i.Health.Port = "web" }, false},
		{"exec with a path", func(i *types.Image) { i.Health = exec("true"); i.Health.Path = "/" }, false},
		{"exec most words", func(i *types.Image) { i.Health = exec(strings.Fields(strings.Repeat("x ", types.MaxCommandArgs))...) }, true},
		{"exec too many words", func(i *types.Image) { i.Health = exec(strings.Fields(strings.Repeat("x ", types.MaxCommandArgs+1))...) }, false},
		{"exec longest", func(i *types.Image) { i.Health = exec(strings.Repeat("x", types.MaxCommandBytes)) }, true},
		{"exec too long", func(i *types.Image) { i.Health = exec(strings.Repeat("x", types.MaxCommandBytes), "y") }, false},
		{"exec not UTF-8", func(i *types.Image) { i.Health = exec("\xff") }, false},
		{"exec with NUL", func(i *types.Image) { i.Health = exec("a\x00b") }, false},
		{"interval 0", func(i *types.Image) { i.Health.IntervalSeconds = 0 }, false},
		{"interval most", func(i *types.Image) { i.Health.IntervalSeconds = types.MaxHealthInterval }, true},
		{"interval above", func(i *types.Image) { i.Health.IntervalSeconds = types.MaxHealthInterval + 1 }, false},
		{"timeout 0", func(i *types.Image) { i.Health.TimeoutSeconds = 0 }, false},
		{"timeout above the interval", func(i *types.Image) { i.Health.TimeoutSeconds = 11 }, false},
		{"retries 0", func(i *types.Image) { i.Health.Retries = 0 }, false},
		{"retries most", func(i *types.Image) { i.Health.Retries = types.MaxHealthRetries }, true},
		{"retries above", func(i *types.Image) { i.Health.Retries = types.MaxHealthRetries + 1 }, false},
		{"start period most", func(i *types.Image) { i.Health.StartPeriodSeconds = types.MaxHealthStartPeriod }, true},
		{"start period above", func(i *types.Image) { i.Health.StartPeriodSeconds = types.MaxHealthStartPeriod + 1 }, false},

		{"most volumes", func(i *types.Image) { i.Volumes = volumes(types.MaxVolumes) }, true},
		{"too many volumes", func(i *types.Image) { i.Volumes = volumes(types.MaxVolumes + 1) }, false},
		{"volume name missing", func(i *types.Image) { i.Volumes[0].Name = "" }, false},
		{"volume name twice", func(i *types.Image) { i.Volumes[1].Name = "data" }, false},
		{"volume path twice", func(i *types.Image) { i.Volumes[1].Path = "/data" }, false},
		{"volume inside another", func(i *types.Image) { i.Volumes[1].Path = "/data/inner" }, true},
		{"volume size 0", func(i *types.Image) { i.Volumes[0].SizeMiB = 0 }, false},
		{"volume size most", func(i *types.Image) { i.Volumes[0].SizeMiB = types.MaxVolumeMiB }, true},
		{"volume size above", func(i *types.Image) { i.Volumes[0].SizeMiB = types.MaxVolumeMiB + 1 }, false},
		{"volume of no class", func(i *types.Image) { i.Volumes[0].Class = "" }, true},
		{"volume that persists", func(i *types.Image) { i.Volumes[0].Class = types.VolumePersistent }, true},
		{"scratch volume", func(i *types.Image) { i.Volumes[0].Class = types.VolumeScratch }, true},
		{"volume of another class", func(i *types.Image) { i.Volumes[0].Class = "Persistent" }, false},
		{"volume path missing", func(i *types.Image) { i.Volumes[0].Path = "" }, false},
		{"volume over the root", func(i *types.Image) { i.Volumes[0].Path = "/" }, false},
		{"volume path relative", func(i *types.Image) { i.Volumes[0].Path = "data" }, false},
		{"volume path not clean", func(i *types.Image) { i.Volumes[0].Path = "/data/../etc" }, false},
		{"volume path with a slash last", func(i *types.Image) { i.Volumes[0].Path = "/data/" }, false},
		{"volume path that mounts otherwise", func(i *types.Image) { i.Volumes[0].Path = "/data:ro" }, false},
		{"volume path longest", func(i *types.Image) { i.Volumes[0].Path = "/" + strings.Repeat("p", types.MaxPathLength-1) }, true},
		{"volume path too long", func(i *types.Image) { i.Volumes[0].Path = "/" + strings.Repeat("p", types.MaxPathLength) }, false},
		{"volume over proc", func(i *types.Image) { i.Volumes[0].Path = "/proc" }, false},
		{"volume in sys", func(i *types.Image) { i.Volumes[0].Path = "/sys/fs/cgroup" }, false},
		{"volume beside dev", func(i *types.Image) { i.Volumes[0].Path = "/developer" }, true},

		{"no licence", func(i *types.Image) { i.Licence = "" }, true},
		{"longest licence", func(i *types.Image) { i.Licence = strings.Repeat("L", types.MaxLicenceLength) }, true},
		{"licence too long", func(i *types.Image) { i.Licence = strings.Repeat("L", types.MaxLicenceLength+1) }, false},
		{"licence with markup", func(i *types.Image) { i.Licence = "<b>MIT</b>" }, false},
		{"licence with spaces around", func(i *types.Image) { i.Licence = " MIT" }, false},
		{"licence not ASCII", func(i *types.Image) { i.Licence = "MIT\xff" }, false},

		{"no reference", func(i *types.Image) { i.Reference = "" }, true},
		{"reference of one word", func(i *types.Image) { i.Reference = "nginx" }, true},
		{"reference with a tag", func(i *types.Image) { i.Reference = "docker.io/library/nginx:1" }, false},
		{"reference with a tag alone", func(i *types.Image) { i.Reference = "nginx:1" }, false},
		{"reference with a digest", func(i *types.Image) { i.Reference += "@" + i.Digest }, false},
		{"reference with a scheme", func(i *types.Image) { i.Reference = "https://docker.io/library/nginx" }, false},
		{"reference with an empty part", func(i *types.Image) { i.Reference = "docker.io//nginx" }, false},
		{"reference that climbs", func(i *types.Image) { i.Reference = "docker.io/../nginx" }, false},
		{"reference with a bad port", func(i *types.Image) { i.Reference = "docker.io:x/nginx" }, false},
		{"reference with an option for a host", func(i *types.Image) { i.Reference = "--insecure/nginx" }, false},
		{"longest reference", func(i *types.Image) { i.Reference = strings.Repeat("r", types.MaxReferenceLength) }, true},
		{"reference too long", func(i *types.Image) { i.Reference = strings.Repeat("r", types.MaxReferenceLength+1) }, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			image := fullImage()
			c.change(&image)
			err := image.Validate()
			if c.ok {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, types.ErrInvalidImage)
		})
	}
}

func TestImageLimits(t *testing.T) {
	params := types.Params{MaxImageBytes: 1 << 20, MaxRoyalty: 7}
	image := fullImage()
	require.NoError(t, image.ValidateLimits(params))
	image.SizeBytes++
	require.ErrorIs(t, image.ValidateLimits(params), types.ErrInvalidImage)
	image = fullImage()
	image.Royalty++
	require.ErrorIs(t, image.ValidateLimits(params), types.ErrInvalidImage)
}
