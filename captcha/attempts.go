package captcha

import (
	"encoding/binary"
	"sync"
)

// maxAttempts is how many derivations one challenge can cause. An honest client needs one; a few more let it repeat a
// post that met an outage.
const maxAttempts = 4

// attempts counts the derivations begun for each challenge, so that one challenge cannot buy the server's CPU for as
// long as it lives. It is a table of fixed size in which a newer challenge pushes out an older one: what is forgotten
// costs derivations, which stay bounded in number at once, and never correctness. Safe for concurrent use.
type attempts struct {
	mu    sync.Mutex
	slots [4096]struct { // guarded by mu
		tag   uint64
		count uint8
	}
}

func newAttempts() *attempts { return new(attempts) }

// begin reports whether another derivation may begin for the challenge. Keys are hashes of random nonces of ours.
func (a *attempts) begin(key ReplayKey) bool {
	tag := binary.LittleEndian.Uint64(key[8:])
	a.mu.Lock()
	defer a.mu.Unlock()
	s := &a.slots[binary.LittleEndian.Uint64(key[:])%uint64(len(a.slots))]
	if s.tag != tag {
		s.tag, s.count = tag, 0
	}
	if s.count >= maxAttempts {
		return false
	}
	s.count++
	return true
}
