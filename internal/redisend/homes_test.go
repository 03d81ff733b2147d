package redisend_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/internal/redisend"
)

// TestHomes: every tenant has its own, however many there are and whoever asks.
func TestHomes(t *testing.T) {
	h := redisend.NewHomes(func(tenant string) string { return "{" + tenant + "}" })
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 1000 {
				tenant := strings.Repeat("t", i%3) + fmt.Sprint(i%200)
				if h.Of(tenant) != "{"+tenant+"}" {
					t.Errorf("tenant %s has %s", tenant, h.Of(tenant))
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, "{}", h.Of(""))
	require.Zero(t, testing.AllocsPerRun(100, func() { h.Of("shop") }))
}
