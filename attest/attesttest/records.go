package attesttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/passkey"
)

// RunRecords tests that a database keeps the rules of passkey.Records. newRecords is called once a sub-test, with the clock
// to judge expiry by.
func RunRecords(t *testing.T, newRecords func(t *testing.T, now func() time.Time) passkey.Records) {
	for name, f := range map[string]func(t *testing.T, r passkey.Records, c *Clock){
		"swap": recordSwap, "bytes": recordBytes, "expiry": recordExpiry, "race": recordRace, "canceled": recordCanceled,
	} {
		t.Run(name, func(t *testing.T) {
			c := NewClock()
			f(t, newRecords(t, c.Now), c)
		})
	}
}

func swap(t *testing.T, r passkey.Records, key, was attest.Hash, value []byte, want bool) {
	t.Helper()
	done, err := r.Swap(context.Background(), key, was, value, time.Minute)
	require.NoError(t, err)
	require.Equal(t, want, done)
}

func requireRecord(t *testing.T, r passkey.Records, key attest.Hash, want []byte) {
	t.Helper()
	got, err := r.Get(context.Background(), key)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func recordSwap(t *testing.T, r passkey.Records, _ *Clock) {
	key, one, two := randomHash(), []byte("one"), []byte("two")
	requireRecord(t, r, key, nil)
	swap(t, r, key, sha256.Sum256(one), two, false)
	requireRecord(t, r, key, nil)
	swap(t, r, key, attest.Hash{}, one, true)
	swap(t, r, key, attest.Hash{}, two, false)
	swap(t, r, key, sha256.Sum256(two), two, false)
	requireRecord(t, r, key, one)
	swap(t, r, key, sha256.Sum256(one), two, true)
	requireRecord(t, r, key, two)
	swap(t, r, key, attest.Hash{}, nil, false)
	swap(t, r, key, sha256.Sum256(one), nil, false)
	requireRecord(t, r, key, two)
	swap(t, r, key, sha256.Sum256(two), nil, true)
	requireRecord(t, r, key, nil)
	swap(t, r, key, attest.Hash{}, nil, true)
	swap(t, r, key, attest.Hash{}, one, true)
	requireRecord(t, r, randomHash(), nil)
}

func recordBytes(t *testing.T, r passkey.Records, _ *Clock) {
	for _, value := range [][]byte{{0}, []byte("\x00\xff\r\n$-1"), make([]byte, passkey.MaxValue)} {
		key, given := randomHash(), bytes.Clone(value)
		swap(t, r, key, attest.Hash{}, given, true)
		given[0] ^= 1 // it keeps its own
		requireRecord(t, r, key, value)
	}
	_, err := r.Swap(context.Background(), randomHash(), attest.Hash{}, make([]byte, passkey.MaxValue+1), time.Minute)
	require.Error(t, err)
	_, err = r.Swap(context.Background(), randomHash(), attest.Hash{}, []byte("x"), 0)
	require.Error(t, err, "what never ends is not kept")
}

func recordExpiry(t *testing.T, r passkey.Records, c *Clock) {
	key, renewed, one := randomHash(), randomHash(), []byte("one")
	swap(t, r, key, attest.Hash{}, one, true)
	swap(t, r, renewed, attest.Hash{}, one, true)
	c.Advance(59 * time.Second)
	requireRecord(t, r, key, one)
	swap(t, r, renewed, sha256.Sum256(one), one, true)
	c.Advance(time.Second)
	requireRecord(t, r, key, nil)
	swap(t, r, key, sha256.Sum256(one), one, false)
	swap(t, r, key, attest.Hash{}, one, true)
	requireRecord(t, r, renewed, one)
}

func recordRace(t *testing.T, r passkey.Records, _ *Clock) {
	key, was := randomHash(), attest.Hash{}
	var n atomic.Int64
	for range Rounds {
		var failed atomic.Pointer[error]
		var last atomic.Pointer[string]
		won := race(func() bool {
			value := strconv.FormatInt(n.Add(1), 10)
			done, err := r.Swap(context.Background(), key, was, []byte(value), time.Minute)
			if err != nil {
				failed.Store(&err)
			}
			if done {
				last.Store(&value)
			}
			return done
		})
		require.Nil(t, failed.Load())
		require.EqualValues(t, 1, won, "of concurrent swaps exactly one is made")
		requireRecord(t, r, key, []byte(*last.Load()))
		was = sha256.Sum256([]byte(*last.Load()))
	}
}

func recordCanceled(t *testing.T, r passkey.Records, _ *Clock) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := r.Get(ctx, randomHash())
	require.ErrorIs(t, err, context.Canceled)
	_, err = r.Swap(ctx, randomHash(), attest.Hash{}, []byte("x"), time.Minute)
	require.ErrorIs(t, err, context.Canceled)
}

// MemoryRecords are passkey.Records in memory, without bound: for tests. Make them with NewRecords. They are safe for
// concurrent use.
type MemoryRecords struct {
	now func() time.Time

	mu  sync.Mutex
	all map[attest.Hash]memoryRecord // guarded by mu
}

type memoryRecord struct {
	value   []byte
	expires time.Time
}

var _ passkey.Records = (*MemoryRecords)(nil)

// NewRecords makes records with a clock; nil: time.Now.
func NewRecords(now func() time.Time) *MemoryRecords {
	if now == nil {
		now = time.Now
	}
	return &MemoryRecords{now: now, all: map[attest.Hash]memoryRecord{}}
}

// get returns what lives; m.mu is held.
func (m *MemoryRecords) get(key attest.Hash) []byte {
	r := m.all[key]
	if !m.now().Before(r.expires) {
		return nil
	}
	return r.value
}

// Get implements passkey.Records.
func (m *MemoryRecords) Get(ctx context.Context, key attest.Hash) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.get(key)), nil
}

// Swap implements passkey.Records.
func (m *MemoryRecords) Swap(ctx context.Context, key, was attest.Hash, value []byte, ttl time.Duration) (bool, error) {
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case len(value) > passkey.MaxValue:
		return false, fmt.Errorf("attesttest: a value of %d bytes", len(value))
	case value != nil && ttl <= 0:
		return false, errors.New("attesttest: a value needs a lifetime")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	have := attest.Hash{}
	if v := m.get(key); v != nil {
		have = sha256.Sum256(v)
	}
	if have != was {
		return false, nil
	}
	if value == nil {
		delete(m.all, key)
	} else {
		m.all[key] = memoryRecord{bytes.Clone(value), m.now().Add(ttl)}
	}
	return true, nil
}
