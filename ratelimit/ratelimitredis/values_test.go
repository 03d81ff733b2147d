package ratelimitredis_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/internal/redistest"
	"github.com/vestibule-go/vestibule/ratelimit"
	"github.com/vestibule-go/vestibule/ratelimit/ratelimitredis"
)

// onlyKey is the one key on the server.
func onlyKey(t *testing.T, do func(testing.TB, ...any) any) string {
	t.Helper()
	keys, _ := do(t, "KEYS", "*").([]any)
	require.Len(t, keys, 1)
	return keys[0].(string)
}

// TestForeignValues: whatever lies under one of our keys costs at most one full bucket, never an error, and is mended.
func TestForeignValues(t *testing.T) {
	server := servers.Single(t)
	store := newStore(t, server.Client(t, nil), patient())
	far := fmt.Sprint(time.Now().Add(100 * 365 * 24 * time.Hour).UnixMicro())
	for _, tt := range []struct {
		name  string
		set   []any // after the key
		level ratelimit.Level
	}{
		{"empty", []any{"SET", ""}, ratelimit.Allow},
		{"text", []any{"SET", "garbage"}, ratelimit.Allow},
		{"nan", []any{"SET", "nan"}, ratelimit.Allow},
		{"negative", []any{"SET", "-1"}, ratelimit.Allow},
		{"past", []any{"SET", "1"}, ratelimit.Allow},
		{"binary", []any{"SET", "\x00\xff\x00\xff"}, ratelimit.Allow},
		{"large", []any{"SET", strings.Repeat("9", 1<<20)}, ratelimit.Deny},
		{"infinite", []any{"SET", "inf"}, ratelimit.Deny},
		{"exponent", []any{"SET", "1e300"}, ratelimit.Deny},
		{"far future", []any{"SET", far}, ratelimit.Deny},
		{"list", []any{"LPUSH", "x"}, ratelimit.Allow},
		{"hash", []any{"HSET", "a", "b"}, ratelimit.Allow},
		{"stream", []any{"XADD", "*", "a", "b"}, ratelimit.Allow},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server.Flush(t)
			c := bucket(store, tt.name, 5)
			well(t, store, c)
			name := onlyKey(t, server.Do)
			server.Do(t, "DEL", name)
			server.Do(t, append([]any{tt.set[0], name}, tt.set[1:]...)...)
			b := well(t, store, c)
			require.Equal(t, tt.level, b.Level)
			require.LessOrEqual(t, b.Buckets[0].Debt, c.Interval*c.Burst)
			require.LessOrEqual(t, b.Wait, c.Interval)
			require.Equal(t, "string", server.Do(t, "TYPE", name), "mended")
			ttl := server.Do(t, "PTTL", name).(int64)
			require.Positive(t, ttl, "and expiring")
			require.LessOrEqual(t, ttl, c.Interval*c.Burst/1000+257_000)
			report := &ratelimit.Batch{Buckets: []ratelimit.Bucket{c}}
			require.NoError(t, store.Adjust(t.Context(), report))
			require.NoError(t, report.Degraded)
		})
	}
}

// TestForeignRecords is the same for offence records.
func TestForeignRecords(t *testing.T) {
	server := servers.Single(t)
	store := newStore(t, server.Client(t, nil), patient())
	o := source(store, "a")
	look := func() *ratelimit.Batch {
		b := &ratelimit.Batch{Ladder: ladder(), Sources: []ratelimit.Offender{o}}
		require.NoError(t, store.Decide(t.Context(), b))
		require.NoError(t, b.Degraded)
		return b
	}
	for name, set := range map[string][]any{
		"empty":       {"SET", ""},
		"text":        {"SET", "garbage"},
		"12 bytes":    {"SET", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"},
		"12 zeroes":   {"SET", strings.Repeat("\x00", 12)},
		"21 bytes":    {"SET", strings.Repeat("\xff", 21)},
		"infinite at": {"SET", "\x00\x00\x00\x00\x00\x00\xf0\x7f\x01\x00\x00\x00"},
		"list":        {"LPUSH", "x"},
	} {
		t.Run(name, func(t *testing.T) {
			server.Flush(t)
			add := &ratelimit.Batch{Offence: 1000, Ladder: ladder(), Sources: []ratelimit.Offender{o}}
			require.NoError(t, store.Adjust(t.Context(), add))
			key := onlyKey(t, server.Do)
			server.Do(t, "DEL", key)
			server.Do(t, append([]any{set[0], key}, set[1:]...)...)
			b := look()
			require.LessOrEqual(t, b.Sources[0].Score, ladder().Max)
			require.LessOrEqual(t, b.Wait, ladder().MaxBan)
			require.NoError(t, store.Adjust(t.Context(), &ratelimit.Batch{Offence: 20_000, Ladder: ladder(), Sources: []ratelimit.Offender{o}}))
			require.Equal(t, ratelimit.Ban, look().Level, "offences count again")
			require.Positive(t, server.Do(t, "PTTL", key))
		})
	}
}

// TestClockGoesBack: a successor's clock may be behind. What was stored by the old one is cut to one full bucket and one
// longest ban, in the store too, so that it passes while the clock catches up.
func TestClockGoesBack(t *testing.T) {
	server := servers.Single(t)
	for _, jump := range []time.Duration{time.Hour, -time.Hour, 1000 * time.Hour, -1000 * time.Hour} {
		t.Run(jump.String(), func(t *testing.T) {
			server.Flush(t)
			now := time.Now()
			o := patient()
			o.InsecureNow = func() time.Time { return now }
			store := newStore(t, server.Client(t, nil), o)
			c := ratelimit.Bucket{Key: store.Tag([]byte("a")), Interval: 1_000_000, Burst: 5, Cost: 5}
			require.True(t, well(t, store, c).Charged)
			now = now.Add(jump)
			c.Cost = 1
			b := well(t, store, c)
			require.Equal(t, jump > 0, b.Charged)
			require.LessOrEqual(t, b.Wait, c.Interval)
			now = now.Add(time.Second)
			require.True(t, well(t, store, c).Charged, "no longer than it takes to regain a unit")
			require.Equal(t, now.UnixMicro(), b.Now+time.Second.Microseconds())
		})
	}
}

// TestServerClockJumps is the same with Redis's own clock: after a failover to a machine whose clock is an hour off nobody
// waits longer than one full bucket and one longest ban.
func TestServerClockJumps(t *testing.T) {
	server := redistest.Start(t, &redistest.Options{OwnClock: true})
	store := newStore(t, server.Client(t, nil), patient())
	for _, jump := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(jump.String(), func(t *testing.T) {
			server.SetClock(t, 0)
			server.Flush(t)
			c := ratelimit.Bucket{Key: store.Tag([]byte("a")), Interval: 10_000_000, Burst: 5, Cost: 5}
			require.True(t, well(t, store, c).Charged)
			offender := func(offence int64) *ratelimit.Batch {
				b := &ratelimit.Batch{Offence: offence, Ladder: ladder(), Sources: []ratelimit.Offender{source(store, "a")}}
				if offence > 0 {
					require.NoError(t, store.Adjust(t.Context(), b))
				} else {
					require.NoError(t, store.Decide(t.Context(), b))
				}
				require.NoError(t, b.Degraded)
				return b
			}
			offender(12_000)
			require.Equal(t, ratelimit.Ban, offender(0).Level)

			server.SetClock(t, jump)
			c.Cost = 1
			b := well(t, store, c)
			require.WithinDuration(t, time.Now().Add(jump), time.UnixMicro(b.Now), 30*time.Second)
			require.Equal(t, jump > 0, b.Charged)
			require.LessOrEqual(t, b.Wait, c.Interval)
			banned := offender(0)
			require.Equal(t, jump < 0, banned.Level == ratelimit.Ban)
			require.LessOrEqual(t, banned.Wait, ladder().MaxBan)

			server.SetClock(t, jump+11*time.Second)
			require.True(t, well(t, store, c).Charged, "no longer than it takes to regain a unit")
			require.Positive(t, server.Do(t, "PTTL", bucketKey(t, server)))
		})
	}
}

// bucketKey is the one key on the server that holds a bucket.
func bucketKey(t *testing.T, server *redistest.Server) string {
	t.Helper()
	found := ""
	keys, _ := server.Do(t, "KEYS", "*").([]any)
	for _, k := range keys {
		if v, _ := server.Do(t, "GET", k).(string); len(v) == 16 {
			require.Empty(t, found, "one bucket")
			found = k.(string)
		}
	}
	require.NotEmpty(t, found)
	return found
}

// TestExpiry: whatever is charged and given back, a bucket's key holds to the microsecond when it is full, outlives that,
// and by no more than 257 seconds, though most charges leave the expiry alone.
func TestExpiry(t *testing.T) {
	server := servers.Single(t)
	store := newStore(t, server.Client(t, nil), patient())
	c := ratelimit.Bucket{Key: store.Tag([]byte("a")), Interval: 20_000_001, Burst: 1000}
	for i := range 200 {
		b := &ratelimit.Batch{Buckets: []ratelimit.Bucket{c}}
		cost := []int64{1, 1, 1, 1, 2, 20, -1, -3}[i%8]
		b.Buckets[0].Cost = cost
		before := int64(0)
		if v, ok := server.Do(t, "GET", store.KeyName(c.Key)).(string); ok {
			_, err := fmt.Sscan(v, &before)
			require.NoError(t, err)
		}
		if cost > 0 {
			require.NoError(t, store.Decide(t.Context(), b))
			require.True(t, b.Charged)
		} else {
			require.NoError(t, store.Adjust(t.Context(), b))
		}
		require.NoError(t, b.Degraded)
		var tat int64
		_, err := fmt.Sscan(server.Do(t, "GET", store.KeyName(c.Key)).(string), &tat)
		require.NoError(t, err)
		require.Equal(t, max(before, b.Now)+cost*c.Interval, tat)
		expires := server.Expires(t, store.KeyName(c.Key)).UnixMicro()
		require.Greater(t, expires, tat)
		require.LessOrEqual(t, expires, tat+257_000_000)
	}
	require.NotEmpty(t, server.Info(t, "commandstats", "cmdstat_incrby"))
	require.NotEmpty(t, server.Info(t, "commandstats", "cmdstat_set"))
}

// TestForeignSpelling: a number that is ours but for its spelling, or a key without expiry, is judged by its value, and
// the charge is exact.
func TestForeignSpelling(t *testing.T) {
	server := servers.Single(t)
	store := newStore(t, server.Client(t, nil), patient())
	c := ratelimit.Bucket{Key: store.Tag([]byte("a")), Interval: 100_000_000, Burst: 10, Cost: 1}
	name := store.KeyName(c.Key)
	for _, form := range []string{"%d", " %d", "%d ", "+%d", "0%d", "0x%x", "%d.0", "%de0", "%d0e-1"} {
		t.Run(form, func(t *testing.T) {
			server.Do(t, "DEL", name)
			tat := time.Now().Add(250 * time.Second).UnixMicro()
			server.Do(t, "SET", name, fmt.Sprintf(form, tat)) // never expires
			for range 3 {
				b := well(t, store, c)
				require.True(t, b.Charged)
				tat += c.Interval
				require.Equal(t, fmt.Sprint(tat), server.Do(t, "GET", name))
				require.Equal(t, tat-b.Now, b.Buckets[0].Debt)
			}
			require.Positive(t, server.Do(t, "PTTL", name), "it expires again")
		})
	}
}

// TestScriptFlush: a Redis that has forgotten its scripts is told them again, in every call, inside pipelines too.
func TestScriptFlush(t *testing.T) {
	server := servers.Single(t)
	for _, perKey := range []bool{false, true} {
		o := patient()
		o.PerKeySlots = perKey
		store := newStore(t, server.Client(t, nil), o)
		a, b := bucket(store, "a", 2), bucket(store, "b", 1000)
		for _, admitted := range []bool{true, true, false} {
			server.FlushScripts(t)
			batch := &ratelimit.Batch{Ladder: ladder(), Buckets: []ratelimit.Bucket{a, b}, Sources: []ratelimit.Offender{source(store, "a")}}
			require.NoError(t, store.Decide(t.Context(), batch))
			require.NoError(t, batch.Degraded)
			require.Equal(t, admitted, batch.Charged)
		}
		require.InDelta(t, 2, debtUnits(t, store, b), 0.1, "what refuses charges nobody, and no call counts twice")
		server.FlushScripts(t)
		refund := a
		refund.Cost = -2
		require.NoError(t, store.Adjust(t.Context(), &ratelimit.Batch{Buckets: []ratelimit.Bucket{refund}}))
		require.Zero(t, debtUnits(t, store, a))
		server.FlushScripts(t)
		require.NoError(t, store.Forget(t.Context(), &ratelimit.Batch{Buckets: []ratelimit.Bucket{b}}))
		require.Zero(t, debtUnits(t, store, b))
		server.Flush(t)
	}
}

// TestWhatIsStored: keyed hashes in one slot a tenant, all expiring, nothing personal.
func TestWhatIsStored(t *testing.T) {
	server := servers.Single(t)
	client := server.Client(t, nil)
	for _, perKey := range []bool{false, true} {
		o := patient()
		o.PerKeySlots = perKey
		o.Prefix = "app-1"
		store := newStore(t, client, o)
		limiter, err := ratelimit.New(ratelimit.DefaultPolicy(), store, &ratelimit.Options{Timeout: 10 * time.Second})
		require.NoError(t, err)
		for _, tenant := range []string{"", "acme", "{b}a}d{"} {
			s := subject()
			s.Tenant = tenant
			d, err := limiter.Decide(t.Context(), s)
			require.NoError(t, err)
			require.NoError(t, d.Degraded)
			require.Equal(t, ratelimit.Allow, d.Level)
			require.NoError(t, limiter.Report(t.Context(), s, ratelimit.CaptchaFailed))
		}
		keys, _ := server.Do(t, "KEYS", "*").([]any)
		require.Greater(t, len(keys), 15)
		for _, k := range keys {
			name, head := k.(string), "{app-1"
			if perKey {
				head = "app-1:"
			}
			require.True(t, strings.HasPrefix(name, head), "%q", name)
			home, _, _ := strings.Cut(name, "}")
			if perKey {
				home = head[:len(head)-1]
			}
			require.LessOrEqual(t, len(home), len("{app-1x"))
			require.Len(t, name, len(home)+1+9, "no more than a home and a tag")
			require.Positive(t, server.Do(t, "PTTL", k), "every key expires")
			v := fmt.Sprint(server.Do(t, "GET", k))
			for _, secret := range []string{"192.0.2", "22222222", "somebody", "acme"} {
				require.NotContains(t, name, secret)
				require.NotContains(t, v, secret)
			}
		}
		server.Flush(t)
	}
}

func subject() ratelimit.Subject {
	return ratelimit.Subject{
		Event: "signup", IP: mustAddr("192.0.2.7"), Phone: "+4722222222", Email: "{somebody}@example.com",
		Device: []string{"{device}"}, DeviceVerified: true,
	}
}

// TestOneRead: one decision is one read of a socket and one call of a script, however many limits it has.
func TestOneRead(t *testing.T) {
	server := servers.Single(t)
	for name, tt := range map[string]func(*redis.Options){"RESP3": nil, "RESP2": func(o *redis.Options) { o.Protocol = 2 }} {
		t.Run(name, func(t *testing.T) {
			store := newStore(t, server.Client(t, tt), patient())
			ask := func(i int) {
				b := &ratelimit.Batch{Ladder: ladder()}
				for k := range 5 {
					b.Buckets = append(b.Buckets, bucket(store, fmt.Sprint(i%3, k), 20))
				}
				for k := range 3 {
					b.Sources = append(b.Sources, source(store, fmt.Sprint(i%3, k)))
				}
				require.NoError(t, store.Decide(t.Context(), b))
				require.NoError(t, b.Degraded)
			}
			ask(0)
			before := server.Reads(t)
			const n = 100 // allowed, refused and banned ones
			for i := range n {
				ask(i)
			}
			require.EqualValues(t, n, server.Reads(t)-before-1)
		})
	}
}

// TestAccess: the permissions the guide names are enough, on other keys they are none.
func TestAccess(t *testing.T) {
	server := servers.Single(t)
	server.Do(t, "ACL", "SETUSER", "limits", "on", ">secret", "resetkeys", "~{vl*", "~vl:*", "-@all",
		"+evalsha", "+eval", "+mget", "+set", "+incrby", "+del", "+time", "+hello", "+client")
	t.Cleanup(func() { server.Do(t, "ACL", "DELUSER", "limits") })
	client := server.Client(t, func(o *redis.Options) { o.Username, o.Password = "limits", "secret" })
	for _, perKey := range []bool{false, true} {
		for _, prefix := range []string{"vl", "other"} {
			o := patient()
			o.PerKeySlots, o.Prefix = perKey, prefix
			store := newStore(t, client, o)
			b := &ratelimit.Batch{Tenant: "acme", Ladder: ladder(), Buckets: []ratelimit.Bucket{bucket(store, "a", 1)}, Sources: []ratelimit.Offender{source(store, "a")}}
			for range 2 {
				require.NoError(t, store.Decide(t.Context(), b))
				require.Equal(t, prefix == "vl", b.Degraded == nil, "%v", b.Degraded)
			}
			b.Offence = 1000
			require.NoError(t, store.Adjust(t.Context(), b))
			require.Equal(t, prefix == "vl", b.Degraded == nil)
			require.Equal(t, prefix == "vl", store.Forget(t.Context(), b) == nil)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	c := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer func() { require.NoError(t, c.Close()) }()
	_, err := ratelimitredis.New(nil, key, nil)
	require.ErrorContains(t, err, "no client")
	_, err = ratelimitredis.New(c, key[:31], nil)
	require.ErrorContains(t, err, "31 bytes")
	for want, o := range map[string]ratelimitredis.Options{
		"Prefix has":       {Prefix: "a{b"},
		"Prefix is longer": {Prefix: strings.Repeat("a", 33)},
		"Timeout is":       {Timeout: time.Hour},
		"ProbeInterval is": {ProbeInterval: time.Microsecond},
		"Instances is":     {Instances: -1},
		"Failures is":      {Failures: 1001},
		"MaxPending is":    {MaxPending: -1},
		"Fail is":          {Fail: 9},
		"buckets":          {Memory: &ratelimit.MemoryOptions{Buckets: -1}},
	} {
		_, err := ratelimitredis.New(c, key, &o)
		require.ErrorContains(t, err, want)
	}
	_, err = ratelimitredis.New(struct{ ratelimitredis.Processor }{c}, key, &ratelimitredis.Options{PerKeySlots: true})
	require.ErrorContains(t, err, "UniversalClient")
	auto, err := c.AsyncAutoPipeline()
	require.NoError(t, err)
	defer func() { require.NoError(t, auto.Close()) }()
	_, err = ratelimitredis.New(auto, key, nil)
	require.ErrorContains(t, err, "asynchronous")
}

// TestLargestBatch: as many buckets and sources as a batch may have.
func TestLargestBatch(t *testing.T) {
	server := servers.Single(t)
	for _, perKey := range []bool{false, true} {
		o := patient()
		o.PerKeySlots = perKey
		store := newStore(t, server.Client(t, nil), o)
		batch := func() *ratelimit.Batch {
			b := &ratelimit.Batch{Tenant: strings.Repeat("t", 255), Ladder: ladder()}
			for i := range ratelimit.MaxBuckets {
				b.Buckets = append(b.Buckets, bucket(store, fmt.Sprint(i), 2))
			}
			for i := range ratelimit.MaxSources {
				b.Sources = append(b.Sources, source(store, fmt.Sprint(i)))
			}
			return b
		}
		for _, admitted := range []bool{true, true, false} {
			b := batch()
			require.NoError(t, store.Decide(t.Context(), b))
			require.NoError(t, b.Degraded)
			require.Equal(t, admitted, b.Charged)
			require.Equal(t, !admitted, b.Buckets[ratelimit.MaxBuckets-1].Exceeded)
			require.Equal(t, !admitted, b.Sources[ratelimit.MaxSources-1].Score == 1000)
		}
		b := batch()
		b.Offence = 9000
		require.NoError(t, store.Adjust(t.Context(), b))
		require.NoError(t, b.Degraded)
		b = batch()
		require.NoError(t, store.Decide(t.Context(), b))
		require.Equal(t, ratelimit.Ban, b.Level)
		require.NoError(t, store.Forget(t.Context(), batch()))
		require.Empty(t, server.Do(t, "KEYS", "*"))
	}
}
