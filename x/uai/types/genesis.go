package types

import (
	"bytes"

	"cosmossdk.io/collections"
	"cosmossdk.io/collections/codec"
)

// DefaultGenesis is the genesis of a new chain: no images.
func DefaultGenesis() *GenesisState { return &GenesisState{Params: DefaultParams()} }

// Validate returns ErrInvalidGenesis with the first thing that is wrong. Every list stands in the order of its keys, each
// entry once, so that an export is what was imported. Images and objects are held to the limits of the format, not to the
// params: governance may have lowered those since they were published.
func (g GenesisState) Validate() error {
	if err := g.Params.Validate(); err != nil {
		return ErrInvalidGenesis.Wrapf("params: %s", err)
	}
	for _, check := range []func() error{
		g.validateImages, g.validateAccess, g.validateObjects, g.validateContents, g.validateHoldings,
		g.validateKeyHolders,
	} {
		if err := check(); err != nil {
			return ErrInvalidGenesis.Wrap(err.Error())
		}
	}
	return nil
}

func (g GenesisState) validateImages() error {
	keys := inOrder[ImageKey]{name: "image", codec: ImageKeyCodec}
	for _, image := range g.Images {
		if err := image.Validate(); err != nil {
			return err
		}
		if err := keys.next(image.ID().Key()); err != nil {
			return err
		}
	}
	return nil
}

func (g GenesisState) validateAccess() error {
	images := make(map[string]bool, len(g.Images))
	for _, image := range g.Images {
		images[image.Ref()] = true
	}
	keys := inOrder[AccessKey]{name: "access", codec: AccessKeyCodec}
	for _, grant := range g.Access {
		if err := keys.next(grant.Key()); err != nil {
			return err
		}
		if !images[grant.Image] {
			return ErrImageNotFound.Wrapf("access to %s", grant.Image)
		}
	}
	return nil
}

func (g GenesisState) validateObjects() error {
	keys := inOrder[ObjectKey]{name: "object", codec: ObjectKeyCodec}
	for _, object := range g.Objects {
		if err := object.Validate(); err != nil {
			return err
		}
		if err := keys.next(object.Key()); err != nil {
			return err
		}
	}
	return nil
}

// validateContents holds the counts to what images and objects name. The rest is the snapshots of x/lease, which counts them.
func (g GenesisState) validateContents() error {
	own := g.OwnReferences()
	keys := inOrder[[]byte]{name: "content", codec: DigestCodec}
	for _, content := range g.Contents {
		if err := content.References.Validate(); err != nil {
			return err
		}
		if err := keys.next(ParseDigest(content.Digest)); err != nil {
			return err
		}
		if content.References.References < own[content.Digest] {
			return ErrNotReferenced.Wrapf("%s has %d references, %d images and objects name it",
				content.Digest, content.References.References, own[content.Digest])
		}
		delete(own, content.Digest)
	}
	if len(own) > 0 {
		return ErrNotReferenced.Wrapf("%d contents of images and objects are not counted", len(own))
	}
	return nil
}

// OwnReferences counts the images and objects that name each digest.
func (g GenesisState) OwnReferences() map[string]uint64 {
	own := make(map[string]uint64, len(g.Images)+len(g.Objects))
	for _, image := range g.Images {
		own[image.Digest]++
	}
	for _, object := range g.Objects {
		own[object.Digest]++
	}
	return own
}

func (g GenesisState) validateHoldings() error {
	keys := inOrder[HoldingKey]{name: "holding", codec: HoldingKeyCodec}
	for _, holding := range g.Holdings {
		if err := keys.next(holding.Key()); err != nil {
			return err
		}
	}
	return nil
}

// inOrder takes the keys of a list and refuses one that is there twice or out of order.
type inOrder[K any] struct {
	name     string
	codec    codec.KeyCodec[K]
	count    int
	previous []byte
}

func (o *inOrder[K]) next(key K, err error) error {
	if err != nil {
		return err
	}
	encoded, err := collections.EncodeKeyWithPrefix(nil, o.codec, key)
	if err != nil {
		return err
	}
	if o.count > 0 && bytes.Compare(o.previous, encoded) >= 0 {
		return ErrInvalidRequest.Wrapf("%s %d, %s, is there twice or out of order", o.name, o.count, o.codec.Stringify(key))
	}
	o.previous, o.count = encoded, o.count+1
	return nil
}
