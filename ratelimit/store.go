package ratelimit

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
)

// Key names a bucket or an offence record in a store. It is 128 bits made of a [Store]'s tag, and holds nothing that
// leads back to what it stands for.
type Key struct{ Hi, Lo uint64 }

// Bytes returns the key as 16 bytes, Hi first, big endian.
func (k Key) Bytes() (b [16]byte) {
	binary.BigEndian.PutUint64(b[:8], k.Hi)
	binary.BigEndian.PutUint64(b[8:], k.Lo)
	return b
}

// KeyOf is the inverse of Bytes.
func KeyOf(b [16]byte) Key {
	return Key{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// String returns the key in base64url, 22 characters.
func (k Key) String() string {
	b := k.Bytes()
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// xor combines a value's tag with a limit's salt. Both are pseudo-random, so the result is too: one tag serves all
// limits of a dimension.
func (k Key) xor(salt Key) Key { return Key{k.Hi ^ salt.Hi, k.Lo ^ salt.Lo} }

// asSalt clears the low bytes, so that all keys of one value share theirs and a sharded store finds them together.
func (k Key) asSalt() Key { return Key{k.Hi &^ 0xff, k.Lo &^ 0xff} }

// Store keeps buckets, offence scores and bans. The [Limiter] calls it; it must be safe for concurrent use. [Memory] is
// one; package ratelimittest has the conformance suite for others. Each call is one atomic step: on Redis one script,
// all keys of a tenant in one slot.
//
// An error means that the store could not tell; a refusal is a result. After an error the batch's answers mean
// nothing, and a charge may or may not have happened: the caller never sends it again. Batches are re-used: a store must
// not touch one after its call has returned, not even from a goroutine that waits on for a late answer.
type Store interface {
	// Tag turns what a limit counts by into a key: a keyed pseudo-random function, the same for all processes that
	// share the store. It keeps nothing of text. [NewTagger] makes one; Memory uses a seeded hash.
	Tag(text []byte) Key
	// Decide judges all buckets and sources of the batch, and charges all of them or none. See Batch.
	Decide(ctx context.Context, b *Batch) error
	// Adjust charges (Cost > 0) or refunds (Cost < 0) the batch's buckets without judging them, and adds Batch.Offence
	// to its sources.
	Adjust(ctx context.Context, b *Batch) error
	// Forget removes the batch's buckets and sources.
	Forget(ctx context.Context, b *Batch) error
}

// InProcess is an ability of stores that answer from this process's memory, without I/O and without blocking. The
// limiter then sets no deadline, and its Signal is local.
type InProcess interface {
	InProcess() bool
}

// Bounds of a batch.
const (
	MaxBuckets = 64
	MaxSources = 16
)

// Batch is one atomic step. The caller fills in the questions; Decide writes the answers, Adjust and Forget write only
// Now and Degraded. Times and durations are whole microseconds, points whole thousandths.
//
// Decide: with now the store's clock (or At), and per bucket T = Interval, tau = T*Burst, most = tau (2*tau when
// ChargeDenied), stored the kept TAT (theoretical arrival time),
//
//	debt     = clamp(stored - now, 0, most)    0 when nothing is kept; answered as Bucket.Debt, charge included
//	exceeded = debt + Cost*T > tau
//
// and for each source its offence level, the level of the batch is the strictest of: Ban if a source is banned; Deny
// for an exceeded bucket, Challenge for an exceeded soft one unless Challenged; the source's Slow or Challenge unless
// Challenged; else Allow.
//
//   - Allow: every bucket but those with Hold is charged: TAT = now + min(debt + Cost*T, most). It lives until then.
//   - Ban: nothing is charged and no offence added.
//   - Else: no bucket is charged, but exceeded ones with ChargeDenied are: TAT = now + min(debt + Cost*T, most). The
//     greatest Weight of the exceeded buckets that decided, and Ladder.Repeat when a source's score demands a challenge,
//     is added to every source as an offence. If that starts a ban, the level is Ban.
//
// Times out of bounds (stored beyond now + most, an offence record later than now, a ban's end later than now + MaxBan)
// come from a clock that went back or a limit that was changed. Unless DryRun they are cut in the store too, whatever the
// answer: cut only while judging they would refuse again and again until the clock has caught up.
//
// Offence records: score, at, ban end, number of bans. The score fades: score * 2^(-(now-at)/HalfLife), rounded down,
// with at no later than now. Adding w: score = min(faded + w*Share/1000 rounded up, Max), at = now. If then score >=
// BanAt, Most is Ban and no ban runs: ban end = now + min(Ban * 2^(bans + (score-BanAt)/BanAt), MaxBan), bans + 1. A
// record is forgotten ten half-lives after at and the ban's end. Its level is Ban before the ban's end (never later
// than now + MaxBan), else Challenge from ChallengeAt, else Slow before at + Slow when the score at `at` was at least
// SlowAt; at most Most.
type Batch struct {
	// Tenant is whose records these are. Keys depend on it already; a store may use it to choose a slot.
	Tenant string
	// At is the time to judge by in microseconds since 1970; 0: the store's own clock, as it must be outside tests.
	At int64
	// Challenged: the visitor has passed a challenge. Soft buckets are charged but do not decide.
	Challenged bool
	// DryRun judges and writes nothing.
	DryRun bool
	// Offence is what Adjust adds to the sources; negative: takes back. Taking back scales with the fading (w *
	// 2^((now-at)/HalfLife) is taken from the score at `at`), never goes below 0, and ends no ban.
	Offence int64
	Ladder  *Ladder // never nil with sources; not to be changed
	Buckets []Bucket
	Sources []Offender

	// Now is the time the store judged by.
	Now int64
	// Level is the answer. Charged says whether buckets were charged (never with DryRun). Wait is how long to wait
	// until asking again may help: 0 when allowed; the longest ban when banned; else the longest of the sources that
	// are slowed and of debt + Cost*T - tau of the exceeded buckets that decided.
	Level   Level
	Charged bool
	Wait    int64
	// Degraded is set when the store answered by its fail mode: why. The answer stands.
	Degraded error

	checked bool // built by a limiter, which keeps the rules
}

// Bucket is one limit's state for one value, and what to do with it.
type Bucket struct {
	Key      Key
	Interval int64 // T: one unit is regained per Interval; at least 1
	Burst    int64 // units in a full bucket; at least 1; Interval*Burst at most 2^51
	Cost     int64 // units: Decide 0 (look only) to Burst; Adjust -Burst to Burst, not 0
	Weight   int64 // offence when this bucket refuses
	// Soft: exceeding it means Challenge, not Deny. Hold: judged, never charged. ChargeDenied: see Batch.
	Soft, Hold, ChargeDenied bool

	// Debt is how long the bucket takes to be full again, after this decision. Exceeded: it had not enough left.
	Debt     int64
	Exceeded bool

	tat  int64  // stored, 0: none; after judging: to be stored
	id   uint64 // the key as Memory knows it
	slot int32  // where it was found, -1: nowhere
	set  bool   // to be written
}

// Offender is a source's offence record.
type Offender struct {
	Key   Key
	Share int64 // thousandths of an offence it is given: 1 to 1000
	Most  Level // strictest level it may cause

	// Score is the faded score and Level its level, after this decision. Until is the end of a ban or slow-down.
	Score int64
	Level Level
	Until int64

	rec  record
	id   uint64
	slot int32
	set  bool
}

// Ladder is a Penalty's numbers in microseconds and thousandths.
type Ladder struct {
	HalfLife                        int64
	SlowAt, ChallengeAt, BanAt, Max int64
	Slow, Ban, MaxBan               int64
	Repeat                          int64
}

// ErrBatch says that a batch breaks the rules documented at its fields. No store sends such a batch anywhere.
var ErrBatch = errors.New("ratelimit: invalid batch")

// CheckDecide, CheckAdjust and CheckForget return an error that is ErrBatch when the batch breaks the rules. A store
// calls them first.
func (b *Batch) CheckDecide() error { return b.check(0, true) }

// CheckAdjust checks a batch for Adjust.
func (b *Batch) CheckAdjust() error { return b.check(-1, true) }

// CheckForget checks a batch for Forget: bounds and keys only.
func (b *Batch) CheckForget() error { return b.check(0, false) }

func (b *Batch) check(sign int64, numbers bool) error {
	if b.checked {
		return nil
	}
	if len(b.Buckets) > MaxBuckets || len(b.Sources) > MaxSources {
		return fmt.Errorf("%w: %d buckets and %d sources, at most %d and %d", ErrBatch, len(b.Buckets), len(b.Sources), MaxBuckets, MaxSources)
	}
	if b.At < 0 || b.At > maxAt {
		return fmt.Errorf("%w: At %d", ErrBatch, b.At)
	}
	if numbers && len(b.Sources) > 0 {
		if b.Ladder == nil {
			return fmt.Errorf("%w: sources without a ladder", ErrBatch)
		}
		if err := b.Ladder.check(); err != nil {
			return fmt.Errorf("%w: %w", ErrBatch, err)
		}
	}
	for i := range b.Buckets {
		c := &b.Buckets[i]
		if numbers && !c.valid(sign) {
			return fmt.Errorf("%w: bucket %d: interval %d, burst %d, cost %d, weight %d", ErrBatch, i, c.Interval, c.Burst, c.Cost, c.Weight)
		}
		for j := range b.Buckets[:i] {
			if b.Buckets[j].Key == c.Key {
				return fmt.Errorf("%w: buckets %d and %d have the same key", ErrBatch, j, i)
			}
		}
	}
	for i := range b.Sources {
		s := &b.Sources[i]
		if numbers && (s.Share < 1 || s.Share > 1000 || s.Most < Slow || s.Most > Ban || s.Most == Deny) {
			return fmt.Errorf("%w: source %d: share %d, most %v", ErrBatch, i, s.Share, s.Most)
		}
		for j := range b.Sources[:i] {
			if b.Sources[j].Key == s.Key {
				return fmt.Errorf("%w: sources %d and %d have the same key", ErrBatch, j, i)
			}
		}
	}
	const most = 1_000_000_000
	if b.Offence < -most || b.Offence > most {
		return fmt.Errorf("%w: offence %d", ErrBatch, b.Offence)
	}
	return nil
}

func (c *Bucket) valid(sign int64) bool {
	if c.Interval < 1 || c.Burst < 1 || c.Interval > maxSpan || c.Burst > maxSpan/c.Interval {
		return false
	}
	if c.Weight < 0 || c.Weight > 1_000_000 {
		return false
	}
	if sign < 0 {
		return c.Cost != 0 && c.Cost >= -c.Burst && c.Cost <= c.Burst
	}
	return c.Cost >= 0 && c.Cost <= c.Burst
}
