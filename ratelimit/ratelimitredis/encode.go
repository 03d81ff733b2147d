package ratelimitredis

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"strings"
	"sync/atomic"

	"github.com/vestibule-go/vestibule/ratelimit"
)

// encoder packs numbers as doubles, which hold all of ours exactly: Redis unpacks them with one C function, for a
// fraction of what as many arguments cost.
type encoder struct {
	b     []byte
	n     int // numbers
	first int // of which before the ladder
}

func (e *encoder) int(v int64) {
	e.n++
	e.b = binary.LittleEndian.AppendUint64(e.b, math.Float64bits(float64(v)))
}

// head begins with what every script reads first.
func (e *encoder) head(at int64, buckets int, extraTTL, word int64) {
	e.b, e.n, e.first = e.b[:0], 0, 0
	e.int(at)
	e.int(int64(buckets))
	e.int(extraTTL)
	e.int(word)
}

// append ends the list and appends it to a script's arguments, with the formats of its parts.
func (e *encoder) append(args []any) []any {
	if e.first == 0 {
		return append(args, string(e.b), formats[e.n])
	}
	return append(args, string(e.b), formats[e.first], formats[e.n-e.first])
}

// maxNumbers is how many the largest batch has.
const maxNumbers = 4 + 5*ratelimit.MaxBuckets + 9 + 2*ratelimit.MaxSources

// formats are struct.unpack's formats of as many doubles, as arguments, so that a call need not make them. Never
// changed.
var formats = func() (f [maxNumbers + 1]any) {
	all := "<" + strings.Repeat("d", maxNumbers)
	for n := range f {
		f[n] = all[:1+n]
	}
	return f
}()

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
	mode := int64(modeCharge)
	switch {
	case c.Hold && c.ChargeDenied:
		mode = modeHoldDenied
	case c.Hold:
		mode = modeHold
	case c.ChargeDenied:
		mode = modeChargeDenied
	}
	e.int(mode)
	switch {
	case c.Soft && challenged:
		e.int(0)
	case c.Soft:
		e.int(int64(ratelimit.Challenge))
	default:
		e.int(int64(ratelimit.Deny))
	}
	e.int(c.Weight)
}

// ladder begins the second part.
func (e *encoder) ladder(l *ratelimit.Ladder, repeat int64) {
	e.first = e.n
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
	for i := range b.Buckets {
		e.bucket(&b.Buckets[i], b.Buckets[i].Cost*b.Buckets[i].Interval, b.Challenged)
	}
	e.sources(b)
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
	return word
}

// adjust writes a whole batch for adjustScript.
func (e *encoder) adjust(b *ratelimit.Batch, at, extraTTL int64) {
	e.head(at, len(b.Buckets), extraTTL, b.Offence)
	for i := range b.Buckets {
		e.bucket(&b.Buckets[i], b.Buckets[i].Cost*b.Buckets[i].Interval, false)
	}
	e.sources(b)
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
type namer struct {
	prefix  string
	perSlot bool
	tag     func([]byte) ratelimit.Key
	seed    maphash.Seed
	homes   [64]atomic.Pointer[tenantHome] // of the tenants seen last
}

// tenantHome is what all keys of a tenant begin with.
type tenantHome struct{ tenant, home string }

// home returns what all keys of a tenant begin with: a hash tag, which all of them share and so one slot. The keys
// themselves depend on the tenant already; two characters spread tenants over 4096 slots.
func (n *namer) home(tenant string) string {
	at := &n.homes[maphash.String(n.seed, tenant)%uint64(len(n.homes))]
	if h := at.Load(); h != nil && h.tenant == tenant {
		return h.home
	}
	h := &tenantHome{tenant: strings.Clone(tenant)}
	switch {
	case n.perSlot:
		h.home = n.prefix + ":"
	case tenant == "":
		h.home = "{" + n.prefix + "}:"
	default:
		k := n.tag(append([]byte("slot\x00"), tenant...)).Bytes()
		const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		h.home = "{" + n.prefix + string([]byte{digits[k[0]&63], digits[k[1]&63]}) + "}:"
	}
	at.Store(h)
	return h.home
}

// keyLen is the length of a key's own part.
const keyLen = 22

// keys appends the keys of all buckets and sources, as pieces of one string. The first is a string, by which clients
// find the node; the others are pointers, which take no allocation of their own.
func (n *namer) keys(b *ratelimit.Batch, args []any) []any {
	var buf [1024]byte
	home := n.home(b.Tenant)
	all := buf[:0]
	for i := range b.Buckets {
		all = appendKey(append(all, home...), b.Buckets[i].Key)
	}
	for i := range b.Sources {
		all = appendKey(append(all, home...), b.Sources[i].Key)
	}
	text, each := string(all), len(home)+keyLen
	list := make([]string, len(b.Buckets)+len(b.Sources))
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
	return string(appendKey(append(buf[:0], n.home(tenant)...), k))
}

func appendKey(b []byte, k ratelimit.Key) []byte {
	raw := k.Bytes()
	return base64.RawURLEncoding.AppendEncode(b, raw[:])
}

// probe is the key that probes write, in the slot of a tenant.
func (n *namer) probe(tenant string) string {
	return n.home(tenant) + "probe"
}

var errReply = errors.New("ratelimitredis: Redis answered what no script of this version does")

// answer fills in the batch from decideScript's answer.
func answer(b *ratelimit.Batch, out []int64) error {
	nb := len(b.Buckets)
	if len(out) < 2+nb || out[0] <= 0 || out[1] < 1 || out[1] > banStarted {
		return errReply
	}
	for i := range b.Buckets {
		c := &b.Buckets[i]
		c.Debt = out[2+i]
		if c.Debt < 0 || c.Debt > most(c) {
			return fmt.Errorf("%w: a debt out of range", errReply)
		}
		c.Exceeded = c.Debt+c.Cost*c.Interval > c.Interval*c.Burst
	}
	for i := range b.Sources {
		s := &b.Sources[i]
		s.Score, s.Level, s.Until = 0, ratelimit.Allow, 0
	}
	if err := answerSources(b, out[2+nb:]); err != nil {
		return err
	}
	b.Now = out[0]
	level, started := ratelimit.Level(out[1]), false
	if out[1] == banStarted {
		level, started = ratelimit.Ban, true
	}
	conclude(b, level, started)
	return nil
}

// banStarted is the level of an answer whose offence has started a ban.
const banStarted = int64(ratelimit.Ban) + 1

// answerSources reads number, score, level and end of each source that has a record.
func answerSources(b *ratelimit.Batch, list []int64) error {
	if len(list)%4 != 0 {
		return errReply
	}
	for ; len(list) > 0; list = list[4:] {
		if list[0] < 1 || list[0] > int64(len(b.Sources)) || list[2] < int64(ratelimit.Allow) || list[2] > int64(ratelimit.Ban) {
			return errReply
		}
		s := &b.Sources[list[0]-1]
		s.Score, s.Level, s.Until = list[1], ratelimit.Level(list[2]), list[3]
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
