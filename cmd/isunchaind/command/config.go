package command

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"

	"github.com/cosmos/cosmos-sdk/client"

	"github.com/isuncoin/isuncoin/cmd/isunchaind/nodeconfig"
)

// configCommand shows and changes client.toml.
func configCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "config [key] [value]",
		Short: "Show or change the settings of the command line (client.toml)",
		Args:  cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := nodeconfig.ClientFile(client.GetClientContextFromCmd(cmd).HomeDir)
			settings, err := readSettings(file)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				return encoder.Encode(settings)
			}
			if _, ok := settings[args[0]]; !ok {
				return fmt.Errorf("%s has no setting %q; there are %v", file, args[0], settingNames(settings))
			}
			if len(args) == 1 {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), settings[args[0]])
				return err
			}
			return changeSetting(file, settings, args[0], args[1])
		},
	}
}

func readSettings(file string) (map[string]any, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	settings := map[string]any{}
	if err := toml.Unmarshal(raw, &settings); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return settings, nil
}

// changeSetting keeps the type that a setting has.
func changeSetting(file string, settings map[string]any, key, value string) error {
	if _, isText := settings[key].(string); isText {
		settings[key] = value
	} else {
		var number float64
		if err := json.Unmarshal([]byte(value), &number); err != nil {
			return fmt.Errorf("%s is a number: %w", key, err)
		}
		settings[key] = number
	}
	raw, err := toml.Marshal(settings)
	if err != nil {
		return err
	}
	return os.WriteFile(file, raw, 0o600)
}

func settingNames(settings map[string]any) []string {
	names := make([]string, 0, len(settings))
	for name := range settings {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
