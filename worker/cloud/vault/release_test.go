package vault

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fakeChain answers from maps.
type fakeChain struct {
	records    map[Subject]Record
	agents     map[string]string
	placements map[string][]Placement
	refused    map[string]bool
	down       error
}

func (c *fakeChain) KeyHolders(_ context.Context, s Subject) (Record, error) {
	r, ok := c.records[s]
	if !ok {
		return r, errors.New("no record")
	}
	return r, c.down
}

func (c *fakeChain) NodeByAgent(_ context.Context, agent string) (string, error) {
	node, ok := c.agents[agent]
	if !ok {
		return "", errors.New("no such agent")
	}
	return node, nil
}

func (c *fakeChain) NodePlacements(_ context.Context, node string, _ Subject) ([]Placement, error) {
	return c.placements[node], c.down
}

func (c *fakeChain) MayRun(_ context.Context, image, account string) error {
	if c.refused[image+" "+account] {
		return errors.New("the image is restricted")
	}
	return nil
}

const asker, askerNode = "isun1agent", "isun1op/9"

func placed(change func(*Placement)) Placement {
	p := Placement{
		Tenant: "isun1tenant", Number: 7, Replica: 1, Generation: 3, Newest: 3,
		Node: askerNode, Live: true, Image: "isun1pub/web:1",
	}
	if change != nil {
		change(&p)
	}
	return p
}

func newReleaser(t *testing.T, placements ...Placement) (*Releaser, *fakeChain, *bytes.Buffer) {
	w := newTown(t, 3, 2)
	image, err := Split(w.identity, "image/isun1pub/web:1", 2, w.holders)
	require.NoError(t, err)
	chain := &fakeChain{
		records:    map[Subject]Record{testLease: w.record, image.Subject: image},
		agents:     map[string]string{asker: askerNode},
		placements: map[string][]Placement{askerNode: placements},
		refused:    map[string]bool{},
	}
	var log bytes.Buffer
	return NewReleaser(ReleaserConfig{
		Node: "isun1op/1", Key: w.keys["isun1op/1"], Chain: chain, Log: slog.New(slog.NewTextHandler(&log, nil)),
	}), chain, &log
}

func TestAShareGoesToTheNodeOfTheNewestPlacementAndIsLogged(t *testing.T) {
	for _, subject := range []Subject{testLease, "image/isun1pub/web:1"} {
		r, chain, log := newReleaser(t, placed(nil))
		raw, err := r.Release(t.Context(), asker, subject)
		require.NoError(t, err)
		share, err := ParseShare(raw)
		require.NoError(t, err)
		require.NoError(t, chain.records[subject].Check("isun1op/1", share))
		require.Contains(t, log.String(), "released")
		require.Contains(t, log.String(), asker)
	}
}

func TestAShareGoesToNobodyElse(t *testing.T) {
	for name, c := range map[string]struct {
		subject Subject
		change  func(*Placement)
	}{
		"another lease":          {testLease, func(p *Placement) { p.Number = 8 }},
		"another tenant":         {testLease, func(p *Placement) { p.Tenant = "isun1other" }},
		"an ended placement":     {testLease, func(p *Placement) { p.Live = false }},
		"an older generation":    {testLease, func(p *Placement) { p.Newest = 4 }},
		"another node's":         {testLease, func(p *Placement) { p.Node = "isun1op/8" }},
		"another image":          {"image/isun1pub/web:1", func(p *Placement) { p.Image = "isun1pub/web:2" }},
		"an image, ended":        {"image/isun1pub/web:1", func(p *Placement) { p.Live = false }},
		"an image, older":        {"image/isun1pub/web:1", func(p *Placement) { p.Newest = 4 }},
		"a lease as an image":    {"image/isun1tenant/7:1", nil},
		"an object of the owner": {"object/isun1tenant/7", nil},
	} {
		r, _, log := newReleaser(t, placed(c.change))
		_, err := r.Release(t.Context(), asker, c.subject)
		require.ErrorIs(t, err, ErrNotEntitled, name)
		require.Contains(t, log.String(), "refused", name)
	}

	r, chain, _ := newReleaser(t, placed(nil))
	_, err := r.Release(t.Context(), "isun1stranger", testLease)
	require.ErrorIs(t, err, ErrNotEntitled)
	chain.refused["isun1pub/web:1 isun1tenant"] = true
	_, err = r.Release(t.Context(), asker, "image/isun1pub/web:1")
	require.ErrorIs(t, err, ErrNotEntitled)
	_, err = r.Release(t.Context(), asker, "lease/../7")
	require.ErrorIs(t, err, ErrRecord)
}

func TestOneEntitlingPlacementAmongOthersIsEnough(t *testing.T) {
	r, _, _ := newReleaser(t,
		placed(func(p *Placement) { p.Newest = 4 }),
		placed(func(p *Placement) { p.Replica = 2 }))
	_, err := r.Release(t.Context(), asker, testLease)
	require.NoError(t, err)
}

func TestARecordThatIsReplayedForAnotherSubjectGivesNothing(t *testing.T) {
	r, chain, _ := newReleaser(t, placed(func(p *Placement) { p.Tenant, p.Number = "isun1mallory", 1 }))
	mallory := Subject("lease/isun1mallory/1")
	stolen := chain.records[testLease]
	chain.records[mallory] = stolen
	_, err := r.Release(t.Context(), asker, mallory)
	require.ErrorIs(t, err, ErrRecord, "the chain's answer is to another question")
	stolen.Subject = mallory
	chain.records[mallory] = stolen
	_, err = r.Release(t.Context(), asker, mallory)
	require.ErrorIs(t, err, ErrSealed)
}

func TestWithoutTheChainsAnswerNothingIsReleased(t *testing.T) {
	r, chain, _ := newReleaser(t, placed(nil))
	chain.down = errors.New("no answer")
	_, err := r.Release(t.Context(), asker, testLease)
	require.ErrorIs(t, err, chain.down)
}

func TestAnAskerIsHeardSoOftenAMinute(t *testing.T) {
	r, chain, _ := newReleaser(t, placed(nil))
	now := time.Unix(1000, 0)
	r.cfg.Now, r.cfg.PerAgent, r.cfg.Total = func() time.Time { return now }, 2, 3
	chain.agents["isun1second"] = askerNode
	ask := func(agent string) error {
		_, err := r.Release(t.Context(), agent, testLease)
		return err
	}
	require.NoError(t, ask(asker))
	require.NoError(t, ask(asker))
	require.ErrorIs(t, ask(asker), ErrOften)
	require.NoError(t, ask("isun1second"))
	require.ErrorIs(t, ask("isun1second"), ErrOften, "the total is spent")
	now = now.Add(time.Minute)
	require.NoError(t, ask(asker))
}
