package keyed

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"hash"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
)

// label separates this derivation from any other use of the same secret.
const label = "vestibule/keyed/v1"

// subkey is what one (key, epoch, purpose, tenant) hashes values with: the SHA-256 states after the inner and the outer
// padded key block of HMAC, so that a value of up to 55 bytes costs two blocks instead of four and more. Immutable.
type subkey struct {
	key          int
	epoch        uint64
	purpose      Purpose
	tenant       string
	inner, outer []byte // marshaled SHA-256 states; as secret as the key
}

func (k ringKey) salt(length, epoch uint64) []byte {
	m := hmac.New(sha256.New, k.secret())
	b := appendLP(nil, label)
	b = appendLP(b, k.id)
	b = binary.BigEndian.AppendUint64(b, length)
	b = binary.BigEndian.AppendUint64(b, epoch)
	m.Write(b)
	return m.Sum(nil)
}

// appendLP appends the length of s and s: no two lists of texts have the same encoding ("a:b", "c" and "a", "b:c").
func appendLP(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
	return append(b, s...)
}

func (r *Ring) derive(key int, epoch uint64, p Purpose, tenant string) *subkey {
	m := hmac.New(sha256.New, r.keys[key].salt(uint64(r.epoch), epoch))
	m.Write(appendLP(appendLP(nil, string(p)), tenant))
	sub := m.Sum(nil)
	return &subkey{key: key, epoch: epoch, purpose: Purpose(strings.Clone(string(p))), tenant: strings.Clone(tenant), inner: padState(sub, 0x36), outer: padState(sub, 0x5c)}
}

// padState is the hash state after one block of the key XORed with pad (RFC 2104 section 2). The key is shorter than a
// block.
func padState(key []byte, pad byte) []byte {
	var block [sha256.BlockSize]byte
	copy(block[:], key)
	for i := range block {
		block[i] ^= pad
	}
	h := sha256.New()
	h.Write(block[:])
	state, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic("keyed: SHA-256 state cannot be saved: " + err.Error()) // documented never to happen
	}
	return state
}

// scratch is the working memory of one hashing. Pooled: passing buffers through hash.Hash would allocate them anew.
type scratch struct {
	h     hash.Hash
	state encoding.BinaryUnmarshaler // h
	buf   [256]byte
	sum   [sha256.Size]byte
}

var scratches = sync.Pool{New: func() any {
	h := sha256.New()
	return &scratch{h: h, state: h.(encoding.BinaryUnmarshaler)}
}}

func (s *scratch) load(state []byte) {
	if err := s.state.UnmarshalBinary(state); err != nil {
		panic("keyed: SHA-256 state cannot be restored: " + err.Error()) // made by padState
	}
}

// hmacSum is HMAC-SHA-256 of the value under the sub-key.
func hmacSum[V string | []byte](k *subkey, value V) [sha256.Size]byte {
	s := scratches.Get().(*scratch)
	s.load(k.inner)
	for i := 0; i < len(value); {
		n := copy(s.buf[:], value[i:])
		s.h.Write(s.buf[:n])
		i += n
	}
	s.h.Sum(s.sum[:0])
	s.load(k.outer)
	s.h.Write(s.sum[:])
	s.h.Sum(s.sum[:0])
	sum := s.sum
	clear(s.buf[:min(len(value), len(s.buf))]) // the pool keeps no personal data
	scratches.Put(s)
	return sum
}

// cache holds sub-keys, cacheSets*cacheWays at most; reading takes no lock. Tenants beyond that replace each other and
// cost their derivation again, about four HMACs: never more memory, never another answer.
type cache struct {
	seed maphash.Seed
	sets [cacheSets][cacheWays]atomic.Pointer[subkey]
	next atomic.Uint32
}

const (
	cacheSets = 256
	cacheWays = 4
)

func newCache() *cache { return &cache{seed: maphash.MakeSeed()} }

// subkey returns the sub-key from the cache or derives it.
func (r *Ring) subkey(key int, epoch uint64, p Purpose, tenant string) *subkey {
	c := r.cache
	h := maphash.String(c.seed, string(p)) + epoch*0x9e3779b97f4a7c15 + uint64(key)
	if tenant != "" {
		h = (h<<7 | h>>57) ^ maphash.String(c.seed, tenant)
	}
	set := &c.sets[(h>>32^h)%cacheSets]
	for i := range set {
		if k := set[i].Load(); k != nil && k.epoch == epoch && k.key == key && k.purpose == p && k.tenant == tenant {
			return k
		}
	}
	k := r.derive(key, epoch, p, tenant)
	for i := range set {
		if set[i].CompareAndSwap(nil, k) {
			return k
		}
	}
	set[c.next.Add(1)%cacheWays].Store(k)
	return k
}
