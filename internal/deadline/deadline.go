// Package deadline gives calls deadlines without timers. context.WithDeadline starts a timer for every call; a client
// that sets the deadline on its connection, as go-redis does, never waits for it.
package deadline

import (
	"context"
	"sync"
	"time"
)

// Context is a context whose timer starts when somebody first asks for Done. It is safe for concurrent use.
type Context struct {
	parent   context.Context
	end      time.Time
	detached bool
	early    bool // the parent ends early enough by itself

	mu     sync.Mutex // guards what follows
	timed  context.Context
	cancel context.CancelFunc
	closed bool
}

// With returns a context that ends at a time, or earlier with its parent. It must be closed when the call is over, and
// not be used afterwards: closing ends it, unless its parent's deadline was its own.
func With(parent context.Context, end time.Time) *Context {
	if d, ok := parent.Deadline(); ok && !d.After(end) {
		return &Context{parent: parent, end: d, early: true}
	}
	return &Context{parent: parent, end: end}
}

// Detached returns a context that keeps the values and the deadline of its parent, and nothing of its cancellation. It
// ends at a time, or at that deadline when it is earlier, and must be closed when the call is over.
func Detached(parent context.Context, end time.Time) *Context {
	if d, ok := parent.Deadline(); ok && d.Before(end) {
		end = d
	}
	return &Context{parent: parent, end: end, detached: true}
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
	if c.timed == nil {
		parent := c.parent
		if c.detached {
			parent = context.WithoutCancel(parent)
		}
		c.timed, c.cancel = context.WithDeadline(parent, c.end)
		if c.closed {
			c.cancel()
		}
	}
	return c.timed.Done()
}

// Err implements context.Context.
func (c *Context) Err() error {
	if c.early {
		return c.parent.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.timed != nil:
		return c.timed.Err()
	case c.closed:
		return context.Canceled
	case !c.detached && c.parent.Err() != nil:
		return c.parent.Err()
	case !time.Now().Before(c.end):
		return context.DeadlineExceeded
	}
	return nil
}

// Close frees what the context holds.
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
