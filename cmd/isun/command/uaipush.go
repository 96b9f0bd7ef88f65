package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/client/chain"
	"github.com/isuncoin/isuncoin/client/tenant"
	"github.com/isuncoin/isuncoin/uai"
	cloudclient "github.com/isuncoin/isuncoin/worker/cloud/client"
	"github.com/isuncoin/isuncoin/worker/cloud/peer"
)

// pushed is what uai push prints as JSON.
type pushed struct {
	imageSent
	SizeBytes int64    `json:"size_bytes"`
	Holders   []string `json:"holders"`
	// Private is true for an image whose layers are encrypted; KeyHolders are the nodes that have shares of its key, of which
	// Threshold give it back.
	Private    bool     `json:"private,omitempty"`
	KeyHolders []string `json:"key_holders,omitempty"`
	Threshold  uint32   `json:"threshold,omitempty"`
}

// pushFlags are those of uai push.
type pushFlags struct {
	publishFlags
	replicas int
	private  bool
	sharing  cloudclient.Sharing
}

func (c *commands) uaiPush() *cobra.Command {
	f := &pushFlags{}
	cmd := &cobra.Command{
		Use:   "push [NAME:TAG]",
		Short: "Bring an image into iSunCloud and publish it",
		Long: `Bring an image into iSunCloud and publish it under your address.

Nodes of as many operators as the chain asks for take the image from this machine, check
every byte and say on the chain that they hold it; only then is it published. Layers that
a node has already are not sent again. A push that was interrupted goes on where it was
when it is given again.

Name and needs are what the image says of itself; flags go before that, as for publish.

With --private its layers are encrypted before they leave this machine, with a key from
the keyring in --home, and nobody but you may run it until you grant that. The key is
split among nodes, which give it to those that run the image for you or for whom you
granted it. What the image says of itself, its environment and the sizes of its layers
are not hidden.`,
		Example: `  isun uai push --layout site.tar
  isun uai push hello:1 --private
  isun uai push hello:1 --layout build/hello --suns 0.2 --port web:http:8080`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !f.private && (cmd.Flags().Changed("holders") || cmd.Flags().Changed("threshold")) {
				return errors.New("--holders and --threshold are for images that are --private")
			}
			return c.runPush(cmd.Context(), f, strings.Join(args, ""))
		},
	}
	f.addDescription(cmd)
	cmd.Flags().IntVar(&f.replicas, "replicas", 0, "how many nodes are to hold it (default: as the chain asks)")
	cmd.Flags().BoolVar(&f.private, "private", false, "encrypt its layers, and let only whom you grant it run it")
	addSharing(cmd, &f.sharing)
	return cmd
}

func (c *commands) runPush(ctx context.Context, f *pushFlags, text string) error {
	if f.layout == "" { // what is pushed has to be on this machine
		f.layout, f.which = c.storeDir(), text
	}
	d, err := c.describe(ctx, &f.publishFlags, text)
	if err != nil {
		return err
	}
	s, err := c.open(ctx, true)
	if err != nil {
		return err
	}
	defer s.end()
	if err := s.checkOwner(d.config); err != nil {
		return err
	}
	question := "Push it, and publish it for good"
	if f.private {
		question = "Encrypt and push it, and publish it for good"
	}
	if err := c.confirm(ctx, question, describeImage(d.name, d.image)...); err != nil {
		return err
	}
	answer, err := s.pushImage(ctx, f, d)
	if err != nil {
		return err
	}
	return c.print(answer, func() error { return c.writePushed(answer) })
}

func (s *session) pushImage(ctx context.Context, f *pushFlags, d described) (pushed, error) {
	if f.private {
		return s.pushPrivate(ctx, f, d)
	}
	if err := refuseSealed(f.layout, uai.Digest(d.image.Digest)); err != nil {
		return pushed{}, err
	}
	holders, size, err := s.pushLayout(ctx, f.layout, uai.Digest(d.image.Digest), f.replicas)
	if err != nil {
		return pushed{}, err
	}
	sent, err := s.publishOnce(ctx, d)
	return pushed{imageSent: sent, SizeBytes: size, Holders: nodeNames(holders)}, err
}

// pushPrivate pushes a copy whose layers are encrypted. Its name and the holders of its key go to the chain together, so that
// nobody orders an image that no node could open.
func (s *session) pushPrivate(ctx context.Context, f *pushFlags, d described) (pushed, error) {
	if d.image.Reference != "" {
		return pushed{}, errors.New("--reference says where everybody has the image: a private one is in iSunCloud alone")
	}
	ref, err := s.client.ImageRef(d.name)
	if err != nil {
		return pushed{}, err
	}
	unlock, err := s.lockPrivate()
	if err != nil {
		return pushed{}, err
	}
	defer unlock()
	made, err := s.seal(ctx, f.layout, d.image, ref)
	if err != nil {
		return pushed{}, err
	}
	d.image.Digest, d.image.SizeBytes, d.image.Restricted = made.digest.String(), made.size, true
	holders, size, err := s.pushLayout(ctx, made.dir, made.digest, f.replicas)
	if err != nil {
		return pushed{}, err
	}
	split, err := s.splitKey(ctx, made.identity, made.subject, f.sharing)
	if err != nil {
		return pushed{}, err
	}
	owner, err := s.client.Address()
	if err != nil {
		return pushed{}, err
	}
	sent, err := s.publishOnce(ctx, d, split.Message(owner))
	if err != nil {
		return pushed{}, err
	}
	keys, err := s.imageKeys(ctx, ref) // of an earlier push, if that published it
	if err != nil {
		return pushed{}, err
	}
	answer := pushed{imageSent: sent, SizeBytes: size, Holders: nodeNames(holders), Private: true, Threshold: keys.Threshold}
	for _, n := range keys.Nodes {
		answer.KeyHolders = append(answer.KeyHolders, n.Node)
	}
	return answer, made.done()
}

func (c *commands) writePushed(p pushed) error {
	err := c.say("%s is published and held by %s; order it with `isun deploy %s`", p.Image, strings.Join(p.Holders, ", "), p.Image)
	if err != nil || !p.Private {
		return err
	}
	return c.say("It is private: %d of %s give its key to nodes that run it, and only you may run it; "+
		"`isun uai access %s --grant ADDRESS` lets others", p.Threshold, strings.Join(p.KeyHolders, ", "), p.Image)
}

// publishOnce publishes, unless an earlier push that was interrupted did.
func (s *session) publishOnce(ctx context.Context, d described, also ...sdk.Msg) (imageSent, error) {
	name, tag, _ := strings.Cut(d.name, ":")
	sent, ref, err := s.client.Publish(ctx, name, tag, d.image, also...)
	if err == nil {
		return imageSent{Image: ref, Digest: d.image.Digest, Sent: sent}, nil
	}
	known, findErr := s.client.ImageRef(d.name)
	if findErr != nil {
		return imageSent{}, err
	}
	if there, findErr := s.client.Image(ctx, known); findErr == nil && there.Digest == d.image.Digest {
		return imageSent{Image: known, Digest: there.Digest, Sent: tenant.Sent{Height: there.Height}}, nil
	}
	return imageSent{}, err
}

// openPushed opens an image's blobs for nodes to read. An archive is unpacked
// first: it cannot be read at several places at once.
func openPushed(ctx context.Context, path string, digest uai.Digest) (*cloudclient.LayoutLibrary, func(), error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	remove := func() {}
	if !info.IsDir() {
		dir, err := os.MkdirTemp("", "isun-push-")
		if err != nil {
			return nil, nil, fmt.Errorf("unpack %s: %w", path, err)
		}
		remove = func() { _ = os.RemoveAll(dir) } // nothing in it is needed any more
		if err := unpackLayout(ctx, path, digest, dir); err != nil {
			remove()
			return nil, nil, fmt.Errorf("unpack %s: %w", path, err)
		}
		path = dir
	}
	library, err := cloudclient.OpenLayout(path)
	if err != nil {
		remove()
		return nil, nil, err
	}
	return library, func() { _ = library.Close(); remove() }, nil
}

func unpackLayout(ctx context.Context, path string, digest uai.Digest, dir string) error {
	layout, err := uai.Open(path)
	if err != nil {
		return err
	}
	defer layout.Close()
	image, err := layout.Image(digest)
	if err != nil {
		return err
	}
	return uai.Copy(ctx, image, dir, "")
}

// pushLayout has nodes hold an image of a layout.
func (s *session) pushLayout(ctx context.Context, path string, digest uai.Digest, replicas int) ([]cloudclient.Node, int64, error) {
	library, done, err := openPushed(ctx, path, digest)
	if err != nil {
		return nil, 0, err
	}
	defer done()
	return s.push(ctx, library, digest, replicas)
}

// push has nodes hold a root that the library has.
func (s *session) push(ctx context.Context, library *cloudclient.LayoutLibrary, root uai.Digest, replicas int) ([]cloudclient.Node, int64, error) {
	size, err := treeSize(ctx, library, root)
	if err != nil {
		return nil, 0, err
	}
	catalogue := cloudclient.NewCatalogue(s.conn)
	if replicas == 0 {
		if replicas, err = catalogue.Replicas(ctx); err != nil {
			return nil, 0, err
		}
	}
	if replicas < 1 {
		return nil, 0, fmt.Errorf("--replicas is %d: at least one node has to hold it", replicas)
	}
	host, err := s.peer(library, true)
	if err != nil {
		return nil, 0, err
	}
	defer host.Close()
	bar := newPushBar(s.transferBar("pushing"), size, replicas)
	holders, err := cloudclient.Push{
		Root: root, Size: size, Replicas: replicas, Progress: bar.node, Poll: s.streams.Poll,
	}.Do(ctx, catalogue, host)
	bar.bar.clear()
	if chain.IsUnreachable(err) {
		return nil, 0, fmt.Errorf("%w; the nodes keep what they took: push again", err)
	}
	return holders, size, err
}

// pushBar adds up what several nodes took.
type pushBar struct {
	bar   *transferBar
	total int64

	mu   sync.Mutex
	done map[string]int64
}

func newPushBar(bar *transferBar, size int64, replicas int) *pushBar {
	return &pushBar{bar: bar, total: size * int64(replicas), done: map[string]int64{}}
}

func (p *pushBar) node(node string, at peer.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done[node] = at.Done
	var sum int64
	for _, done := range p.done {
		sum += done
	}
	p.bar.set(min(sum, p.total), p.total)
}
