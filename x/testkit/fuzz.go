package testkit

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	errorsmod "cosmossdk.io/errors"

	"github.com/cosmos/cosmos-sdk/baseapp"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/grpc"
	"github.com/cosmos/gogoproto/proto"
)

// fuzzPause is between a fuzzed message's block and the next.
const fuzzPause = 10 * time.Second

// FuzzTarget is a chain that messages are thrown at, running leases and all.
type FuzzTarget struct {
	*Fixture
	// Register registers the module's message server.
	Register func(router grpc.Server)

	router *baseapp.MsgServiceRouter
}

// FuzzMsg feeds a module's handlers with whatever bytes decode to one of its messages. A handler must do its work or give
// an error that is registered; after it, two blocks must end and every check of the fixture hold. Nothing may panic. The
// chain is made once in each process, each input runs on a copy of its state.
//
// valid is a message of every type of the module, that its chain takes. Types are only ever appended: inputs in a corpus
// name them by their place.
func FuzzMsg(f *testing.F, valid []sdk.Msg, setUp func(t *testing.T) FuzzTarget) {
	f.Helper()
	for i, msg := range valid {
		raw, err := proto.Marshal(msg)
		require.NoError(f, err)
		f.Add(uint8(i), raw)
	}
	var target *FuzzTarget
	f.Fuzz(func(t *testing.T, kind uint8, raw []byte) {
		if target == nil {
			made := setUp(t)
			target = &made
			target.route(t, valid)
		}
		target.T = t
		like := valid[int(kind)%len(valid)]
		msg := reflect.New(reflect.TypeOf(like).Elem()).Interface().(sdk.Msg)
		if proto.Unmarshal(raw, msg) != nil {
			return
		}
		err := target.try(func(ctx sdk.Context) error {
			_, err := target.router.Handler(msg)(ctx, msg)
			return err
		})
		if space, code, log := errorsmod.ABCIInfo(err, false); err != nil {
			require.Greater(t, code, uint32(1), "%s/%d: %s", space, code, log)
			require.Less(t, len(log), 4_000)
		}
	})
}

// route serves the module's messages, and fails if one of them has no place among the valid ones.
func (f *FuzzTarget) route(t *testing.T, valid []sdk.Msg) {
	t.Helper()
	f.router = baseapp.NewMsgServiceRouter()
	f.router.SetInterfaceRegistry(f.Registry)
	f.Register(f.router)
	var known []string
	for _, msg := range valid {
		known = append(known, sdk.MsgTypeURL(msg))
	}
	module := known[0][:strings.LastIndex(known[0], ".")]
	for _, url := range f.Registry.ListImplementations(sdk.MsgInterfaceProtoName) {
		require.True(t, !strings.HasPrefix(url, module) || slices.Contains(known, url), "%s is not fuzzed: append it", url)
	}
}

// try runs work as a transaction, and the end of its block and a second block, on a copy of the state. It gives the
// transaction's error.
func (f *FuzzTarget) try(work func(ctx sdk.Context) error) error {
	ctx, _ := f.Ctx.WithEventManager(sdk.NewEventManager()).CacheContext()
	tx, write := ctx.CacheContext()
	txErr := work(tx)
	if txErr == nil {
		write()
	}
	require.NoError(f.T, f.Bank.CreditVirtualAccounts(ctx))
	f.run(ctx, f.blockers.end, f.blockers.check)
	height, at := ctx.BlockHeight()+1, ctx.BlockTime().Add(fuzzPause)
	next := ctx.WithBlockHeight(height).WithBlockTime(at).WithHeaderInfo(headerInfo(height, at))
	f.run(next, f.blockers.begin, f.blockers.end, f.blockers.check)
	return txErr
}

func (f *FuzzTarget) run(ctx sdk.Context, phases ...[]Blocker) {
	for _, blocker := range slices.Concat(phases...) {
		require.NoError(f.T, blocker(ctx))
	}
}
