package ratelimit

import (
	"context"
	"sync"
)

// Watched is what the limiter's [Signal] decided during one request, for the headers of its answer. It is safe for
// concurrent use.
type Watched struct {
	mu sync.Mutex
	d  *Decision // guarded by mu
}

type watchKey struct{}

// Watch returns a context for Engine.Assess, and what to read the limiter's decision from afterwards. The handler thus
// announces its limits although the engine, not the handler, asked the limiter:
//
//	ctx, limits := ratelimit.Watch(r.Context())
//	s := engine.Assess(ctx, attempt)
//	limits.Header(w.Header())
func Watch(ctx context.Context) (context.Context, *Watched) {
	w := &Watched{}
	return context.WithValue(ctx, watchKey{}, w), w
}

// Header sets what [Decision.Header] sets, and nothing when no decision was made: the engine does not ask the limiter
// again when a flow that it has charged goes on, nor wait for a store that is late.
func (w *Watched) Header(h map[string][]string) {
	if d := w.decision(); d != nil {
		d.Header(h)
	}
}

// LegacyHeader sets what [Decision.LegacyHeader] sets, and nothing when no decision was made.
func (w *Watched) LegacyHeader(h map[string][]string, prefix string) {
	if d := w.decision(); d != nil {
		d.LegacyHeader(h, prefix)
	}
}

func (w *Watched) decision() *Decision {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.d
}

// tell leaves a copy of the decision with whoever watches ctx.
func tell(ctx context.Context, d *Decision) {
	if w, ok := ctx.Value(watchKey{}).(*Watched); ok {
		c := *d
		w.mu.Lock()
		defer w.mu.Unlock()
		w.d = &c
	}
}
