package chain

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"

	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
)

// account is what signing needs of an account. The mutex is held while a transaction is signed and broadcast, so sequences
// leave in order.
type account struct {
	address string

	mu       sync.Mutex
	known    bool
	number   uint64
	sequence uint64
}

// load asks the chain for the account unless it is known. The caller holds the mutex.
func (a *account) load(ctx context.Context, conn *Conn) error {
	if a.known {
		return nil
	}
	res, err := conn.Auth().AccountInfo(ctx, &authtypes.QueryAccountInfoRequest{Address: a.address})
	if IsNotFound(err) {
		return fmt.Errorf("account %s: %w (it is not on the chain yet: send it some ISC first)", a.address, sdkerrors.ErrUnknownAddress)
	}
	if err != nil {
		return fmt.Errorf("account %s: %w", a.address, err)
	}
	if res.Info == nil {
		return fmt.Errorf("account %s: the node sent none", a.address)
	}
	a.number, a.sequence, a.known = res.Info.AccountNumber, res.Info.Sequence, true
	return nil
}

// forget makes the next signature ask the chain.
func (a *account) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known = false
}

var expectedSequence = regexp.MustCompile(`expected (\d+), got (\d+)`)

// adopt takes the sequence that a node says it expects: unlike the account's on the chain it counts what waits in the
// mempool. It is false when the node wants an older one, so that what was sent before must get into a block first. The
// caller holds the mutex.
func (a *account) adopt(err error) bool {
	match := expectedSequence.FindStringSubmatch(err.Error())
	if match == nil {
		a.known = false
		return false
	}
	expected, parseErr := strconv.ParseUint(match[1], 10, 64)
	if parseErr != nil || expected < a.sequence {
		a.known = false
		return false
	}
	a.sequence = expected
	return true
}

func isWrongSequence(err error) bool {
	return errors.Is(err, sdkerrors.ErrWrongSequence) || (isRefusal(err) && strings.Contains(err.Error(), "account sequence mismatch"))
}

func isPriceTooLow(err error) bool { return errors.Is(err, sdkerrors.ErrInsufficientFee) }

func isRefusal(err error) bool {
	var refused *TxError
	return errors.As(err, &refused)
}
