package integration_test

import (
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	sdkmath "cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/types/bech32"
	"github.com/cosmos/gogoproto/proto"
)

// variant is a message with one field changed, everything else as it was.
type variant[M proto.Message] struct {
	// path names the field, value what it was changed to, and was what it held if it is text.
	path, value, was string
	msg              M
	// huge variants are megabytes.
	huge bool
}

func (v variant[M]) String() string { return v.path + " = " + v.value }

// variants changes every field of a message, of its parts and of their parts, one at a time, to whatever may break who reads
// it. It finds fields by reflection: a new one is attacked without a change here. Unset parts and empty lists are filled with
// zero values to reach what is in them.
func variants[M proto.Message](t testing.TB, valid M) (all []variant[M]) {
	t.Helper()
	var places []place
	explore(reflect.TypeOf(valid).Elem(), place{at: func(root reflect.Value) reflect.Value { return root }}, &places)
	for _, p := range places {
		for _, bad := range hostile(p.kind) {
			changed := clone(t, valid)
			field := p.at(reflect.ValueOf(changed).Elem())
			v := variant[M]{path: p.path, value: bad.name, msg: changed, huge: bad.huge}
			if field.Kind() == reflect.String {
				v.was = field.String()
			}
			bad.set(field)
			all = append(all, v)
		}
	}
	require.NotEmpty(t, all)
	return all
}

func clone[M proto.Message](t testing.TB, msg M) M {
	t.Helper()
	raw, err := proto.Marshal(msg)
	require.NoError(t, err)
	out := reflect.New(reflect.TypeOf(msg).Elem()).Interface().(M)
	require.NoError(t, proto.Unmarshal(raw, out))
	return out
}

// place is a field somewhere in a message: its name, its type and how to get there.
type place struct {
	path string
	kind reflect.Type
	at   func(root reflect.Value) reflect.Value
}

var (
	intType      = reflect.TypeOf(sdkmath.Int{})
	bytesType    = reflect.TypeOf([]byte{})
	durationType = reflect.TypeOf(time.Duration(0))
)

// explore lists a type's places.
func explore(kind reflect.Type, p place, places *[]place) {
	p.kind = kind
	switch {
	case kind == intType || kind == bytesType:
		*places = append(*places, p)
	case kind.Kind() == reflect.Pointer:
		*places = append(*places, p)
		explore(kind.Elem(), place{path: p.path, at: pointed(p.at)}, places)
	case kind.Kind() == reflect.Slice:
		*places = append(*places, p)
		explore(kind.Elem(), place{path: p.path + "[0]", at: first(p.at)}, places)
	case kind.Kind() == reflect.Struct:
		for i := range kind.NumField() {
			field := kind.Field(i)
			if !field.IsExported() || strings.HasPrefix(field.Name, "XXX_") {
				continue
			}
			at := func(root reflect.Value) reflect.Value { return p.at(root).Field(i) }
			explore(field.Type, place{path: strings.TrimPrefix(p.path+"."+field.Name, "."), at: at}, places)
		}
	default:
		*places = append(*places, p)
	}
}

func pointed(at func(reflect.Value) reflect.Value) func(reflect.Value) reflect.Value {
	return func(root reflect.Value) reflect.Value {
		pointer := at(root)
		if pointer.IsNil() {
			pointer.Set(reflect.New(pointer.Type().Elem()))
		}
		return pointer.Elem()
	}
}

func first(at func(reflect.Value) reflect.Value) func(reflect.Value) reflect.Value {
	return func(root reflect.Value) reflect.Value {
		list := at(root)
		if list.Len() == 0 {
			list.Set(reflect.MakeSlice(list.Type(), 1, 1))
		}
		return list.Index(0)
	}
}

// badValue is something a field can be set to.
type badValue struct {
	name string
	set  func(field reflect.Value)
	huge bool
}

const (
	hugeString = 1 << 20
	hugeList   = 100_000
)

// hostile lists what fields of a type are set to.
func hostile(kind reflect.Type) (bad []badValue) {
	add := func(name string, value any) {
		bad = append(bad, badValue{name: name, set: func(f reflect.Value) { f.Set(reflect.ValueOf(value).Convert(kind)) }})
	}
	switch {
	case kind == intType:
		for name, value := range hostileInts() {
			add(name, value)
		}
	case kind == bytesType:
		add("no bytes", []byte(nil))
		add("a byte", []byte{1})
		add("33 bytes of 0", make([]byte, 33))
		add("64 bytes of 0", make([]byte, 64))
		add("huge bytes", make([]byte, hugeString))
		bad[len(bad)-1].huge = true
	case kind.Kind() == reflect.Pointer:
		bad = append(bad,
			badValue{name: "unset", set: func(f reflect.Value) { f.SetZero() }},
			badValue{name: "empty", set: func(f reflect.Value) { f.Set(reflect.New(kind.Elem())) }})
	case kind.Kind() == reflect.Slice:
		bad = hostileLists(kind)
	case kind.Kind() == reflect.Bool:
		bad = append(bad, badValue{name: "flipped", set: func(f reflect.Value) { f.SetBool(!f.Bool()) }})
	case kind == durationType:
		for _, d := range []time.Duration{math.MinInt64, -time.Second, -1, 0, 1, time.Microsecond, 1000 * time.Hour, math.MaxInt64} {
			add(d.String(), d)
		}
	case kind.Kind() == reflect.String:
		bad = hostileStrings()
	case kind.Kind() == reflect.Uint64:
		for _, n := range []uint64{0, 1, 2, 1 << 31, 1 << 32, 1 << 53, 1<<62 + 1, 1<<63 - 1, 1 << 63, math.MaxUint64} {
			add(fmt.Sprint(n), n)
		}
	case kind.Kind() == reflect.Uint32:
		for _, n := range []uint32{0, 1, 2, 1 << 16, 1 << 31, math.MaxUint32} {
			add(fmt.Sprint(n), n)
		}
	case kind.Kind() == reflect.Int64:
		for _, n := range []int64{math.MinInt64, -1, 0, 1, math.MaxInt64} {
			add(fmt.Sprint(n), n)
		}
	case kind.Kind() == reflect.Int32: // enums
		for _, n := range []int32{math.MinInt32, -1, 0, 1, 2, 3, 4, 99, math.MaxInt32} {
			add(fmt.Sprint(n), n)
		}
	default:
		panic("no hostile values for " + kind.String() + ": add some")
	}
	return bad
}

func hostileInts() map[string]sdkmath.Int {
	largest := sdkmath.NewIntFromBigInt(new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1)))
	return map[string]sdkmath.Int{
		"an unset number": {}, "0": sdkmath.ZeroInt(), "1": sdkmath.OneInt(), "-1": sdkmath.NewInt(-1),
		"2^63": sdkmath.NewIntFromUint64(1 << 63), "2^64-1": sdkmath.NewIntFromUint64(math.MaxUint64),
		"2^256-1": largest, "1-2^256": largest.Neg(),
	}
}

func hostileLists(kind reflect.Type) []badValue {
	repeat := func(n int) func(reflect.Value) {
		return func(f reflect.Value) {
			element := reflect.New(kind.Elem()).Elem()
			if f.Len() > 0 {
				element = f.Index(0)
			}
			list := reflect.MakeSlice(kind, n, n)
			for i := range n {
				list.Index(i).Set(element)
			}
			f.Set(list)
		}
	}
	return []badValue{
		{name: "no entries", set: func(f reflect.Value) { f.SetZero() }},
		{name: "an entry twice", set: repeat(2)},
		{name: "a thousand entries", set: repeat(1_000)},
		{name: "a huge list", set: repeat(hugeList), huge: true},
	}
}

// unprintable are texts that a terminal acts on instead of showing them, or shows as something else.
var unprintable = map[string]string{
	"a NUL": "a\x00b", "a newline": "a\nb", "an escape": "a\x1b[2Jb", "a delete": "a\x7fb", "a C1 control": "a\u009b2Jb",
	"right to left": "a\u202eb", "an isolate": "a\u2067b", "a zero width": "a\u200bb", "a line separator": "a\u2028b",
}

const (
	notUTF8      = "bytes that are no UTF-8"
	hugeText     = "a huge text"
	foreign      = "a foreign address"
	longAddress  = "an address of 255 bytes"
	mixedAddress = "an address in mixed case"
)

func hostileStrings() (bad []badValue) {
	add := func(name, value string) {
		bad = append(bad, badValue{name: name, set: func(f reflect.Value) { f.SetString(value) }, huge: len(value) >= hugeString})
	}
	add("nothing", "")
	add("a space", " ")
	add("300 letters", strings.Repeat("a", 300))
	add("another coin", "uatom")
	add("a minus", "-1")
	add(notUTF8, "a\xff\xfeb")
	add(hugeText, strings.Repeat("a", hugeString))
	for name, value := range unprintable {
		add(name, value)
	}
	add(foreign, bech("cosmos", 20))
	add(longAddress, bech("isun", 255))
	add("an address of 256 bytes", bech("isun", 256))
	add("an address of no bytes", bech("isun", 0))
	add("a validator's address", bech("isunvaloper", 20))
	add("an unknown address", bech("isun", 20))
	add("an address and a slash", bech("isun", 20)+"/")
	add("an image that is not there", bech("isun", 20)+"/none:1")
	bad = append(bad,
		badValue{name: "upper case", set: func(f reflect.Value) { f.SetString(strings.ToUpper(f.String())) }},
		badValue{name: mixedAddress, set: func(f reflect.Value) {
			if len(f.String()) > 6 {
				f.SetString(f.String()[:6] + strings.ToUpper(f.String()[6:]))
			}
		}},
		badValue{name: "a space behind it", set: func(f reflect.Value) { f.SetString(f.String() + " ") }})
	return bad
}

// bech is an address of so many bytes under a prefix.
func bech(prefix string, bytes int) string {
	address, err := bech32.ConvertAndEncode(prefix, make([]byte, bytes))
	if err != nil {
		panic(err)
	}
	return address
}
