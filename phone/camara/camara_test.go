package camara_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/phone/camara"
	"github.com/vestibule-go/vestibule/phone/phonetest"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const mobile = "+4740000000"

func number(t testing.TB, s string) phone.Number {
	t.Helper()
	n, err := phone.Parse(s, "")
	require.NoError(t, err)
	return n
}

func fake(t testing.TB, o camara.HTTPOptions) (*phonetest.CAMARA, *camara.Intelligence, *camara.NumberVerification) {
	f := phonetest.NewCAMARA(&phonetest.CAMARAOptions{Now: func() time.Time { return now }})
	t.Cleanup(f.Close)
	i, err := camara.NewIntelligence(f.URL(), camara.TokenFunc(f.Tokens()), &camara.IntelligenceOptions{HTTP: o})
	require.NoError(t, err)
	v, err := camara.NewNumberVerification(f.URL(), &camara.VerificationOptions{HTTP: o})
	require.NoError(t, err)
	return f, i, v
}

func TestNumberVerification(t *testing.T) {
	f, _, v := fake(t, camara.HTTPOptions{})
	n, ctx := number(t, mobile), t.Context()
	is, err := v.VerifyDevice(ctx, f.Device(mobile), n)
	require.NoError(t, err)
	require.True(t, is)
	is, err = v.VerifyDevice(ctx, f.Device("+4740000001"), n)
	require.NoError(t, err)
	require.False(t, is)
	_, err = v.VerifyDevice(ctx, f.Device(""), n)
	require.ErrorIs(t, err, phone.ErrNotMobile, "on Wi-Fi")
	_, err = v.VerifyDevice(ctx, "made-up", n)
	require.Error(t, err)
	require.NotErrorIs(t, err, phone.ErrNotMobile)
	_, err = v.VerifyDevice(ctx, "", n)
	require.Error(t, err)
	before := f.Requests()
	hash := camara.HashNumber(n)
	for _, c := range []camara.Claim{{}, {PhoneNumber: mobile, HashedPhoneNumber: hash}} {
		_, err = v.Verify(ctx, f.Device(mobile), c)
		require.ErrorIs(t, err, camara.ErrClaim)
	}
	_, err = v.Verify(ctx, f.Device(mobile), camara.Claim{HashedPhoneNumber: "abc"})
	require.Error(t, err)
	require.Equal(t, before, f.Requests(), "our own error comes before the call")
	for _, h := range []string{hash, strings.ToUpper(hash)} {
		is, err = v.Verify(ctx, f.Device(mobile), camara.Claim{HashedPhoneNumber: h})
		require.NoError(t, err)
		require.True(t, is, "of the form with '+', in either case")
	}
	hashed, err := camara.NewNumberVerification(f.URL(), &camara.VerificationOptions{Hashed: true})
	require.NoError(t, err)
	is, err = hashed.VerifyDevice(ctx, f.Device(mobile), n)
	require.NoError(t, err)
	require.True(t, is)
}

func TestSwaps(t *testing.T) {
	f, i, _ := fake(t, camara.HTTPOptions{})
	n, ctx := number(t, mobile), t.Context()
	ask := func(within time.Duration) phone.Intel {
		got, err := i.Lookup(ctx, n, phone.Query{Fields: phone.FieldSIMSwap | phone.FieldDeviceSwap, SwapWithin: within})
		require.NoError(t, err)
		return got
	}
	require.Equal(t, phone.Intel{SIMSwap: phone.No, DeviceSwap: phone.No}, ask(0))
	at := now.Add(-100 * time.Hour)
	f.Swap("sim", mobile, at)
	f.Swap("device", mobile, now.Add(-time.Hour))
	require.Equal(t, phone.Intel{SIMSwap: phone.Yes, SIMSwapAt: at, DeviceSwap: phone.Yes, DeviceAt: now.Add(-time.Hour)}, ask(0))
	require.Equal(t, phone.No, ask(time.Hour).SIMSwap)
	require.Equal(t, phone.Yes, ask(2400*time.Hour).SIMSwap)
	for _, within := range []time.Duration{time.Minute, 2401 * time.Hour} {
		_, err := i.Lookup(ctx, n, phone.Query{Fields: phone.FieldSIMSwap, SwapWithin: within})
		require.ErrorIs(t, err, camara.ErrAge)
	}
	got, none, err := i.RetrieveSIMSwap(ctx, n)
	require.NoError(t, err)
	require.Equal(t, at, got)
	require.Zero(t, none)
	got, none, err = i.RetrieveSIMSwap(ctx, number(t, "+4740000001"))
	require.NoError(t, err)
	require.Zero(t, got)
	require.Equal(t, 120*24*time.Hour, none, "not within so many days, never \"never\"")
	f.Expire()
	require.Equal(t, phone.Yes, ask(0).SIMSwap, "a token that expired meanwhile is asked for again")
	f.Forget(mobile)
	require.Zero(t, ask(0), "another operator's number is unknown")
}

func TestRecycling(t *testing.T) {
	f, i, _ := fake(t, camara.HTTPOptions{})
	n := number(t, mobile)
	ask := func(since time.Time) phone.Tri {
		got, err := i.Lookup(t.Context(), n, phone.Query{Fields: phone.FieldRecycled, Since: since})
		require.NoError(t, err)
		return got.Recycled
	}
	require.Equal(t, phone.NotKnown, ask(time.Time{}), "not asked without a date")
	require.Equal(t, phone.No, ask(now.AddDate(0, -6, 0)))
	f.Recycle(mobile, now.AddDate(0, -1, 0))
	require.Equal(t, phone.Yes, ask(now.AddDate(0, -6, 0)))
	require.Equal(t, phone.NotKnown, ask(now.AddDate(-20, 0, 0)), "out of range is unknown")
}

func Test422IsOurError(t *testing.T) {
	f := phonetest.NewCAMARA(nil)
	defer f.Close()
	user := f.Device(mobile)
	i, err := camara.NewIntelligence(f.URL(), camara.TokenFunc(func(context.Context, phone.Number, string, bool) (phone.Token, error) { return user, nil }), nil)
	require.NoError(t, err)
	got, err := i.Lookup(t.Context(), number(t, mobile), phone.Query{Fields: phone.FieldSIMSwap})
	require.ErrorContains(t, err, "UNNECESSARY_IDENTIFIER")
	require.Zero(t, got)
}

// What an operator has no answer to is unknown; what is wrong with the request or the operator is an error. Neither is ever
// "not swapped".
func TestRefusals(t *testing.T) {
	f, i, v := fake(t, camara.HTTPOptions{})
	n := number(t, mobile)
	for code, fails := range map[string]bool{
		"IDENTIFIER_NOT_FOUND": false, "SERVICE_NOT_APPLICABLE": false, "OUT_OF_RANGE": false,
		"MISSING_IDENTIFIER": true, "UNNECESSARY_IDENTIFIER": true, "INVALID_ARGUMENT": true, "PERMISSION_DENIED": true, "UNAUTHENTICATED": true,
		"QUOTA_EXCEEDED": true, "TOO_MANY_REQUESTS": true, "INTERNAL": true, "NOT_IMPLEMENTED": true, "UNAVAILABLE": true, "TIMEOUT": true,
	} {
		f.Refuse(mobile, code)
		got, err := i.Lookup(t.Context(), n, phone.Query{Fields: phone.FieldSIMSwap | phone.FieldDeviceSwap | phone.FieldRecycled, Since: now.AddDate(0, -1, 0)})
		require.Equal(t, fails, err != nil, "%s: %v", code, err)
		require.Zero(t, got, code)
		if fails {
			require.ErrorContains(t, err, code)
			require.NotContains(t, err.Error(), mobile[3:])
		}
		is, err := v.VerifyDevice(t.Context(), f.Device(mobile), n)
		require.Error(t, err, code)
		require.NotErrorIs(t, err, phone.ErrNotMobile)
		require.False(t, is)
	}
	f.Refuse(mobile, "")
	f.Limit(0)
	_, err := i.Lookup(t.Context(), n, phone.Query{Fields: phone.FieldSIMSwap})
	e, ok := errors.AsType[*camara.Error](err)
	require.True(t, ok)
	require.Equal(t, 429, e.Status)
	require.Equal(t, 7*time.Second, e.Retry)
	f.Limit(-1)
	_, err = i.Lookup(t.Context(), n, phone.Query{Fields: phone.FieldSIMSwap})
	require.NoError(t, err)
}

// The bounds of the age of a swap are those of the interface: below and above them is our own error, before any call.
func TestMaxAge(t *testing.T) {
	f, i, _ := fake(t, camara.HTTPOptions{})
	n := number(t, mobile)
	for within, fails := range map[time.Duration]bool{
		time.Hour - time.Second: true, time.Hour: false, 2400 * time.Hour: false, 2400*time.Hour + time.Second: true, -time.Hour: false, 0: false,
	} { // zero and below are the default
		before := f.Requests()
		_, err := i.Lookup(t.Context(), n, phone.Query{Fields: phone.FieldSIMSwap, SwapWithin: within})
		if fails {
			require.ErrorIs(t, err, camara.ErrAge, within)
			require.Equal(t, before, f.Requests())
		} else {
			require.NoError(t, err, within)
		}
	}
}

// A token that has expired is asked for once more, and no more than once.
func TestTokenExpiry(t *testing.T) {
	f := phonetest.NewCAMARA(nil)
	t.Cleanup(f.Close)
	n := number(t, mobile)
	var asked []bool
	i, err := camara.NewIntelligence(f.URL(), camara.TokenFunc(func(_ context.Context, _ phone.Number, _ string, fresh bool) (phone.Token, error) {
		asked = append(asked, fresh)
		return "made-up", nil
	}), nil)
	require.NoError(t, err)
	_, err = i.Lookup(t.Context(), n, phone.Query{Fields: phone.FieldSIMSwap})
	require.ErrorContains(t, err, "UNAUTHENTICATED")
	require.Equal(t, []bool{false, true}, asked)
	require.Equal(t, 2, f.Requests())
	i, err = camara.NewIntelligence(f.URL(), camara.TokenFunc(func(context.Context, phone.Number, string, bool) (phone.Token, error) {
		return "", errors.New("no token for +4740000000")
	}), nil)
	require.NoError(t, err)
	_, err = i.Lookup(t.Context(), n, phone.Query{Fields: phone.FieldSIMSwap})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "40000000")
}

func TestFaults(t *testing.T) {
	faults := append(phonetest.Faults(), phonetest.FaultStatus(401), phonetest.FaultStatus(403), phonetest.FaultStatus(429), phonetest.FaultStatus(500))
	for _, fault := range faults {
		t.Run(string(fault), func(t *testing.T) {
			f, i, v := fake(t, camara.HTTPOptions{Timeout: 300 * time.Millisecond})
			token := f.Device(mobile)
			f.Fail(fault)
			n := number(t, mobile)
			got, err := i.Lookup(t.Context(), n, phone.Query{Fields: phone.FieldSIMSwap})
			require.Error(t, err)
			require.Zero(t, got)
			require.NotContains(t, err.Error(), "40000000")
			is, err := v.VerifyDevice(t.Context(), token, n)
			require.Error(t, err)
			require.NotErrorIs(t, err, phone.ErrNotMobile)
			require.False(t, is)
			require.NotContains(t, err.Error(), string(token))
		})
	}
}

func TestRefusedOptions(t *testing.T) {
	_, err := camara.NewIntelligence("https://api.example.com", nil, nil)
	require.Error(t, err)
	_, err = camara.NewNumberVerification("http://api.example.com", nil)
	require.Error(t, err)
}
