package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/isuncoin/isuncoin/client/format"
	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/uai/host"
)

// hostPlan is what pack --host --dry-run prints as JSON.
type hostPlan struct {
	Services   []hostService `json:"services"`
	Ports      []uai.Port    `json:"ports"`
	Volumes    []uai.Volume  `json:"volumes"`
	User       string        `json:"user"`
	Entrypoint []string      `json:"entrypoint"`
	Warnings   []string      `json:"warnings,omitempty"`
}

type hostService struct {
	Name    string `json:"name"`
	Command string `json:"command"`
	From    string `json:"from"`
}

// addHost makes a source of a machine. What its author did not say is
// proposed; a dry run shows that and is done.
func (p *packing) addHost(path string) error {
	f := p.flags
	machine, err := host.Open(f.root)
	if err != nil {
		return fmt.Errorf("--root: %w", err)
	}
	p.close = append(p.close, machine.Close)
	plan := machine.Look()
	if f.user != "" {
		account, ok := machine.User(f.user)
		if !ok {
			return fmt.Errorf("--user: the machine has no user %q", f.user)
		}
		plan.User = account
	}
	if os.Geteuid() != 0 {
		p.warn("what only root can read is left out; as root nothing is")
	}
	for _, note := range plan.Notes {
		p.warn("%s", note)
	}
	p.proposeHost(&plan)
	if len(plan.Services) == 0 && len(p.settings.Entrypoint) == 0 {
		err := errors.New("no service was found that starts with this machine or listens: say with --entrypoint what to start")
		if !f.dryRun {
			return err
		}
		p.warn("%s", err)
	}
	if f.dryRun {
		return p.showHost(plan)
	}
	platform := uai.HostPlatform()
	if f.platform != "" {
		if platform, err = uai.ParsePlatform(f.platform); err != nil {
			return fmt.Errorf("--platform: %w", err)
		}
	}
	filter, err := p.hostFilter(machine, path)
	if err != nil {
		return err
	}
	p.sources = append(p.sources, uai.Source{
		Platform: platform, Base: &v1.Config{},
		Stream: func(w io.Writer) error {
			return machine.Stream(w, plan, filter, func(name, why string) { p.warn("/%s: %s", name, why) })
		},
	})
	return nil
}

// hostFilter leaves out what is being written, and says what was kept back.
func (p *packing) hostFilter(machine *host.Machine, path string) (*host.Filter, error) {
	f := p.flags
	filter := machine.Filter()
	filter.WithSecrets = f.withSecrets
	root, err := filepath.Abs(f.root)
	if err != nil {
		return nil, err
	}
	out, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	beside := filepath.Join(filepath.Dir(out), "."+filepath.Base(out))
	for _, own := range []string{out, beside + ".new", beside + ".work", p.storeDir()} {
		if name, err := filepath.Rel(root, own); err == nil && filepath.IsLocal(name) {
			filter.More = append(filter.More, name)
		}
	}
	for _, name := range f.exclude {
		filter.More = append(filter.More, strings.Trim(filepath.Clean(name), "/"))
	}
	told := "left out as a secret; --with-secrets takes it along"
	if f.withSecrets {
		told = "taken along, and everybody who gets the image can read it"
	}
	filter.Secret = func(name string) { p.warn("/%s: %s", name, told) }
	filter.Token = func(name string) {
		p.warn("/%s: it seems to hold a password or a token, and everybody who gets the image can read it; --exclude leaves it out", name)
	}
	if locked := machine.Locked(); locked > 0 && !f.withSecrets {
		p.warn("/etc/shadow: the passwords of %d accounts are left out", locked)
	}
	return filter, nil
}

// stateGraceSeconds leaves a database time to write down what it knows.
const stateGraceSeconds = 30

// proposeHost fills in what the author did not say.
func (p *packing) proposeHost(plan *host.Plan) {
	c, s := &p.config, &p.settings
	if len(c.Ports) == 0 {
		for _, port := range plan.Ports {
			c.Ports = append(c.Ports, hostPort(c.Ports, port))
		}
	}
	if len(c.Volumes) == 0 {
		for _, v := range plan.Volumes {
			volume := uai.Volume{Name: v.Name, Path: v.Path, SizeMiB: v.SizeMiB, Class: uai.VolumeScratch}
			if v.Persistent {
				volume.Class = uai.VolumePersistent
			}
			c.Volumes = append(c.Volumes, volume)
		}
	} else {
		plan.Volumes = nil
		for _, v := range c.Volumes {
			plan.Volumes = append(plan.Volumes, host.Volume{Name: v.Name, Path: v.Path, SizeMiB: v.SizeMiB, Persistent: v.Class != uai.VolumeScratch})
		}
	}
	if c.Stop == nil && slices.ContainsFunc(c.Volumes, func(v uai.Volume) bool { return v.Class != uai.VolumeScratch }) {
		c.Stop = &uai.Stop{GraceSeconds: stateGraceSeconds}
	}
	if len(s.Entrypoint) == 0 && len(plan.Services) > 0 {
		s.Entrypoint = []string{host.StartPath}
	}
	// By number, so that the engine needs no look into the image, and with it
	// the groups that the image gives that number.
	s.User = fmt.Sprint(plan.User.UID)
	for _, port := range c.Ports {
		transport := "tcp"
		if port.Protocol == "udp" {
			transport = "udp"
		}
		s.ExposedPorts = append(s.ExposedPorts, fmt.Sprintf("%d/%s", port.ContainerPort, transport))
	}
}

// hostPort calls a port by its service where its number says nothing.
func hostPort(have []uai.Port, port host.Port) uai.Port {
	proposed := namedPort(port.Number, port.UDP)
	service, _, _ := strings.Cut(port.Service, "-")
	taken := slices.ContainsFunc(have, func(p uai.Port) bool { return p.Name == service })
	if proposed.Protocol != "http" && service != "" && service[0] >= 'a' && !taken {
		proposed.Name = service
	}
	return proposed
}

func (p *packing) showHost(plan host.Plan) error {
	shown := hostPlan{
		Services: []hostService{}, Ports: p.config.Ports, Volumes: p.config.Volumes, User: plan.User.Name,
		Entrypoint: p.settings.Entrypoint, Warnings: p.warnings,
	}
	for _, s := range plan.Services {
		shown.Services = append(shown.Services, hostService{Name: s.Name, Command: s.Command, From: s.From})
	}
	return p.print(shown, func() error {
		table := format.NewTable("SERVICE", "FROM", "STARTS WITH")
		for _, s := range shown.Services {
			table.Add(s.Name, s.From, s.Command)
		}
		err := table.Write(p.streams.Out)
		err = errors.Join(err, p.say("entry point  %s as %s", strings.Join(shown.Entrypoint, " "), shown.User))
		for _, port := range shown.Ports {
			err = errors.Join(err, p.say("port         %s:%s:%d", port.Name, port.Protocol, port.ContainerPort))
		}
		for _, v := range shown.Volumes {
			err = errors.Join(err, p.say("volume       %s:%s:%s, %s", v.Name, v.Path, format.Bytes(v.SizeMiB<<20), v.Class))
		}
		return errors.Join(err, p.say("Without --dry-run it is packed so; --port, --volume, --entrypoint and --user say otherwise."))
	})
}
