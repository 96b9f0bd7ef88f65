package integration_test

import (
	"reflect"
	"strings"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/cosmos/cosmos-sdk/types/query"
	"github.com/cosmos/gogoproto/proto"
)

// queries gives an empty request of every query of our modules, by the query's path, as the application knows them.
func queries(t *testing.T) map[string]proto.Message {
	t.Helper()
	requests := map[string]proto.Message{}
	for _, module := range ourModules {
		service, err := proto.HybridResolver.FindDescriptorByName(protoreflect.FullName("isun." + module + ".v1.Query"))
		require.NoError(t, err)
		methods := service.(protoreflect.ServiceDescriptor).Methods()
		for i := range methods.Len() {
			method := methods.Get(i)
			kind := proto.MessageType(string(method.Input().FullName()))
			requests["/"+string(service.FullName())+"/"+string(method.Name())] = reflect.New(kind.Elem()).Interface().(proto.Message)
		}
	}
	require.NotEmpty(t, requests)
	return requests
}

// ask runs a query; a panic is an error of the test.
func (b *busy) ask(path string, request proto.Message) error {
	defer func() {
		if r := recover(); r != nil {
			assert.Fail(b.T, "panic", "%s %v: %v", path, request, r)
		}
	}()
	raw, err := proto.Marshal(request)
	require.NoError(b.T, err)
	handler := b.App.GRPCQueryRouter().Route(path)
	require.NotNil(b.T, handler, path)
	_, err = handler(b.Ctx(), &abci.RequestQuery{Data: raw})
	return err
}

// Every field of every query, one at a time, set to whatever may break who reads it: an answer or an error, never a panic.
func TestEveryFieldOfEveryQuery(t *testing.T) {
	b := newBusy(t)
	asked := 0
	for path, request := range queries(t) {
		_ = b.ask(path, request)
		if reflect.TypeOf(request).Elem().NumField() == 0 {
			continue // it asks for the only one there is
		}
		for _, v := range variants(t, request) {
			err := b.ask(path, v.msg)
			asked++
			if err != nil && !v.huge {
				assert.LessOrEqual(t, len(err.Error()), 4_000, "%s %s repeats what was sent", path, v)
			}
			// Whatever a page may cost is bounded.
			if strings.HasPrefix(v.path, "Pagination") && boundless(v.msg) {
				assert.Error(t, err, "%s %s walks everything", path, v)
			}
		}
	}
	t.Logf("%d queries", asked)
}

// boundless says whether a request's page would walk everything.
func boundless(request proto.Message) bool {
	page, _ := reflect.ValueOf(request).Elem().FieldByName("Pagination").Interface().(*query.PageRequest)
	return page != nil && (page.Limit > 1_000 || page.Offset > 1_000 || page.CountTotal)
}
