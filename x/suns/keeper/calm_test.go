package keeper_test

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// A queue that a calm block passes over without having been asked would never be worked off.
func TestCalmKnowsEveryQueue(t *testing.T) {
	f := newFixture(t)
	named := make(map[string]bool)
	for _, queue := range f.keeper.CalmQueues() {
		named[queue.(interface{ Name() string }).Name()] = true
	}
	keeper := reflect.ValueOf(f.keeper).Elem()
	for i := range keeper.NumField() {
		if !keeper.Type().Field(i).IsExported() {
			continue
		}
		queue, ok := keeper.Field(i).Interface().(interface {
			Name() string
			Wakes() bool
		})
		if !ok {
			continue
		}
		require.True(t, queue.Wakes(), "%s does not end a calm", queue.Name())
		require.True(t, named[queue.Name()], "%s is not asked", queue.Name())
		delete(named, queue.Name())
	}
	require.Empty(t, named)
}
