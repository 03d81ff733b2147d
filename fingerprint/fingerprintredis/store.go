package fingerprintredis

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-go/vestibule/fingerprint"
	"github.com/vestibule-go/vestibule/internal/redisend"
)

// Store is a fingerprint.Store on Redis. It is safe for concurrent use.
type Store struct {
	o            Options
	script, undo *redisend.Script
	send         *redisend.Sender
	homes        *redisend.Homes
	clock        *clock // nil unless all subjects are on one server
}

var _ fingerprint.Store = (*Store)(nil)

// New returns a store. A client should have ContextTimeoutEnabled set, which go-redis leaves off: without it each call
// takes a goroutine that waits for the client's own timeouts. The client stays the caller's to close.
func New(client Processor, opts *Options) (*Store, error) {
	s := &Store{}
	if opts != nil {
		s.o = *opts
	}
	s.o.Prefix = cmp.Or(s.o.Prefix, "vfp")
	s.o.Cap = cmp.Or(s.o.Cap, fingerprint.DefaultCap)
	s.o.Timeout = cmp.Or(s.o.Timeout, 50*time.Millisecond)
	s.o.MaxPending = cmp.Or(s.o.MaxPending, 1024)
	if err := s.o.check(); err != nil {
		return nil, err
	}
	if s.o.Cap < 3 || s.o.Cap > fingerprint.MaxCap {
		return nil, fmt.Errorf("fingerprintredis: Cap is %d, want 3 to %d", s.o.Cap, fingerprint.MaxCap)
	}
	s.homes = redisend.NewHomes(s.home)
	s.script, s.undo = newSee(limit(s.o.Cap), s.o.Cap), newUndo(s.o.Cap)
	if _, one := client.(*redis.Client); one {
		s.clock = new(clock)
	}
	var err error
	s.send, err = newSender(client, &s.o)
	return s, err
}

// String names the store.
func (s *Store) String() string { return "fingerprintredis.Store" }

// memberBits are what is stored of a member: 48 bits of a keyed hash are enough to tell some hundred apart.
const memberBits = 1<<48 - 1

// bytesEach is the most one member takes, seven of them for the time.
const bytesEach = 13

// limit is how long a value may become before it is packed: longer than the longest packed one, for otherwise each visit
// would pack it. With the default cap Redis keeps it in 6144 bytes.
func limit(most int) int { return bytesEach*fingerprint.MaxSets*most + 900 }

// call is what a call of a script is made of. It is used again.
type call struct {
	names [fingerprint.MaxSubjects]string
	text  []byte
	whole string // text, as an argument
	args  []any
	tally tally
}

var calls = sync.Pool{New: func() any { return new(call) }}

// appendStamp appends a time as it is stored.
func appendStamp(b []byte, ms int64) []byte {
	return append(b, byte(ms>>40), byte(ms>>32), byte(ms>>24), byte(ms>>16), byte(ms>>8), byte(ms))
}

// appendGroup appends what a visit adds to a subject, without the time; nothing for a subject without sets.
func appendGroup(b []byte, sub *fingerprint.Subject) []byte {
	if sub.N == 0 {
		return b
	}
	head := len(b)
	b = append(b, 0)
	for _, j := range order(sub) {
		if set := &sub.Sets[j]; set.Member != 0 {
			b[head] |= 1 << set.Dim
			b = appendStamp(b, int64(set.Member&memberBits))
		}
	}
	return b
}

// appendSubject appends what the script is told of a subject.
func appendSubject(b []byte, sub *fingerprint.Subject, at int64) []byte {
	head := len(b)
	b = append(b, 0, 0)
	if sub.N != 0 {
		b = appendStamp(appendGroup(b, sub), at)
	}
	b[head+1] = byte(len(b) - head - 2)
	end := len(b)
	b = strconv.AppendInt(b, sub.Keep.Milliseconds()+slack, 10)
	if b[head] = byte(len(b) - end); sub.Kin {
		b[head] += isKin
	}
	return b
}

// write begins a script's call: its name and the keys, as pieces of one string. The first is a string, by which clients
// find the node; the others are pointers, which take no allocation of their own.
func (c *call) write(s *Store, sc *redisend.Script, tenant string, subjects []fingerprint.Subject) []any {
	home := s.homes.Of(tenant)
	c.text, c.args = c.text[:0], sc.Append(c.args[:0], len(subjects))
	for i := range subjects {
		c.text = appendKey(c.text, home, &subjects[i].Key)
	}
	text, each := string(c.text), len(home)+len(fingerprint.Key{})
	for i := range subjects {
		if c.names[i], text = text[:each], text[each:]; i == 0 {
			c.args = append(c.args, c.names[0])
		} else {
			c.args = append(c.args, &c.names[i])
		}
	}
	return c.args
}

// order lists a subject's sets by ascending dimension.
func order(sub *fingerprint.Subject) []int {
	var room [fingerprint.MaxSets]int
	list := room[:sub.N]
	for i := range list {
		list[i] = i
		for j := i; j > 0 && sub.Sets[list[j]].Dim < sub.Sets[list[j-1]].Dim; j-- {
			list[j], list[j-1] = list[j-1], list[j]
		}
	}
	return list
}

// home is what all keys of a tenant begin with: a hash tag, which all of them share and so one slot. The keys depend on
// the tenant already; two characters spread tenants over 4096 slots. With Spread there is no tag.
func (s *Store) home(tenant string) string {
	switch {
	case s.o.Spread:
		return s.o.Prefix + ":"
	case tenant == "":
		return "{" + s.o.Prefix + "}"
	}
	sum := sha256.Sum256([]byte(tenant))
	return "{" + s.o.Prefix + base64.RawURLEncoding.EncodeToString(sum[:3])[:2] + "}"
}

func appendKey(b []byte, home string, k *fingerprint.Key) []byte {
	return append(append(b, home...), k[:]...)
}

// See implements fingerprint.Store.
func (s *Store) See(ctx context.Context, b *fingerprint.Batch) error {
	if err := b.Check(); err != nil {
		return err
	}
	at := b.At
	if at == 0 && s.o.InsecureNow != nil {
		at = s.o.InsecureNow().UnixMilli()
	}
	if !s.o.Spread {
		return s.see(ctx, at, b.Tenant, b.Subjects)
	}
	return s.each(b.Subjects, func(part []fingerprint.Subject) error { return s.see(ctx, at, b.Tenant, part) })
}

// each calls f with all subjects, or with Spread with each alone, all at once.
func (s *Store) each(subjects []fingerprint.Subject, f func([]fingerprint.Subject) error) error {
	if !s.o.Spread || len(subjects) < 2 {
		return f(subjects)
	}
	var wg sync.WaitGroup
	errs := make([]error, len(subjects))
	for i := range subjects {
		wg.Go(func() { errs[i] = f(subjects[i : i+1]) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

var errReply = errors.New("fingerprintredis: Redis answered what no script of this version does")

func (s *Store) see(ctx context.Context, at int64, tenant string, subjects []fingerprint.Subject) error {
	if len(subjects) == 0 {
		return nil
	}
	c, _ := calls.Get().(*call)
	args := c.write(s, s.script, tenant, subjects)
	how := byte(timeGiven)
	if at == 0 {
		at, how = s.time()
	}
	c.text = append(appendStamp(appendStamp(append(c.text[:0], how), at), at-at%slack), lookedAt(subjects))
	for i := range subjects {
		c.text = appendSubject(c.text, &subjects[i], at)
	}
	c.whole = string(c.text)
	c.args = append(args, &c.whole)
	answer, err := s.send.Run(ctx, s.script, c.args)
	if err != nil {
		return fmt.Errorf("fingerprintredis: %w", err) // the call may still be in use
	}
	defer calls.Put(c)
	values, ok := answer.(string)
	if !ok || len(values) < 6 {
		return errReply
	}
	values, at = values[:len(values)-6], int64(number(values[len(values)-6:]))
	if how == timeAsked && s.clock != nil {
		s.clock.set(at, time.Now())
	}
	for i := range subjects {
		var value string
		if value, values, ok = cut(values); !ok {
			return errReply
		}
		subjects[i].At = at
		if !c.tally.count(&subjects[i], value, at, s.o.Cap) {
			if err := s.replace(ctx, tenant, subjects[i:i+1], at); err != nil {
				return err
			}
		}
	}
	return nil
}

// cut takes the first value from an answer.
func cut(values string) (value, rest string, ok bool) {
	if len(values) < 2 {
		return "", "", false
	}
	n := int(number(values[:2]))
	if values = values[2:]; n == 0 {
		return "", values, true
	}
	if n--; n > len(values) {
		return "", "", false
	}
	return values[:n], values[n:], true
}

// lookedAt is how many of the last subjects are kin that is only looked at, if others of it are written.
func lookedAt(subjects []fingerprint.Subject) (n byte) {
	for i := range subjects {
		switch sub := &subjects[len(subjects)-1-i]; {
		case sub.Kin && sub.N != 0:
			return n
		case sub.Kin && int(n) == i:
			n++
		}
	}
	return 0
}

// time is Redis's, and how a script comes to it.
func (s *Store) time() (at int64, how byte) {
	if s.clock != nil {
		if at, ok := s.clock.at(time.Now()); ok {
			return at, timeKnown
		}
	}
	return 0, timeAsked
}

// replace writes a subject anew whose value turned out to be none of ours.
func (s *Store) replace(ctx context.Context, tenant string, one []fingerprint.Subject, now int64) error {
	if err := s.Forget(ctx, tenant, []fingerprint.Key{one[0].Key}); err != nil {
		return err
	}
	return s.see(ctx, now, tenant, one)
}

// Undo implements fingerprint.Store.
func (s *Store) Undo(ctx context.Context, b *fingerprint.Batch) error {
	if err := b.CheckUndo(); err != nil {
		return err
	}
	return s.each(b.Subjects, func(part []fingerprint.Subject) error {
		if len(part) == 0 {
			return nil
		}
		c := new(call)
		args := c.write(s, s.undo, b.Tenant, part)
		for i := range part {
			args = append(args, string(appendStamp(nil, part[i].At)), string(appendGroup(nil, &part[i])))
		}
		if _, err := s.send.Run(ctx, s.undo, args); err != nil {
			return fmt.Errorf("fingerprintredis: taking back: %w", err)
		}
		return nil
	})
}

// Forget implements fingerprint.Store.
func (s *Store) Forget(ctx context.Context, tenant string, keys []fingerprint.Key) error {
	if len(keys) == 0 {
		return nil
	}
	home := s.homes.Of(tenant)
	step := len(keys)
	if s.o.Spread {
		step = 1 // each is in a slot of its own
	}
	for ; len(keys) > 0; keys = keys[min(step, len(keys)):] {
		args := []any{"unlink"}
		for i := range keys[:min(step, len(keys))] {
			args = append(args, string(appendKey(nil, home, &keys[i])))
		}
		if _, err := s.send.Do(ctx, args...); err != nil {
			return fmt.Errorf("fingerprintredis: forgetting: %w", err)
		}
	}
	return nil
}
