package stack

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// At is the flag that reads a query at one height.
func At(height int64) string { return "--height=" + strconv.FormatInt(height, 10) }

// Height is the chain's newest height.
func (s *Stack) Height(ctx context.Context) (int64, error) {
	var status struct {
		SyncInfo struct {
			Height string `json:"latest_block_height"`
		} `json:"sync_info"`
	}
	if err := s.JSON(ctx, &status, "isunchaind", "status", "--home", s.Chain.Home, "--node", s.Chain.RPC); err != nil {
		return 0, err
	}
	return strconv.ParseInt(status.SyncInfo.Height, 10, 64)
}

// Emission is what was minted and burned since genesis.
type Emission struct {
	MintedToNodes      math.Int `json:"minted_to_nodes"`
	MintedToValidators math.Int `json:"minted_to_validators"`
	Burned             math.Int `json:"burned"`
}

// Emission reads the emission.
func (s *Stack) Emission(ctx context.Context, at string) (Emission, error) {
	var answer struct {
		State Emission `json:"state"`
	}
	err := s.Query(ctx, &answer, "suns", "emission", at)
	return answer.State, err
}

// Supply is all uisc there is.
func (s *Stack) Supply(ctx context.Context, at string) (math.Int, error) {
	var answer struct {
		Amount sdk.Coin `json:"amount"`
	}
	err := s.Query(ctx, &answer, "bank", "total-supply-of", sunstypes.BaseDenom, at)
	return answer.Amount.Amount, err
}

// Balance is an account's uisc.
func (s *Stack) Balance(ctx context.Context, address, at string) (math.Int, error) {
	var answer struct {
		Balance sdk.Coin `json:"balance"`
	}
	err := s.Query(ctx, &answer, "bank", "balance", address, sunstypes.BaseDenom, at)
	return answer.Balance.Amount, err
}

// ModuleBalance is a module account's uisc.
func (s *Stack) ModuleBalance(ctx context.Context, module, at string) (math.Int, error) {
	return s.Balance(ctx, authtypes.NewModuleAddress(module).String(), at)
}

// AuditPool is the audit pool's account and everything ever paid out of it: what it has received since genesis.
func (s *Stack) AuditPool(ctx context.Context, at string) (math.Int, error) {
	var answer struct {
		State struct {
			Distributed math.Int `json:"distributed"`
		} `json:"state"`
		Balance math.Int `json:"balance"`
	}
	if err := s.Query(ctx, &answer, "audit", "pool", at); err != nil {
		return math.Int{}, err
	}
	return answer.Balance.Add(answer.State.Distributed), nil
}

// feePage is how many transactions one query of FeesPaid asks for.
const feePage = 100

// FeesPaid sums the fees that an account paid, itself or by a grant, in the blocks from..to.
func (s *Stack) FeesPaid(ctx context.Context, account string, from, to int64) (math.Int, error) {
	sum := math.ZeroInt()
	query := fmt.Sprintf("tx.fee_payer='%s' AND tx.height>=%d AND tx.height<=%d", account, from, to)
	for page := 1; ; page++ {
		var answer struct {
			PageTotal string `json:"page_total"`
			Txs       []struct {
				Events []event `json:"events"`
			} `json:"txs"`
		}
		err := s.Query(ctx, &answer, "txs", "--query", query, "--limit", fmt.Sprint(feePage), "--page", fmt.Sprint(page))
		if err != nil {
			return sum, err
		}
		for _, tx := range answer.Txs {
			for _, e := range tx.Events {
				fee, err := e.fee(account)
				if err != nil {
					return sum, err
				}
				sum = sum.Add(fee)
			}
		}
		if total, err := strconv.Atoi(answer.PageTotal); err != nil || page >= total {
			return sum, err
		}
	}
}

type event struct {
	Type       string `json:"type"`
	Attributes []struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	} `json:"attributes"`
}

// fee is what the event says that an account paid for the transaction.
func (e event) fee(account string) (math.Int, error) {
	var fee, payer string
	for _, a := range e.Attributes {
		switch a.Key {
		case "fee":
			fee = a.Value
		case "fee_payer":
			payer = a.Value
		}
	}
	if e.Type != "tx" || payer != account || fee == "" {
		return math.ZeroInt(), nil
	}
	amount, ok := math.NewIntFromString(strings.TrimSuffix(fee, sunstypes.BaseDenom))
	if !ok {
		return math.ZeroInt(), fmt.Errorf("fee %q is not an amount of uisc", fee)
	}
	return amount, nil
}
