package chain

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	errorsmod "cosmossdk.io/errors"

	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"

	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

var (
	// ErrWrongChain is a node of another chain than the one that was asked for.
	ErrWrongChain = errors.New("wrong chain")
	// ErrTxNotFound is a transaction that is in no block, as far as the node knows.
	ErrTxNotFound = errors.New("transaction not found")
	// ErrTxExpired is a transaction that is in no block and can never be in one: its last height has passed. Sending its
	// messages again cannot carry them out twice.
	ErrTxExpired = errors.New("transaction expired")
)

// UnreachableError says that no endpoint answered.
type UnreachableError struct {
	// Cause holds what went wrong with each endpoint.
	Cause error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("no node answers: is one running there, and is its RPC open? %s",
		strings.ReplaceAll(e.Cause.Error(), "\n", "; "))
}

func (e *UnreachableError) Unwrap() error { return e.Cause }

// TimeoutError says that a transaction was sent and not seen in a block in time. It may still get into one.
type TimeoutError struct {
	// Hash of the transaction, upper-case hexadecimal.
	Hash string
	// TimeoutHeight is the last block it can be in.
	TimeoutHeight int64
	Cause         error
}

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("transaction %s was sent but is in no block yet (%s); it can be included up to height %d: look for it "+
		"with `isunchaind query tx %s` before sending it again", e.Hash, e.Cause, e.TimeoutHeight, e.Hash)
}

func (e *TimeoutError) Unwrap() error { return e.Cause }

// TxError says that the chain refused a transaction: when it was simulated, checked or carried out. errors.Is finds the
// module's registered error in it.
type TxError struct {
	// Hash is empty when it was refused before it was sent.
	Hash string
	// Height is that of its block, or 0 when it got into none.
	Height    int64
	Codespace string
	Code      uint32
	// Message is the index of the message at fault, or -1 when it is the transaction itself or not known.
	Message int
	// Log is what the chain said, cleaned of what means nothing to a person.
	Log string
	// Hint says what to do about it; may be empty.
	Hint string

	cause error
}

func newTxError(hash string, height int64, codespace string, code uint32, log string) *TxError {
	e := &TxError{Hash: hash, Height: height, Codespace: codespace, Code: code, Message: -1, Log: cleanLog(log)}
	if match := faultyMessage.FindStringSubmatch(e.Log); match != nil {
		e.Log = strings.TrimPrefix(e.Log, match[0])
		if n, err := strconv.Atoi(match[1]); err == nil {
			e.Message = n
		}
	}
	e.cause = registered(codespace, code)
	if e.cause == nil {
		e.cause = registeredIn(e.Log)
	}
	e.Hint = hintFor(e.cause)
	return e
}

func (e *TxError) Error() string {
	text := "transaction refused: " + e.Log
	if e.Height > 0 {
		text = fmt.Sprintf("transaction %s failed in block %d: %s", e.Hash, e.Height, e.Log)
	}
	if e.Message > 0 {
		text += fmt.Sprintf(" (message %d)", e.Message+1)
	}
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

// Unwrap gives the registered error, or nil.
func (e *TxError) Unwrap() error { return e.cause }

// queryError is a query's error: a gRPC status that also wraps the module's registered error.
type queryError struct {
	status *status.Status
	cause  error
}

func (e *queryError) Error() string              { return e.status.Message() }
func (e *queryError) GRPCStatus() *status.Status { return e.status }
func (e *queryError) Unwrap() error              { return e.cause }

// IsNotFound says whether a query failed because what it names is not there.
func IsNotFound(err error) bool {
	if err == nil {
		return false
	}
	if errors.Is(err, ErrTxNotFound) {
		return true
	}
	var q *queryError
	if !errors.As(err, &q) {
		return status.Code(err) == codes.NotFound
	}
	return q.status.Code() == codes.NotFound || (q.cause != nil && strings.Contains(q.cause.Error(), "not found"))
}

// IsUnreachable says whether no node answered, so that the same may work later.
func IsUnreachable(err error) bool {
	var unreachable *UnreachableError
	return errors.As(err, &unreachable)
}

// registered is the error a module registered under a code, or nil.
func registered(codespace string, code uint32) error {
	for _, e := range knownErrors() {
		if e.Codespace() == codespace && e.ABCICode() == code {
			return e
		}
	}
	return nil
}

// registeredIn finds a registered error by its text, which has been cleaned: queries and simulations do not say its code. This project's errors
// come before the SDK's, which wrap them; among each, the one that stands last is the innermost.
func registeredIn(log string) error {
	var found *errorsmod.Error
	at, own := -1, false
	for _, e := range knownErrors() {
		i := strings.LastIndex(log, e.Error())
		if i < 0 {
			continue
		}
		isOwn := e.Codespace() != sdkerrors.RootCodespace
		end := i + len(e.Error())
		longer := end == at && found != nil && len(e.Error()) > len(found.Error())
		if (isOwn && !own) || (isOwn == own && (end > at || longer)) {
			found, at, own = e, end, isOwn
		}
	}
	if found == nil {
		return nil
	}
	return found
}

// maxErrorCode is above every code in use; modules number their errors from 2.
const maxErrorCode = 200

// knownErrors are the registered errors of the modules a client deals with.
var knownErrors = sync.OnceValue(func() []*errorsmod.Error {
	var known []*errorsmod.Error
	for _, codespace := range []string{
		leasetypes.ModuleName, sunstypes.ModuleName, leasetypes.AuditPoolName, uaitypes.ModuleName,
		feegrant.DefaultCodespace, banktypes.ModuleName, sdkerrors.RootCodespace,
	} {
		for code := uint32(2); code < maxErrorCode; code++ {
			var e *errorsmod.Error
			if errors.As(errorsmod.ABCIError(codespace, code, ""), &e) && e.Error() != "unknown" {
				known = append(known, e)
			}
		}
	}
	return known
})

var (
	grpcPrefix = regexp.MustCompile(`rpc error: code = \w+ desc = `)
	sourceLine = regexp.MustCompile(` ?\[[\w./@!+-]+\.go:\d+\]`)
	// faultyMessage is what the SDK puts before the error of a message.
	faultyMessage = regexp.MustCompile(`^failed to execute message; message index: (\d+): `)
	gasSuffix     = regexp.MustCompile(` with gas used: '\d+'`)
	// querySuffix is what the SDK's query router puts behind any error.
	querySuffix = regexp.MustCompile(`: (unknown request|invalid request|key not found)$`)
)

// Message is an error's text for a person: without the source lines that the SDK's errors carry.
func Message(err error) string { return sourceLine.ReplaceAllString(err.Error(), "") }

// cleanLog takes what means nothing to a person out of a node's error text.
func cleanLog(log string) string {
	clean := grpcPrefix.ReplaceAllString(log, "")
	clean = sourceLine.ReplaceAllString(clean, "")
	return strings.TrimSpace(clean)
}

// cleanQueryLog does the same for the error of a query or a simulation.
func cleanQueryLog(log string) string {
	clean := querySuffix.ReplaceAllString(cleanLog(log), "")
	return gasSuffix.ReplaceAllString(clean, "")
}
