package types_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

func TestDefaultGenesisIsValid(t *testing.T) {
	require.NoError(t, types.DefaultGenesis().Validate())
}

// Whatever bytes a genesis file holds, reading and checking it ends with an error or without, never with a panic.
func FuzzGenesis(f *testing.F) {
	cdc := codec.NewProtoCodec(codectypes.NewInterfaceRegistry())
	f.Add(cdc.MustMarshalJSON(types.DefaultGenesis()))
	f.Add([]byte(`{"nodes":[{"node":{"bond":"-1"}}],"epoch_rewards":[{"epoch":"1"}]}`))
	f.Fuzz(func(_ *testing.T, raw []byte) {
		var genesis types.GenesisState
		if err := cdc.UnmarshalJSON(raw, &genesis); err == nil {
			_ = genesis.Validate()
		}
	})
}
