package app

import (
	"github.com/cosmos/cosmos-sdk/x/auth/ante"
	"github.com/cosmos/cosmos-sdk/x/auth/posthandler"
)

// setAnteHandler installs the SDK's whole chain of checks: fees (also through fee grants), signatures, sequences, sizes and
// timeouts. Only the bank differs, see virtualFeeBank.
func (app *App) setAnteHandler() {
	handler, err := ante.NewAnteHandler(ante.HandlerOptions{
		AccountKeeper:   app.AccountKeeper,
		BankKeeper:      virtualFeeBank{app.BankKeeper},
		FeegrantKeeper:  app.FeeGrantKeeper,
		SignModeHandler: app.encoding.TxConfig.SignModeHandler(),
		SigGasConsumer:  ante.DefaultSigVerificationGasConsumer,
	})
	must("build the ante handler", err)
	app.SetAnteHandler(handler)

	post, err := posthandler.NewPostHandler(posthandler.HandlerOptions{})
	must("build the post handler", err)
	app.SetPostHandler(post)
}
