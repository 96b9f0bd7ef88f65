// Package config holds what an owner decides about a worker, the file it is
// written in, and the folder a worker keeps everything in.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// ErrNotInitialised: the home has no config file; `isun-worker init` makes one.
var ErrNotInitialised = errors.New("no worker here yet")

// Config is the whole config file. Its zero value is not valid; start from
// Default.
type Config struct {
	Chain        Chain        `toml:"chain" json:"chain"`
	Fees         Fees         `toml:"fees" json:"fees"`
	Offer        Offer        `toml:"offer" json:"offer"`
	Network      Network      `toml:"network" json:"network"`
	Engine       Engine       `toml:"engine" json:"engine"`
	Images       Images       `toml:"images" json:"images"`
	Accelerators Accelerators `toml:"accelerators" json:"accelerators"`
	Placements   Placements   `toml:"placements" json:"placements"`
	Cloud        Cloud        `toml:"cloud" json:"cloud"`
	Metrics      Metrics      `toml:"metrics" json:"metrics"`
	Measuring    Measuring    `toml:"measuring" json:"measuring"`
	Log          Log          `toml:"log" json:"log"`
	Host         Host         `toml:"host" json:"host"`
}

// Chain says where the chain is.
type Chain struct {
	ID           string   `toml:"id" json:"id" comment:"Chain id; empty takes the id of the first endpoint that answers."`
	Endpoints    []string `toml:"endpoints" json:"endpoints" comment:"RPC endpoints, tried in turn: when one fails the next is used."`
	PollInterval Duration `toml:"poll_interval" json:"poll_interval" comment:"How often to ask what should run here; a block takes about 1s."`
}

// Fees says what transactions cost.
type Fees struct {
	GasPrices     string  `toml:"gas_prices" json:"gas_prices" comment:"What to pay for a unit of gas, such as 0.01uisc; empty pays the least the chain takes."`
	GasAdjustment float64 `toml:"gas_adjustment" json:"gas_adjustment" comment:"Gas asked for over what a simulation used."`
}

// Network says how tenants reach the machine.
type Network struct {
	PublishedAddress string `toml:"published_address" json:"published_address" comment:"Host name or IP that tenants reach placements at; empty picks the address this machine uses towards the chain."`
	PortFirst        uint16 `toml:"port_first" json:"port_first" comment:"Host ports that placements are published on, first and last; open them in your router."`
	PortLast         uint16 `toml:"port_last" json:"port_last"`
}

// Engine says how to reach the container engine.
type Engine struct {
	Host    string `toml:"host" json:"host" comment:"Docker's socket."`
	Runtime string `toml:"runtime" json:"runtime" comment:"OCI runtime of every placement, such as runsc; empty is the engine's default."`
	Guard   bool   `toml:"guard" json:"guard" comment:"Install firewall rules that keep placements from this host, its network and each other. Turn off only if something else does that."`
}

// Images says where images come from.
type Images struct {
	Layouts    []string `toml:"layouts" json:"layouts" comment:"Folders that hold OCI image layouts, each a layout itself or a folder of layouts."`
	Registries bool     `toml:"registries" json:"registries" comment:"Also pull from the registry an image names, if it can be reached; the digest is checked either way."`
}

// Accelerators says where graphics cards, FPGAs and ASICs are looked for.
type Accelerators struct {
	NVIDIA  bool     `toml:"nvidia" json:"nvidia" comment:"Look for devices of the NVIDIA driver; a machine without it has none."`
	AMD     bool     `toml:"amd" json:"amd" comment:"Look for devices of the amdgpu driver."`
	OpenCL  bool     `toml:"opencl" json:"opencl" comment:"Look for devices of OpenCL drivers, and measure devices through them."`
	Plugins []string `toml:"plugins" json:"plugins" comment:"Executables that know other devices, whole paths; see docs/accelerators.md."`
}

// Placements says how tenants' containers are treated.
type Placements struct {
	DataDir      string   `toml:"data_dir" json:"data_dir" comment:"Where placements keep their data; empty is placements/ in the worker's home."`
	Parallel     int      `toml:"parallel" json:"parallel" comment:"How many placements are worked on at once; a slow image holds up one of these only."`
	MaxFailures  int      `toml:"max_failures" json:"max_failures" comment:"Failures in a row after which a placement is given back to the chain."`
	StopGrace    Duration `toml:"stop_grace" json:"stop_grace" comment:"How long a container has to end by itself when its placement is over."`
	SampleEvery  Duration `toml:"sample_every" json:"sample_every" comment:"How often usage is read."`
	PersistEvery Duration `toml:"persist_every" json:"persist_every" comment:"How often usage is written to the journal; a crash loses at most this much of it."`
}

// Metrics says where Prometheus may look.
type Metrics struct {
	Listen string `toml:"listen" json:"listen" comment:"Address of the metrics endpoint, such as 127.0.0.1:9464; empty is off."`
}

// Measuring says whether others may measure their line against this machine.
type Measuring struct {
	Listen string `toml:"listen" json:"listen" comment:"Address at which other workers may measure their line, such as :9465; it takes bandwidth while they do. Empty is off."`
}

// Log says what is logged and how.
type Log struct {
	Level  string `toml:"level" json:"level" comment:"debug, info, warn or error."`
	Format string `toml:"format" json:"format" comment:"text or json."`
}

// Host says where the kernel shows itself; tests point it elsewhere.
type Host struct {
	Proc string `toml:"proc" json:"proc"`
	Sys  string `toml:"sys" json:"sys"`
}

// Default suits one machine with a chain and an engine on it.
func Default() Config {
	return Config{
		Chain:        Chain{Endpoints: []string{"tcp://127.0.0.1:26657"}, PollInterval: Duration(time.Second)},
		Fees:         Fees{GasAdjustment: 1.5},
		Offer:        Offer{Share: 60, ReserveMemory: 1024, ReserveDisk: 8192, BandwidthMbps: 100, KeepDevices: []string{}},
		Network:      Network{PortFirst: 30000, PortLast: 32767},
		Engine:       Engine{Host: "unix:///var/run/docker.sock", Guard: true},
		Images:       Images{Layouts: []string{}, Registries: true},
		Accelerators: Accelerators{NVIDIA: true, AMD: true, OpenCL: true, Plugins: []string{}},
		Placements: Placements{
			Parallel: 4, MaxFailures: 5, StopGrace: Duration(10 * time.Second),
			SampleEvery: Duration(time.Second), PersistEvery: Duration(5 * time.Second),
		},
		Cloud: defaultCloud(),
		Log:   Log{Level: "info", Format: "text"},
		Host:  Host{Proc: "/proc", Sys: "/sys"},
	}
}

const header = `# The config of an isun-worker. Every value here is one an owner may change;
# the worker reads it when it starts.

`

// Write creates the file; it never overwrites one.
func Write(path string, cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	body, err := toml.Marshal(cfg)
	if err != nil {
		return fmt.Errorf("encode config: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("create config: %w", err)
	}
	if _, err := f.Write(append([]byte(header), body...)); err != nil {
		return errors.Join(fmt.Errorf("write config: %w", err), f.Close())
	}
	return f.Close()
}

// Load reads and checks the file. A key it does not know is an error: it is
// most likely a misspelt one that would silently do nothing.
func Load(path string) (Config, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, fmt.Errorf("%w: %s does not exist; run `isun-worker init`", ErrNotInitialised, path)
	}
	if err != nil {
		return Config{}, fmt.Errorf("read config: %w", err)
	}
	cfg := Default()
	dec := toml.NewDecoder(bytes.NewReader(raw)).DisallowUnknownFields()
	if err := dec.Decode(&cfg); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, explain(err))
	}
	if err := cfg.Validate(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return cfg, nil
}

func explain(err error) error {
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) && len(strict.Errors) > 0 {
		return fmt.Errorf("unknown key %q", strings.Join(strict.Errors[0].Key(), "."))
	}
	return err
}

// Validate says which value cannot be.
func (c Config) Validate() error {
	if len(c.Chain.Endpoints) == 0 {
		return errors.New("chain.endpoints is empty: name at least one RPC endpoint")
	}
	for _, check := range []struct {
		name    string
		value   time.Duration
		lo, top time.Duration
	}{
		{"chain.poll_interval", c.Chain.PollInterval.D(), 100 * time.Millisecond, time.Minute},
		{"placements.stop_grace", c.Placements.StopGrace.D(), 0, 10 * time.Minute},
		{"placements.sample_every", c.Placements.SampleEvery.D(), 100 * time.Millisecond, 10 * time.Second},
		{"placements.persist_every", c.Placements.PersistEvery.D(), 100 * time.Millisecond, time.Minute},
	} {
		if check.value < check.lo || check.value > check.top {
			return fmt.Errorf("%s is %s, want %s to %s", check.name, check.value, check.lo, check.top)
		}
	}
	if err := c.Offer.Validate(); err != nil {
		return err
	}
	if c.Placements.Parallel < 1 || c.Placements.Parallel > 64 {
		return fmt.Errorf("placements.parallel is %d, want 1 to 64", c.Placements.Parallel)
	}
	if c.Placements.MaxFailures < 1 || c.Placements.MaxFailures > 1000 {
		return fmt.Errorf("placements.max_failures is %d, want 1 to 1000", c.Placements.MaxFailures)
	}
	if c.Fees.GasAdjustment < 1 || c.Fees.GasAdjustment > 10 {
		return fmt.Errorf("fees.gas_adjustment is %g, want 1 to 10", c.Fees.GasAdjustment)
	}
	if c.Engine.Host == "" {
		return errors.New("engine.host is empty: name Docker's socket")
	}
	if err := c.Accelerators.validate(); err != nil {
		return err
	}
	if err := c.Cloud.validate(); err != nil {
		return err
	}
	if c.Metrics.Listen != "" {
		if _, _, err := net.SplitHostPort(c.Metrics.Listen); err != nil {
			return fmt.Errorf("metrics.listen: %w", err)
		}
	}
	if c.Measuring.Listen != "" {
		if _, _, err := net.SplitHostPort(c.Measuring.Listen); err != nil {
			return fmt.Errorf("measuring.listen: %w", err)
		}
	}
	if n := c.Network; n.PortFirst < 1024 || n.PortLast < n.PortFirst {
		return fmt.Errorf("network.port_first and port_last are %d and %d: want a range of ports above 1023", n.PortFirst, n.PortLast)
	}
	if a := c.Network.PublishedAddress; strings.ContainsAny(a, " /") || len(a) > 253 {
		return fmt.Errorf("network.published_address %q is not a host name or IP", a)
	}
	return c.Log.validate()
}

func (a Accelerators) validate() error {
	names := map[string]bool{"nvidia": true, "amd": true, "opencl": true}
	for _, file := range a.Plugins {
		if !filepath.IsAbs(file) || filepath.Clean(file) != file {
			return fmt.Errorf("accelerators.plugins: %q is not the whole path of an executable", file)
		}
		if name := filepath.Base(file); names[name] {
			return fmt.Errorf("accelerators.plugins: a source is called %q already; give the file another name", name)
		}
		names[filepath.Base(file)] = true
	}
	return nil
}

func (l Log) validate() error {
	switch l.Level {
	case "debug", "info", "warn", "error":
	default:
		return fmt.Errorf("log.level %q is none of debug, info, warn, error", l.Level)
	}
	if l.Format != "text" && l.Format != "json" {
		return fmt.Errorf("log.format %q is neither text nor json", l.Format)
	}
	return nil
}

// Duration is a time.Duration written as people write it: "1s", "5m".
type Duration time.Duration

// D is the duration itself.
func (d Duration) D() time.Duration { return time.Duration(d) }

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// Share is a part of a whole in percent, written "60%".
type Share uint32

// ParseShare reads "60%" or "60".
func ParseShare(s string) (Share, error) {
	n, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(s), "%"), 10, 32)
	if err != nil || n < 1 || n > 100 {
		return 0, fmt.Errorf("share %q: want 1%% to 100%%", s)
	}
	return Share(n), nil
}

// Of is the share of a quantity, rounded down.
func (s Share) Of(quantity uint64) uint64 { return quantity/100*uint64(s) + quantity%100*uint64(s)/100 }

// String is "60%".
func (s Share) String() string { return strconv.FormatUint(uint64(s), 10) + "%" }

// MarshalText implements encoding.TextMarshaler.
func (s Share) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Share) UnmarshalText(text []byte) error {
	v, err := ParseShare(string(text))
	*s = v
	return err
}

// Home is the folder of one worker.
type Home string

// DefaultHome is ~/.isun-worker.
func DefaultHome() Home {
	dir, err := os.UserHomeDir()
	if err != nil {
		dir = "." // no home: the working folder is the least surprising
	}
	return Home(filepath.Join(dir, ".isun-worker"))
}

// Create makes the folder, for its owner only: it will hold a key.
func (h Home) Create() error {
	if err := os.MkdirAll(string(h), 0o700); err != nil {
		return fmt.Errorf("create the worker's home: %w", err)
	}
	return nil
}

// Config is the config file.
func (h Home) Config() string { return h.path("config.toml") }

// AgentKey is the agent's private key.
func (h Home) AgentKey() string { return h.path("agent_key.json") }

// Node is who this worker is on the chain, written by join.
func (h Home) Node() string { return h.path("node.json") }

// Report is the full benchmark report whose digest is on the chain.
func (h Home) Report() string { return h.path("report.json") }

// Journal is the database of usage and intents.
func (h Home) Journal() string { return h.path("journal.db") }

// Socket is where a running agent answers status, pause and resume.
func (h Home) Socket() string { return h.path("worker.sock") }

// Paused exists while the owner has paused the worker.
func (h Home) Paused() string { return h.path("paused") }

// Lock is held by the running agent.
func (h Home) Lock() string { return h.path("worker.lock") }

// Data is the folder of placements' data, unless the config names another.
func (h Home) Data(cfg Config) string {
	if cfg.Placements.DataDir != "" {
		return cfg.Placements.DataDir
	}
	return h.path("placements")
}

func (h Home) path(name string) string { return filepath.Join(string(h), name) }
