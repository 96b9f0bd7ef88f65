// Package peer lets machines hold content for each other, over libp2p (QUIC
// and TCP). A peer's identity is an account's key, a node's agent or a
// tenant, so a connection proves who is at its other end and the chain says
// what that account is.
//
// Three protocols, one request to a stream:
//
//	/isun/cloud/1  stat, outline, chunks: reading what the other side holds
//	/isun/hold/1   asks the other side to hold a tree of blobs; it pulls
//	               them from the asker over the same connection
//	/isun/key/1    asks a holder of a share of a key for it
//
// A message is its length, 4 bytes big-endian, and as much JSON; content
// follows as plain bytes whose number the message said. Unknown fields and
// operations are refused: a new form gets a new protocol name.
//
// Everything that a peer may make this process do is bounded: the size of
// messages, the streams and connections open at once for each peer and
// together, the memory of connections, and how long a peer may keep a stream
// without moving bytes. The package dials whom its caller asks for, static
// relays, and those who are connected already (to get past their router).
package peer

import (
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
)

// The protocols; a number at the end that goes up says that they changed.
const (
	protocolCloud protocol.ID = "/isun/cloud/1"
	protocolHold  protocol.ID = "/isun/hold/1"
	protocolKey   protocol.ID = "/isun/key/1"
)

// Limits of one request. Those that both sides must know are the protocol's.
const (
	// maxMessage bounds a message in bytes. The longest is a stat.
	maxMessage = 16 << 10
	// maxStat is how many digests one message may ask for: 128 take 10 KiB.
	maxStat = 128
	// maxRange is how many chunks one request may stream, 256 MiB in the mean.
	maxRange = 4096
	// maxOutline bounds an outline in chunks: 36 MiB of memory, and blobs of
	// 64 GiB in the mean.
	maxOutline = 1 << 20
	// block is how many bytes of content are read, and sent, at once.
	block = 64 << 10
)

// patience is how long a peer may take.
type patience struct {
	dial    time.Duration // to reach somebody
	punch   time.Duration // for a direct way, where only a relayed one is there
	request time.Duration // to send a request, or the first word of an answer
	stall   time.Duration // to take or give one block of content
	beat    time.Duration // between two words of a peer that works on a hold
	silence time.Duration // without such a word until it counts as gone
	wait    time.Duration // for a key's share
}

func defaultPatience() patience {
	return patience{
		dial: 20 * time.Second, punch: 5 * time.Second, request: 15 * time.Second, stall: 20 * time.Second,
		beat: 10 * time.Second, silence: 45 * time.Second, wait: 30 * time.Second,
	}
}
