package types

import (
	"encoding/binary"

	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	sdk "github.com/cosmos/cosmos-sdk/types"
)

// agentDomain keeps a signature made for a registration from meaning anything else, and the other way round.
const agentDomain = "isun.suns.v1.Agent"

// SignatureBytes is the size of a secp256k1 signature: r and s.
const SignatureBytes = 64

// AgentSignBytes is what an agent signs (after SHA-256, as secp256k1 keys of the SDK do) to agree to serve an operator's
// node: domain, chain id and operator, each behind its length in 4 bytes, then the number in 8, big-endian. The operator is
// its bech32 address.
func AgentSignBytes(chainID, operator string, number uint64) []byte {
	var out []byte
	for _, part := range []string{agentDomain, chainID, operator} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(part)))
		out = append(out, part...)
	}
	return binary.BigEndian.AppendUint64(out, number)
}

// VerifyAgent checks an agent's signature for a node and gives the agent's address, or ErrAgentSignature. The agent must not
// be the operator: its key is a hot key on a machine that runs strangers' containers.
func VerifyAgent(chainID string, id NodeID, pubKey, signature []byte) (sdk.AccAddress, error) {
	if len(pubKey) != secp256k1.PubKeySize {
		return nil, ErrAgentSignature.Wrapf("key has %d bytes: a compressed secp256k1 key has %d", len(pubKey), secp256k1.PubKeySize)
	}
	if len(signature) != SignatureBytes {
		return nil, ErrAgentSignature.Wrapf("signature has %d bytes, not %d", len(signature), SignatureBytes)
	}
	key := &secp256k1.PubKey{Key: pubKey}
	if !key.VerifySignature(AgentSignBytes(chainID, id.Operator, id.Number), signature) {
		return nil, ErrAgentSignature.Wrapf("signature is not the agent's over chain %q and node %s", chainID, id)
	}
	agent := sdk.AccAddress(key.Address())
	if agent.String() == id.Operator {
		return nil, ErrAgentSignature.Wrap("the agent must not be the operator")
	}
	return agent, nil
}
