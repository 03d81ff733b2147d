package risktest_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

func TestMemoryFlowsConform(t *testing.T) {
	t.Run("real time", func(t *testing.T) {
		risktest.FlowStoreConform(t, func() risk.FlowStore { return risk.NewMemoryFlows(nil) }, nil)
	})
	t.Run("a clock of its own", func(t *testing.T) {
		var now atomic.Int64
		store := risk.NewMemoryFlows(&risk.MemoryFlowsOptions{Now: func() time.Time { return time.Unix(0, now.Load()) }})
		risktest.FlowStoreConform(t, func() risk.FlowStore { return store }, &risktest.FlowStoreOptions{
			Advance: func(d time.Duration) { now.Add(int64(d)) },
		})
	})
}
