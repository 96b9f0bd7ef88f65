package types_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/lease/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

const lastNumber = "18446744073709551615"

func TestParseLeaseID(t *testing.T) {
	tenant := testkit.Addr("tenant").String()
	long := sdk.AccAddress(make([]byte, 32)).String()
	for _, s := range []string{tenant + "/1", tenant + "/" + lastNumber, long + "/7"} {
		id, err := types.ParseLeaseID(s)
		require.NoError(t, err, s)
		require.Equal(t, s, id.String())
		key, err := id.Key()
		require.NoError(t, err)
		require.Equal(t, id, types.LeaseIDFromKey(key))
	}
	for name, s := range map[string]string{
		"empty": "", "no number": tenant, "empty number": tenant + "/", "number 0": tenant + "/0", "sign": tenant + "/+1",
		"negative": tenant + "/-1", "beyond 64 bits": tenant + "/18446744073709551616", "hexadecimal": tenant + "/0x1",
		"words": tenant + "/one", "no tenant": "/1", "two numbers": tenant + "/1/2", "space": tenant + "/1 ",
		"another chain's prefix": "cosmos1qyqszqgpqyqszqgpqyqszqgpqyqszqgpjnp7du/1", "bad checksum": tenant[:len(tenant)-1] + "x/1",
		"upper case": strings.ToUpper(tenant) + "/1", "NUL": "\x00/1", "not UTF-8": "\xff/1", "huge": strings.Repeat("x", 1<<20),
		"huge tenant": strings.Repeat("x", 1<<20) + "/1", "huge number": tenant + "/" + strings.Repeat("1", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := types.ParseLeaseID(s)
			requireBound(t, false, types.ErrInvalidID, err)
		})
	}
}

func TestParsePlacementID(t *testing.T) {
	tenant := testkit.Addr("tenant").String()
	for _, s := range []string{
		tenant + "/1/0/1", tenant + "/" + lastNumber + "/4294967295/" + lastNumber,
	} {
		id, err := types.ParsePlacementID(s)
		require.NoError(t, err, s)
		require.Equal(t, s, id.String())
		key, err := id.Key()
		require.NoError(t, err)
		require.Equal(t, id, types.PlacementIDFromKey(key))
		require.Equal(t, types.LeaseID{Tenant: tenant, Number: id.Number}, id.Lease())
	}
	for name, s := range map[string]string{
		"empty": "", "a lease": tenant + "/1", "no generation": tenant + "/1/0", "generation 0": tenant + "/1/0/0",
		"number 0": tenant + "/0/0/1", "replica beyond 32 bits": tenant + "/1/4294967296/1", "five parts": tenant + "/1/0/1/1",
		"empty parts": tenant + "///", "upper case": strings.ToUpper(tenant) + "/1/0/1", "huge": strings.Repeat("/", 1<<20),
		"huge part": tenant + "/1/0/" + strings.Repeat("9", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := types.ParsePlacementID(s)
			requireBound(t, false, types.ErrInvalidID, err)
		})
	}
}

// Keys of state sort as ids do: what is walked by key comes in the order of tenants' numbers, replicas and generations.
func TestKeysSortAsIDs(t *testing.T) {
	tenant := testkit.Addr("tenant")
	var last []byte
	for _, id := range []types.PlacementID{
		{Number: 1, Replica: 0, Generation: 1},
		{Number: 1, Replica: 0, Generation: 256},
		{Number: 1, Replica: 1, Generation: 1},
		{Number: 1, Replica: 256, Generation: 1},
		{Number: 2, Replica: 0, Generation: 1},
		{Number: 256, Replica: 0, Generation: 1},
	} {
		id.Tenant = tenant.String()
		key, err := id.Key()
		require.NoError(t, err)
		encoded := make([]byte, types.PlacementKeyCodec.Size(key))
		_, err = types.PlacementKeyCodec.Encode(encoded, key)
		require.NoError(t, err)
		require.Less(t, string(last), string(encoded), id)
		last = encoded
	}
}

// Whatever is parsed names one lease: written out and parsed again it is the same.
func FuzzParseLeaseID(f *testing.F) {
	f.Add(testkit.Addr("tenant").String() + "/1")
	f.Add("isun1/1")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := types.ParseLeaseID(s)
		if err != nil {
			require.ErrorIs(t, err, types.ErrInvalidID)
			return
		}
		again, err := types.ParseLeaseID(id.String())
		require.NoError(t, err)
		require.Equal(t, id, again)
		key, err := id.Key()
		require.NoError(t, err)
		require.Equal(t, id, types.LeaseIDFromKey(key))
	})
}

// Whatever is parsed names one placement.
func FuzzParsePlacementID(f *testing.F) {
	f.Add(testkit.Addr("tenant").String() + "/1/0/1")
	f.Add("isun1/1/2/3")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := types.ParsePlacementID(s)
		if err != nil {
			require.ErrorIs(t, err, types.ErrInvalidID)
			return
		}
		again, err := types.ParsePlacementID(id.String())
		require.NoError(t, err)
		require.Equal(t, id, again)
		key, err := id.Key()
		require.NoError(t, err)
		require.Equal(t, id, types.PlacementIDFromKey(key))
		encoded := make([]byte, types.PlacementKeyCodec.Size(key))
		_, err = types.PlacementKeyCodec.Encode(encoded, key)
		require.NoError(t, err)
		_, decoded, err := types.PlacementKeyCodec.Decode(encoded)
		require.NoError(t, err)
		require.Equal(t, key, decoded)
	})
}
