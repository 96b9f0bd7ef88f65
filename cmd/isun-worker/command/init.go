package command

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/worker/config"
)

func initCommand(o *options) *cobra.Command {
	cfg := config.Default()
	share := cfg.Offer.Share.String()
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a config file",
		Long: `Writes config.toml into the worker's home, with a comment on every value. Nothing else is
touched, and an existing file is never overwritten.`,
		Example: `  isun-worker init
  isun-worker init --endpoint tcp://a.example:26657 --endpoint tcp://b.example:26657 --offer 50%
  isun-worker init --layout /srv/images --published-address worker.example`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if cfg.Offer.Share, err = config.ParseShare(share); err != nil {
				return fmt.Errorf("--offer: %w", err)
			}
			for i, dir := range cfg.Images.Layouts {
				if cfg.Images.Layouts[i], err = filepath.Abs(dir); err != nil {
					return fmt.Errorf("--layout %s: %w", dir, err)
				}
			}
			if err := o.dir().Create(); err != nil {
				return err
			}
			path := o.dir().Config()
			err = config.Write(path, cfg)
			if errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("%s exists already: change it with an editor, or remove it first", path)
			}
			if err != nil {
				return err
			}
			result := struct {
				Config string        `json:"config"`
				Values config.Config `json:"values"`
			}{path, cfg}
			return o.print(cmd.OutOrStdout(), result, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "wrote %s\nnext: isun-worker doctor\n", path)
				return err
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&cfg.Chain.ID, "chain-id", cfg.Chain.ID, "chain id; empty takes the endpoints' own")
	f.StringSliceVar(&cfg.Chain.Endpoints, "endpoint", cfg.Chain.Endpoints, "RPC endpoint of the chain; repeat it for several")
	f.StringVar(&cfg.Fees.GasPrices, "gas-prices", cfg.Fees.GasPrices, "gas prices, such as 0.01uisc; empty asks the chain")
	f.StringVar(&share, "offer", share, "part of the machine to rent out")
	f.Uint64Var(&cfg.Offer.BandwidthMbps, "bandwidth", cfg.Offer.BandwidthMbps, "bandwidth of the line in Mbit/s, the slower direction")
	f.Uint64Var(&cfg.Offer.ReserveMemory, "reserve-memory", cfg.Offer.ReserveMemory, "memory kept for the machine itself, in MiB")
	f.Uint64Var(&cfg.Offer.ReserveDisk, "reserve-disk", cfg.Offer.ReserveDisk, "disk space kept for the machine itself, in MiB")
	f.StringVar(&cfg.Network.PublishedAddress, "published-address", "", "host name or IP tenants reach this machine at")
	f.Uint16Var(&cfg.Network.PortFirst, "port-first", cfg.Network.PortFirst, "first host port for placements")
	f.Uint16Var(&cfg.Network.PortLast, "port-last", cfg.Network.PortLast, "last host port for placements")
	f.StringVar(&cfg.Engine.Host, "docker-host", cfg.Engine.Host, "Docker's socket")
	f.BoolVar(&cfg.Engine.Guard, "guard", cfg.Engine.Guard, "keep containers from this machine's network by firewall rules")
	f.StringSliceVar(&cfg.Images.Layouts, "layout", nil, "folder of OCI image layouts; repeat it for several")
	f.BoolVar(&cfg.Images.Registries, "registries", cfg.Images.Registries, "also pull images from registries")
	f.StringSliceVar(&cfg.Accelerators.Plugins, "plugin", cfg.Accelerators.Plugins, "executable that knows accelerators, its whole path; repeat it for several")
	f.StringVar(&cfg.Placements.DataDir, "data-dir", "", "where placements keep their data")
	f.BoolVar(&cfg.Cloud.Enabled, "cloud", cfg.Cloud.Enabled, "hold images and snapshots of the network")
	f.StringVar((*string)(&cfg.Cloud.Limit), "cloud-limit", string(cfg.Cloud.Limit), "most disk space that they may take")
	f.StringSliceVar(&cfg.Cloud.Listen, "cloud-listen", cfg.Cloud.Listen, "libp2p address where other nodes connect; repeat it for several")
	f.StringVar(&cfg.Metrics.Listen, "metrics", "", "address of the Prometheus endpoint, such as 127.0.0.1:9464")
	f.StringVar(&cfg.Measuring.Listen, "measuring", "", "address at which other workers may measure their line, such as :9465")
	f.StringVar(&cfg.Log.Level, "log-level", cfg.Log.Level, "debug, info, warn or error")
	f.StringVar(&cfg.Log.Format, "log-format", cfg.Log.Format, "text or json")
	return cmd
}
