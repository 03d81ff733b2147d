package redisend

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// How many trips of a sender's scripts are on their way to one server at once, and how many scripts share one of them.
// Under that many each script travels at once and alone; the others wait for a trip to end, and then go together. A
// server spends a good part of its time on reading and writing, which they share.
const (
	maxTrips = 4
	maxShare = 32
)

// gatherer sends scripts of concurrent calls together, unless trips take long: who waits for one and then makes another
// must be back in time.
type gatherer struct {
	send *Sender
	to   *redis.Client

	mu    sync.Mutex // guards what follows
	trips int
	long  bool // the last trip took more than a quarter of the timeout
	queue []*passenger
}

// passenger is a call that waits for a trip.
type passenger struct {
	ctx  context.Context
	call Call
	done chan struct{} // closed when the call has its answer
}

func (g *gatherer) run(ctx context.Context, now time.Time, sc *Script, args []any) (any, error) {
	g.mu.Lock()
	if g.trips < maxTrips || g.long {
		g.trips++
		g.mu.Unlock()
		defer g.next(now)
		return g.send.send(ctx, sc, args)
	}
	p := &passenger{ctx: ctx, call: Call{Script: sc, Args: args}, done: make(chan struct{})}
	g.queue = append(g.queue, p)
	g.mu.Unlock()
	select {
	case <-p.done:
		return p.call.Reply, p.call.Err
	case <-ctx.Done():
		// It stays in the queue until its turn, and is left behind then.
		return nil, ctx.Err()
	}
}

// next follows a trip: those who wait go on another.
func (g *gatherer) next(begun time.Time) {
	long := time.Since(begun) > g.send.o.Timeout/4
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.long = long; g.trips > maxTrips {
		g.trips--
		return
	}
	var share []*passenger
	for i, p := range g.queue {
		if p.ctx.Err() == nil {
			share = append(share, p)
		}
		g.queue[i] = nil
		if len(share) == maxShare || i == len(g.queue)-1 {
			g.queue = g.queue[i+1:]
			break
		}
	}
	if len(share) == 0 {
		g.trips--
		return
	}
	go g.trip(share)
}

// trip sends what several callers wait for. It has its own deadline: whose own comes earlier does not wait for the end.
func (g *gatherer) trip(share []*passenger) {
	begun := time.Now()
	ctx := g.send.timers.Detached(context.Background(), begun.Add(g.send.o.Timeout))
	defer ctx.Close()
	calls := make([]Call, len(share))
	for i, p := range share {
		calls[i] = p.call
	}
	err := safely(func() { calls = g.send.exec(ctx, g.to, calls) })
	g.next(begun)
	for i, p := range share {
		if p.call = calls[i]; err != nil {
			p.call.Reply, p.call.Err = nil, err
		}
		close(p.done)
	}
}
