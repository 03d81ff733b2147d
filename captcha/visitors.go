package captcha

import (
	"encoding/binary"
	"sync"
	"time"
)

// visitors remembers for a while on which step of the ladder a visitor was and which member has just failed it. It is a
// table of fixed size in which a newer visitor pushes out an older one: what is forgotten costs hysteresis and may
// assign a provider again that has failed, never more. Safe for concurrent use.
type visitors struct {
	mu    sync.Mutex
	slots [8192]visitorSlot // guarded by mu
}

type visitorSlot struct {
	tag   uint64
	until int64 // Unix seconds
	avoid int64 // Unix seconds until which member is avoided
	step  uint8
	which uint8 // the member to avoid
}

func (v *visitors) slot(seed [32]byte) (*visitorSlot, uint64) {
	return &v.slots[binary.LittleEndian.Uint64(seed[:])%uint64(len(v.slots))], binary.LittleEndian.Uint64(seed[8:])
}

// last returns the step a visitor was on, 0 for an unknown one, and the member to avoid, or -1.
func (v *visitors) last(seed [32]byte, now time.Time) (step, avoid int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s, tag := v.slot(seed)
	avoid = -1
	if s.tag != tag || now.Unix() > s.until {
		return 0, avoid
	}
	if now.Unix() <= s.avoid {
		avoid = int(s.which)
	}
	return int(s.step), avoid
}

// note keeps a visitor's step.
func (v *visitors) note(seed [32]byte, now time.Time, step int, life time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s, tag := v.slot(seed)
	if s.tag != tag {
		*s = visitorSlot{tag: tag}
	}
	s.step, s.until = uint8(min(step, 255)), now.Add(life).Unix()
}

// failed keeps a visitor away from a member.
func (v *visitors) failed(seed [32]byte, now time.Time, member int, life time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s, tag := v.slot(seed)
	if s.tag != tag {
		*s = visitorSlot{tag: tag}
	}
	s.which, s.avoid = uint8(member), now.Add(time.Minute).Unix()
	s.until = max(s.until, now.Add(life).Unix())
}
