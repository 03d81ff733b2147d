package floor_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/internal/floor"
)

func TestRatio(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := []time.Duration{30, 50, 30, 900, 30} // one round is disturbed, another one twice
		round := 0
		got := floor.Ratio(5, 7, func(n int) {
			require.Equal(t, 7, n)
			time.Sleep(slow[round])
			round++
		}, func(int) { time.Sleep(10 * time.Nanosecond) })
		require.Equal(t, 3.0, got)
		require.Equal(t, 5, round)
	})
}
