package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/cloud/vault"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// keyMarket has so many nodes of each operator; those in gone are not active.
type keyMarket struct {
	nodes []KeyNode
	keys  map[string]*vault.NodeKey
	gone  []string
	err   error
}

func (m *keyMarket) KeyNodes(context.Context) ([]KeyNode, error) { return slices.Clone(m.nodes), m.err }

func (m *keyMarket) Active(_ context.Context, id sunstypes.NodeID) (bool, error) {
	return !slices.Contains(m.gone, id.String()), nil
}

func newKeyMarket(t *testing.T, counts ...int) *keyMarket {
	t.Helper()
	m := &keyMarket{keys: map[string]*vault.NodeKey{}}
	for operator, count := range counts {
		for number := range count {
			key, err := vault.NewNodeKey()
			require.NoError(t, err)
			id := sunstypes.NodeID{Operator: fmt.Sprintf("isun1operator%d", operator), Number: uint64(number + 1)}
			m.nodes = append(m.nodes, KeyNode{ID: id, Key: key.Public()})
			m.keys[id.String()] = key
		}
	}
	return m
}

const subject = vault.Subject("image/isun1publisher/web:1")

func splitAmong(t *testing.T, m *keyMarket, want Sharing) (*vault.Identity, SplitKey, error) {
	t.Helper()
	identity, err := vault.NewIdentity()
	require.NoError(t, err)
	split, err := Split(t.Context(), m, identity, subject, want)
	return identity, split, err
}

func TestSplitSpreadsOverOperators(t *testing.T) {
	m := newKeyMarket(t, 4, 4, 4)
	identity, split, err := splitAmong(t, m, Sharing{})
	require.NoError(t, err)
	require.Empty(t, split.Warning)
	require.EqualValues(t, 2, split.Record.Threshold)
	operators := map[string]bool{}
	shares := map[string]vault.Share{}
	for _, id := range split.Nodes {
		operators[id.Operator] = true
		share, err := split.Record.Open(id.String(), m.keys[id.String()])
		require.NoError(t, err)
		shares[id.String()] = share
	}
	require.Len(t, operators, 3)
	got, _, err := split.Record.Combine(shares)
	require.NoError(t, err)
	require.Equal(t, identity.Text(), got.Text())
}

func TestSplitChoosesTheSameNodesAgain(t *testing.T) {
	m := newKeyMarket(t, 9, 9, 9, 9, 9)
	_, first, err := splitAmong(t, m, Sharing{})
	require.NoError(t, err)
	slices.Reverse(m.nodes)
	_, second, err := splitAmong(t, m, Sharing{})
	require.NoError(t, err)
	require.Equal(t, first.Nodes, second.Nodes)

	m.gone = []string{first.Nodes[1].String()}
	_, third, err := splitAmong(t, m, Sharing{})
	require.NoError(t, err)
	require.Contains(t, third.Nodes, first.Nodes[0])
	require.NotContains(t, third.Nodes, first.Nodes[1])
	require.Len(t, third.Nodes, 3)
}

func TestSplitOnASmallNetworkSaysSo(t *testing.T) {
	for name, c := range map[string]struct {
		counts    []int
		want      Sharing
		threshold uint32
		shares    int
		warns     bool
	}{
		"one node":                  {[]int{1}, Sharing{}, 1, 1, true},
		"one operator":              {[]int{5}, Sharing{}, 1, 3, true},
		"two operators":             {[]int{1, 1}, Sharing{}, 1, 2, true},
		"two of two asked for":      {[]int{1, 1}, Sharing{Threshold: 2, Shares: 2}, 2, 2, false},
		"a majority of five":        {[]int{1, 1, 1, 1, 1}, Sharing{Shares: 5}, 3, 5, false},
		"a threshold above default": {[]int{1, 1, 1, 1}, Sharing{Threshold: 4}, 4, 4, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, split, err := splitAmong(t, newKeyMarket(t, c.counts...), c.want)
			require.NoError(t, err)
			require.Equal(t, c.threshold, split.Record.Threshold)
			require.Len(t, split.Nodes, c.shares)
			require.Equal(t, c.warns, split.Warning != "", split.Warning)
		})
	}
}

func TestSplitRefused(t *testing.T) {
	for name, c := range map[string]struct {
		market *keyMarket
		want   Sharing
	}{
		"no node":                 {newKeyMarket(t), Sharing{}},
		"more than there are":     {newKeyMarket(t, 1, 1), Sharing{Shares: 3}},
		"threshold above":         {newKeyMarket(t, 1, 1), Sharing{Threshold: 3}},
		"threshold beyond shares": {newKeyMarket(t, 3), Sharing{Threshold: 3, Shares: 2}},
		"too many":                {newKeyMarket(t, 20), Sharing{Shares: vault.MaxShares + 1}},
		"negative":                {newKeyMarket(t, 3), Sharing{Shares: -1}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := splitAmong(t, c.market, c.want)
			require.Error(t, err)
		})
	}
	m := newKeyMarket(t, 1)
	m.gone = []string{m.nodes[0].ID.String()}
	_, _, err := splitAmong(t, m, Sharing{})
	require.ErrorIs(t, err, ErrNoKeyHolder)
	m = newKeyMarket(t, 1)
	m.nodes[0].Key = make([]byte, 31) // whatever the chain says
	_, _, err = splitAmong(t, m, Sharing{})
	require.ErrorIs(t, err, vault.ErrRecord)
	m.err = errors.New("unreachable")
	_, _, err = splitAmong(t, m, Sharing{})
	require.ErrorIs(t, err, m.err)
}

func TestMessageIsWhatTheChainTakes(t *testing.T) {
	m := newKeyMarket(t, 1, 1, 1)
	for i := range m.nodes {
		m.nodes[i].ID.Operator = sunstypes.NewNodeID([]byte(fmt.Sprintf("operator %011d", i)), 1).Operator
	}
	owner := m.nodes[0].ID.Operator
	identity, err := vault.NewIdentity()
	require.NoError(t, err)
	split, err := Split(t.Context(), m, identity, vault.LeaseSubject(owner, 7), Sharing{})
	require.NoError(t, err)
	msg := split.Message(owner)
	require.NoError(t, uaitypes.KeyHolders{
		Subject: msg.Subject, Owner: msg.Owner, Recipient: msg.Recipient, Threshold: msg.Threshold, Shares: msg.Shares,
		Commitments: msg.Commitments, Revision: 1,
	}.Validate())
}
