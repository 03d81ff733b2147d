package attestredis_test

import (
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/attestredis"
	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/passkey"
	"github.com/vestibule-go/vestibule/internal/redistest"
)

var servers redistest.Group

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

func newStore(t testing.TB, c attestredis.Processor, now func() time.Time) *attestredis.Store {
	s, err := attestredis.New(c, &attestredis.Options{Timeout: 10 * time.Second, Keep: attesttest.Keep, InsecureNow: now})
	require.NoError(t, err)
	return s
}

func conform(t *testing.T, c attestredis.Processor) {
	t.Run("challenges", func(t *testing.T) {
		attesttest.RunChallenges(t, func(t *testing.T, now func() time.Time) attest.ChallengeStore {
			return newStore(t, c, now).Challenges()
		})
	})
	t.Run("keys", func(t *testing.T) {
		attesttest.RunKeys(t, func(t *testing.T, now func() time.Time) attesttest.KeyStore { return newStore(t, c, now).Keys() })
	})
	t.Run("records", func(t *testing.T) {
		attesttest.RunRecords(t, func(t *testing.T, now func() time.Time) passkey.Records { return newStore(t, c, now).Records() })
	})
	t.Run("passkeys", func(t *testing.T) {
		attesttest.RunCredentials(t, func(t *testing.T) attesttest.CredentialHarness {
			clock := attesttest.NewClock()
			s, err := attestredis.New(c, &attestredis.Options{
				Timeout: 10 * time.Second, InsecureNow: clock.Now, Prefix: "t" + strconv.FormatInt(stores.Add(1), 10),
			})
			require.NoError(t, err)
			return attesttest.CredentialHarness{Store: newPasskeys(t, s, clock.Now), Advance: clock.Advance}
		})
	})
}

// stores counts those whose accounts must not meet.
var stores atomic.Int64

func newPasskeys(t testing.TB, s *attestredis.Store, now func() time.Time) *passkey.Credentials {
	c, err := passkey.NewCredentials(s.Records(), &passkey.CredentialsOptions{Now: now})
	require.NoError(t, err)
	return c
}

func TestConformSingle(t *testing.T) {
	server := servers.Single(t)
	t.Run("RESP3", func(t *testing.T) { conform(t, server.Client(t, nil)) })
	t.Run("RESP2", func(t *testing.T) { conform(t, server.Client(t, func(o *redis.Options) { o.Protocol = 2 })) })
}

func TestConformCluster(t *testing.T) {
	conform(t, servers.Cluster(t).Client(t, nil))
}

func put(t testing.TB, s *attestredis.Store, name string) (key, binding attest.Hash) {
	key, binding = attest.KeyHash("c", []byte(name)), attest.KeyHash("b", []byte(name))
	require.NoError(t, s.Challenges().Put(t.Context(), key, attest.Record{Binding: binding}, time.Minute))
	return key, binding
}

func TestOwnClockAndExpiry(t *testing.T) {
	server := servers.Single(t)
	server.Flush(t)
	s := newStore(t, server.Client(t, nil), nil)
	key, b := put(t, s, "own clock")
	require.NoError(t, s.Keys().Create(t.Context(), attest.Key{Tenant: "tenant-9", ID: key, Platform: "p"}))
	require.NoError(t, newPasskeys(t, s, nil).Create(t.Context(), attesttest.NewCredential("tenant-9", "account-9")))
	names, ok := server.Do(t, "KEYS", "*").([]any)
	require.True(t, ok)
	require.Len(t, names, 4)
	for _, n := range names {
		require.NotContains(t, n, "tenant-9")
		require.NotContains(t, n, "account-9")
		ttl, ok := server.Do(t, "PTTL", n).(int64)
		require.True(t, ok)
		require.Positive(t, ttl, "every key expires")
	}
	server.FlushScripts(t)
	r, _, err := s.Challenges().Redeem(t.Context(), key, b, attest.Hash{})
	require.NoError(t, err, "scripts that Redis has forgotten are sent again")
	require.Equal(t, attest.Redeemed, r)
}

func TestNewRefuses(t *testing.T) {
	c := redis.NewClient(&redis.Options{})
	defer func() { _ = c.Close() }()
	for name, o := range map[string]attestredis.Options{
		"Prefix": {Prefix: "a b"}, "Timeout": {Timeout: time.Hour}, "Keep": {Keep: time.Second}, "MaxPending": {MaxPending: -1},
	} {
		s, err := attestredis.New(c, &o)
		require.ErrorContains(t, err, name)
		require.Nil(t, s)
	}
	_, err := attestredis.New(nil, nil)
	require.ErrorContains(t, err, "no client")
}
