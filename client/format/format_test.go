package format_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"cosmossdk.io/math"

	"github.com/isuncoin/isuncoin/client/format"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

func TestISC(t *testing.T) {
	for uisc, want := range map[int64]string{
		0: "0 ISC", 1: "0.000001 ISC", 500_000: "0.5 ISC", 1_000_000: "1 ISC", 1_250_000: "1.25 ISC",
		123_456_789: "123.456789 ISC", 10_000_000: "10 ISC", -1_500_000: "-1.5 ISC",
	} {
		require.Equal(t, want, format.ISC(math.NewInt(uisc)))
	}
	require.Equal(t, "0.5 ISC/h", format.HourPrice(500_000))
}

func TestParseAmount(t *testing.T) {
	for text, want := range map[string]int64{
		"1": 1_000_000, "1.5": 1_500_000, "1.5isc": 1_500_000, "1.5 ISC": 1_500_000, " 2ISC ": 2_000_000, ".5": 500_000,
		"0.000001": 1, "1.5000000000": 1_500_000, "1500000uisc": 1_500_000, "7 uISC": 7, "0": 0, "010": 10_000_000,
	} {
		got, err := format.ParseAmount(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got.Int64(), text)
	}
	for _, text := range []string{
		"", "isc", "uisc", ".", "1.", "-1", "+1", "1e6", "0.0000001", "1.5uisc", "1,5", "1 000", "0x10", "1.2.3", "5 stake",
		"9999999999999999999999999999999",
	} {
		_, err := format.ParseAmount(text)
		require.Error(t, err, text)
		require.ErrorContains(t, err, "amount", text)
	}
}

func TestParseHourPrice(t *testing.T) {
	price, err := format.ParseHourPrice("0.5isc/h")
	require.NoError(t, err)
	require.EqualValues(t, 500_000, price)
	_, err = format.ParseHourPrice("18446744073709551616uisc")
	require.ErrorContains(t, err, "too large")
	price, err = format.ParseHourPrice("18446744073709551615uisc")
	require.NoError(t, err)
	require.EqualValues(t, uint64(1<<64-1), price)
}

func TestAmountsAreReadAsTheyAreWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := math.NewIntFromUint64(rapid.Uint64().Draw(t, "uisc"))
		got, err := format.ParseAmount(format.ISC(amount))
		require.NoError(t, err)
		require.Equal(t, amount.String(), got.String())

		milli := rapid.Uint64Range(0, sunstypes.MaxNodeMilliSuns).Draw(t, "milli-SUNS")
		suns, err := format.ParseSUNS(format.SUNS(milli))
		require.NoError(t, err)
		require.Equal(t, milli, suns)
	})
}

func TestParseSUNS(t *testing.T) {
	for text, want := range map[string]uint64{"2": 2000, "0.5": 500, "500m": 500, ".1": 100, "30": 30_000, "0.001": 1, " 1 ": 1000} {
		got, err := format.ParseSUNS(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "m", "0.0001", "0.5m", "-1", "many", "1000000001", "1000000000001m"} {
		_, err := format.ParseSUNS(text)
		require.ErrorContains(t, err, "SUNS", text)
	}
}

func TestParseAccelerator(t *testing.T) {
	demand, err := format.ParseAccelerator("gpu:2:26.5:NVIDIA GeForce RTX 4090")
	require.NoError(t, err)
	require.Equal(t, &sunstypes.AcceleratorDemand{Kind: "gpu", Count: 2, MilliSuns: 26_500, Model: "NVIDIA GeForce RTX 4090"}, demand)
	for _, text := range []string{"gpu", "gpu:1", "gpu:0:1", "gpu:x:1", "gpu:1:x", "tpu:1:1", "gpu:17:1", "gpu:-1:1"} {
		_, err := format.ParseAccelerator(text)
		require.Error(t, err, text)
	}
}

func TestDemand(t *testing.T) {
	require.Equal(t, "0.5 SUNS", format.Demand(sunstypes.Demand{GeneralMilliSuns: 500}))
	gpu := &sunstypes.AcceleratorDemand{Kind: "gpu", Count: 1, MilliSuns: 26_000}
	require.Equal(t, "4 SUNS + 1 gpu of 26 SUNS", format.Demand(sunstypes.Demand{GeneralMilliSuns: 4000, Accelerator: gpu}))
	gpu.Model = "RTX 4090"
	require.Equal(t, "1 gpu of 26 SUNS (RTX 4090)", format.Demand(sunstypes.Demand{Accelerator: gpu}))
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 999 * time.Microsecond: "0s", 250 * time.Millisecond: "250ms", 1250 * time.Millisecond: "1.2s",
		59 * time.Second: "59s", time.Minute: "1m", 5*time.Minute + 20*time.Second: "5m 20s", time.Hour: "1h",
		25 * time.Hour: "1d 1h", 90 * time.Minute: "1h 30m", 100 * 24 * time.Hour: "100d", -time.Minute: "-1m",
	} {
		require.Equal(t, want, format.Duration(d))
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 13 << 20: "13.0 MiB", 5 << 30: "5.0 GiB", 3 << 40: "3.0 TiB",
		9000 << 40: "9000.0 TiB",
	} {
		require.Equal(t, want, format.Bytes(n))
	}
}

func TestTable(t *testing.T) {
	table := format.NewTable("LEASE", ">PRICE", "WHERE")
	table.Add("3", "0.5", "TW")
	table.Add("12", "10", "")
	table.Add("né\x1b[2J", "1")
	var out bytes.Buffer
	require.NoError(t, table.Write(&out))
	require.Equal(t, "LEASE   PRICE  WHERE\n3         0.5  TW\n12         10  -\nné [2J      1  -\n", out.String())
	require.Equal(t, 3, table.Len())
}

func TestLine(t *testing.T) {
	now := time.Unix(0, 0)
	clock := func() time.Time { return now }

	var out bytes.Buffer
	line := format.NewLine(&out, false, 0, clock)
	line.Set("waiting", " 2s")
	line.Set("waiting", " 1s")
	line.Set("running", "")
	line.Clear()
	require.Equal(t, "waiting\nrunning\n", out.String())

	out.Reset()
	line = format.NewLine(&out, true, 20, clock)
	now = now.Add(3 * time.Second)
	line.Set("waiting", " for a machine in Taiwan")
	line.Clear()
	require.Equal(t, "\r\x1b[K[3s] waiting for a…\r\x1b[K", out.String())
}
