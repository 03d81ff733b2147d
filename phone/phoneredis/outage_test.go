package phoneredis_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/internal/redistest"
	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/phone/phoneredis"
	"github.com/vestibule-go/vestibule/phone/phonetest"
)

// shortly is a store that does not wait long for a Redis that is gone.
func shortly(t testing.TB, client phoneredis.Processor) *phoneredis.Store {
	t.Helper()
	s, err := phoneredis.New(client, &phoneredis.Options{Timeout: time.Second})
	require.NoError(t, err)
	return s
}

// A primary that dies takes no code with it that its replica has, lets nobody pass meanwhile, and nothing is sent twice.
func TestSentinelFailover(t *testing.T) {
	pair := redistest.StartSentinel(t)
	client := pair.Client(t, nil)
	inbox := phonetest.NewInbox()
	v := newVerifier(t, shortly(t, client), inbox)
	r := asking(t, "+4740000000")
	r.Request = "request-1"
	c, err := v.Start(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, phone.Sent, c.Outcome)
	code, _ := inbox.Code(r.Number)
	for range 2 {
		got, err := v.Check(t.Context(), checking(r, wrong(code)))
		require.NoError(t, err)
		require.True(t, got.Counted)
	}
	require.NoError(t, client.Wait(t.Context(), 1, 10*time.Second).Err())

	pair.Primary.Kill(t)
	other := asking(t, "+4741000000")
	var wg sync.WaitGroup // before Sentinel notices
	wg.Go(func() {
		got, err := v.Check(context.Background(), checking(r, string(code)))
		if err == nil || got != (phone.Result{}) {
			t.Error("passed without a Redis: ", got, err)
		}
	})
	wg.Go(func() {
		if _, err := v.Start(context.Background(), other); err == nil || strings.Contains(err.Error(), "41000000") {
			t.Error("sent without a Redis, or said to whom: ", err)
		}
	})
	wg.Wait()
	require.Len(t, inbox.Messages(), 1, "nothing is sent")

	pair.WaitPromoted(t)
	require.Eventually(t, func() bool {
		_, err := v.Verified(t.Context(), "t", r.Flow, r.Number)
		return err == nil
	}, 30*time.Second, 20*time.Millisecond)
	c, err = v.Start(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, phone.Repeat, c.Outcome, "the request was answered before the failover")
	require.Len(t, inbox.Messages(), 1)
	got, err := v.Check(t.Context(), checking(r, wrong(code)))
	require.NoError(t, err)
	require.Equal(t, 2, got.Left, "the tries are those before the failover")
	var right atomic.Int64
	for range 50 {
		wg.Go(func() {
			if got, err := v.Check(context.WithoutCancel(t.Context()), checking(r, string(code))); err == nil && got.Verdict == phone.OK {
				right.Add(1)
			}
		})
	}
	wg.Wait()
	require.Equal(t, int64(1), right.Load())
}

func wrong(c phone.Code) string {
	b := []byte(c)
	b[0] = '0' + (b[0]-'0'+1)%10
	return string(b)
}

// What Redis carried out although its answer did not come is neither paid for twice nor sent.
func TestAnswersThatDoNotCome(t *testing.T) {
	server := redistest.Start(t, nil)
	client := server.Client(t, nil)
	inbox := phonetest.NewInbox()
	v := newVerifier(t, shortly(t, client), inbox)
	r := asking(t, "+4740000000")
	r.Request = "request-1"
	// The script for sequences and the one for routes are known from now on; each call is one command.
	_, err := v.Start(t.Context(), asking(t, "+4741000000"))
	require.NoError(t, err)
	server.Pause(t)
	for range 3 {
		_, err = v.Start(t.Context(), r)
		require.Error(t, err)
	}
	server.Resume(t) // and carries out what it was sent
	require.Len(t, inbox.Messages(), 1)
	c, err := v.Start(t.Context(), r)
	require.NoError(t, err)
	require.Contains(t, []phone.StartOutcome{phone.Sent, phone.Repeat, phone.Cooled}, c.Outcome)
	require.LessOrEqual(t, len(inbox.Messages()), 2, "one message for a request that was repeated four times")

	code, ok := inbox.Code(number(t, "+4741000000"))
	require.True(t, ok)
	first := asking(t, "+4741000000")
	server.Pause(t)
	_, err = v.Check(t.Context(), checking(first, string(code)))
	require.Error(t, err, "nobody passes without an answer")
	server.Resume(t)
	require.Eventually(t, func() bool { // the code was used up by the check nobody heard the answer of, or is good once
		got, err := v.Check(t.Context(), checking(first, string(code)))
		return err == nil && got.Verdict == phone.NotOK
	}, 10*time.Second, 20*time.Millisecond)
}

func number(t testing.TB, s string) phone.Number {
	t.Helper()
	n, err := phone.Parse(s, "")
	require.NoError(t, err)
	return n
}

// A Redis that is full, read-only, loading another type, or without its scripts sends nothing and lets nobody pass.
func TestSickRedis(t *testing.T) {
	server := redistest.Start(t, nil)
	client := server.Client(t, nil)
	inbox := phonetest.NewInbox()
	v := newVerifier(t, shortly(t, client), inbox)
	r := asking(t, "+4740000000")
	_, err := v.Start(t.Context(), r)
	require.NoError(t, err)
	code, _ := inbox.Code(r.Number)
	for _, row := range []struct {
		name       string
		sick, well []any
	}{
		{"full", []any{"CONFIG", "SET", "maxmemory", "1"}, []any{"CONFIG", "SET", "maxmemory", "0"}},
		{"read-only", []any{"REPLICAOF", "127.0.0.1", "1"}, []any{"REPLICAOF", "NO", "ONE"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			server.Do(t, row.sick...)
			other := asking(t, "+4741000000")
			_, err := v.Start(t.Context(), other)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "41000000")
			got, err := v.Check(t.Context(), checking(r, string(code)))
			require.Error(t, err)
			require.Equal(t, phone.Result{}, got)
			require.Len(t, inbox.Messages(), 1)
			server.Do(t, row.well...)
		})
	}
	for range 3 {
		server.FlushScripts(t)
		got, err := v.Check(t.Context(), checking(r, wrong(code)))
		require.NoError(t, err)
		require.True(t, got.Counted)
	}
	got, err := v.Check(t.Context(), checking(r, string(code)))
	require.NoError(t, err)
	require.Equal(t, phone.OK, got.Verdict, "the code has outlived all of it")

	server.Restart(t) // without keys and scripts
	require.Eventually(t, func() bool {
		c, err := v.Start(t.Context(), r)
		return err == nil && c.Outcome == phone.Sent
	}, 10*time.Second, 20*time.Millisecond)
	code, _ = inbox.Code(r.Number)
	got, err = v.Check(t.Context(), checking(r, string(code)))
	require.NoError(t, err)
	require.Equal(t, phone.OK, got.Verdict)
}

// Keys of another type, as a stranger might leave them, are an error and not a way in.
func TestStrangersKeys(t *testing.T) {
	server := servers.Single(t)
	client := server.Client(t, nil)
	inbox := phonetest.NewInbox()
	v := newVerifier(t, shortly(t, client), inbox)
	r := asking(t, "+4740000000")
	_, err := v.Start(t.Context(), r)
	require.NoError(t, err)
	code, _ := inbox.Code(r.Number)
	keys, err := client.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	for _, key := range keys {
		server.Do(t, "DEL", key)
		server.Do(t, "SET", key, "no hash", "EX", 60)
	}
	got, err := v.Check(t.Context(), checking(r, string(code)))
	require.Error(t, err)
	require.Equal(t, phone.Result{}, got)
	_, err = v.Start(t.Context(), r)
	require.Error(t, err)
	require.Len(t, inbox.Messages(), 1)
}

// The clocks of the instances do not matter: codes, pauses and limits go by the server's.
func TestClocksOfInstances(t *testing.T) {
	client := servers.Single(t).Client(t, nil)
	store, err := phoneredis.New(client, &phoneredis.Options{Timeout: 10 * time.Second})
	require.NoError(t, err)
	inbox := phonetest.NewInbox()
	at := func(skew time.Duration) *phone.Verifier {
		return newVerifierWith(t, store, inbox, &phone.Options{StoreTimeout: 10 * time.Second, Now: func() time.Time { return time.Now().Add(skew) }})
	}
	for i, skew := range []time.Duration{-48 * time.Hour, -10 * time.Minute, 0, 10 * time.Minute, 48 * time.Hour} {
		r := asking(t, []string{"+4740000000", "+4741000000", "+4745000000", "+4746000000", "+4790000000"}[i])
		r.Device = ""
		c, err := at(skew).Start(t.Context(), r)
		require.NoError(t, err)
		require.Equal(t, phone.Sent, c.Outcome, skew)
		require.InDelta(t, 5*time.Minute, time.Until(c.Expires), float64(time.Minute), "by the server's clock")
		code, _ := inbox.Code(r.Number)
		for _, other := range []time.Duration{-skew, 0} {
			c, err = at(other).Start(t.Context(), r)
			require.NoError(t, err)
			require.Equal(t, phone.Cooled, c.Outcome)
			require.LessOrEqual(t, c.RetryAfter, 30*time.Second)
		}
		got, err := at(-skew).Check(t.Context(), checking(r, string(code)))
		require.NoError(t, err)
		require.Equal(t, phone.OK, got.Verdict)
		g, err := at(skew).Verified(t.Context(), "t", r.Flow, r.Number)
		require.NoError(t, err)
		require.Equal(t, phone.SMS, g.Channel)
	}
}

// As the server sees it, a check is one read from its socket.
func TestCheckIsOneReadOfTheServer(t *testing.T) {
	server := servers.Single(t)
	client := server.Client(t, func(o *redis.Options) { o.PoolSize = 1 })
	inbox := phonetest.NewInbox()
	store, err := phoneredis.New(client, nil)
	require.NoError(t, err)
	v := newVerifier(t, store, inbox)
	r := asking(t, "+4740000000")
	_, err = v.Start(t.Context(), r)
	require.NoError(t, err)
	code, _ := inbox.Code(r.Number)
	_, err = v.Check(t.Context(), checking(asking(t, "+4741000000"), "123456")) // the script is known from now on
	require.NoError(t, err)
	for i, c := range []string{wrong(code), string(code), string(code)} {
		before := server.Reads(t)
		_, err := v.Check(t.Context(), checking(r, c))
		require.NoError(t, err)
		require.Equal(t, int64(2), server.Reads(t)-before, "check %d: its own read, and the one that asks", i)
	}
}

// A client whose pool is exhausted is an error of that call, in time.
func TestNoConnection(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", ContextTimeoutEnabled: true, DialerRetries: 1})
	defer func() { require.NoError(t, client.Close()) }()
	inbox := phonetest.NewInbox()
	v := newVerifier(t, shortly(t, client), inbox)
	began := time.Now()
	_, err := v.Start(t.Context(), asking(t, "+4740000000"))
	require.Error(t, err)
	require.False(t, errors.Is(err, phone.ErrFull))
	require.Less(t, time.Since(began), 5*time.Second)
	require.Empty(t, inbox.Messages())
}
