package fingerprintredis_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint"
	"github.com/vestibule-go/vestibule/fingerprint/fingerprintredis"
	"github.com/vestibule-go/vestibule/fingerprint/fingerprinttest"
	"github.com/vestibule-go/vestibule/internal/redistest"
	"github.com/vestibule-go/vestibule/risk/keyed"
)

var servers redistest.Group

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

// patient is a timeout that a busy machine keeps.
const patient = 10 * time.Second

func newStore(t testing.TB, client fingerprintredis.Processor, opts fingerprintredis.Options) *fingerprintredis.Store {
	t.Helper()
	if opts.Timeout == 0 {
		opts.Timeout = patient
	}
	s, err := fingerprintredis.New(client, &opts)
	require.NoError(t, err)
	return s
}

func TestStore(t *testing.T) {
	for _, spread := range []bool{false, true} {
		t.Run(fmt.Sprintf("spread=%v", spread), func(t *testing.T) {
			fingerprinttest.TestStore(t, func(t *testing.T, most int) fingerprint.Store {
				return newStore(t, servers.Single(t).Client(t, nil), fingerprintredis.Options{Cap: most, Spread: spread})
			})
		})
	}
}

func TestCluster(t *testing.T) {
	for _, spread := range []bool{false, true} {
		t.Run(fmt.Sprintf("spread=%v", spread), func(t *testing.T) {
			fingerprinttest.TestStore(t, func(t *testing.T, most int) fingerprint.Store {
				client := servers.Cluster(t).Client(t, nil)
				return newStore(t, client, fingerprintredis.Options{Cap: most, Spread: spread})
			})
		})
	}
}

// TestRotation lets 64 goroutines write across the end of a salt epoch.
func TestRotation(t *testing.T) {
	fingerprinttest.TestRotation(t, newStore(t, servers.Single(t).Client(t, nil), fingerprintredis.Options{}))
}

// counter counts the commands that are sent.
type counter struct {
	fingerprintredis.Processor
	mu   sync.Mutex
	sent []string // guarded by mu while calls are under way
}

func (c *counter) Process(ctx context.Context, cmd redis.Cmder) error {
	c.mu.Lock()
	c.sent = append(c.sent, cmd.Name())
	c.mu.Unlock()
	return c.Processor.Process(ctx, cmd)
}

func newRing(t testing.TB) *keyed.Ring {
	t.Helper()
	r, err := keyed.New([]keyed.Key{{ID: "k", Secret: keyed.NewSecret()}}, nil)
	require.NoError(t, err)
	return r
}

func newSightings(t testing.TB, store fingerprint.Store) *fingerprint.Sightings {
	t.Helper()
	s, err := fingerprint.NewSightings(store, &fingerprint.SightingsOptions{Ring: newRing(t), Timeout: patient})
	require.NoError(t, err)
	return s
}

func visit(n int) fingerprint.Visit {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], uint32(n))
	return fingerprint.Visit{
		Tenant: "t", Attempt: fmt.Sprint("attempt", n), IP: netip.AddrFrom4(a), Device: "device", Print: "print",
		Email: fmt.Sprint(n, "@example.com"), Phone: fmt.Sprint("+1555", n), IDs: []fingerprint.ID{{Kind: "usdot", Value: "1234567"}},
	}
}

func TestOneRoundTrip(t *testing.T) {
	c := &counter{Processor: servers.Single(t).Client(t, nil)}
	s := newSightings(t, newStore(t, c, fingerprintredis.Options{}))
	_, err := s.See(t.Context(), visit(1))
	require.NoError(t, err)
	require.Equal(t, []string{"evalsha", "eval"}, c.sent, "the script is loaded once")
	c.sent = nil
	got, err := s.See(t.Context(), visit(2))
	require.NoError(t, err)
	require.Equal(t, []string{"evalsha"}, c.sent)
	require.Equal(t, fingerprint.Counts{{N: 2}, {N: 2}, {N: 2}}, got.Device.Accounts)
	require.Equal(t, fingerprint.Counts{{N: 2}, {N: 2}, {N: 2}}, got.Business.Attempts)
	require.True(t, got.Device.Before)
}

func TestEverythingExpiresAndStaysSmall(t *testing.T) {
	client := servers.Single(t).Client(t, nil)
	s := newSightings(t, newStore(t, client, fingerprintredis.Options{}))
	for n := range 400 {
		_, err := s.See(t.Context(), visit(n))
		require.NoError(t, err)
	}
	keys, err := client.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	bySubject := map[string]int64{}
	for _, k := range keys {
		ttl, err := client.PTTL(t.Context(), k).Result()
		require.NoError(t, err)
		require.Positive(t, ttl, "a key without expiry")
		used, err := client.MemoryUsage(t.Context(), k).Result()
		require.NoError(t, err)
		bySubject[k] += used
	}
	var most int64
	for _, used := range bySubject {
		most = max(most, used)
	}
	t.Logf("the largest subject takes %d bytes", most)
	require.LessOrEqual(t, most, int64(6500))
}

// TestLargestSubject fills every dimension with members of different times, which is the most a subject can take, by a
// time that is given and by Redis's.
func TestLargestSubject(t *testing.T) {
	for n := range 6 {
		most, given := []int{20, fingerprint.DefaultCap, fingerprint.MaxCap}[n/2], n%2 == 0
		client := redistest.Start(t, nil).Client(t, nil)
		s := newStore(t, client, fingerprintredis.Options{Cap: most})
		at := fingerprinttest.Start
		var largest int64
		for i := range 6 * most {
			b := fingerprint.Batch{Tenant: "t", Subjects: []fingerprint.Subject{{
				Key: fingerprint.Key{1}, Keep: 30 * 24 * time.Hour, Dated: true, N: 1,
				Sets: [fingerprint.MaxSets]fingerprint.Set{{Dim: fingerprint.Dim(i % fingerprint.MaxSets), Member: uint64(i + 1)}},
			}}}
			if given {
				b.At = at.Add(time.Duration(i) * time.Second).UnixMilli()
			}
			require.NoError(t, s.See(t.Context(), &b))
			keys, err := client.Keys(t.Context(), "*").Result()
			require.NoError(t, err)
			require.Len(t, keys, 1)
			used, err := client.MemoryUsage(t.Context(), keys[0]).Result()
			require.NoError(t, err)
			largest = max(largest, used)
		}
		t.Logf("cap %d, time given %v: %d bytes", most, given, largest)
		bound := int64(6500)
		if most > fingerprint.DefaultCap {
			bound = 8400
		}
		require.LessOrEqual(t, largest, bound)
	}
}

// TestKept: whenever a subject was seen, it stays for as long as it is to be kept, and not much longer, though not every
// visit moves its expiry.
func TestKept(t *testing.T) {
	server := redistest.Start(t, &redistest.Options{OwnClock: true})
	client := server.Client(t, nil)
	keep := fingerprint.Windows[2]
	at := time.Now()
	full := at.Truncate(time.Hour).Add(time.Hour).Sub(at) // until the hour is full
	moved := 0
	var last time.Time
	for i, ahead := range []time.Duration{
		0, 0, full + time.Minute, full + 20*time.Minute, full + 40*time.Minute, full + 70*time.Minute, full + 71*time.Minute,
		full + 3*time.Hour, full + 20*time.Minute, full + 21*time.Minute, 100 * time.Hour,
	} {
		server.SetClock(t, ahead)
		s := newStore(t, client, fingerprintredis.Options{}) // which asks for the time
		b := fingerprint.Batch{Tenant: "t", Subjects: []fingerprint.Subject{{
			Key: fingerprint.Key{1}, Keep: keep, N: 1, Sets: [fingerprint.MaxSets]fingerprint.Set{{Dim: fingerprint.DimIPs, Member: uint64(i + 1)}},
		}}}
		require.NoError(t, s.See(t.Context(), &b))
		require.EqualValues(t, i+1, b.Subjects[0].Sets[0].Counts[2])
		keys, err := client.Keys(t.Context(), "*").Result()
		require.NoError(t, err)
		require.Len(t, keys, 1)
		end := server.Expires(t, keys[0])
		ttl := end.Sub(time.UnixMilli(b.Subjects[0].At))
		require.GreaterOrEqual(t, ttl, keep)
		if end.Sub(last).Abs() > time.Second {
			require.LessOrEqual(t, ttl, keep+time.Hour+time.Second, "the clock is read more than once")
			moved++
		}
		last = end
	}
	require.Less(t, moved, 9)
}

// TestUndo takes a visit back, and its keys keep their time to live.
func TestUndo(t *testing.T) {
	for _, spread := range []bool{false, true} {
		client := redistest.Start(t, nil).Client(t, nil)
		c := &counter{Processor: client}
		s := newSightings(t, newStore(t, c, fingerprintredis.Options{Spread: spread}))
		_, err := s.See(t.Context(), visit(1))
		require.NoError(t, err)
		v := visit(2)
		v.Receipt = true
		got, err := s.See(t.Context(), v)
		require.NoError(t, err)
		require.Equal(t, 2, got.Device.Attempts[0].N)
		require.Equal(t, 2, got.Device.Accounts[0].N)
		c.sent = nil
		require.NoError(t, s.Undo(t.Context(), "t", got.Receipt))
		if !spread {
			require.Equal(t, []string{"evalsha", "eval"}, c.sent)
		}
		look := visit(1)
		got, err = s.See(t.Context(), look)
		require.NoError(t, err)
		require.Equal(t, 1, got.Device.Attempts[0].N)
		require.Equal(t, 1, got.Device.Accounts[0].N)
		require.Equal(t, 1, got.Business.Attempts[0].N)
		keys, err := client.Keys(t.Context(), "*").Result()
		require.NoError(t, err)
		for _, k := range keys {
			require.Positive(t, client.PTTL(t.Context(), k).Val())
		}
	}
}

// TestNothingInClear: neither keys nor values hold what a visit shows.
func TestNothingInClear(t *testing.T) {
	client := servers.Single(t).Client(t, nil)
	s := newSightings(t, newStore(t, client, fingerprintredis.Options{Prefix: "clear"}))
	v := visit(7)
	v.IP, v.Email, v.Phone = netip.MustParseAddr("203.0.113.77"), "somebody@example.com", "+15550100777"
	v.Tenant, v.Attempt, v.Account, v.Similar = "some-tenant", "some-attempt", "some-account", "some-model"
	_, err := s.See(t.Context(), v)
	require.NoError(t, err)
	keys, err := client.Keys(t.Context(), "*clear*").Result()
	require.NoError(t, err)
	require.Len(t, keys, 8, "one for each thing; the device under the former epoch is only looked at")
	all := ""
	for _, k := range keys {
		all += k + client.Get(t.Context(), k).Val()
	}
	four := v.IP.As4()
	for _, secret := range []string{"203.0.113", string(four[:]), "somebody", "example.com", "5550100777", "some-", "device", "print", "1234567", "usdot"} {
		require.NotContains(t, all, secret)
	}
}

func TestNoFalseAnswers(t *testing.T) {
	server := redistest.Start(t, nil)
	store := newStore(t, server.Client(t, nil), fingerprintredis.Options{Timeout: time.Second})
	s := newSightings(t, store)
	_, err := s.See(t.Context(), visit(1))
	require.NoError(t, err)
	server.Pause(t)
	_, err = s.See(t.Context(), visit(2))
	require.Error(t, err)
	require.NotContains(t, err.Error(), "example.com")
	server.Resume(t)
	require.Eventually(t, func() bool { _, err := s.See(t.Context(), visit(3)); return err == nil }, patient, 10*time.Millisecond)
	server.Kill(t)
	_, err = s.See(t.Context(), visit(4))
	require.Error(t, err)
}

func TestForeignValues(t *testing.T) {
	client := servers.Single(t).Client(t, nil)
	s := newSightings(t, newStore(t, client, fingerprintredis.Options{}))
	_, err := s.See(t.Context(), visit(1))
	require.NoError(t, err)
	keys, err := client.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	require.NotEmpty(t, keys)
	for _, rubbish := range []string{"", "x", "\x01 begins as ours does, and goes on in another way", "\x01\x00\x00\x00\x00\x00\x00\x1f\x00", strings.Repeat("\x01", 20_000), "rubbish that is longer than a header", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\x00\x00\x00\x00"} {
		for _, k := range keys {
			require.NoError(t, client.Set(t.Context(), k, rubbish, time.Hour).Err())
		}
		got, err := s.See(t.Context(), visit(1))
		require.NoError(t, err)
		require.Equal(t, fingerprint.Counts{{N: 1}, {N: 1}, {N: 1}}, got.Device.Attempts, "counting begins again")
		require.False(t, got.Device.Before)
	}
	for _, k := range keys {
		require.NoError(t, client.Del(t.Context(), k).Err())
		require.NoError(t, client.LPush(t.Context(), k, "a list").Err())
	}
	_, err = s.See(t.Context(), visit(1))
	require.NoError(t, err)
}

func TestOptions(t *testing.T) {
	client := redis.NewClient(&redis.Options{})
	t.Cleanup(func() { _ = client.Close() })
	for name, o := range map[string]fingerprintredis.Options{
		"prefix":  {Prefix: "a{b"},
		"long":    {Prefix: "0123456789012345678901234567890123"},
		"cap":     {Cap: 128},
		"timeout": {Timeout: time.Minute},
		"pending": {MaxPending: -1},
	} {
		_, err := fingerprintredis.New(client, &o)
		require.Error(t, err, name)
		if name != "cap" {
			_, err = fingerprintredis.NewOnce(client, &o)
			require.Error(t, err, name)
		}
	}
	_, err := fingerprintredis.New(nil, nil)
	require.Error(t, err)
	_, err = fingerprintredis.NewOnce(nil, nil)
	require.Error(t, err)
}

func TestOnce(t *testing.T) {
	client := servers.Single(t).Client(t, nil)
	o, err := fingerprintredis.NewOnce(client, &fingerprintredis.Options{Timeout: patient})
	require.NoError(t, err)
	first, err := o.Use(t.Context(), "a", time.Minute)
	require.NoError(t, err)
	require.True(t, first)
	first, err = o.Use(t.Context(), "a", time.Minute)
	require.NoError(t, err)
	require.False(t, first)
	first, err = o.Use(t.Context(), "b", time.Minute)
	require.NoError(t, err)
	require.True(t, first)
	require.NoError(t, o.Release(t.Context(), "a"))
	require.NoError(t, o.Release(t.Context(), "never used"))
	first, err = o.Use(t.Context(), "a", time.Minute)
	require.NoError(t, err)
	require.True(t, first, "it was released")
	_, err = o.Use(t.Context(), "c", 0)
	require.Error(t, err)
}
