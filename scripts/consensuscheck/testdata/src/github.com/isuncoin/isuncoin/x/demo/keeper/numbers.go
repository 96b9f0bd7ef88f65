package keeper

import (
	"math"
	"math/rand" // want `import of math/rand: every validator must draw the same`
	"strconv"
)

// tree contains itself.
type tree []tree

type rate struct {
	perHour float64 // want `floating point`
	shares  []int64
}

func numbers() int64 {
	half := 0.5                       // want `floating point`
	_, _ = strconv.ParseFloat("", 64) // want `floating point`
	var values []float32              // want `floating point`
	_ = values                        // want `floating point`
	r := rate{perHour: 1}             // want `floating point`
	_ = r.shares
	_ = tree{}
	root := int64(math.Sqrt(float64(rand.Int63()))) // want `floating point`
	if half > 0 {                                   // want `floating point`
		return math.MaxInt64
	}
	return root
}
