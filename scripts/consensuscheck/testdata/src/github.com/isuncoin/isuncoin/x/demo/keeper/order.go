package keeper

import (
	"maps"
	"slices"
	"sync" // want `import of sync: state lives in the store`
)

type memory struct {
	sync.Mutex
}

func order(m map[string]int, c, d chan int) (sum int) {
	for _, v := range m { // want `range over a map`
		sum += v
	}
	for range m {
		sum++
	}
	for k := range maps.Keys(m) { // want `maps\.Keys: its order differs`
		sum += len(k)
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		sum += len(k)
	}
	keys := slices.Collect(maps.Keys(m)) // want `maps\.Keys: its order differs`
	go func() { sum = len(keys) }()      // want `goroutine: its timing differs`
	select {                             // want `select: which case runs differs`
	case <-c:
	case <-d:
	}
	return sum
}
