package types_test

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

// Workers of any version must sign the same bytes: domain, chain and operator behind their lengths, then the number.
func TestAgentSignBytesGolden(t *testing.T) {
	require.Equal(t,
		"00000012"+hex.EncodeToString([]byte("isun.suns.v1.Agent"))+
			"00000006"+hex.EncodeToString([]byte("isun-1"))+
			"00000009"+hex.EncodeToString([]byte("isun1abcd"))+
			"0000000000000102",
		hex.EncodeToString(types.AgentSignBytes("isun-1", "isun1abcd", 258)))
	require.NotEqual(t, types.AgentSignBytes("a", "bc", 1), types.AgentSignBytes("ab", "c", 1))
}

func TestVerifyAgent(t *testing.T) {
	key, operatorKey := secp256k1.GenPrivKeyFromSecret([]byte("agent")), secp256k1.GenPrivKeyFromSecret([]byte("operator"))
	operator := sdk.AccAddress(operatorKey.PubKey().Address())
	id := types.NewNodeID(operator, 1)
	sign := func(k *secp256k1.PrivKey, chain string, id types.NodeID) []byte {
		signature, err := k.Sign(types.AgentSignBytes(chain, id.Operator, id.Number))
		require.NoError(t, err)
		return signature
	}
	good := sign(key, "isun-1", id)
	agent, err := types.VerifyAgent("isun-1", id, key.PubKey().Bytes(), good)
	require.NoError(t, err)
	require.Equal(t, sdk.AccAddress(key.PubKey().Address()), agent)

	broken := append([]byte{}, good...)
	broken[10] ^= 1
	for name, c := range map[string]struct{ pubKey, signature []byte }{
		"another chain":         {key.PubKey().Bytes(), sign(key, "isun-2", id)},
		"another number":        {key.PubKey().Bytes(), sign(key, "isun-1", types.NewNodeID(operator, 2))},
		"another operator":      {key.PubKey().Bytes(), sign(key, "isun-1", types.NewNodeID(agent, 1))},
		"another key":           {operatorKey.PubKey().Bytes(), good},
		"the operator itself":   {operatorKey.PubKey().Bytes(), sign(operatorKey, "isun-1", id)},
		"one bit off":           {key.PubKey().Bytes(), broken},
		"short signature":       {key.PubKey().Bytes(), good[1:]},
		"no signature":          {key.PubKey().Bytes(), nil},
		"short key":             {key.PubKey().Bytes()[1:], good},
		"no key":                {nil, good},
		"a key on no curve":     {make([]byte, 33), good},
		"an uncompressed key":   {make([]byte, 65), good},
		"signature of nonsense": {key.PubKey().Bytes(), make([]byte, 64)},
	} {
		_, err := types.VerifyAgent("isun-1", id, c.pubKey, c.signature)
		require.ErrorIs(t, err, types.ErrAgentSignature, name)
	}
}
