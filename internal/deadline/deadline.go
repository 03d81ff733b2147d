// Package deadline gives calls deadlines without a timer each. context.WithDeadline starts a timer for every call, which
// wakes a thread as often as not; but a client that sets the deadline on its connection, as go-redis does, never waits for
// it.
package deadline

import (
	"context"
	"sync"
	"time"
)

// Context is a context that starts no timer before somebody asks for Done. It is safe for concurrent use.
type Context struct {
	timers   *Timers // nil: it has a timer of its own
	parent   context.Context
	end      time.Time
	detached bool
	early    bool // the parent ends early enough by itself

	mu     sync.Mutex // guards what follows
	done   <-chan struct{}
	timed  context.Context // nil: its timer is shared, or nobody has asked for Done
	cancel context.CancelFunc
	closed bool
}

// Detached returns a context that keeps the values and the deadline of its parent, and nothing of its cancellation. It
// ends at a time, or at that deadline when it is earlier, and must be closed when the call is over.
func Detached(parent context.Context, end time.Time) *Context {
	return (*Timers)(nil).Detached(parent, end)
}

// With returns a context that ends at a time, or earlier with its parent. It must be closed when the call is over. Its
// Done may be closed up to [Grain] later than it ends.
func (t *Timers) With(parent context.Context, end time.Time) *Context {
	if d, ok := parent.Deadline(); ok && !d.After(end) {
		return &Context{parent: parent, end: d, early: true}
	}
	return &Context{timers: t, parent: parent, end: end}
}

// Detached is the function Detached, but for Done, which may be closed up to [Grain] later than the context ends.
func (t *Timers) Detached(parent context.Context, end time.Time) *Context {
	if d, ok := parent.Deadline(); ok && d.Before(end) {
		end = d
	}
	return &Context{timers: t, parent: parent, end: end, detached: true}
}

// Deadline implements context.Context.
func (c *Context) Deadline() (end time.Time, ok bool) { return c.end, true }

// Value implements context.Context.
func (c *Context) Value(key any) any { return c.parent.Value(key) }

// Done implements context.Context.
func (c *Context) Done() <-chan struct{} {
	if c.early {
		return c.parent.Done()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.done != nil:
	case c.timers != nil && (c.detached || c.parent.Done() == nil):
		c.done = c.timers.after(c.end)
	default:
		parent := c.parent
		if c.detached {
			parent = context.WithoutCancel(parent)
		}
		c.timed, c.cancel = context.WithDeadline(parent, c.end)
		if c.done = c.timed.Done(); c.closed {
			c.cancel()
		}
	}
	return c.done
}

// Err implements context.Context.
func (c *Context) Err() error { return c.ErrAt(time.Time{}) }

// ErrAt is Err for a caller who knows what time it is; zero: now.
func (c *Context) ErrAt(now time.Time) error {
	if c.early {
		return c.parent.Err()
	}
	c.mu.Lock()
	done, timed := c.done, c.timed
	c.mu.Unlock()
	if timed != nil {
		return timed.Err()
	}
	select {
	case <-done: // also where a deadline by the wall clock has moved away since
		return context.DeadlineExceeded
	default:
	}
	if !c.detached {
		if err := c.parent.Err(); err != nil {
			return err
		}
	}
	if now.IsZero() {
		now = time.Now()
	}
	if !now.Before(c.end) {
		return context.DeadlineExceeded
	}
	return nil
}

// Close frees what the context holds. It must not be used afterwards: whether that ends it depends on what it holds.
func (c *Context) Close() {
	if c.early {
		return
	}
	c.mu.Lock()
	c.closed = true
	cancel := c.cancel
	c.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}
