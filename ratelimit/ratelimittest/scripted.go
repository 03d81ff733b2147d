package ratelimittest

import (
	"context"
	"crypto/sha256"
	"slices"
	"sync"
	"time"

	"github.com/vestibule-go/vestibule/ratelimit"
)

// Answer is what a [Scripted] store says to one call.
type Answer struct {
	// Level is what Decide answers; zero: Allow.
	Level ratelimit.Level
	// Wait is when to ask again.
	Wait time.Duration
	// Exceeded marks the batch's first bucket as exceeded.
	Exceeded bool
	// Score is the score of each source, in points, and Standing its level; zero: Allow.
	Score    float64
	Standing ratelimit.Level
	// Degraded marks the answer as given by a fail mode.
	Degraded error
	// Err fails the call.
	Err error
}

// Call is a call a [Scripted] store got.
type Call struct {
	Op    string // "decide", "adjust", "forget"
	Batch ratelimit.Batch
}

// Scripted is a store that gives fixed answers in turn and repeats the last. It counts nothing. It is safe for
// concurrent use.
type Scripted struct {
	mu      sync.Mutex
	answers []Answer
	calls   []Call
	local   bool
}

var (
	_ ratelimit.Store     = (*Scripted)(nil)
	_ ratelimit.InProcess = (*Scripted)(nil)
)

// NewScripted returns a store with these answers; without any it allows everything.
func NewScripted(answers ...Answer) *Scripted {
	return &Scripted{answers: slices.Clone(answers), local: true}
}

// NewRemote is NewScripted for a store that says it is not in this process.
func NewRemote(answers ...Answer) *Scripted {
	return &Scripted{answers: slices.Clone(answers)}
}

// Calls returns the calls so far, with the batches as they came.
func (s *Scripted) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// InProcess tells how the store was made.
func (s *Scripted) InProcess() bool { return s.local }

// Tag is a hash without key.
func (s *Scripted) Tag(text []byte) ratelimit.Key {
	sum := sha256.Sum256(text)
	return ratelimit.KeyOf([16]byte(sum[:16]))
}

// Decide gives the next answer.
func (s *Scripted) Decide(ctx context.Context, b *ratelimit.Batch) error {
	a, err := s.next(ctx, "decide", b)
	if err != nil {
		return err
	}
	b.Level = a.Level
	if b.Level == 0 {
		b.Level = ratelimit.Allow
	}
	b.Charged = b.Level == ratelimit.Allow && !b.DryRun
	b.Wait = a.Wait.Microseconds()
	for i := range b.Buckets {
		c := &b.Buckets[i]
		c.Debt = 0
		if b.Charged {
			c.Debt = c.Cost * c.Interval
		}
		if c.Exceeded = a.Exceeded && i == 0; c.Exceeded {
			c.Debt = c.Interval * c.Burst
		}
	}
	for i := range b.Sources {
		o := &b.Sources[i]
		o.Score, o.Level, o.Until = int64(a.Score*1000), max(a.Standing, ratelimit.Allow), b.Now+b.Wait
	}
	return nil
}

// Adjust takes the next answer's Err and Degraded.
func (s *Scripted) Adjust(ctx context.Context, b *ratelimit.Batch) error {
	_, err := s.next(ctx, "adjust", b)
	return err
}

// Forget takes the next answer's Err and Degraded.
func (s *Scripted) Forget(ctx context.Context, b *ratelimit.Batch) error {
	_, err := s.next(ctx, "forget", b)
	return err
}

func (s *Scripted) next(ctx context.Context, op string, b *ratelimit.Batch) (Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := *b
	c.Buckets, c.Sources = slices.Clone(b.Buckets), slices.Clone(b.Sources)
	s.calls = append(s.calls, Call{Op: op, Batch: c})
	if err := ctx.Err(); err != nil {
		return Answer{}, err
	}
	var a Answer
	if n := len(s.answers); n > 0 {
		a = s.answers[min(len(s.calls), n)-1]
	}
	b.Now = b.At
	if b.At == 0 {
		b.Now = time.Now().UnixMicro()
	}
	b.Degraded = a.Degraded
	return a, a.Err
}
