//go:build !race

package ratelimit_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/ratelimit"
)

// The race detector makes sync.Pool forget at random, so these run without it.

func TestDecideDoesNotAllocate(t *testing.T) {
	l, _ := newLimiter(t, fiveDimensions(), nil)
	s := alice
	s.DeviceVerified = true
	require.NoError(t, l.Report(ctx, s, ratelimit.CaptchaFailed))
	require.Zero(t, testing.AllocsPerRun(500, func() {
		if d, err := l.Decide(ctx, s); err != nil || !d.Allowed() {
			t.Error(d.Level, err)
		}
	}))
}

func TestTagDoesNotAllocate(t *testing.T) {
	tagger, err := ratelimit.NewTagger(make([]byte, 32))
	require.NoError(t, err)
	text := []byte("an address or so")
	require.Zero(t, testing.AllocsPerRun(100, func() { tagger.Tag(text) }))
}
