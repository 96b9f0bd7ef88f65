package command

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/client/tenant"
	"github.com/isuncoin/isuncoin/uai"
)

// configFlags say what stands in the UAI configuration.
type configFlags struct {
	name                  string
	demand                demandFlags
	ports, volumes        []string
	variables             []string
	health                string
	healthStart           uint32
	licence, description  string
	stopSignal, stopGrace string
}

func (f *configFlags) add(cmd *cobra.Command) {
	f.demand.add(cmd, "1")
	flags := cmd.Flags()
	flags.StringVar(&f.name, "name", "", "owner/name:tag or name:tag")
	flags.StringArrayVar(&f.ports, "port", nil, "what it listens on, name:protocol:port; http, tcp or udp")
	flags.StringArrayVar(&f.volumes, "volume", nil, "storage it wants, name:/path:size[:scratch], such as data:/data:10GiB")
	flags.StringArrayVar(&f.variables, "variable", nil, "environment variable it reads, NAME[=default][:required][:secret]")
	flags.StringVar(&f.health, "health", "", "how to see that it works: http:PORT:/path, tcp:PORT or exec:command with words")
	flags.Uint32Var(&f.healthStart, "health-start", 0, "seconds after the start in which failed checks do not count")
	flags.StringVar(&f.licence, "licence", "", "SPDX expression, such as Apache-2.0")
	flags.StringVar(&f.description, "description", "", "what it is, in a sentence")
	flags.StringVar(&f.stopSignal, "stop-signal", "", "signal that ends it (default: SIGTERM)")
	flags.StringVar(&f.stopGrace, "stop-grace", "", "how long it may take to end, such as 30s")
}

// change sets what flags say.
func (f *configFlags) change(c *uai.Config) error {
	if f.name != "" {
		if err := c.SetRef(f.name); err != nil {
			return fmt.Errorf("--name: %w", err)
		}
	}
	general, accelerator, err := f.demand.parse()
	if err != nil {
		return err
	}
	if general > 0 {
		c.Demand.GeneralMilliSuns = general
	}
	if accelerator != nil {
		c.Demand.Accelerator = &uai.Accelerator{
			Kind: accelerator.Kind, Model: accelerator.Model, Count: accelerator.Count, MilliSuns: accelerator.MilliSuns,
		}
	}
	c.Description, c.Licence = or(f.description, c.Description), or(f.licence, c.Licence)
	return errors.Join(f.changePorts(c), f.changeVolumes(c), f.changeVariables(c), f.changeHealth(c), f.changeStop(c))
}

func (f *configFlags) changePorts(c *uai.Config) error {
	if len(f.ports) == 0 {
		return nil
	}
	ports, err := parsePorts(f.ports)
	c.Ports = nil
	for _, p := range ports {
		c.Ports = append(c.Ports, uai.Port(p))
	}
	return err
}

func (f *configFlags) changeVolumes(c *uai.Config) error {
	if len(f.volumes) == 0 {
		return nil
	}
	c.Volumes = nil
	for _, text := range f.volumes {
		plain, scratch := strings.CutSuffix(text, ":"+uai.VolumeScratch)
		plain, _ = strings.CutSuffix(plain, ":"+uai.VolumePersistent)
		volumes, err := parseVolumes([]string{plain})
		if err != nil {
			return err
		}
		volume := uai.Volume{Name: volumes[0].Name, Path: volumes[0].Path, SizeMiB: volumes[0].SizeMiB}
		if scratch {
			volume.Class = uai.VolumeScratch
		}
		c.Volumes = append(c.Volumes, volume)
	}
	return nil
}

// changeVariables reads NAME[=default][:required][:secret]; the marks come
// last, so that a default may hold colons.
func (f *configFlags) changeVariables(c *uai.Config) error {
	if len(f.variables) > 0 {
		c.Environment = nil
	}
	for _, text := range f.variables {
		var v uai.Variable
		for found := true; found; {
			var secret, required bool
			text, secret = strings.CutSuffix(text, ":secret")
			text, required = strings.CutSuffix(text, ":required")
			v.Secret, v.Required = v.Secret || secret, v.Required || required
			found = secret || required
		}
		v.Name, v.Default, _ = strings.Cut(text, "=")
		c.Environment = append(c.Environment, v)
	}
	return nil
}

func (f *configFlags) changeHealth(c *uai.Config) error {
	if f.health != "" {
		h, err := parseHealth(f.health)
		if err != nil {
			return err
		}
		c.Health = configHealth(h)
	}
	if f.healthStart > 0 {
		if c.Health == nil {
			return errors.New("--health-start needs --health")
		}
		c.Health.StartPeriodSeconds = f.healthStart
	}
	return nil
}

func (f *configFlags) changeStop(c *uai.Config) error {
	if f.stopSignal == "" && f.stopGrace == "" {
		return nil
	}
	if c.Stop == nil {
		c.Stop = &uai.Stop{}
	}
	c.Stop.Signal = or(f.stopSignal, c.Stop.Signal)
	if f.stopGrace != "" {
		seconds, err := wholeSeconds(f.stopGrace)
		if err != nil {
			return fmt.Errorf("--stop-grace: %w", err)
		}
		c.Stop.GraceSeconds = seconds
	}
	return nil
}

func configHealth(h *tenant.Health) *uai.Health {
	if h == nil {
		return nil
	}
	converted := uai.Health(*h)
	return &converted
}

// publishedImage is what a configuration says, as the chain keeps it.
func publishedImage(c *uai.Config, into *tenant.Image) {
	into.Demand = tenant.Demand{GeneralMilliSuns: c.Demand.GeneralMilliSuns}
	if a := c.Demand.Accelerator; a != nil {
		into.Demand.Accelerator = &tenant.Accelerator{Kind: a.Kind, Model: a.Model, Count: a.Count, MilliSuns: a.MilliSuns}
	}
	into.Ports, into.Volumes, into.Health = nil, nil, nil
	for _, p := range c.Ports {
		into.Ports = append(into.Ports, tenant.Port(p))
	}
	for _, v := range c.Volumes {
		into.Volumes = append(into.Volumes, publishedVolume(v))
	}
	if c.Health != nil {
		health := tenant.Health(*c.Health)
		into.Health = &health
	}
	into.Licence = c.Licence
}

func publishedVolume(v uai.Volume) tenant.Volume {
	volume := tenant.Volume{Name: v.Name, Path: v.Path, SizeMiB: v.SizeMiB}
	if v.Class == uai.VolumeScratch {
		volume.Class = v.Class
	}
	return volume
}

// suggestPorts names the ports that a source listens on, for an image whose
// author named none.
func suggestPorts(c *uai.Config, exposed []string) {
	if len(c.Ports) > 0 {
		return
	}
	slices.Sort(exposed)
	for _, text := range exposed {
		number, protocol, _ := strings.Cut(text, "/")
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil || n == 0 {
			continue // a range, which an image cannot ask for
		}
		c.Ports = append(c.Ports, namedPort(uint32(n), protocol == "udp"))
	}
}

// namedPort gives a port the name and protocol that its number usually has.
func namedPort(number uint32, udp bool) uai.Port {
	p := uai.Port{Name: fmt.Sprintf("port-%d", number), Protocol: "tcp", ContainerPort: number}
	switch {
	case udp:
		p.Protocol, p.Name = "udp", fmt.Sprintf("udp-%d", number)
	case number == 80:
		p.Protocol, p.Name = "http", "web"
	case slices.Contains([]uint32{3000, 5000, 8000, 8080, 8081, 8888}, number):
		p.Protocol, p.Name = "http", fmt.Sprintf("web-%d", number)
	}
	return p
}
