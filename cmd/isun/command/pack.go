package command

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/uai"
)

// packFlags are those of image pack.
type packFlags struct {
	binaries              []string
	folder, tarball       string
	platform, name        string
	entrypoint, args, env []string
	expose                []string
	workdir, user         string
	gzip                  bool
}

// packed is what image pack prints as JSON.
type packed struct {
	Layout string `json:"layout"`
	Digest string `json:"digest"`
}

func (c *commands) imagePack() *cobra.Command {
	f := &packFlags{}
	cmd := &cobra.Command{
		Use:   "pack LAYOUT",
		Short: "Make an image of a program, a folder or a tar file",
		Long: `Make an image and put it into an OCI image layout folder, which is made if it is not
there. No container engine and no registry are needed.

A static program becomes an image of its own, for the platform it was built for;
repeat --binary for another platform. A folder or a tar file is taken as the whole
root file system. Equal contents give an equal digest.`,
		Example: `  isun image pack build/hello --binary build/hello-amd64 --binary build/hello-arm64
  isun image pack out --folder rootfs --platform linux/amd64 --entrypoint /usr/bin/serve`,
		Args: exactArgs("LAYOUT"),
		RunE: func(_ *cobra.Command, args []string) error { return c.runPack(f, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.binaries, "binary", nil, "a static program, which runs when the container starts")
	flags.StringVar(&f.folder, "folder", "", "a folder that is the root file system")
	flags.StringVar(&f.tarball, "tarball", "", "a tar file, plain or gzipped, that is the root file system")
	flags.StringVar(&f.platform, "platform", "", "what a folder or tar file runs on (default: as this machine)")
	flags.StringVar(&f.name, "name", "", "a name in the layout's own index, for people")
	flags.StringArrayVar(&f.entrypoint, "entrypoint", nil, "program that runs and its first arguments; repeat it for each")
	flags.StringArrayVar(&f.args, "arg", nil, "an argument that a lease can replace; repeat it for each")
	flags.StringArrayVarP(&f.env, "env", "e", nil, "an environment variable, NAME=VALUE")
	flags.StringArrayVar(&f.expose, "expose", nil, "a port it listens on, such as 8080/tcp")
	flags.StringVar(&f.workdir, "workdir", "", "folder it starts in")
	flags.StringVar(&f.user, "user", "", "user it runs as (default: "+uai.DefaultUser+")")
	flags.BoolVar(&f.gzip, "gzip", false, "compress; the digest then depends on the version of isun")
	cmd.MarkFlagsMutuallyExclusive("binary", "folder", "tarball")
	cmd.MarkFlagsOneRequired("binary", "folder", "tarball")
	return cmd
}

func (c *commands) runPack(f *packFlags, layout string) error {
	sources, err := f.sources()
	if err != nil {
		return err
	}
	digest, err := uai.Pack(layout, uai.PackOptions{
		Sources: sources, Name: f.name, Gzip: f.gzip,
		Settings: uai.Settings{
			Entrypoint: f.entrypoint, Cmd: f.args, Env: f.env, ExposedPorts: f.expose, WorkingDir: f.workdir, User: f.user,
		},
	})
	if err != nil {
		return fmt.Errorf("packing into %s: %w", layout, err)
	}
	return c.print(packed{Layout: layout, Digest: digest.String()}, func() error {
		return c.say("%s is in %s; publish it with `isun image publish NAME:TAG --layout %s`", digest, layout, layout)
	})
}

// sources are the variants of the image.
func (f *packFlags) sources() ([]uai.Source, error) {
	if len(f.binaries) > 0 {
		if f.platform != "" {
			return nil, errors.New("--platform is for --folder and --tarball: a program says itself what it runs on")
		}
		sources := make([]uai.Source, 0, len(f.binaries))
		for _, binary := range f.binaries {
			platform, err := uai.BinaryPlatform(binary)
			if err != nil {
				return nil, fmt.Errorf("--binary: %w", err)
			}
			sources = append(sources, uai.Source{Platform: platform, Binary: binary})
		}
		return sources, nil
	}
	platform := uai.HostPlatform()
	if f.platform != "" {
		var err error
		if platform, err = uai.ParsePlatform(f.platform); err != nil {
			return nil, fmt.Errorf("--platform: %w", err)
		}
	}
	return []uai.Source{{Platform: platform, Folder: f.folder, Tarball: f.tarball}}, nil
}
