package command

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/cosmos/cosmos-sdk/crypto/keyring"

	"github.com/isuncoin/isuncoin/client/chain"
	"github.com/isuncoin/isuncoin/client/format"
	"github.com/isuncoin/isuncoin/client/tenant"
)

const (
	outputText = "text"
	outputJSON = "json"
)

// defaultKey is the key that is used when the keyring has several and none is named.
const defaultKey = "tenant"

// errInterrupted is a command that Ctrl-C ended while it only waited.
var errInterrupted = errors.New("interrupted")

// session is one run of a command: a connection and the tenant's client.
type session struct {
	*commands
	conn   *chain.Conn
	client *tenant.Client
}

// open connects to the chain, with a key only where one is needed.
func (c *commands) open(ctx context.Context, withKey bool) (*session, error) {
	conn, err := chain.Dial(ctx, chain.Config{
		ChainID: c.flags.chainID, Endpoints: c.flags.nodes, GasPrices: c.flags.gasPrices, PollInterval: c.streams.Poll,
	})
	if err != nil {
		return nil, fmt.Errorf("%w; name a node with --node, or start a chain here with `isunchaind localnet`", err)
	}
	s := &session{commands: c, conn: conn}
	var signer chain.Signer
	if withKey {
		if signer, err = c.signer(conn); err != nil {
			s.end()
			return nil, err
		}
	}
	var opts []tenant.Option
	if c.streams.Poll > 0 {
		opts = append(opts, tenant.WithPoll(c.streams.Poll))
	}
	s.client = tenant.New(conn, signer, opts...)
	return s, nil
}

// end lets the connection go; there is nothing left to lose by then.
func (s *session) end() { _ = s.conn.Close() }

// signer is the key that was named, the keyring's only one, or the one called "tenant".
func (c *commands) signer(conn *chain.Conn) (chain.Signer, error) {
	ring, name, err := c.key(conn)
	if err != nil {
		return nil, err
	}
	return chain.NewKeyringSigner(ring, name)
}

// key finds the key to sign with.
func (c *commands) key(conn *chain.Conn) (ring keyring.Keyring, name string, err error) {
	ring, err = chain.OpenKeyring(chain.KeyringConfig{
		Backend: c.flags.keyringBackend, Home: c.flags.home, Input: c.streams.In,
	}, conn.Codec())
	if err != nil {
		return nil, "", err
	}
	name = c.flags.from
	if name == "" {
		if name, err = onlyKey(ring); err != nil {
			return nil, "", fmt.Errorf("%w (the %s keyring in %s)", err, c.flags.keyringBackend, c.flags.home)
		}
	}
	return ring, name, nil
}

func onlyKey(ring keyring.Keyring) (string, error) {
	records, err := ring.List()
	if err != nil {
		return "", fmt.Errorf("listing keys: %w", err)
	}
	names := make([]string, 0, len(records))
	for _, r := range records {
		if r.Name == defaultKey {
			return defaultKey, nil
		}
		names = append(names, r.Name)
	}
	switch len(names) {
	case 0:
		return "", errors.New("there is no key to sign with: make one with `isunchaind keys add tenant`, and send it some ISC")
	case 1:
		return names[0], nil
	default:
		return "", fmt.Errorf("which key? say --from with one of %s", strings.Join(names, ", "))
	}
}

// json says whether the output is for a program.
func (c *commands) json() bool { return c.flags.output == outputJSON }

// print writes v as JSON, or calls text for a person.
func (c *commands) print(v any, text func() error) error {
	if !c.json() {
		return text()
	}
	encoder := json.NewEncoder(c.streams.Out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	return nil
}

// say writes a line for a person.
func (c *commands) say(text string, args ...any) error {
	if _, err := fmt.Fprintf(c.streams.Out, text+"\n", args...); err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	return nil
}

// confirm shows what will be done and asks whether to. With --yes it asks nothing; where nobody can answer, it refuses.
func (c *commands) confirm(ctx context.Context, question string, details ...string) error {
	if c.flags.yes {
		return nil
	}
	for _, line := range details {
		fmt.Fprintln(c.streams.Err, line)
	}
	if !c.streams.InTerminal {
		return fmt.Errorf("%s? Nobody is there to answer: say --yes", question)
	}
	fmt.Fprintf(c.streams.Err, "%s? [y/N] ", question)
	answer := make(chan string, 1)
	go func() {
		// At the end of the input the answer is what was read so far: no.
		line, _ := bufio.NewReader(c.streams.In).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		return errInterrupted
	case text := <-answer:
		if text == "y" || text == "yes" {
			return nil
		}
		return errors.New("nothing was done")
	}
}

// line shows how waiting goes on. It writes to Err, so the output stays clean.
func (c *commands) line() *format.Line {
	return format.NewLine(c.streams.Err, c.streams.ErrTerminal, c.streams.Width, c.streams.Now)
}
