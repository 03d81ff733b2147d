package risktest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
)

// FlowStoreOptions of [FlowStoreConform]. nil means the defaults.
type FlowStoreOptions struct {
	// Advance moves the store's clock on. nil means that the store keeps real time: expiry is then tested with TTL, and
	// waited for.
	Advance func(d time.Duration)
	// TTL is a short time to live that the store keeps exactly, for real time; default 60 ms.
	TTL time.Duration
}

// FlowStoreConform checks a store against the contract of [risk.FlowStore]: creating once, updating by version,
// spending once and reopening, each with 64 callers at once, expiry, unknown keys, large and binary states, odd keys,
// and contexts that have ended. newStore returns a store with room for a few hundred flows; it may return the same one
// every time, as the suite uses keys of its own. Run it with -race.
func FlowStoreConform(t *testing.T, newStore func() risk.FlowStore, opts *FlowStoreOptions) {
	t.Helper()
	s := &flowSuite{prefix: fmt.Sprintf("risktest-%x-", rand.Uint64()), ttl: 60 * time.Millisecond}
	if opts != nil {
		s.advance = opts.Advance
		if opts.TTL > 0 {
			s.ttl = opts.TTL
		}
	}
	for _, c := range []struct {
		name string
		test func(t *testing.T, store risk.FlowStore)
	}{
		{"create", s.create}, {"copies", s.copies}, {"update", s.update}, {"spend", s.spend}, {"reopen", s.reopen},
		{"unknown keys", s.unknown}, {"states", s.states}, {"keys", s.keys}, {"create at once", s.createRace},
		{"update at once", s.updateRace}, {"spend at once", s.spendRace}, {"update and spend at once", s.mixedRace},
		{"reopen at once", s.reopenRace}, {"expiry", s.expiry}, {"contexts", s.contexts},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, newStore()) })
	}
}

const (
	flowCallers = 64
	flowLong    = time.Hour
	flowPrompt  = 5 * time.Second // within which a call with an ended context returns
)

type flowSuite struct {
	prefix  string
	count   atomic.Int64
	ttl     time.Duration
	advance func(d time.Duration)
}

// key is one nobody has used.
func (s *flowSuite) key() string { return fmt.Sprintf("%s%d", s.prefix, s.count.Add(1)) }

// made creates a flow.
func (s *flowSuite) made(t *testing.T, store risk.FlowStore, state string) string {
	t.Helper()
	key := s.key()
	require.NoError(t, store.Create(t.Context(), key, []byte(state), flowLong))
	return key
}

func holds(t *testing.T, store risk.FlowStore, key string, state []byte, version uint64, spent bool) {
	t.Helper()
	rec, ok, err := store.Load(t.Context(), key)
	require.NoError(t, err)
	require.True(t, ok, "the flow is there")
	require.True(t, bytes.Equal(state, rec.State), "the state is as it was stored: want %d bytes, have %d", len(state), len(rec.State))
	require.Equal(t, version, rec.Version, "version")
	require.Equal(t, spent, rec.Spent, "spent")
}

func absent(t *testing.T, store risk.FlowStore, key string) {
	t.Helper()
	rec, ok, err := store.Load(t.Context(), key)
	require.NoError(t, err, "what is not there is no error")
	require.False(t, ok)
	require.Empty(t, rec.State)
	ok, err = store.Update(t.Context(), key, 1, []byte("x"), false)
	require.NoError(t, err)
	require.False(t, ok, "nothing to update")
	ok, err = store.Spend(t.Context(), key)
	require.NoError(t, err)
	require.False(t, ok, "nothing to spend")
}

func (s *flowSuite) create(t *testing.T, store risk.FlowStore) {
	key := s.made(t, store, "first")
	holds(t, store, key, []byte("first"), 1, false)
	err := store.Create(t.Context(), key, []byte("second"), flowLong)
	require.ErrorIs(t, err, risk.ErrFlowExists)
	holds(t, store, key, []byte("first"), 1, false)
	_, err = store.Spend(t.Context(), key)
	require.NoError(t, err)
	require.ErrorIs(t, store.Create(t.Context(), key, []byte("third"), flowLong), risk.ErrFlowExists, "a spent flow is there still")
}

// copies checks that nobody can change what is stored by changing what was given or returned.
func (s *flowSuite) copies(t *testing.T, store risk.FlowStore) {
	key, state := s.key(), []byte("state")
	require.NoError(t, store.Create(t.Context(), key, state, flowLong))
	state[0] = 'X'
	holds(t, store, key, []byte("state"), 1, false)
	rec, _, err := store.Load(t.Context(), key)
	require.NoError(t, err)
	rec.State[0] = 'Y'
	holds(t, store, key, []byte("state"), 1, false)
	next := []byte("next")
	ok, err := store.Update(t.Context(), key, 1, next, false)
	require.NoError(t, err)
	require.True(t, ok)
	next[0] = 'Z'
	holds(t, store, key, []byte("next"), 2, false)
}

func (s *flowSuite) update(t *testing.T, store risk.FlowStore) {
	key := s.made(t, store, "1")
	for _, row := range []struct {
		version uint64
		state   string
		spent   bool
		ok      bool
		now     string
		at      uint64
		isSpent bool
	}{
		{0, "a", false, false, "1", 1, false},
		{2, "b", false, false, "1", 1, false},
		{1 << 60, "c", true, false, "1", 1, false},
		{1, "2", false, true, "2", 2, false},
		{1, "d", false, false, "2", 2, false},
		{2, "3", true, true, "3", 3, true},
		{3, "4", false, true, "4", 4, false},
		{4, "", false, true, "", 5, false},
	} {
		ok, err := store.Update(t.Context(), key, row.version, []byte(row.state), row.spent)
		require.NoError(t, err)
		require.Equal(t, row.ok, ok, "updating version %d to %q", row.version, row.state)
		holds(t, store, key, []byte(row.now), row.at, row.isSpent)
	}
}

func (s *flowSuite) spend(t *testing.T, store risk.FlowStore) {
	key, other := s.made(t, store, "a"), s.made(t, store, "b")
	for i, want := range []bool{true, false, false} {
		won, err := store.Spend(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, want, won, "call %d", i)
		holds(t, store, key, []byte("a"), 2, true)
	}
	holds(t, store, other, []byte("b"), 1, false)
	ok, err := store.Update(t.Context(), key, 1, []byte("late"), false)
	require.NoError(t, err)
	require.False(t, ok, "spending raises the version: who loaded it before must not undo that")
	holds(t, store, key, []byte("a"), 2, true)
}

func (s *flowSuite) reopen(t *testing.T, store risk.FlowStore) {
	key := s.made(t, store, "a")
	won, err := store.Spend(t.Context(), key)
	require.NoError(t, err)
	require.True(t, won)
	ok, err := store.Update(t.Context(), key, 2, []byte("b"), false)
	require.NoError(t, err)
	require.True(t, ok)
	holds(t, store, key, []byte("b"), 3, false)
	for i, want := range []bool{true, false} {
		won, err := store.Spend(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, want, won, "call %d", i)
	}
	holds(t, store, key, []byte("b"), 4, true)
}

func (s *flowSuite) unknown(t *testing.T, store risk.FlowStore) {
	absent(t, store, s.key())
	absent(t, store, "")
}

func (s *flowSuite) states(t *testing.T, store risk.FlowStore) {
	random := make([]byte, 256<<10)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(random)
	every := make([]byte, 512)
	for i := range every {
		every[i] = byte(i)
	}
	for _, v := range []struct {
		name  string
		state []byte
	}{
		{"256 KiB", random}, {"every byte", every}, {"empty", []byte{}}, {"nil", nil}, {"zeros", make([]byte, 100)},
		{"invalid UTF-8", []byte("\xff\xfe\x80")}, {"line breaks", []byte("\r\n\x00\r\n*1\r\n$4\r\nPING\r\n")},
		{"what looks like a number", []byte("1")}, {"what looks like nothing", []byte("nil")},
	} {
		t.Run(v.name, func(t *testing.T) {
			key := s.key()
			require.NoError(t, store.Create(t.Context(), key, v.state, flowLong))
			holds(t, store, key, v.state, 1, false)
			key = s.made(t, store, "before")
			ok, err := store.Update(t.Context(), key, 1, v.state, false)
			require.NoError(t, err)
			require.True(t, ok)
			holds(t, store, key, v.state, 2, false)
			won, err := store.Spend(t.Context(), key)
			require.NoError(t, err)
			require.True(t, won)
			holds(t, store, key, v.state, 3, true)
		})
	}
}

// keys checks that keys which look alike, or like something else, are told apart.
func (s *flowSuite) keys(t *testing.T, store risk.FlowStore) {
	ends := []string{"", " ", "a", "A", "a ", "a:", "a:b", "a{b}", "{a}b", "a*", "a?", "[a]", "a\x00", "a\x00b", "a\n", "a\r\n",
		"../a", "a/b", "a%00", `a"b`, `a\b`, "ä", "a\u0308", "\xff", "\xfe", "\U0001f600", "a'; DROP TABLE a; --", strings.Repeat("k", 512),
		strings.Repeat("k", 511)}
	for i, end := range ends {
		require.NoError(t, store.Create(t.Context(), s.prefix+"odd"+end, fmt.Append(nil, i), flowLong), "key ending in %q", end)
	}
	for i, end := range ends {
		key := s.prefix + "odd" + end
		holds(t, store, key, fmt.Append(nil, i), 1, false)
		won, err := store.Spend(t.Context(), key)
		require.NoError(t, err)
		require.True(t, won, "key ending in %q", end)
	}
}

// expiry waits once for all it has to see expire.
func (s *flowSuite) expiry(t *testing.T, store risk.FlowStore) {
	ttl := s.ttl
	if s.advance != nil {
		ttl = time.Minute
	}
	begun := time.Now()
	long := s.made(t, store, "long")
	var short []string
	for i := range 40 {
		key := s.key()
		require.NoError(t, store.Create(t.Context(), key, fmt.Append(nil, i), ttl))
		short = append(short, key)
	}
	ok, err := store.Update(t.Context(), short[0], 1, []byte("updated"), false)
	require.NoError(t, err)
	if s.advance != nil {
		require.True(t, ok)
		s.advance(ttl - time.Millisecond)
		for _, key := range short[1:] {
			_, ok, err := store.Load(t.Context(), key)
			require.NoError(t, err)
			require.True(t, ok, "a millisecond before its time it is there")
		}
		won, err := store.Spend(t.Context(), short[1])
		require.NoError(t, err)
		require.True(t, won)
		s.advance(time.Millisecond)
	} else {
		won, err := store.Spend(t.Context(), short[1])
		require.NoError(t, err)
		if time.Since(begun) < ttl/2 {
			require.True(t, ok, "it is there well before its time")
			require.True(t, won, "it is there well before its time")
		}
		s.await(t, store, short, ttl)
	}
	for _, key := range short {
		absent(t, store, key)
	}
	for i := range short {
		key := short[len(short)-1-i]
		require.NoError(t, store.Create(t.Context(), key, []byte("again"), flowLong), "the key of an expired flow is free")
		holds(t, store, key, []byte("again"), 1, false)
	}
	holds(t, store, long, []byte("long"), 1, false)
}

// await polls until all keys are gone. Updating and spending must not have prolonged any.
func (s *flowSuite) await(t *testing.T, store risk.FlowStore, keys []string, ttl time.Duration) {
	t.Helper()
	for end := time.Now().Add(20*ttl + time.Second); ; time.Sleep(ttl / 10) {
		left := 0
		for _, key := range keys {
			_, ok, err := store.Load(t.Context(), key)
			require.NoError(t, err)
			if ok {
				left++
			}
		}
		if left == 0 {
			return
		}
		require.True(t, time.Now().Before(end), "%d flows live on long after their %v", left, ttl)
	}
}

// contexts: a call whose context has ended returns soon, and either fails or tells the truth.
func (s *flowSuite) contexts(t *testing.T, store risk.FlowStore) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	expired, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for name, ctx := range map[string]context.Context{"cancelled": cancelled, "expired": expired} {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			fresh, key := s.key(), s.made(t, store, "a")
			if err := store.Create(ctx, fresh, []byte("f"), flowLong); err != nil {
				require.NotErrorIs(t, err, risk.ErrFlowExists, "it does not exist")
			} else {
				holds(t, store, fresh, []byte("f"), 1, false)
			}
			if rec, ok, err := store.Load(ctx, key); err == nil {
				require.True(t, ok, "it is there: not to know is an error")
				require.Equal(t, "a", string(rec.State))
			}
			if ok, err := store.Update(ctx, key, 1, []byte("b"), false); err == nil {
				require.True(t, ok, "the version is right: not to know is an error")
				holds(t, store, key, []byte("b"), 2, false)
			}
			if won, err := store.Spend(ctx, key); err == nil {
				require.True(t, won, "it is unspent: not to know is an error")
			}
			require.Less(t, time.Since(begun), flowPrompt, "an ended context is no reason to hang")
			rec, ok, err := store.Load(t.Context(), key)
			require.NoError(t, err, "the store works on")
			require.True(t, ok)
			require.LessOrEqual(t, rec.Version, uint64(3))
		})
	}
}
