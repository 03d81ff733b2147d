package risktest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
)

// together calls f from many goroutines at once and counts how often it says true.
func together(t *testing.T, callers int, f func(i int) (bool, error)) int {
	t.Helper()
	var wins atomic.Int64
	errs := make([]error, callers)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range callers {
		wg.Go(func() {
			<-start
			won, err := f(i)
			if errs[i] = err; won {
				wins.Add(1)
			}
		})
	}
	close(start)
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	return int(wins.Load())
}

func (s *flowSuite) createRace(t *testing.T, store risk.FlowStore) {
	key := s.key()
	wins := together(t, flowCallers, func(i int) (bool, error) {
		err := store.Create(t.Context(), key, fmt.Append(nil, i), flowLong)
		if errors.Is(err, risk.ErrFlowExists) {
			return false, nil
		}
		return err == nil, err
	})
	require.Equal(t, 1, wins, "one creates it, all others are told that it exists")
}

func (s *flowSuite) updateRace(t *testing.T, store risk.FlowStore) {
	key := s.made(t, store, "start")
	for version := uint64(1); version <= 3; version++ {
		var winner atomic.Int64
		wins := together(t, flowCallers, func(i int) (bool, error) {
			ok, err := store.Update(t.Context(), key, version, fmt.Append(nil, i), false)
			if ok {
				winner.Store(int64(i))
			}
			return ok, err
		})
		require.Equal(t, 1, wins, "one update of version %d wins", version)
		holds(t, store, key, fmt.Append(nil, winner.Load()), version+1, false)
	}
}

func (s *flowSuite) spendRace(t *testing.T, store risk.FlowStore) {
	for range 4 {
		key := s.made(t, store, "a")
		wins := together(t, flowCallers, func(int) (bool, error) { return store.Spend(t.Context(), key) })
		require.Equal(t, 1, wins, "one spends it")
		holds(t, store, key, []byte("a"), 2, true)
	}
}

// mixedRace: whoever updates a version that spending has raised must lose, or a spent flow would come back.
func (s *flowSuite) mixedRace(t *testing.T, store risk.FlowStore) {
	for range 8 {
		key := s.made(t, store, "a")
		var spent, updated atomic.Int64
		together(t, flowCallers, func(i int) (bool, error) {
			if i%2 == 0 {
				won, err := store.Spend(t.Context(), key)
				if won {
					spent.Add(1)
				}
				return won, err
			}
			ok, err := store.Update(t.Context(), key, 1, []byte("b"), false)
			if ok {
				updated.Add(1)
			}
			return ok, err
		})
		require.EqualValues(t, 1, spent.Load(), "one spends it, whatever updates do")
		require.LessOrEqual(t, updated.Load(), int64(1))
		rec, ok, err := store.Load(t.Context(), key)
		require.NoError(t, err)
		require.True(t, ok)
		require.True(t, rec.Spent, "and it stays spent")
		require.EqualValues(t, 1+spent.Load()+updated.Load(), rec.Version)
	}
}

// reopenRace: a flow reopened once is spent once more, not twice.
func (s *flowSuite) reopenRace(t *testing.T, store risk.FlowStore) {
	key := s.made(t, store, "a")
	_, err := store.Spend(t.Context(), key)
	require.NoError(t, err)
	wins := together(t, flowCallers, func(int) (bool, error) { return store.Update(t.Context(), key, 2, []byte("b"), false) })
	require.Equal(t, 1, wins, "one reopens it")
	wins = together(t, flowCallers, func(int) (bool, error) { return store.Spend(t.Context(), key) })
	require.Equal(t, 1, wins, "one spends it again")
}
