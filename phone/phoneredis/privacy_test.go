package phoneredis_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/internal/redistest"
	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/phone/phoneredis"
	"github.com/vestibule-go/vestibule/phone/phonetest"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

// wire is a client that writes down all that is sent to Redis, as its log of slow commands, its append-only file and
// MONITOR would show it.
type wire struct {
	*redis.Client
	w io.Writer
}

func (c wire) Process(ctx context.Context, cmd redis.Cmder) error {
	fmt.Fprintln(c.w, cmd.Args()...)
	return c.Client.Process(ctx, cmd)
}

// After a run neither a code nor a number is anywhere: not in Redis nor on the way there, not in logs, errors, reports and
// labels. Codes have ten digits here, so that none turns up by chance.
func TestPrivacy(t *testing.T) {
	server := redistest.Start(t, nil)
	client := server.Client(t, nil)
	canary := risktest.NewCanary()
	out := canary.Sink()
	store, err := phoneredis.New(wire{client, out}, &phoneredis.Options{Timeout: 10 * time.Second})
	require.NoError(t, err)
	log := slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	tell := func(what string, v ...any) {
		for _, x := range v {
			log.Info(what, "value", x)
			fmt.Fprintf(out, "%s %v %+v %#v %s %q\n", what, x, x, x, x, x)
			if err, ok := x.(error); ok {
				fmt.Fprintln(out, err.Error())
			}
		}
	}
	inbox := phonetest.NewInbox()
	var mu sync.Mutex
	said := map[string]bool{}
	v := newVerifierWith(t, store, inbox, &phone.Options{
		Digits: 10, StoreTimeout: 10 * time.Second, Origin: "example.com",
		OnSend: func(r phone.SendReport) { // what an application makes labels of
			mu.Lock()
			defer mu.Unlock()
			said[fmt.Sprint(r.Region, r.Channel, r.Err)] = true
			tell("report", r)
		},
	})
	signal, err := phone.NewSignal(v, nil)
	require.NoError(t, err)
	counts, err := phone.NewCountSignal(store, keysOf(t), nil)
	require.NoError(t, err)
	signals := []risk.Signal{signal, counts}
	engine, err := risk.NewEngine(risk.DefaultPolicy(signals), signals, &risk.Options{
		Sinks: []risk.Sink{risk.NewSlogSink(log)},
		Hooks: &risk.Hooks{Assessed: func(s *risk.Assessment) { tell("assessed", s) }, SignalError: func(e risk.SignalError) { tell("signal", e) }},
	})
	require.NoError(t, err)

	numbers := make([]phone.Number, 24)
	for i := range numbers {
		numbers[i] = number(t, fmt.Sprintf("+474%d%06d", i%2, 104729+i*7919%890000))
		canary.Watch("number", numbers[i].E164())
		canary.Watch("national number", numbers[i].E164()[3:])
	}
	codes := 0
	for i, n := range numbers {
		a := &risk.Attempt{Event: risk.SignUp, Tenant: "t", Phone: risk.Private(n.E164()), Device: []string{fmt.Sprint("device", i)}}
		assessed := engine.Assess(t.Context(), a)
		tell("attempt", a, assessed)
		r := phone.StartRequest{Number: n, Tenant: "t", Purpose: "signup", Flow: fmt.Sprint("flow", i), Device: fmt.Sprint("device", i), Request: fmt.Sprint("request", i)}
		before := len(inbox.Messages())
		switch i % 6 {
		case 4:
			inbox.Fail(fmt.Errorf("cannot send to %s", n.E164()))
		case 5:
			inbox.Fail(&phone.SendError{Refused: true, Reason: phone.SendBlocked, Err: fmt.Errorf("the service says no")})
		}
		c, err := v.Start(t.Context(), r)
		inbox.Fail(nil)
		require.NoError(t, err)
		tell("start", r, c)
		got := inbox.Messages()
		if len(got) == before {
			continue
		}
		codes++
		code := got[len(got)-1].Code
		canary.Watch("code", string(code))
		tell("message", got[len(got)-1], code)
		for _, typed := range []string{wrong(code), string(code), string(code)}[:1+i%3] {
			q := checking(r, typed)
			res, err := v.Check(t.Context(), q)
			require.NoError(t, err)
			tell("check", q, res)
		}
		a.Flow = r.Flow
		g, err := v.Verified(t.Context(), "t", r.Flow, n)
		require.NoError(t, err)
		tell("grant", g)
		_, err = v.Delivered(t.Context(), phone.Delivery{Tenant: "t", Ref: "inbox-1", Failed: true})
		require.NoError(t, err)
	}
	require.Greater(t, codes, 12)
	require.GreaterOrEqual(t, len(said), 3, "sent, refused, unsure")
	dump := dumpAll(t, client)
	require.Greater(t, len(dump), 10_000)
	_, _ = io.WriteString(out, dump)

	server.Kill(t) // errors
	for i, n := range numbers[:3] {
		r := phone.StartRequest{Number: n, Tenant: "t", Purpose: "signup", Flow: "f", Device: "d"}
		_, err := v.Start(t.Context(), r)
		require.Error(t, err)
		tell("error", err)
		_, err = v.Check(t.Context(), checking(r, fmt.Sprintf("99999%05d", i)))
		require.Error(t, err)
		tell("error", err)
		engine.Assess(t.Context(), &risk.Attempt{Event: risk.SignUp, Tenant: "t", Phone: risk.Private(n.E164()), Device: []string{"d"}})
	}
	require.Greater(t, out.Bytes(), int64(100_000), "there was something to search")
	require.Empty(t, out.Leaks())

	// The search finds what it looks for.
	_, _ = io.WriteString(out, "leak: "+numbers[3].E164())
	require.NotEmpty(t, out.Leaks())
}

func dumpAll(t testing.TB, client *redis.Client) string {
	t.Helper()
	ctx := context.Background()
	var b strings.Builder
	keys, err := client.Keys(ctx, "*").Result()
	require.NoError(t, err)
	for _, key := range keys {
		b.WriteString(key + "\n")
		switch kind := client.Type(ctx, key).Val(); kind {
		case "string":
			b.WriteString(client.Get(ctx, key).Val() + "\n")
		case "hash":
			for f, v := range client.HGetAll(ctx, key).Val() {
				b.WriteString(f + " " + v + "\n")
			}
		case "zset":
			for _, z := range client.ZRangeWithScores(ctx, key, 0, -1).Val() {
				fmt.Fprintf(&b, "%v %.0f\n", z.Member, z.Score)
			}
		default:
			t.Fatalf("a key of type %s", kind)
		}
	}
	return b.String()
}
