// Package sbom lists the software in an image, as far as package managers'
// databases and Go programs say, and writes it as SPDX 2.3.
package sbom

import (
	"archive/tar"
	"bufio"
	"bytes"
	"cmp"
	"context"
	"debug/buildinfo"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/isuncoin/isuncoin/uai"
)

const (
	// maxDatabase bounds a package manager's database, maxProgram a program
	// that is looked into.
	maxDatabase = 256 << 20
	maxProgram  = 512 << 20
	// maxPackages bounds what is listed; the largest distributions have a
	// tenth of it.
	maxPackages = 500_000
)

// Package is a piece of software.
type Package struct {
	Name, Version string
	// Type is that of package URLs: "deb", "apk", "golang".
	Type string
	// Distribution is the vendor of deb and apk packages, such as "debian".
	Distribution string
	Architecture string
	// Path is where the program or the database that lists it lies.
	Path string
}

// Found is the software of an image.
type Found struct {
	Packages []Package
	// Unread are databases that this package cannot read.
	Unread []string
}

// Read looks through the layers of a variant. Its blobs are checked on the
// way.
func Read(ctx context.Context, v *uai.Variant) (Found, error) {
	s := scan{files: map[string][]Package{}, unread: map[string]bool{}}
	if err := v.Walk(ctx, s.visit); err != nil {
		return Found{}, err
	}
	found := Found{Unread: slices.Sorted(maps.Keys(s.unread))}
	for name, packages := range s.files {
		for _, p := range packages {
			p.Path = "/" + name
			if p.Type != "golang" {
				p.Distribution = s.distribution
			}
			found.Packages = append(found.Packages, p)
		}
	}
	slices.SortFunc(found.Packages, func(a, b Package) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Path, b.Path))
	})
	return found, nil
}

type scan struct {
	files        map[string][]Package
	unread       map[string]bool
	distribution string
	count        int
}

const whiteout = ".wh."

// visit takes the files of all layers, the lowest first: what a higher one
// brings or removes replaces what was there.
func (s *scan) visit(header *tar.Header, content io.Reader) error {
	name := strings.TrimPrefix(path.Clean("/"+header.Name), "/")
	if gone, ok := strings.CutPrefix(path.Base(name), whiteout); ok {
		s.remove(path.Join(path.Dir(name), gone), gone == whiteout+".opq")
		return nil
	}
	if header.Typeflag != tar.TypeReg {
		return nil
	}
	s.drop(name)
	switch {
	case name == "var/lib/dpkg/status", path.Dir(name) == "var/lib/dpkg/status.d" && !strings.HasSuffix(name, ".md5sums"):
		return s.add(name, paragraphs(content, debPackage))
	case name == "lib/apk/db/installed", name == "usr/lib/apk/db/installed":
		return s.add(name, paragraphs(content, apkPackage))
	case strings.HasPrefix(name, "var/lib/rpm/"), strings.HasPrefix(name, "usr/lib/sysimage/rpm/"):
		s.unread["/"+path.Dir(name)] = true
	case name == "etc/os-release", name == "usr/lib/os-release":
		s.distribution = osID(content)
	case header.Mode&0o111 != 0 && header.Size > 0 && header.Size <= maxProgram:
		return s.program(name, content)
	}
	return nil
}

func (s *scan) drop(name string) {
	s.count -= len(s.files[name])
	delete(s.files, name)
}

func (s *scan) remove(name string, opaque bool) {
	if opaque {
		name = path.Dir(name)
	}
	for file := range s.files {
		if file == name && !opaque || strings.HasPrefix(file, name+"/") {
			s.drop(file)
		}
	}
}

func (s *scan) add(name string, packages []Package) error {
	if s.count += len(packages); s.count > maxPackages {
		return uai.ErrTooLarge
	}
	s.files[name] = packages
	return nil
}

// program asks a Go program what it was built of.
func (s *scan) program(name string, content io.Reader) error {
	head := make([]byte, 4)
	if _, err := io.ReadFull(content, head); err != nil || string(head) != "\x7fELF" {
		return nil // a script, or a file that ends early, which Walk notices
	}
	rest, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	info, err := buildinfo.Read(bytes.NewReader(append(head, rest...)))
	if err != nil {
		return nil // not a Go program
	}
	packages := []Package{{Name: "stdlib", Version: strings.TrimPrefix(info.GoVersion, "go"), Type: "golang"}}
	if info.Main.Path != "" {
		packages = append(packages, Package{Name: info.Main.Path, Version: info.Main.Version, Type: "golang"})
	}
	for _, d := range info.Deps {
		if d.Replace != nil {
			d = d.Replace
		}
		packages = append(packages, Package{Name: d.Path, Version: d.Version, Type: "golang"})
	}
	return s.add(name, packages)
}

// paragraphs reads a database of "key: value" lines parted by empty ones.
func paragraphs(content io.Reader, read func(map[string]string) (Package, bool)) []Package {
	var packages []Package
	fields := map[string]string{}
	flush := func() {
		if p, ok := read(fields); ok && len(packages) < maxPackages {
			packages = append(packages, p)
		}
		clear(fields)
	}
	lines := bufio.NewScanner(io.LimitReader(content, maxDatabase))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if line == "" {
			flush()
			continue
		}
		if key, value, ok := strings.Cut(line, ":"); ok && line[0] != ' ' {
			fields[key] = strings.TrimSpace(value)
		}
	}
	flush()
	return packages
}

func debPackage(fields map[string]string) (Package, bool) {
	status := strings.Fields(fields["Status"])
	installed := len(status) == 0 || status[len(status)-1] == "installed"
	p := Package{Name: fields["Package"], Version: fields["Version"], Architecture: fields["Architecture"], Type: "deb"}
	return p, p.Name != "" && installed
}

func apkPackage(fields map[string]string) (Package, bool) {
	p := Package{Name: fields["P"], Version: fields["V"], Architecture: fields["A"], Type: "apk"}
	return p, p.Name != ""
}

func osID(content io.Reader) string {
	for lines := bufio.NewScanner(io.LimitReader(content, 1<<16)); lines.Scan(); {
		if id, ok := strings.CutPrefix(lines.Text(), "ID="); ok {
			return strings.Trim(id, `"'`)
		}
	}
	return ""
}
