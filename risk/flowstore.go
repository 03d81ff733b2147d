package risk

import (
	"context"
	"errors"
	"time"
)

// FlowStore keeps flows. The engine calls it; it must be safe for concurrent use. Keys are hashes: they hold neither a
// flow's name nor personal data. Errors mean that the store could not tell; "not there" is a result. Package
// risk/risktest has the conformance suite.
type FlowStore interface {
	// Create stores a new record for ttl. It fails with ErrFlowExists when the key is taken.
	Create(ctx context.Context, key string, state []byte, ttl time.Duration) error
	// Load returns the record, or ok false when there is none or it has expired.
	Load(ctx context.Context, key string) (rec FlowRecord, ok bool, err error)
	// Update replaces state and spent mark if the stored version is still version, and raises the version by one. The
	// expiry stays. It reports false when the version differs or the record is gone.
	Update(ctx context.Context, key string, version uint64, state []byte, spent bool) (bool, error)
	// Spend marks the record spent. Exactly one call ever reports true, unless an Update has reopened it in between.
	// It raises the version by one when it does.
	Spend(ctx context.Context, key string) (bool, error)
}

// FlowRecord is a stored flow.
type FlowRecord struct {
	State   []byte
	Version uint64 // 1 when created
	Spent   bool
}

// ErrFlowExists says that a key is taken already.
var ErrFlowExists = errors.New("risk: flow exists already")
