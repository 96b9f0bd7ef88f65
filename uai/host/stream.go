package host

import (
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/isuncoin/isuncoin/uai"
)

// Stream writes the machine's root file system as a plain tar archive: owners
// kept, except that what lies in volumes belongs to the user that everything
// runs as.
func (m *Machine) Stream(w io.Writer, plan Plan, filter *Filter, warn func(name, why string)) error {
	opts := uai.TreeOptions{KeepOwners: true, Live: m.Live, Skip: filter.Skip, Owner: m.owner(plan), Warn: warn}
	if !filter.WithSecrets {
		accounts := m.Accounts()
		for _, name := range slices.Sorted(maps.Keys(accounts)) {
			opts.More = append(opts.More, uai.MoreFile{Name: name, Mode: 0o640, Content: accounts[name]})
		}
	}
	if len(plan.Services) > 0 {
		opts.More = append(opts.More, uai.MoreFile{Name: StartPath[1:], Mode: 0o755, Content: plan.Script()})
	}
	return uai.WriteTree(w, m.Dir, opts)
}

func (m *Machine) owner(plan Plan) func(string) (int, int, bool) {
	var volumes []string
	for _, v := range plan.Volumes {
		volumes = append(volumes, strings.TrimPrefix(path.Clean(v.Path), "/"))
	}
	return func(name string) (int, int, bool) {
		for _, v := range volumes {
			if name == v || strings.HasPrefix(name, v+"/") {
				return plan.User.UID, plan.User.GID, true
			}
		}
		return 0, 0, false
	}
}
