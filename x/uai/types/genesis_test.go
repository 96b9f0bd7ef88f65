package types_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/x/uai/types"
)

func TestParamsValidate(t *testing.T) {
	cases := []struct {
		name   string
		change func(*types.Params)
		ok     bool
	}{
		{"default", func(*types.Params) {}, true},
		{"unset", func(p *types.Params) { *p = types.Params{} }, false},
		{"size least", func(p *types.Params) { p.MaxImageBytes = types.LowestMaxImageBytes }, true},
		{"size below", func(p *types.Params) { p.MaxImageBytes = types.LowestMaxImageBytes - 1 }, false},
		{"size most", func(p *types.Params) { p.MaxImageBytes = types.HighestMaxImageBytes }, true},
		{"size above", func(p *types.Params) { p.MaxImageBytes = types.HighestMaxImageBytes + 1 }, false},
		{"royalty least", func(p *types.Params) { p.MaxRoyalty = types.LowestMaxRoyalty }, true},
		{"royalty below", func(p *types.Params) { p.MaxRoyalty = types.LowestMaxRoyalty - 1 }, false},
		{"royalty most", func(p *types.Params) { p.MaxRoyalty = types.HighestMaxRoyalty }, true},
		{"royalty above", func(p *types.Params) { p.MaxRoyalty = types.HighestMaxRoyalty + 1 }, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			params := types.DefaultParams()
			c.change(&params)
			if c.ok {
				require.NoError(t, params.Validate())
				return
			}
			require.ErrorIs(t, params.Validate(), types.ErrInvalidParams)
		})
	}
}

func TestGenesisValidate(t *testing.T) {
	require.NoError(t, types.DefaultGenesis().Validate())
	require.ErrorIs(t, types.GenesisState{}.Validate(), types.ErrInvalidGenesis)

	genesis := types.GenesisState{Params: types.DefaultParams(), Images: []types.Image{fullImage()}}
	require.NoError(t, genesis.Validate())

	genesis.Params.MaxRoyalty = types.LowestMaxRoyalty
	require.NoError(t, genesis.Validate(), "governance may lower a limit below what is published")

	genesis.Images = append(genesis.Images, fullImage())
	require.ErrorIs(t, genesis.Validate(), types.ErrInvalidGenesis, "the same image twice")

	genesis.Images[1].Tag = "v2"
	require.NoError(t, genesis.Validate())
	genesis.Images[0], genesis.Images[1] = genesis.Images[1], genesis.Images[0]
	require.ErrorIs(t, genesis.Validate(), types.ErrInvalidGenesis, "an export would be in another order")
	genesis.Images = genesis.Images[:1]
	require.NoError(t, genesis.Validate())
	genesis.Images[0].Digest = "sha256:"
	require.ErrorIs(t, genesis.Validate(), types.ErrInvalidGenesis)
}
