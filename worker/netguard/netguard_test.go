package netguard_test

import (
	"context"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/netguard"
)

// fakeTables is a packet filter in memory that knows the commands a guard
// uses, and records them.
type fakeTables struct {
	chains   map[string]map[string][]string // tool -> chain -> rules
	commands []string
	fail     error
	// cannotCount is a kernel that knows no limit of connections.
	cannotCount bool
}

func newFakeTables() *fakeTables {
	return &fakeTables{chains: map[string]map[string][]string{
		"iptables":  {"INPUT": {"-p tcp -j ACCEPT"}, "FORWARD": nil, "DOCKER-USER": {"-j RETURN"}},
		"ip6tables": {"INPUT": nil, "FORWARD": nil},
	}}
}

func (f *fakeTables) Run(_ context.Context, stdin, name string, args ...string) (string, error) {
	f.commands = append(f.commands, name+" "+strings.Join(args, " "))
	if f.fail != nil {
		return "", f.fail
	}
	if tool, ok := strings.CutSuffix(name, "-restore"); ok {
		if f.cannotCount && strings.Contains(stdin, "connlimit") {
			return "", &netguard.ExitError{Command: name, Code: 2, Output: "Couldn't load match `connlimit'"}
		}
		f.restore(f.chains[tool], stdin)
		return "", nil
	}
	no := &netguard.ExitError{Command: name, Code: 1, Output: "No chain/target/match by that name."}
	tables, verb, chain, rest := f.chains[name], args[2], args[3], args[4:]
	rules, exists := tables[chain]
	if !exists {
		return no.Output, no
	}
	switch verb {
	case "-S":
		return "-N " + chain + "\n" + strings.Join(prefixed("-A "+chain+" ", rules), ""), nil
	case "-C":
		if slices.Contains(rules, strings.Join(rest, " ")) {
			return "", nil
		}
		return no.Output, no
	case "-I":
		tables[chain] = slices.Insert(rules, 0, strings.Join(rest[1:], " "))
	case "-D":
		i := slices.Index(rules, strings.Join(rest, " "))
		tables[chain] = slices.Delete(rules, i, i+1)
	case "-F":
		tables[chain] = nil
	case "-X":
		delete(tables, chain)
	}
	return "", nil
}

func (f *fakeTables) restore(tables map[string][]string, input string) {
	for line := range strings.Lines(input) {
		fields := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, ":"):
			tables[fields[0][1:]] = nil
		case strings.HasPrefix(line, "-A "):
			tables[fields[1]] = append(tables[fields[1]], strings.Join(fields[2:], " "))
		}
	}
}

func prefixed(prefix string, rules []string) []string {
	var out []string
	for _, r := range rules {
		out = append(out, prefix+r+"\n")
	}
	return out
}

func newGuard(t *testing.T, tables *fakeTables, change ...func(*netguard.Config)) *netguard.Guard {
	cfg := netguard.Config{
		Runner:  tables,
		IPv6:    func() bool { return true },
		Bridges: func() ([]string, error) { return []string{"lo", "eth0", "docker0"}, nil },
	}
	for _, c := range change {
		c(&cfg)
	}
	g, err := netguard.New(cfg)
	require.NoError(t, err)
	return g
}

func TestInstallCheckRemove(t *testing.T) {
	tables := newFakeTables()
	before := newFakeTables().chains
	g := newGuard(t, tables)

	problems, err := g.Check(t.Context())
	require.NoError(t, err)
	require.Len(t, problems, 4, "two chains in two families")

	require.NoError(t, g.Install(t.Context()))
	problems, err = g.Check(t.Context())
	require.NoError(t, err)
	require.Empty(t, problems)
	require.Equal(t, []string{"-i isun+ -j ISUN-INPUT", "-p tcp -j ACCEPT"}, tables.chains["iptables"]["INPUT"],
		"ours comes before what lets packets in")
	require.Equal(t, []string{"-i isun+ -j ISUN-FORWARD", "-j RETURN"}, tables.chains["iptables"]["DOCKER-USER"])

	forward := tables.chains["iptables"]["ISUN-FORWARD"]
	require.Equal(t, "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN", forward[0])
	require.Equal(t, "-o isun+ -j DROP", forward[1])
	require.Contains(t, forward, "-d 169.254.0.0/16 -j REJECT --reject-with icmp-net-prohibited")

	once := snapshot(tables)
	require.NoError(t, g.Install(t.Context()))
	require.Equal(t, once, snapshot(tables), "installing twice changes nothing")

	require.NoError(t, g.Remove(t.Context()))
	require.Equal(t, before["iptables"], tables.chains["iptables"])
	require.NoError(t, g.Remove(t.Context()))
}

func TestAKernelThatCannotCountConnectionsStillFences(t *testing.T) {
	tables := newFakeTables()
	tables.cannotCount = true
	g := newGuard(t, tables)
	require.NoError(t, g.Install(t.Context()))
	require.Contains(t, tables.chains["iptables"]["ISUN-FORWARD"], "-o isun+ -j DROP")
	problems, err := g.Check(t.Context())
	require.NoError(t, err)
	require.Contains(t, strings.Join(problems, "\n"), "connlimit-above 4096", "doctor tells")
}

func snapshot(f *fakeTables) map[string][]string {
	out := map[string][]string{}
	for tool, chains := range f.chains {
		for name, rules := range chains {
			out[tool+" "+name] = slices.Clone(rules)
		}
	}
	return out
}

func TestCheckFindsDamageAndInstallMends(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(map[string][]string)
		want   string
	}{
		"a rule is gone": {func(c map[string][]string) { c["ISUN-FORWARD"] = c["ISUN-FORWARD"][1:] }, "ESTABLISHED"},
		"a rule more":    {func(c map[string][]string) { c["ISUN-INPUT"] = append([]string{"-j ACCEPT"}, c["ISUN-INPUT"]...) }, "3 rules"},
		"no jump":        {func(c map[string][]string) { c["INPUT"] = nil }, "INPUT does not lead"},
		"no chain":       {func(c map[string][]string) { delete(c, "ISUN-INPUT"); c["INPUT"] = nil }, "ISUN-INPUT does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			tables := newFakeTables()
			g := newGuard(t, tables)
			require.NoError(t, g.Install(t.Context()))
			c.damage(tables.chains["iptables"])
			problems, err := g.Check(t.Context())
			require.NoError(t, err)
			require.Contains(t, strings.Join(problems, "\n"), c.want)

			require.NoError(t, g.Install(t.Context()))
			problems, err = g.Check(t.Context())
			require.NoError(t, err)
			require.Empty(t, problems)
		})
	}
}

func TestExceptionsAndNeighbours(t *testing.T) {
	tables := newFakeTables()
	g := newGuard(t, tables, func(c *netguard.Config) {
		c.Blocked = []netip.Prefix{netip.MustParsePrefix("203.0.113.7/24"), netip.MustParsePrefix("10.1.0.0/16")}
		c.Allowed = []netip.Prefix{netip.MustParsePrefix("192.168.1.1/32")}
	})
	require.NoError(t, g.Install(t.Context()))
	forward := tables.chains["iptables"]["ISUN-FORWARD"]
	allow := slices.Index(forward, "-d 192.168.1.1/32 -j RETURN")
	deny := slices.Index(forward, "-d 192.168.0.0/16 -j REJECT --reject-with icmp-net-prohibited")
	require.NotEqual(t, -1, allow)
	require.Less(t, allow, deny)
	require.Contains(t, forward, "-d 203.0.113.0/24 -j REJECT --reject-with icmp-net-prohibited")
	require.NotContains(t, strings.Join(forward, "\n"), "10.1.0.0/16", "10.0.0.0/8 covers it")
}

func TestRemoveWhileInUse(t *testing.T) {
	tables := newFakeTables()
	g := newGuard(t, tables, func(c *netguard.Config) {
		c.Bridges = func() ([]string, error) { return []string{"isun0123456789a"}, nil }
	})
	require.NoError(t, g.Install(t.Context()))
	require.ErrorIs(t, g.Remove(t.Context()), netguard.ErrInUse)
}

func TestUnavailable(t *testing.T) {
	tables := newFakeTables()
	tables.fail = exec.ErrNotFound
	g := newGuard(t, tables)
	err := g.Install(t.Context())
	require.ErrorIs(t, err, netguard.ErrUnavailable)
	require.ErrorContains(t, err, "not installed (package iptables)")

	tables.fail = &netguard.ExitError{Code: 4, Output: "Fatal: can't open lock file: Permission denied"}
	_, err = g.Check(t.Context())
	require.ErrorIs(t, err, netguard.ErrUnavailable)
	require.ErrorContains(t, err, "needs root")

	tables.fail = nil
	delete(tables.chains["iptables"], "DOCKER-USER")
	require.ErrorIs(t, g.Install(t.Context()), netguard.ErrNoDockerChain)
}

func TestNewRefuses(t *testing.T) {
	for _, cfg := range []netguard.Config{
		{BridgePrefix: "a b"},
		{BridgePrefix: "!isun"},
		{Blocked: []netip.Prefix{{}}},
		{Allowed: []netip.Prefix{netip.MustParsePrefix("fd00::/8")}},
	} {
		_, err := netguard.New(cfg)
		require.Error(t, err)
	}
}
