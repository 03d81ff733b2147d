package redisend

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"

	"github.com/redis/go-redis/v9"
)

// Script is a Lua script and the name Redis knows it by. It is never changed, and safe for concurrent use.
type Script struct{ text, sha any } // strings, as arguments

// NewScript returns a script.
func NewScript(text string) *Script {
	sum := sha1.Sum([]byte(text)) // Redis names scripts by SHA-1; nothing secret depends on it
	return &Script{text, hex.EncodeToString(sum[:])}
}

// Append begins the arguments of a call with so many keys: the keys and the script's arguments are to be appended.
func (sc *Script) Append(args []any, keys int) []any {
	return append(args, "evalsha", sc.sha, keys)
}

// full turns arguments that Append has begun into those of a call that sends the script's text.
func (sc *Script) full(args []any) { args[0], args[1] = "eval", sc.text }

func unknown(err error) bool { return err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") }

// Call is a script in a pipeline, and its answer. Scripts that answer nil cannot be told from ones that were not
// answered.
type Call struct {
	Script *Script
	Args   []any // begun by Script.Append

	Reply any
	Err   error
}

// ErrUnanswered says that a pipeline ended without an answer to a call.
var ErrUnanswered = errors.New("a call in a pipeline was not answered")

// Pipeliner makes pipelines: *redis.Client, *redis.ClusterClient and *redis.Ring do.
type Pipeliner interface {
	Pipeline() redis.Pipeliner
}

// Pipeline sends all calls at once, each to the node of its first key, and returns them answered; the list it was given
// must not be used again. Calls that met a node without the script are sent there once more in full: go-redis does not do
// that inside pipelines. The context is one that Context has returned.
func (s *Sender) Pipeline(ctx context.Context, c Pipeliner, calls []Call) []Call {
	if s.slots == nil {
		return s.exec(ctx, c, calls)
	}
	done, err := bounded(ctx, s.slots, func() ([]Call, error) { return s.exec(ctx, c, calls), nil })
	if err != nil {
		done = make([]Call, len(calls)) // calls may still be written to
		for i := range done {
			done[i].Err = err
		}
	}
	return done
}

func (s *Sender) exec(ctx context.Context, client Pipeliner, calls []Call) []Call {
	todo := make([]int, len(calls))
	for i := range todo {
		todo[i] = i
	}
	for _, full := range []bool{false, true} {
		pipe := client.Pipeline()
		cmds := make([]once, len(todo))
		for k, i := range todo {
			c := &calls[i]
			if full {
				c.Script.full(c.Args)
			}
			cmds[k] = once{redis.NewCmd(ctx, c.Args...)}
			_ = pipe.Process(ctx, cmds[k]) // queues; errors come with Exec
		}
		_, execErr := pipe.Exec(ctx)
		var unknowns []int
		for k, i := range todo {
			c := &calls[i]
			c.Reply, c.Err = cmds[k].Val(), cmds[k].Err()
			if c.Reply != nil && errors.Is(c.Err, context.DeadlineExceeded) {
				c.Err = nil // it was answered; a cluster client marks all commands when one node's time is up
			}
			if c.Err == nil && c.Reply == nil {
				// Never answered: a pipeline that fails as a whole may leave its commands without an error.
				if c.Err = execErr; c.Err == nil {
					c.Err = ErrUnanswered
				}
			}
			if unknown(c.Err) {
				unknowns = append(unknowns, i)
			}
		}
		if todo = unknowns; len(todo) == 0 {
			break
		}
	}
	for i := range calls {
		if calls[i].Err != nil {
			s.lost(ctx)
			break
		}
	}
	return calls
}
