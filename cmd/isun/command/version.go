package command

import (
	"runtime"

	"github.com/spf13/cobra"

	"github.com/cosmos/cosmos-sdk/version"
)

// versionInfo is what version prints as JSON.
type versionInfo struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
}

func (c *commands) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			info := versionInfo{Name: "isun", Version: version.Version, Commit: version.Commit, Go: runtime.Version()}
			if info.Version == "" {
				info.Version = "dev"
			}
			return c.print(info, func() error { return c.say("%s", info.Version) })
		},
	}
}
