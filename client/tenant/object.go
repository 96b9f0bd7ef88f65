package tenant

import (
	"context"
	"fmt"
	"strings"

	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/isuncoin/isuncoin/client/chain"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// Object is content that somebody keeps in iSunCloud under a name, as scripts see it.
type Object struct {
	// Object is owner/name.
	Object string `json:"object"`
	Owner  string `json:"owner"`
	Name   string `json:"name"`
	Digest string `json:"digest"`
	// SizeBytes is that of everything which is kept, as the owner says.
	SizeBytes uint64 `json:"size_bytes"`
	// Height is the block that put it there, or replaced it last.
	Height int64 `json:"height"`
}

// ObjectRef completes an object's name: one without an owner's address before it is the signer's own.
func (c *Client) ObjectRef(s string) (owner, name string, err error) {
	owner, name, ok := strings.Cut(s, "/")
	if _, err := uaitypes.NewObjectKey(owner, name); ok && err == nil {
		return owner, name, nil
	}
	if owner, err = c.Address(); err != nil {
		return "", "", fmt.Errorf("object %q: whose? %w, or write owner/%s", s, err, s)
	}
	_, err = uaitypes.NewObjectKey(owner, s)
	return owner, s, err
}

// Object looks at an object. chain.IsNotFound tells that there is none.
func (c *Client) Object(ctx context.Context, owner, name string) (Object, error) {
	res, err := c.conn.UAI().Object(ctx, &uaitypes.QueryObjectRequest{Owner: owner, Name: name})
	if chain.IsNotFound(err) {
		return Object{}, fmt.Errorf("%w (`isun store ls` lists what is stored)", err)
	}
	if err != nil {
		return Object{}, fmt.Errorf("object %s/%s: %w", owner, name, err)
	}
	return newObject(res.Object), nil
}

// Objects lists an owner's objects, at most limit; 0 is all.
func (c *Client) Objects(ctx context.Context, owner string, limit int) ([]Object, error) {
	objects := []Object{}
	err := pages(limit, func(page *query.PageRequest) (*query.PageResponse, int, error) {
		res, err := c.conn.UAI().Objects(ctx, &uaitypes.QueryObjectsRequest{Owner: owner, Pagination: page})
		if err != nil {
			return nil, 0, fmt.Errorf("objects of %s: %w", owner, err)
		}
		for _, o := range res.Objects {
			objects = append(objects, newObject(o))
		}
		return res.Pagination, len(res.Objects), nil
	})
	return objects, err
}

// PutObject has iSunCloud keep content under a name of the signer's, in place of what stood there.
func (c *Client) PutObject(ctx context.Context, name, digest string, sizeBytes uint64) (Sent, error) {
	owner, err := c.Address()
	if err != nil {
		return Sent{}, err
	}
	result, err := c.send(ctx, &uaitypes.MsgPutObject{Owner: owner, Name: name, Digest: digest, SizeBytes: sizeBytes})
	if err != nil {
		return Sent{}, fmt.Errorf("storing %s: %w", name, err)
	}
	return Sent{Tx: result.Hash, Height: result.Height}, nil
}

// RemoveObject ends that an object of the signer's is kept.
func (c *Client) RemoveObject(ctx context.Context, name string) (Sent, error) {
	owner, err := c.Address()
	if err != nil {
		return Sent{}, err
	}
	result, err := c.send(ctx, &uaitypes.MsgRemoveObject{Owner: owner, Name: name})
	if err != nil {
		return Sent{}, fmt.Errorf("removing %s: %w", name, err)
	}
	return Sent{Tx: result.Hash, Height: result.Height}, nil
}

func newObject(o uaitypes.Object) Object {
	return Object{
		Object: o.Owner + "/" + o.Name, Owner: o.Owner, Name: o.Name, Digest: o.Digest, SizeBytes: o.SizeBytes, Height: o.CreatedHeight,
	}
}
