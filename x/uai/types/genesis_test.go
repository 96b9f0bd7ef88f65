package types_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
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
		{"replicas least", func(p *types.Params) { p.Replicas = types.LowestReplicas }, true},
		{"replicas below", func(p *types.Params) { p.Replicas = types.LowestReplicas - 1 }, false},
		{"replicas most", func(p *types.Params) { p.Replicas = types.HighestReplicas }, true},
		{"replicas above", func(p *types.Params) { p.Replicas = types.HighestReplicas + 1 }, false},
		{"holdings least", func(p *types.Params) { p.MaxHoldingsPerNode = types.LowestMaxHoldingsPerNode }, true},
		{"holdings below", func(p *types.Params) { p.MaxHoldingsPerNode = types.LowestMaxHoldingsPerNode - 1 }, false},
		{"holdings most", func(p *types.Params) { p.MaxHoldingsPerNode = types.HighestMaxHoldingsPerNode }, true},
		{"holdings above", func(p *types.Params) { p.MaxHoldingsPerNode = types.HighestMaxHoldingsPerNode + 1 }, false},
		{"objects least", func(p *types.Params) { p.MaxObjectsPerOwner = types.LowestMaxObjectsPerOwner }, true},
		{"objects below", func(p *types.Params) { p.MaxObjectsPerOwner = types.LowestMaxObjectsPerOwner - 1 }, false},
		{"objects most", func(p *types.Params) { p.MaxObjectsPerOwner = types.HighestMaxObjectsPerOwner }, true},
		{"objects above", func(p *types.Params) { p.MaxObjectsPerOwner = types.HighestMaxObjectsPerOwner + 1 }, false},
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

// However the lists of a genesis are malformed, it is refused with an error that says so.
func TestGenesisRefusesHostileLists(t *testing.T) {
	const digestA, digestB = "sha256:" + "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a",
		"sha256:" + "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"
	image := fullImage()
	image.Digest = digestA
	node := sunstypes.NodeID{Operator: image.Owner, Number: 1}
	valid := func() types.GenesisState {
		return types.GenesisState{
			Params: types.DefaultParams(), Images: []types.Image{image},
			Access:  []types.AccessGrant{{Image: image.Ref(), Grantee: image.Owner}},
			Objects: []types.Object{{Owner: image.Owner, Name: "a", Digest: digestA, SizeBytes: 1}, {Owner: image.Owner, Name: "b", Digest: digestB, SizeBytes: 1}},
			Contents: []types.Content{
				{Digest: digestA, References: types.References{References: 2, SizeBytes: 1}},
				{Digest: digestB, References: types.References{References: 9, SizeBytes: 1}},
			},
			Holdings: []types.Holding{{Digest: digestA, Node: node}, {Digest: digestB, Node: node}},
		}
	}
	require.NoError(t, valid().Validate())
	for name, change := range map[string]func(*types.GenesisState){
		"access to no image":       func(g *types.GenesisState) { g.Access[0].Image = image.Publisher + "/other:1" },
		"access to what":           func(g *types.GenesisState) { g.Access[0].Image = "x" },
		"access of nobody":         func(g *types.GenesisState) { g.Access[0].Grantee = "" },
		"access twice":             func(g *types.GenesisState) { g.Access = append(g.Access, g.Access[0]) },
		"object of nobody":         func(g *types.GenesisState) { g.Objects[0].Owner = "" },
		"object without a size":    func(g *types.GenesisState) { g.Objects[0].SizeBytes = 0 },
		"object before time":       func(g *types.GenesisState) { g.Objects[0].CreatedHeight = -1 },
		"object twice":             func(g *types.GenesisState) { g.Objects[1].Name = "a" },
		"objects out of order":     func(g *types.GenesisState) { g.Objects[0], g.Objects[1] = g.Objects[1], g.Objects[0] },
		"content not counted":      func(g *types.GenesisState) { g.Contents = g.Contents[:1] },
		"content counted too low":  func(g *types.GenesisState) { g.Contents[0].References.References = 1 },
		"content never referenced": func(g *types.GenesisState) { g.Objects, g.Contents[1].References.References = g.Objects[:1], 0 },
		"endless references":       func(g *types.GenesisState) { g.Contents[0].References.References = ^uint64(0) },
		"content without a size":   func(g *types.GenesisState) { g.Contents[0].References.SizeBytes = 0 },
		"content without a digest": func(g *types.GenesisState) { g.Contents[0].Digest = "" },
		"contents out of order":    func(g *types.GenesisState) { g.Contents[0], g.Contents[1] = g.Contents[1], g.Contents[0] },
		"holding twice":            func(g *types.GenesisState) { g.Holdings[1] = g.Holdings[0] },
		"holdings out of order":    func(g *types.GenesisState) { g.Holdings[0], g.Holdings[1] = g.Holdings[1], g.Holdings[0] },
		"holding of no node":       func(g *types.GenesisState) { g.Holdings[0].Node.Number = 0 },
		"holding in upper case":    func(g *types.GenesisState) { g.Holdings[0].Node.Operator = strings.ToUpper(node.Operator) },
		"holding of what":          func(g *types.GenesisState) { g.Holdings[0].Digest = "sha256:" },
	} {
		t.Run(name, func(t *testing.T) {
			genesis := valid()
			change(&genesis)
			require.ErrorIs(t, genesis.Validate(), types.ErrInvalidGenesis)
		})
	}
}

func TestGenesisValidate(t *testing.T) {
	require.NoError(t, types.DefaultGenesis().Validate())
	require.ErrorIs(t, types.GenesisState{}.Validate(), types.ErrInvalidGenesis)

	genesis := types.GenesisState{Params: types.DefaultParams(), Images: []types.Image{fullImage()}}
	require.ErrorIs(t, genesis.Validate(), types.ErrInvalidGenesis, "its content is not referenced")
	genesis.Contents = []types.Content{{Digest: fullImage().Digest, References: types.References{References: 9, SizeBytes: 1}}}
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
