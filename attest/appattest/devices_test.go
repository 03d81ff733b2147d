package appattest_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/appattest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
)

const challenge = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

func newDevices(t testing.TB, w *world) (*appattest.Devices, *attest.MemoryKeys) {
	keys, err := attest.NewMemoryKeys(&attest.MemoryOptions{Now: at(start)})
	require.NoError(t, err)
	d, err := appattest.NewDevices(w.verifier(t, start), keys)
	require.NoError(t, err)
	return d, keys
}

func request(k *attesttest.AppleKey, kind attest.Kind, message string) attest.Request {
	hash := attest.ClientDataHash(challenge, []byte(message))
	r := attest.Response{Platform: attest.AppAttest, Kind: kind, Challenge: challenge, KeyID: k.ID, Message: []byte(message)}
	if kind == attest.KindAssertion {
		r.Data = k.Assert(hash[:], nil)
	} else {
		r.Data = k.Attest(hash[:], nil)
	}
	return attest.Request{Response: r, Tenant: "t", Owner: attest.OwnerHash("t", "ann")}
}

func TestDevices(t *testing.T) {
	ctx := context.Background()
	w := newWorld()
	d, keys := newDevices(t, w)
	k := w.apple.IPhone(team, bundle, nil).NewKey()
	first := request(k, "", "")
	v, err := d.Verify(ctx, first)
	require.NoError(t, err)
	require.Equal(t, attest.Passed, v.Outcome)
	require.Equal(t, attest.SecureElement, v.Strength())
	require.True(t, v.GenuineApp)
	require.Equal(t, attest.KeyHash(attest.AppAttest, k.ID), v.Key)
	stored, err := keys.Get(ctx, "t", v.Key)
	require.NoError(t, err)
	require.Equal(t, start, stored.Created)
	require.Equal(t, attest.OwnerHash("t", "ann"), stored.Owner)

	refused := func(in attest.Request, out attest.Outcome, step string) {
		t.Helper()
		v, err := d.Verify(ctx, in)
		require.NoError(t, err)
		require.Equal(t, out, v.Outcome)
		require.Equal(t, step, v.Step())
		require.Equal(t, attest.None, v.Strength())
	}
	other := first
	other.Owner = attest.OwnerHash("t", "eve")
	refused(first, attest.Replayed, "known_key")
	refused(other, attest.Replayed, "known_key") // one attestation, two accounts

	say := request(k, attest.KindAssertion, `{"amount":1}`)
	v, err = d.Verify(ctx, say)
	require.NoError(t, err)
	require.Equal(t, attest.Passed, v.Outcome)
	refused(say, attest.Replayed, "counter")
	stolen := request(k, attest.KindAssertion, "")
	stolen.Owner = attest.OwnerHash("t", "eve")
	refused(stolen, attest.WrongAudience, "owner")
	changed := request(k, attest.KindAssertion, "one")
	changed.Response.Message = []byte("two")
	refused(changed, attest.Failed, "signature")
	elsewhere := request(k, attest.KindAssertion, "")
	elsewhere.Tenant = "t2"
	refused(elsewhere, attest.Failed, "unknown_key")
	refused(request(w.apple.IPhone(team, bundle, nil).NewKey(), attest.KindAssertion, ""), attest.Failed, "unknown_key")
	odd := request(k, "", "")
	odd.Response.Kind = "classic"
	refused(odd, attest.Failed, "kind")
}

// Two requests with one assertion, and two with one attestation, at once: one passes each.
func TestDevicesRace(t *testing.T) {
	w := newWorld()
	d, _ := newDevices(t, w)
	for range 50 {
		k := w.apple.IPhone(team, bundle, nil).NewKey()
		for _, in := range []attest.Request{request(k, "", ""), request(k, attest.KindAssertion, "")} {
			out := make(chan attest.Outcome, 2)
			for range 2 {
				go func() {
					v, err := d.Verify(context.Background(), in)
					if err != nil {
						v.Outcome = 0
					}
					out <- v.Outcome
				}()
			}
			require.ElementsMatch(t, []attest.Outcome{attest.Passed, attest.Replayed}, []attest.Outcome{<-out, <-out})
		}
	}
}

// downKeys is a store that cannot tell.
type downKeys struct{ attest.KeyStore }

var errDown = errors.New("down")

func (downKeys) Create(context.Context, attest.Key) error { return errDown }
func (downKeys) Get(context.Context, string, attest.Hash) (attest.Key, error) {
	return attest.Key{}, errDown
}

func TestDevicesStoreDown(t *testing.T) {
	w := newWorld()
	d, err := appattest.NewDevices(w.verifier(t, start), downKeys{})
	require.NoError(t, err)
	k := w.apple.IPhone(team, bundle, nil).NewKey()
	for _, kind := range []attest.Kind{attest.KindAttestation, attest.KindAssertion} {
		_, err = d.Verify(context.Background(), request(k, kind, ""))
		require.ErrorIs(t, err, errDown)
	}
	_, err = appattest.NewDevices(nil, downKeys{})
	require.ErrorContains(t, err, "want a verifier")
	_, err = appattest.NewDevices(w.verifier(t, start), nil)
	require.ErrorContains(t, err, "NewMemoryKeys")
}

func refresher(t testing.TB, h http.Handler, o appattest.RefreshOptions) *appattest.Refresher {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	o.BaseURL = s.URL
	if o.Now == nil {
		o.Now = at(start)
	}
	ca := attesttest.NewCA(nil, p256, newTemplate())
	r, err := appattest.NewRefresher(appattest.Production, team, "KEY1234567", ca.Key, &o)
	require.NoError(t, err)
	return r
}

func TestRefresh(t *testing.T) {
	ctx := context.Background()
	w := newWorld()
	d, keys := newDevices(t, w)
	k := w.apple.IPhone(team, bundle, nil).NewKey()
	server := w.apple.ReceiptServer(9, k)
	var authorization string
	r := refresher(t, http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		authorization = req.Header.Get("Authorization")
		server.ServeHTTP(rw, req)
	}), appattest.RefreshOptions{})
	_, err := d.Refresh(ctx, r, "t", k.ID)
	require.ErrorIs(t, err, attest.ErrKeyUnknown)
	v, err := d.Verify(ctx, request(k, "", ""))
	require.NoError(t, err)
	before, err := keys.Get(ctx, "t", v.Key)
	require.NoError(t, err)
	got, err := d.Refresh(ctx, r, "t", k.ID)
	require.NoError(t, err)
	require.Equal(t, 9, *got.RiskMetric)
	require.Equal(t, 1, server.Calls())
	after, err := keys.Get(ctx, "t", v.Key)
	require.NoError(t, err)
	require.NotEqual(t, before.Meta, after.Meta, "the new receipt is kept")
	parts := strings.Split(authorization, ".")
	require.Len(t, parts, 3)
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	require.NoError(t, err)
	require.JSONEq(t, `{"alg":"ES256","kid":"KEY1234567"}`, string(header))
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	require.JSONEq(t, `{"iss":"`+team+`","iat":1795262400}`, string(claims))
}

func TestRefreshRefuses(t *testing.T) {
	w := newWorld()
	k := w.apple.IPhone(team, bundle, nil).NewKey()
	receipt := k.Receipt(1, nil)
	status := func(code int) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(code) }
	}
	body := func(s string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte(s)) }
	}
	for _, row := range []struct {
		name string
		h    http.HandlerFunc
		want error
	}{
		{"304", status(304), appattest.ErrTooEarly},
		{"400", status(400), appattest.ErrRejected},
		{"401", status(401), appattest.ErrCredentials},
		{"404", status(404), appattest.ErrNoData},
		{"429", status(429), attest.ErrUnavailable},
		{"500", status(500), attest.ErrUnavailable},
		{"503", status(503), attest.ErrUnavailable},
		{"not base64", body("%%%"), attest.ErrUnavailable},
		{"empty", body(""), attest.ErrUnavailable},
		{"huge", body(strings.Repeat("A", 200<<10)), attest.ErrUnavailable},
		{"a redirect", func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, "/elsewhere", http.StatusFound) }, attest.ErrUnavailable},
		{"broken off", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Length", "100")
			_, _ = rw.Write([]byte("AA"))
			panic(http.ErrAbortHandler)
		}, attest.ErrUnavailable},
		{"slow", func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); <-r.Context().Done() }, attest.ErrUnavailable},
	} {
		t.Run(row.name, func(t *testing.T) {
			var calls atomic.Int32
			o := appattest.RefreshOptions{Timeout: 5 * time.Second}
			if row.name == "slow" {
				o.Timeout = 50 * time.Millisecond
			}
			r := refresher(t, http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
				calls.Add(1)
				row.h(rw, req)
			}), o)
			_, err := r.Refresh(context.Background(), receipt)
			require.ErrorIs(t, err, row.want)
			require.EqualValues(t, 1, calls.Load(), "nothing is tried again")
			require.NotContains(t, err.Error(), "127.0.0.1")
		})
	}
}

func TestNewRefuses(t *testing.T) {
	good := production()
	for name, change := range map[string]func(a *appattest.App){
		"TeamID":           func(a *appattest.App) { a.TeamID = "" },
		"without dots":     func(a *appattest.App) { a.TeamID = "A.B" },
		"a BundleID":       func(a *appattest.App) { a.BundleID = "" },
		"too long":         func(a *appattest.App) { a.BundleID = strings.Repeat("a", 300) },
		"Environment":      func(a *appattest.App) { a.Environment = 0 },
		"unknown system":   func(a *appattest.App) { a.System = 9 },
		"OnlyOrMissing":    func(a *appattest.App) { a.Categories = appattest.Categories{} },
		"word for invalid": func(a *appattest.App) { a.Categories = appattest.Only(0) },
	} {
		a := good
		change(&a)
		v, err := appattest.New([]appattest.App{a}, nil)
		require.ErrorContains(t, err, name)
		require.Nil(t, v)
	}
	_, err := appattest.New(nil, nil)
	require.ErrorContains(t, err, "no apps")
	_, err = appattest.New([]appattest.App{good, good}, nil)
	require.ErrorContains(t, err, "twice")
	_, err = appattest.New([]appattest.App{good}, &appattest.Options{ReceiptAge: -1})
	require.ErrorContains(t, err, "ReceiptAge")
}
