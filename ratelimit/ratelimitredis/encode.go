package ratelimitredis

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/vestibule-go/vestibule/internal/redisend"
	"github.com/vestibule-go/vestibule/ratelimit"
)

// encoder packs a script's numbers, mostly as doubles, which hold all of ours exactly: Redis unpacks them with one C
// function, for a fraction of what as many arguments cost.
type encoder struct{ b []byte }

func (e *encoder) int(v int64) {
	e.b = binary.LittleEndian.AppendUint64(e.b, math.Float64bits(float64(v)))
}

// head begins with what every script reads first.
func (e *encoder) head(at int64, buckets int, extraTTL, word int64) {
	e.b = e.b[:0]
	e.int(at)
	e.int(extraTTL)
	e.int(word)
	e.int(int64(buckets))
}

// The modes of a bucket.
const (
	modeHold         = 0
	modeCharge       = 1
	modeChargeDenied = 2
	modeHoldDenied   = 3 // held, but its debt may be twice its span
)

// bucket writes one bucket, whose debt grows by amount when it is charged. The level is what it causes when exceeded, 0:
// none.
func (e *encoder) bucket(c *ratelimit.Bucket, amount int64, challenged bool) {
	e.int(amount)
	e.int(c.Interval * c.Burst)
	mode := byte(modeCharge)
	switch {
	case c.Hold && c.ChargeDenied:
		mode = modeHoldDenied
	case c.Hold:
		mode = modeHold
	case c.ChargeDenied:
		mode = modeChargeDenied
	}
	level := byte(ratelimit.Deny)
	switch {
	case c.Soft && challenged:
		level = 0
	case c.Soft:
		level = byte(ratelimit.Challenge)
	}
	e.b = append(strconv.AppendInt(e.b, amount, 10), 0, mode, level)
	e.int(c.Weight)
}

// ladder writes what all sources share; they and then the buckets follow.
func (e *encoder) ladder(l *ratelimit.Ladder, repeat int64) {
	for _, v := range [...]int64{l.HalfLife, l.SlowAt, l.ChallengeAt, l.BanAt, l.Max, l.Slow, l.Ban, l.MaxBan, repeat} {
		e.int(v)
	}
}

func (e *encoder) source(o *ratelimit.Offender) {
	e.int(o.Share)
	e.int(int64(o.Most))
}

// decide writes a whole batch for decideScript.
func (e *encoder) decide(b *ratelimit.Batch, at, extraTTL int64) {
	e.head(at, len(b.Buckets), extraTTL, decideWord(b))
	e.sources(b)
	for i := range b.Buckets {
		e.bucket(&b.Buckets[i], b.Buckets[i].Cost*b.Buckets[i].Interval, b.Challenged)
	}
}

// decideWord is what decideScript may do.
func decideWord(b *ratelimit.Batch) int64 {
	word := int64(0)
	if !b.DryRun {
		word = 1
	}
	if b.Challenged {
		word += 2
	}
	for i := range b.Buckets {
		if c := &b.Buckets[i]; c.Hold || c.ChargeDenied || c.Cost == 0 {
			return word + 4
		}
	}
	return word
}

// adjust writes a whole batch for adjustScript.
func (e *encoder) adjust(b *ratelimit.Batch, at, extraTTL int64) {
	e.head(at, len(b.Buckets), extraTTL, b.Offence)
	e.sources(b)
	for i := range b.Buckets {
		e.bucket(&b.Buckets[i], b.Buckets[i].Cost*b.Buckets[i].Interval, false)
	}
}

func (e *encoder) sources(b *ratelimit.Batch) {
	if len(b.Sources) == 0 {
		return
	}
	e.ladder(b.Ladder, b.Ladder.Repeat)
	for i := range b.Sources {
		e.source(&b.Sources[i])
	}
}

// namer makes Redis's keys.
type namer struct{ homes *redisend.Homes }

// newNamer returns a namer. What all keys of a tenant begin with is a hash tag, which all of them share and so one slot.
// The keys themselves depend on the tenant already; one byte spreads tenants over 255 slots.
func newNamer(prefix string, perSlot bool, tag func([]byte) ratelimit.Key) namer {
	return namer{redisend.NewHomes(func(tenant string) string {
		switch {
		case perSlot:
			return prefix + ":"
		case tenant == "":
			return "{" + prefix + "}"
		}
		k := tag(append([]byte("slot\x00"), tenant...)).Bytes()
		if k[0] == '}' { // would end the hash tag
			k[0] = '|'
		}
		return "{" + prefix + string(k[:1]) + "}"
	})}
}

// keyLen is the length of a key's own part: 72 bits of the tag, so that a whole key fits 16 bytes of Redis's memory. Tags
// are keyed, so nobody can look for two that meet; among a hundred million the chance is one in a million.
const keyLen = 9

// keys begins a script's arguments with the keys of all buckets and sources, as pieces of one string. The first is a
// string, by which clients find the node; the others are pointers, which take no allocation of their own.
func (n *namer) keys(b *ratelimit.Batch, sc *redisend.Script) []any {
	count := len(b.Buckets) + len(b.Sources)
	args := sc.Append(make([]any, 0, 6+count), count)
	var buf [1024]byte
	home := n.homes.Of(b.Tenant)
	all := buf[:0]
	for i := range b.Buckets {
		all = appendKey(append(all, home...), b.Buckets[i].Key)
	}
	for i := range b.Sources {
		all = appendKey(append(all, home...), b.Sources[i].Key)
	}
	text, each := string(all), len(home)+keyLen
	list := make([]string, count)
	for i := range list {
		list[i], text = text[:each], text[each:]
		if i == 0 {
			args = append(args, list[0])
		} else {
			args = append(args, &list[i])
		}
	}
	return args
}

// key returns one key.
func (n *namer) key(tenant string, k ratelimit.Key) string {
	var buf [64]byte
	return string(appendKey(append(buf[:0], n.homes.Of(tenant)...), k))
}

func appendKey(b []byte, k ratelimit.Key) []byte {
	raw := k.Bytes()
	return append(b, raw[:keyLen]...)
}

// probe is the key that probes write, in the slot of a tenant.
func (n *namer) probe(tenant string) string {
	return n.homes.Of(tenant) + "probe"
}

var errReply = errors.New("ratelimitredis: Redis answered what no script of this version does")

// reply is a script's answer: doubles.
type reply string

func (r reply) len() int { return len(r) / 8 }

// at is one number, or -1 when it is none that a script answers: those are whole, or nearly, and not negative.
func (r reply) at(i int) int64 {
	var b [8]byte
	copy(b[:], r[8*i:])
	f := math.Float64frombits(binary.LittleEndian.Uint64(b[:]))
	if !(f >= 0 && f < 1<<53) {
		return -1
	}
	return int64(f)
}

// from is the rest, from one number on.
func (r reply) from(i int) reply { return r[8*i:] }

// answer fills in the batch from decideScript's answer.
func answer(b *ratelimit.Batch, out reply) error {
	nb := len(b.Buckets)
	if out.len() < 2+nb || out.at(0) <= 0 || out.at(1) < 1 || out.at(1) > banStarted {
		return errReply
	}
	for i := range b.Buckets {
		c := &b.Buckets[i]
		c.Debt = out.at(2 + i)
		if c.Debt < 0 || c.Debt > most(c) {
			return fmt.Errorf("%w: a debt out of range", errReply)
		}
		c.Exceeded = c.Debt+c.Cost*c.Interval > c.Interval*c.Burst
	}
	for i := range b.Sources {
		s := &b.Sources[i]
		s.Score, s.Level, s.Until = 0, ratelimit.Allow, 0
	}
	if err := answerSources(b, out.from(2+nb)); err != nil {
		return err
	}
	b.Now = out.at(0)
	level, started := ratelimit.Level(out.at(1)), false
	if out.at(1) == banStarted {
		level, started = ratelimit.Ban, true
	}
	conclude(b, level, started)
	return nil
}

// banStarted is the level of an answer whose offence has started a ban.
const banStarted = int64(ratelimit.Ban) + 1

// answerSources reads number, score, level and end of each source that has a record.
func answerSources(b *ratelimit.Batch, list reply) error {
	if len(list)%32 != 0 {
		return errReply
	}
	for ; len(list) > 0; list = list.from(4) {
		number, score, level, until := list.at(0), list.at(1), list.at(2), list.at(3)
		if number < 1 || number > int64(len(b.Sources)) || score < 0 || until < 0 ||
			level < int64(ratelimit.Allow) || level > int64(ratelimit.Ban) {
			return errReply
		}
		s := &b.Sources[number-1]
		s.Score, s.Level, s.Until = score, ratelimit.Level(level), until
	}
	return nil
}

func most(c *ratelimit.Bucket) int64 {
	if c.ChargeDenied {
		return 2 * c.Interval * c.Burst
	}
	return c.Interval * c.Burst
}

// conclude fills in Level, Charged and Wait and turns the debts into those after the decision.
func conclude(b *ratelimit.Batch, level ratelimit.Level, banStarted bool) {
	b.Level, b.Charged, b.Wait = level, level == ratelimit.Allow && !b.DryRun, 0
	refused := !b.DryRun && (level == ratelimit.Challenge || level == ratelimit.Deny || banStarted)
	for i := range b.Buckets {
		c := &b.Buckets[i]
		unit := c.Cost * c.Interval
		if !c.Hold && (b.Charged || refused && c.Exceeded && c.ChargeDenied) {
			c.Debt = min(c.Debt+unit, most(c))
		}
		if level != ratelimit.Allow && level != ratelimit.Ban && c.Exceeded && !(c.Soft && b.Challenged) {
			b.Wait = max(b.Wait, c.Debt+unit-c.Interval*c.Burst)
		}
	}
	if level == ratelimit.Allow {
		return
	}
	for i := range b.Sources {
		if s := &b.Sources[i]; s.Level == ratelimit.Ban || s.Level == ratelimit.Slow && level != ratelimit.Ban {
			b.Wait = max(b.Wait, s.Until-b.Now)
		}
	}
}
