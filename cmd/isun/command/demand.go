package command

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/client/format"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// demandFlags say what a replica needs.
type demandFlags struct {
	suns, general string
	gpu           string
}

func (d *demandFlags) add(cmd *cobra.Command, fallback string) {
	cmd.Flags().StringVar(&d.suns, "suns", "", "SUNS of general resources a replica needs, such as 2, 0.5 or 500m (default: "+fallback+")")
	cmd.Flags().StringVar(&d.general, "general", "", "the same as --suns, to be said beside --gpu")
	cmd.Flags().StringVar(&d.gpu, "gpu", "", "devices a replica needs, kind:count:suns[:model], such as gpu:1:26")
	cmd.MarkFlagsMutuallyExclusive("suns", "general")
}

// parse gives milli-SUNS of general resources, 0 when none were given, and devices, nil when none were.
func (d *demandFlags) parse() (uint64, *sunstypes.AcceleratorDemand, error) {
	var general uint64
	if text := d.suns + d.general; text != "" {
		n, err := format.ParseSUNS(text)
		if err != nil {
			return 0, nil, err
		}
		if n == 0 {
			return 0, nil, errors.New("a replica needs more than 0 SUNS")
		}
		general = n
	}
	if d.gpu == "" {
		return general, nil, nil
	}
	accelerator, err := format.ParseAccelerator(d.gpu)
	return general, accelerator, err
}

// rulesFlags say where replicas may run.
type rulesFlags struct {
	countries, zones, archs, avoid []string
	spread                         bool
	node                           string
}

func (r *rulesFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&r.countries, "country", nil, "countries in order of preference, such as TW,JP (default: anywhere)")
	cmd.Flags().StringSliceVar(&r.zones, "zone", nil, "zones that are allowed (default: any)")
	cmd.Flags().StringSliceVar(&r.archs, "arch", nil, "amd64, arm64 or both (default: what the image has)")
	cmd.Flags().BoolVar(&r.spread, "spread", false, "no two replicas on machines of one operator")
	cmd.Flags().StringSliceVar(&r.avoid, "avoid", nil, "nodes never to use, operator/number")
	cmd.Flags().StringVar(&r.node, "target-node", "", "the only node to use, operator/number")
	complete(cmd, "arch", sunstypes.ArchAMD64, sunstypes.ArchARM64)
}

func (r *rulesFlags) parse() (leasetypes.PlacementRules, error) {
	rules := leasetypes.PlacementRules{Zones: r.zones, Architectures: r.archs, SpreadOperators: r.spread}
	for _, country := range r.countries {
		rules.Countries = append(rules.Countries, strings.ToUpper(strings.TrimSpace(country)))
	}
	for _, text := range r.avoid {
		id, err := sunstypes.ParseNodeID(text)
		if err != nil {
			return rules, fmt.Errorf("--avoid: %w (`isun nodes` lists them)", err)
		}
		rules.Avoid = append(rules.Avoid, id)
	}
	if r.node != "" {
		id, err := sunstypes.ParseNodeID(r.node)
		if err != nil {
			return rules, fmt.Errorf("--target-node: %w (`isun nodes` lists them)", err)
		}
		rules.Node = &id
	}
	if err := rules.Validate(); err != nil {
		return rules, err
	}
	return rules, nil
}

// parseEnv reads K=V; a K alone has an empty value.
func parseEnv(list []string) ([]leasetypes.EnvVar, error) {
	env := make([]leasetypes.EnvVar, 0, len(list))
	for _, text := range list {
		name, value, _ := strings.Cut(text, "=")
		if name == "" {
			return nil, fmt.Errorf("--env %q is not NAME=VALUE", text)
		}
		env = append(env, leasetypes.EnvVar{Name: name, Value: value})
	}
	return env, nil
}
