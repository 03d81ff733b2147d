package keyed

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"time"
)

// Sum is the raw form of a tag: the first 128 bits of the HMAC. It does not say which key and epoch made it; tags of
// different keys and epochs are unrelated. Comparable, so it can be a map key.
type Sum [16]byte

// sumText is the length of a Sum in unpadded base64url; epochText that of the greatest epoch in base 36.
const (
	sumText   = 22
	epochText = 13
)

// MaxTagLen bounds the length of a tag in bytes.
const MaxTagLen = MaxIDLen + 1 + epochText + 1 + sumText

// Tag is the current tag of a value: made by the first key in the salt epoch of at (zero: now).
func (r *Ring) Tag(p Purpose, tenant, value string, at time.Time) string {
	var buf [MaxTagLen]byte
	return string(r.AppendTag(buf[:0], p, tenant, value, at))
}

// AppendTag appends the tag of [Ring.Tag] to dst. It allocates only to grow dst.
func (r *Ring) AppendTag(dst []byte, p Purpose, tenant, value string, at time.Time) []byte {
	return appendTag(r, dst, 0, r.epochAt(at), p, tenant, value)
}

// Tags lists every tag the value may have been stored under, the current one first: for each key in the ring's order,
// its tag of the salt epoch of at (zero: now) and, if there is one, of the epoch before. Two for each key at most; see
// [Ring.Lookups].
func (r *Ring) Tags(p Purpose, tenant, value string, at time.Time) []string {
	return r.AppendTags(make([]string, 0, r.Lookups()), p, tenant, value, at)
}

// AppendTags appends the tags of [Ring.Tags] to dst. Each is a string of its own; [Ring.AppendSums] allocates nothing.
func (r *Ring) AppendTags(dst []string, p Purpose, tenant, value string, at time.Time) []string {
	epoch := r.epochAt(at)
	var buf [MaxTagLen]byte
	for i := range r.keys {
		dst = append(dst, string(appendTag(r, buf[:0], i, epoch, p, tenant, value)))
		if epoch > 0 {
			dst = append(dst, string(appendTag(r, buf[:0], i, epoch-1, p, tenant, value)))
		}
	}
	return dst
}

// Lookups is the greatest number of tags that [Ring.Tags] and [Ring.AppendSums] give for one value.
func (r *Ring) Lookups() int {
	if r.epoch == 0 {
		return len(r.keys)
	}
	return 2 * len(r.keys)
}

// Sum is the raw form of [Ring.Tag]. It does not allocate.
func (r *Ring) Sum(p Purpose, tenant, value string, at time.Time) Sum {
	sum := hmacSum(r.subkey(0, r.epochAt(at), p, tenant), value)
	return Sum(sum[:len(Sum{})])
}

// SumBytes is [Ring.Sum] of a value in bytes, which it does not keep.
func (r *Ring) SumBytes(p Purpose, tenant string, value []byte, at time.Time) Sum {
	sum := hmacSum(r.subkey(0, r.epochAt(at), p, tenant), value)
	return Sum(sum[:len(Sum{})])
}

// Sum256 is [Ring.Sum] in full length, for uses where 128 bits are too few: as a key or a commitment. Its first 16 bytes
// are those of Sum: do not use one as a secret and show the other for the same purpose.
func (r *Ring) Sum256(p Purpose, tenant, value string, at time.Time) [32]byte {
	return hmacSum(r.subkey(0, r.epochAt(at), p, tenant), value)
}

// AppendSums appends the raw form of [Ring.Tags], in the same order, to dst. It allocates only to grow dst.
func (r *Ring) AppendSums(dst []Sum, p Purpose, tenant, value string, at time.Time) []Sum {
	return appendSums(r, dst, p, tenant, value, at)
}

// AppendSumsBytes is [Ring.AppendSums] of a value in bytes, which it does not keep.
func (r *Ring) AppendSumsBytes(dst []Sum, p Purpose, tenant string, value []byte, at time.Time) []Sum {
	return appendSums(r, dst, p, tenant, value, at)
}

func appendSums[V string | []byte](r *Ring, dst []Sum, p Purpose, tenant string, value V, at time.Time) []Sum {
	epoch := r.epochAt(at)
	for i := range r.keys {
		sum := hmacSum(r.subkey(i, epoch, p, tenant), value)
		dst = append(dst, Sum(sum[:len(Sum{})]))
		if epoch > 0 {
			sum = hmacSum(r.subkey(i, epoch-1, p, tenant), value)
			dst = append(dst, Sum(sum[:len(Sum{})]))
		}
	}
	return dst
}

func appendTag(r *Ring, dst []byte, key int, epoch uint64, p Purpose, tenant, value string) []byte {
	sum := hmacSum(r.subkey(key, epoch, p, tenant), value)
	dst = append(append(dst, r.keys[key].id...), '.')
	if r.epoch != 0 {
		dst = append(strconv.AppendUint(dst, epoch, 36), '.')
	}
	return Sum(sum[:len(Sum{})]).appendText(dst)
}

// appendText appends the sum in unpadded base64url, 22 characters, as it ends a tag.
func (s Sum) appendText(dst []byte) []byte { return base64.RawURLEncoding.AppendEncode(dst, s[:]) }

// String is the sum in unpadded base64url: 22 characters, no ':' and no '{', fit for store keys.
func (s Sum) String() string { return base64.RawURLEncoding.EncodeToString(s[:]) }

// Current reports whether a tag was made by the key and in the epoch that make tags at the given time (zero: now). A
// record found under a tag that is not current should be moved to the current one. It does not say whose tag it is;
// anything that is no tag is not current.
func (r *Ring) Current(tag string, at time.Time) bool {
	t, err := ParseTag(tag)
	return err == nil && t.Key == r.keys[0].id && t.Epochs == (r.epoch != 0) && t.Epoch == r.epochAt(at)
}

// Matches reports whether one of the ring's keys made the tag for this purpose, tenant and value, in the salt epoch of at
// (zero: now) or the one before. Tags from outside may be checked with it: the comparison takes constant time, and a tag
// of another epoch or of an unknown key costs nothing.
func (r *Ring) Matches(tag string, p Purpose, tenant, value string, at time.Time) bool {
	t, err := ParseTag(tag)
	if err != nil || t.Epochs != (r.epoch != 0) {
		return false
	}
	if epoch := r.epochAt(at); t.Epoch > epoch || epoch-t.Epoch > 1 {
		return false
	}
	i := slices.IndexFunc(r.keys, func(k ringKey) bool { return k.id == t.Key })
	if i < 0 {
		return false
	}
	sum := hmacSum(r.subkey(i, t.Epoch, p, tenant), value)
	return subtle.ConstantTimeCompare(sum[:len(t.Sum)], t.Sum[:]) == 1
}

// ParsedTag is what a tag says about itself.
type ParsedTag struct {
	Key    string // id of the key that made it
	Epochs bool   // made by a ring with salt epochs
	Epoch  uint64 // number of the epoch, if any
	Sum    Sum    // the raw form
}

// ErrTag is the error of [ParseTag]. It does not repeat the text.
var ErrTag = errors.New("keyed: not a tag")

// ParseTag reads a tag. The text may come from outside: what it says is a claim until [Ring.Matches] agrees. Only the
// one form that rings write is accepted, so equal tags are equal texts.
func ParseTag(tag string) (ParsedTag, error) {
	var t ParsedTag
	if len(tag) > MaxTagLen || len(tag) < 1+1+sumText {
		return t, ErrTag
	}
	head, text := tag[:len(tag)-sumText-1], tag[len(tag)-sumText:]
	if tag[len(head)] != '.' {
		return t, ErrTag
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != len(t.Sum) {
		return t, ErrTag
	}
	id, epoch := head, uint64(0)
	for i := range len(head) {
		if head[i] != '.' {
			continue
		}
		id = head[:i]
		epoch, err = strconv.ParseUint(head[i+1:], 36, 64)
		if err != nil || strconv.FormatUint(epoch, 36) != head[i+1:] {
			return t, ErrTag
		}
		t.Epochs = true
		break
	}
	if !validID(id) {
		return ParsedTag{}, ErrTag
	}
	return ParsedTag{Key: id, Epochs: t.Epochs, Epoch: epoch, Sum: Sum(raw)}, nil
}
