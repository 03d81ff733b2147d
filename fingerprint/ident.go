package fingerprint

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"time"

	"github.com/vestibule-go/vestibule/risk/keyed"
)

// the kinds of subjects and members.
type kind uint8

const (
	kindDevice kind = iota
	kindPrint
	kindSimilar
	kindIP
	kindAccount
	kindPhone
	kindEmail
	kindBusiness
	kindAttempt
	kinds
)

// purposes separate the kinds' hashes.
var purposes = [kinds]keyed.Purpose{
	"fingerprint.device", "fingerprint.print", "fingerprint.similar", "fingerprint.ip", "fingerprint.account", "fingerprint.phone",
	"fingerprint.email", "fingerprint.business", "fingerprint.attempt",
}

// ident is one thing's hashes: one for each plane, which are the keys and epochs that are written.
type ident struct {
	sums  [4]Key
	there bool
}

func (i *ident) member(plane int) uint64 {
	if !i.there {
		return 0
	}
	return binary.LittleEndian.Uint64(i.sums[plane][:8]) | 1
}

// planes says which hashes are written: of n planes the last counts. With previous, each key has two: the epoch's and
// the former one's.
type planes struct {
	n        int
	keys     int
	previous bool
	at       time.Time
}

func (s *Sightings) planes(at time.Time) planes {
	p := planes{n: 1, keys: 1, at: at}
	if s.o.Ring == nil {
		return p
	}
	if at.IsZero() {
		p.at = s.o.Now()
	}
	p.keys = s.o.Ring.Lookups()
	if epoch := s.o.Ring.Epoch(); epoch != 0 {
		p.keys /= 2
		since := time.Duration(p.at.Unix()%int64(epoch/time.Second)) * time.Second
		p.previous = p.at.Unix() >= int64(epoch/time.Second) && since < Windows[2]+margin
	}
	p.n = p.keys
	if p.previous {
		p.n *= 2
	}
	return p
}

// hash makes the hashes of a value for each plane. room is for the text that is hashed.
func (s *Sightings) hash(i *ident, p *planes, room *[]byte, k kind, tenant, value string) {
	if i.there = value != ""; !i.there {
		return
	}
	if s.o.Ring == nil {
		*room = append(prefix((*room)[:0], k, tenant), value...)
		s.hashLocal(&i.sums[0], *room)
		return
	}
	if p.n == 1 {
		i.sums[0] = Key(s.o.Ring.Sum(purposes[k], tenant, value, p.at))
		return
	}
	var sums [4]keyed.Sum
	i.spread(p, s.o.Ring.AppendSums(sums[:0], purposes[k], tenant, value, p.at))
}

// address makes the hashes of an address's network. IPv4 in IPv6 is IPv4, and zones do not count.
func (s *Sightings) address(i *ident, p *planes, room *[]byte, tenant string, a netip.Addr) {
	if i.there = a.IsValid(); !i.there {
		return
	}
	a = a.Unmap().WithZone("")
	bits := s.o.IPv6Bits
	if a.Is4() {
		bits = s.o.IPv4Bits
	}
	network, _ := a.Prefix(bits) // the address is valid and New has seen to the bits
	form := network.Addr().As16()
	if s.o.Ring == nil {
		*room = append(prefix((*room)[:0], kindIP, tenant), form[:]...)
		s.hashLocal(&i.sums[0], *room)
		return
	}
	*room = append((*room)[:0], form[:]...)
	if p.n == 1 {
		i.sums[0] = Key(s.o.Ring.SumBytes(purposes[kindIP], tenant, *room, p.at))
		return
	}
	var sums [4]keyed.Sum
	i.spread(p, s.o.Ring.AppendSumsBytes(sums[:0], purposes[kindIP], tenant, *room, p.at))
}

// prefix begins what is hashed: texts of different kinds and tenants are different.
func prefix(b []byte, k kind, tenant string) []byte {
	return append(binary.AppendUvarint(append(b, byte(k)), uint64(len(tenant))), tenant...)
}

// hashLocal hashes for a store in this process, by two seeds of its own.
func (s *Sightings) hashLocal(k *Key, b []byte) {
	binary.LittleEndian.PutUint64(k[:8], maphash.Bytes(s.seeds[0], b))
	binary.LittleEndian.PutUint64(k[8:], maphash.Bytes(s.seeds[1], b))
}

// spread takes the planes' hashes from those of all keys and epochs.
func (i *ident) spread(p *planes, sums []keyed.Sum) {
	step := len(sums) / p.keys // 2 with epochs, but in the very first
	n := 0
	for key := range p.keys {
		i.sums[n] = Key(sums[key*step])
		n++
		if p.previous && step == 2 {
			i.sums[n] = Key(sums[key*step+1])
			n++
		}
	}
}

// tags makes the hashes of a device that is known by keyed tags: each tag is a device of its epoch.
func (s *Sightings) tags(i *ident, p *planes, room *[]byte, tenant string, tags []string) {
	if len(tags) == 0 || tags[0] == "" {
		return
	}
	one := planes{n: 1, keys: 1, at: p.at}
	first, err := keyed.ParseTag(tags[0])
	for n := range p.n {
		tag := tags[0]
		if p.previous && n%2 == 1 && err == nil {
			for _, t := range tags[1:] {
				if q, e := keyed.ParseTag(t); e == nil && q.Key == first.Key && q.Epoch+1 == first.Epoch {
					tag = t
				}
			}
		}
		if s.o.Ring == nil {
			s.hash(i, &one, room, kindDevice, tenant, tag)
			continue
		}
		// The tag changes with the epoch already: hash it by a clock that stands still.
		i.sums[n] = Key(s.o.Ring.Sum(purposes[kindDevice], tenant, tag, time.Unix(0, 0)))
		i.there = true
	}
}
