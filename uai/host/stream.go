package host

import (
	"archive/tar"
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
	// Services may run in a root folder that is mounted here, too.
	opts := uai.TreeOptions{KeepOwners: true, Live: true, Skip: filter.Skip, Adjust: adjust(plan), Warn: warn}
	if !filter.WithSecrets {
		accounts := m.Accounts()
		for _, name := range slices.Sorted(maps.Keys(accounts)) {
			opts.More = append(opts.More, uai.MoreFile{Name: name, Mode: 0o640, Content: accounts[name]})
		}
	}
	if len(plan.Services) > 0 {
		// Some systems have a link for a folder of it, and nothing may lie
		// below a link.
		name, err := m.resolve(StartPath)
		if err != nil {
			return err
		}
		opts.More = append(opts.More, uai.MoreFile{Name: name, Mode: 0o755, Content: plan.Script()})
	}
	return uai.WriteTree(w, m.Dir, opts)
}

func adjust(plan Plan) func(string, *tar.Header) {
	var volumes []string
	for _, v := range plan.Volumes {
		volumes = append(volumes, strings.TrimPrefix(path.Clean(v.Path), "/"))
	}
	return func(name string, header *tar.Header) {
		// What an engine mounts there takes over the mode, and not root but the
		// user of the services makes its folders in it.
		if name == "run" {
			header.Mode = 0o1777
		}
		if slices.ContainsFunc(volumes, func(v string) bool { return name == v || strings.HasPrefix(name, v+"/") }) {
			header.Uid, header.Gid = plan.User.UID, plan.User.GID
		}
	}
}
