package command

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/spf13/cobra"

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
}

func (c *commands) uaiPush() *cobra.Command {
	f := &publishFlags{}
	var replicas int
	cmd := &cobra.Command{
		Use:   "push [NAME:TAG]",
		Short: "Bring an image into iSunCloud and publish it",
		Long: `Bring an image into iSunCloud and publish it under your address.

Nodes of as many operators as the chain asks for take the image from this machine, check
every byte and say on the chain that they hold it; only then is it published. Layers that
a node has already are not sent again. A push that was interrupted goes on where it was
when it is given again.

Name and needs are what the image says of itself; flags go before that, as for publish.`,
		Example: `  isun uai push --layout site.tar
  isun uai push hello:1 --layout build/hello --suns 0.2 --port web:http:8080`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.runPush(cmd.Context(), f, strings.Join(args, ""), replicas)
		},
	}
	f.addDescription(cmd)
	cmd.Flags().IntVar(&replicas, "replicas", 0, "how many nodes are to hold it (default: as the chain asks)")
	return cmd
}

func (c *commands) runPush(ctx context.Context, f *publishFlags, text string, replicas int) error {
	if f.layout == "" { // what is pushed has to be on this machine
		f.layout, f.which = c.storeDir(), text
	}
	d, err := c.describe(ctx, f, text)
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
	if err := c.confirm(ctx, "Push it, and publish it for good", describeImage(d.name, d.image)...); err != nil {
		return err
	}
	library, done, err := openPushed(ctx, f.layout, uai.Digest(d.image.Digest))
	if err != nil {
		return err
	}
	defer done()
	holders, size, err := s.push(ctx, library, uai.Digest(d.image.Digest), replicas)
	if err != nil {
		return err
	}
	sent, err := s.publishOnce(ctx, d)
	if err != nil {
		return err
	}
	answer := pushed{imageSent: sent, SizeBytes: size, Holders: nodeNames(holders)}
	return c.print(answer, func() error {
		return c.say("%s is published and held by %s; order it with `isun deploy %s`", sent.Image, strings.Join(answer.Holders, ", "), sent.Image)
	})
}

// publishOnce publishes, unless an earlier push that was interrupted did.
func (s *session) publishOnce(ctx context.Context, d described) (imageSent, error) {
	name, tag, _ := strings.Cut(d.name, ":")
	sent, ref, err := s.client.Publish(ctx, name, tag, d.image)
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
