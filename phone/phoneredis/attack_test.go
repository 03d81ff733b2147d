package phoneredis_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/internal/redistest"
	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/phone/phoneredis"
	"github.com/vestibule-go/vestibule/phone/phonetest"
	"github.com/vestibule-go/vestibule/risk/keyed"
)

func newVerifier(t testing.TB, store phone.Store, inbox phone.Sender) *phone.Verifier {
	t.Helper()
	return newVerifierWith(t, store, inbox, &phone.Options{StoreTimeout: 10 * time.Second})
}

func newVerifierWith(t testing.TB, store phone.Store, inbox phone.Sender, o *phone.Options) *phone.Verifier {
	t.Helper()
	policy, err := phone.NewPolicy([]string{"NO"}, nil)
	require.NoError(t, err)
	v, err := phone.NewVerifier(store, policy, map[phone.Channel]phone.Sender{phone.SMS: inbox}, keysOf(t), o)
	require.NoError(t, err)
	return v
}

func keysOf(t testing.TB) (keys phone.Keys) {
	t.Helper()
	for i, r := range []**keyed.Ring{&keys.Pepper, &keys.Index} {
		secret := make(keyed.Secret, 32)
		copy(secret, fmt.Sprint("a secret for tests ", i))
		var err error
		*r, err = keyed.New([]keyed.Key{{ID: "a", Secret: secret}}, &keyed.Options{Epoch: keyed.NoEpochs})
		require.NoError(t, err)
	}
	return keys
}

func asking(t testing.TB, s string) phone.StartRequest {
	n, err := phone.Parse(s, "")
	require.NoError(t, err)
	return phone.StartRequest{Number: n, Tenant: "t", Purpose: "signup", Flow: "flow-" + s, Device: "device"}
}

func checking(r phone.StartRequest, code string) phone.CheckRequest {
	return phone.CheckRequest{Number: r.Number, Tenant: r.Tenant, Purpose: r.Purpose, Flow: r.Flow, Device: r.Device, Code: code}
}

// counting counts commands.
type counting struct {
	*redis.Client
	n atomic.Int64
}

func (c *counting) Process(ctx context.Context, cmd redis.Cmder) error {
	c.n.Add(1)
	return c.Client.Process(ctx, cmd)
}

func TestCheckIsOneRoundTrip(t *testing.T) {
	client := &counting{Client: servers.Single(t).Client(t, nil)}
	store, err := phoneredis.New(client, nil)
	require.NoError(t, err)
	inbox := phonetest.NewInbox()
	v := newVerifier(t, store, inbox)
	r := asking(t, "+4740000000")
	_, err = v.Start(t.Context(), r)
	require.NoError(t, err)
	code, _ := inbox.Code(r.Number)
	_, err = v.Check(t.Context(), checking(r, "000000x"))
	require.NoError(t, err)
	_, err = v.Check(t.Context(), checking(asking(t, "+4740000001"), "123456")) // the script is known from now on
	require.NoError(t, err)
	for _, c := range []string{"999999", string(code), string(code)} {
		before := client.n.Load()
		_, err = v.Check(t.Context(), checking(r, c))
		require.NoError(t, err)
		require.Equal(t, int64(1), client.n.Load()-before)
	}
}

// Whatever happens to Redis, nothing is sent twice and nobody passes.
func TestRedisFailsClosed(t *testing.T) {
	server := redistest.Start(t, nil)
	client := server.Client(t, nil)
	store, err := phoneredis.New(client, &phoneredis.Options{Timeout: time.Second})
	require.NoError(t, err)
	inbox := phonetest.NewInbox()
	v := newVerifier(t, store, inbox)
	r := asking(t, "+4740000000")
	_, err = v.Start(t.Context(), r)
	require.NoError(t, err)
	code, _ := inbox.Code(r.Number)

	server.FlushScripts(t) // NOSCRIPT: the script is sent in full, once
	got, err := v.Check(t.Context(), checking(r, "999999"))
	require.NoError(t, err)
	require.Equal(t, phone.NotOK, got.Verdict)

	server.Pause(t)
	got, err = v.Check(t.Context(), checking(r, string(code)))
	require.Error(t, err)
	require.Equal(t, phone.NotOK, got.Verdict)
	require.NotContains(t, err.Error(), "40000000")
	other := asking(t, "+4741000000")
	_, err = v.Start(t.Context(), other)
	require.Error(t, err)
	require.Len(t, inbox.Messages(), 1)
	server.Resume(t)

	server.Kill(t)
	_, err = v.Start(t.Context(), other)
	require.Error(t, err)
	_, err = v.Check(t.Context(), checking(r, string(code)))
	require.Error(t, err)
	require.Len(t, inbox.Messages(), 1, "nothing was sent")
	server.Restart(t) // empty
	got, err = v.Check(t.Context(), checking(r, string(code)))
	require.NoError(t, err)
	require.Equal(t, phone.NotOK, got.Verdict, "a code that is forgotten is no code")
}

func TestRefusedOptions(t *testing.T) {
	_, err := phoneredis.New(nil, nil)
	require.Error(t, err)
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer client.Close()
	for _, o := range []phoneredis.Options{{Prefix: "{x}"}, {Timeout: -1}} {
		_, err = phoneredis.New(client, &o)
		require.Error(t, err)
	}
}

func BenchmarkCheck(b *testing.B) {
	client := servers.Single(b).Client(b, nil)
	store, err := phoneredis.New(client, nil)
	require.NoError(b, err)
	v := newVerifier(b, store, phonetest.NewInbox())
	r := checking(asking(b, "+4740000000"), "123456")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Check(context.Background(), r); err != nil {
			b.Fatal(err)
		}
	}
}
