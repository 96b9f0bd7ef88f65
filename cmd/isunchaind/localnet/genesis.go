package localnet

import (
	"fmt"
	"time"

	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/codec"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/app"
	"github.com/isuncoin/isuncoin/app/bootstrap"
	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// What the accounts of a local network start with, in ISC.
const (
	accountFunds   = 100_000
	validatorFunds = 1_000_000
	validatorStake = 500_000
)

// testAccounts are the parts people play in a local network.
var testAccounts = []string{"operator", "operator2", "publisher", "tenant", "tenant2"}

func validatorName(i int) string {
	if i == 0 {
		return "validator"
	}
	return fmt.Sprintf("validator%d", i+1)
}

// accountNames lists every account of a network: its validators' operators and the test accounts.
func accountNames(validators int) []string {
	names := make([]string, 0, validators+len(testAccounts))
	for i := range validators {
		names = append(names, validatorName(i))
	}
	return append(names, testAccounts...)
}

func genesisSpec(
	o Options, nodes []preparedNode, keys keyring.Keyring, addresses map[string]sdk.AccAddress,
) bootstrap.Spec {
	spec := bootstrap.Spec{
		ChainID: o.ChainID,
		Time:    genesisTime(),
		Keyring: keys,
		Edit: func(cdc codec.JSONCodec, state app.GenesisState) error {
			// Most local networks have a node or two, which could never keep as many copies as a real one does.
			err := app.EditGenesis(cdc, state, uaitypes.ModuleName, func(g *uaitypes.GenesisState) {
				g.Params.Replicas = o.Replicas
			})
			if err != nil {
				return err
			}
			return o.Periods.apply(cdc, state)
		},
	}
	for _, node := range nodes {
		spec.Accounts = append(spec.Accounts, bootstrap.Account{Address: addresses[node.Name], Coins: isc(validatorFunds)})
		spec.Validators = append(spec.Validators, bootstrap.Validator{
			KeyName: node.Name, Moniker: node.Name, ConsensusKey: node.consensusKey,
			Stake: math.NewInt(validatorStake * sunstypes.BaseUnitsPerCoin), Memo: node.address(),
		})
	}
	for _, name := range testAccounts {
		spec.Accounts = append(spec.Accounts, bootstrap.Account{Address: addresses[name], Coins: isc(accountFunds)})
	}
	return spec
}

func isc(amount int64) sdk.Coins {
	return sdk.NewCoins(sdk.NewInt64Coin(sunstypes.BaseDenom, amount*sunstypes.BaseUnitsPerCoin))
}

// apply writes the periods into a genesis.
func (p Periods) apply(cdc codec.JSONCodec, state app.GenesisState) error {
	err := app.EditGenesis(cdc, state, sunstypes.ModuleName, func(g *sunstypes.GenesisState) {
		override(&g.Params.EpochDuration, p.Epoch)
		override(&g.Params.SilenceLimit, p.SilenceLimit)
		if p.SilenceLimit > 0 {
			// A chain that was stopped for a while must not find every node silent in its first block.
			g.Params.MaxGap = min(g.Params.MaxGap, atLeast(sunstypes.MinMaxGap, p.SilenceLimit/4))
		}
		override(&g.Params.UnbondingPeriod, p.Unbonding)
	})
	if err != nil {
		return err
	}
	var interval time.Duration
	err = app.EditGenesis(cdc, state, audittypes.ModuleName, func(g *audittypes.GenesisState) {
		g.Params.AttestInterval = p.attestInterval(g.Params.AttestInterval)
		interval = g.Params.AttestInterval
	})
	if err != nil {
		return err
	}
	return app.EditGenesis(cdc, state, leasetypes.ModuleName, func(g *leasetypes.GenesisState) {
		p.applyBilling(&g.Params, interval)
	})
}

// attestInterval is what was given, or short enough for several attestations in an hour and within the silence limit.
func (p Periods) attestInterval(interval time.Duration) time.Duration {
	if p.AttestInterval > 0 {
		return p.AttestInterval
	}
	if p.Billing > 0 {
		interval = min(interval, atLeast(time.Second, p.Billing/5))
	}
	if p.SilenceLimit > 0 {
		interval = min(interval, atLeast(time.Second, p.SilenceLimit/3))
	}
	return interval
}

// applyBilling shortens what follows from the length of an hour in proportion to it, so that a demonstration sees in seconds
// what a real lease sees in hours. The grace must outlast an attestation interval and end before the next hour does.
func (p Periods) applyBilling(params *leasetypes.Params, attestInterval time.Duration) {
	if p.Billing > 0 {
		scale := func(d time.Duration) time.Duration {
			return time.Duration(float64(d) * float64(p.Billing) / float64(params.BillingPeriod)).Truncate(time.Millisecond)
		}
		if p.Billing < params.BillingPeriod {
			params.SettleGrace = min(atLeast(attestInterval+2*time.Second, scale(params.SettleGrace)), p.Billing-time.Second)
			params.SettleGrace = atLeast(0, params.SettleGrace)
			params.TrialPeriod = scale(params.TrialPeriod)
			params.DrainGrace = atLeast(10*time.Second, scale(params.DrainGrace))
			params.RetryBackoffMin = atLeast(time.Second, scale(params.RetryBackoffMin))
			params.RetryBackoffMax = atLeast(4*time.Second, scale(params.RetryBackoffMax))
			params.NodeBackoffMin = atLeast(2*time.Second, scale(params.NodeBackoffMin))
			params.NodeBackoffMax = atLeast(10*time.Second, scale(params.NodeBackoffMax))
		}
		params.BillingPeriod = p.Billing
	}
	override(&params.SettleGrace, p.SettleGrace)
	override(&params.StartDeadline, p.StartDeadline)
}

func override(param *time.Duration, value time.Duration) {
	if value > 0 {
		*param = value
	}
}

func atLeast(low, value time.Duration) time.Duration { return max(low, value) }
