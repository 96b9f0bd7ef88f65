package tenant

import (
	"context"
	"fmt"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/isuncoin/isuncoin/client/chain"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// Image is a published image, as scripts see it.
type Image struct {
	Image     string   `json:"image"`
	Owner     string   `json:"owner"`
	Digest    string   `json:"digest"`
	SizeBytes uint64   `json:"size_bytes"`
	Platforms []string `json:"platforms"`
	Demand    Demand   `json:"demand"`
	Ports     []Port   `json:"ports"`
	Health    *Health  `json:"health,omitempty"`
	Volumes   []Volume `json:"volumes"`
	Licence   string   `json:"licence,omitempty"`
	// Royalty is in uisc per hour.
	Royalty   uint64 `json:"royalty_uisc,string"`
	Reference string `json:"reference,omitempty"`
	// Restricted images may be ordered by their owner, and by whom the owner granted it, alone.
	Restricted bool   `json:"restricted,omitempty"`
	Status     string `json:"status"`
	Height     int64  `json:"height"`
}

// Port is what an image listens on.
type Port struct {
	Name          string `json:"name"`
	Protocol      string `json:"protocol"`
	ContainerPort uint32 `json:"container_port"`
}

// Volume is storage that an image wants.
type Volume struct {
	Name    string `json:"name"`
	Path    string `json:"path"`
	SizeMiB uint64 `json:"size_mib"`
	// Class is "scratch" for one that goes with its placement; empty for one that is saved and restored.
	Class string `json:"class,omitempty"`
}

// Health says how to see that a container works.
type Health struct {
	Kind               string   `json:"kind"`
	Port               string   `json:"port,omitempty"`
	Path               string   `json:"path,omitempty"`
	Command            []string `json:"command,omitempty"`
	IntervalSeconds    uint32   `json:"interval_seconds"`
	TimeoutSeconds     uint32   `json:"timeout_seconds"`
	Retries            uint32   `json:"retries"`
	StartPeriodSeconds uint32   `json:"start_period_seconds"`
}

// image asks for an image as the chain has it.
func (c *Client) image(ctx context.Context, ref string) (uaitypes.Image, error) {
	id, err := uaitypes.ParseImageID(ref)
	if err != nil {
		return uaitypes.Image{}, fmt.Errorf("image: %w", err)
	}
	res, err := c.conn.UAI().Image(ctx, &uaitypes.QueryImageRequest{Publisher: id.Publisher, Name: id.Name, Tag: id.Tag})
	if chain.IsNotFound(err) {
		// The chain's error names the image.
		return uaitypes.Image{}, fmt.Errorf("%w (`isun uai ls` lists what is published)", err)
	}
	if err != nil {
		return uaitypes.Image{}, fmt.Errorf("image %s: %w", ref, err)
	}
	return res.Image, nil
}

// Image looks at an image.
func (c *Client) Image(ctx context.Context, ref string) (Image, error) {
	image, err := c.image(ctx, ref)
	if err != nil {
		return Image{}, err
	}
	return newImage(image), nil
}

// Images lists published images, at most limit: all, or those of one publisher or of one owner.
func (c *Client) Images(ctx context.Context, publisher, owner string, limit int) ([]Image, error) {
	images := []Image{}
	err := pages(limit, func(page *query.PageRequest) (*query.PageResponse, int, error) {
		res, err := c.conn.UAI().Images(ctx, &uaitypes.QueryImagesRequest{Publisher: publisher, Owner: owner, Pagination: page})
		if err != nil {
			return nil, 0, fmt.Errorf("images: %w", err)
		}
		for _, image := range res.Images {
			images = append(images, newImage(image))
		}
		return res.Pagination, len(res.Images), nil
	})
	return images, err
}

// Publish publishes an image under the signer's address; its Image and Owner do not count. It gives the image's name. Other
// messages go with it: the chain takes all or none.
func (c *Client) Publish(ctx context.Context, name, tag string, image Image, also ...sdk.Msg) (Sent, string, error) {
	publisher, err := c.Address()
	if err != nil {
		return Sent{}, "", err
	}
	msg := image.publish(publisher, name, tag)
	if err := uaitypes.NewImage(msg, 0).Validate(); err != nil {
		return Sent{}, "", err
	}
	result, err := c.send(ctx, append([]sdk.Msg{msg}, also...)...)
	if err != nil {
		return Sent{}, "", fmt.Errorf("publishing %s:%s: %w", name, tag, err)
	}
	return Sent{Tx: result.Hash, Height: result.Height}, publisher + "/" + name + ":" + tag, nil
}

// Deprecate ends new leases of an image; the signer owns it.
func (c *Client) Deprecate(ctx context.Context, ref string) (Sent, error) {
	owner, err := c.Address()
	if err != nil {
		return Sent{}, err
	}
	result, err := c.send(ctx, &uaitypes.MsgDeprecateImage{Owner: owner, Image: ref})
	if err != nil {
		return Sent{}, fmt.Errorf("deprecating %s: %w", ref, err)
	}
	return Sent{Tx: result.Hash, Height: result.Height}, nil
}

func (i Image) publish(publisher, name, tag string) *uaitypes.MsgPublishImage {
	msg := &uaitypes.MsgPublishImage{
		Publisher: publisher, Name: name, Tag: tag, Digest: i.Digest, SizeBytes: i.SizeBytes, Platforms: i.Platforms,
		Demand: i.Demand.Proto(), Licence: i.Licence, Royalty: i.Royalty, Reference: i.Reference,
		Restricted: i.Restricted,
	}
	for _, p := range i.Ports {
		msg.Ports = append(msg.Ports, uaitypes.Port{Name: p.Name, Protocol: p.Protocol, ContainerPort: p.ContainerPort})
	}
	for _, v := range i.Volumes {
		msg.Volumes = append(msg.Volumes, uaitypes.Volume{Name: v.Name, Path: v.Path, SizeMiB: v.SizeMiB, Class: v.Class})
	}
	if h := i.Health; h != nil {
		msg.Health = &uaitypes.HealthCheck{
			Kind: h.Kind, Port: h.Port, Path: h.Path, Command: h.Command, IntervalSeconds: h.IntervalSeconds,
			TimeoutSeconds: h.TimeoutSeconds, Retries: h.Retries, StartPeriodSeconds: h.StartPeriodSeconds,
		}
	}
	return msg
}

func newImage(i uaitypes.Image) Image {
	view := Image{
		Image: i.Ref(), Owner: i.Owner, Digest: i.Digest, SizeBytes: i.SizeBytes, Platforms: i.Platforms,
		Demand: newDemand(i.Demand), Licence: i.Licence, Royalty: i.Royalty, Reference: i.Reference,
		Restricted: i.Restricted, Status: statusName(i.Status.String()), Height: i.PublishedHeight,
		Ports: make([]Port, 0, len(i.Ports)), Volumes: make([]Volume, 0, len(i.Volumes)),
	}
	for _, p := range i.Ports {
		view.Ports = append(view.Ports, Port{Name: p.Name, Protocol: p.Protocol, ContainerPort: p.ContainerPort})
	}
	for _, v := range i.Volumes {
		view.Volumes = append(view.Volumes, Volume{Name: v.Name, Path: v.Path, SizeMiB: v.SizeMiB, Class: v.Class})
	}
	if h := i.Health; h != nil {
		view.Health = &Health{
			Kind: h.Kind, Port: h.Port, Path: h.Path, Command: h.Command, IntervalSeconds: h.IntervalSeconds,
			TimeoutSeconds: h.TimeoutSeconds, Retries: h.Retries, StartPeriodSeconds: h.StartPeriodSeconds,
		}
	}
	return view
}
