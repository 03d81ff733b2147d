package fingerprint

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/internal/deadline"
	"github.com/vestibule-go/vestibule/risk/keyed"
)

// SightingsOptions of [NewSightings]. The zero value and nil mean the defaults.
type SightingsOptions struct {
	// Ring makes the keys of the store; required unless the store is in this process, where a seed of its own does.
	// With salt epochs no count is lost or doubled at the end of one; see [Sightings]. At most two keys, the newest
	// first; epochs of at least 8 days.
	Ring *keyed.Ring
	// Keep is how long it is remembered that a device was seen at all, 7 days to 366 days; default 30 days. With a
	// ring it ends with the epoch after the one the device was last seen in, if that is sooner.
	Keep time.Duration
	// IPv4Bits and IPv6Bits are how much of an address is one network; default 32 and 64.
	IPv4Bits, IPv6Bits int
	// Timeout bounds a call to the store beside the context; default 50 ms.
	Timeout time.Duration
	// Now is the clock that salt epochs go by; default time.Now.
	Now func() time.Time
}

// Sightings remembers what was seen together: devices, networks, accounts, telephone numbers, addresses of e-mail and
// business identifiers, and counts it over an hour, a day and a week. Nothing of it can be read back: the store holds
// keyed hashes.
//
// The end of a salt epoch changes all hashes. For the longest window and a margin for clocks that differ, visits are
// therefore written under the hashes of both epochs and counted under the former ones, which are complete; after that
// the new ones are. Two keys of a ring go the same way: both are written and the older one counts, until the host takes
// it out, no sooner than a week after the newer one came. A Sightings is safe for concurrent use.
type Sightings struct {
	store Store
	local bool
	seeds [2]maphash.Seed
	o     SightingsOptions
}

// margin is how far clocks may be apart, twice.
const margin = 10 * time.Minute

// NewSightings makes one over a store.
func NewSightings(store Store, opts *SightingsOptions) (*Sightings, error) {
	if store == nil {
		return nil, errors.New("fingerprint: no store; NewMemory makes one")
	}
	s := &Sightings{store: store, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
	if opts != nil {
		s.o = *opts
	}
	if p, ok := store.(InProcess); ok {
		s.local = p.InProcess()
	}
	o := &s.o
	if o.Ring == nil && !s.local {
		return nil, errors.New("fingerprint: a store outside this process needs Options.Ring, so that all processes make the same keys")
	}
	if o.Ring != nil {
		if e := o.Ring.Epoch(); e != 0 && e < Windows[2]+24*time.Hour {
			return nil, fmt.Errorf("fingerprint: salt epochs of %v: want at least 8 days, or none, to count over a week", e)
		}
		keys := o.Ring.Lookups()
		if o.Ring.Epoch() != 0 {
			keys /= 2
		}
		if keys > 2 {
			return nil, fmt.Errorf("fingerprint: a ring of %d keys: want one, or two while keys change", keys)
		}
	}
	o.Keep = cmp.Or(o.Keep, 30*24*time.Hour)
	o.IPv4Bits = cmp.Or(o.IPv4Bits, 32)
	o.IPv6Bits = cmp.Or(o.IPv6Bits, 64)
	o.Timeout = cmp.Or(o.Timeout, 50*time.Millisecond)
	if o.Now == nil {
		o.Now = time.Now
	}
	switch {
	case o.Keep < Windows[2] || o.Keep > 366*24*time.Hour:
		return nil, fmt.Errorf("fingerprint: Keep is %v, want 7 to 366 days", o.Keep)
	case o.IPv4Bits < 8 || o.IPv4Bits > 32 || o.IPv6Bits < 16 || o.IPv6Bits > 128:
		return nil, fmt.Errorf("fingerprint: networks of /%d and /%d, want /8 to /32 and /16 to /128", o.IPv4Bits, o.IPv6Bits)
	case o.Timeout < 0:
		return nil, errors.New("fingerprint: Timeout is negative")
	}
	return s, nil
}

// Visit is what is known about one attempt. All but the tenant and the attempt may be missing.
type Visit struct {
	Tenant  string
	Attempt string // its id: an attempt that is seen again counts once
	IP      netip.Addr
	// Device names the device: a first-party id, or a token of confidence. Print is the token, also when it is Device
	// because the device has shown no id. Similar names devices that look the same and may be many.
	Device, Print, Similar string
	// Tags are keyed tags of the device, current epoch first, in place of Device where the host knows no more.
	Tags []string
	// Account, Phone and Email are canonical: equal texts are equal. Without an account the e-mail is what distinct
	// accounts are counted by, without that the number.
	Account, Phone, Email string
	// IDs are business identifiers: "usdot" and its number. At most MaxIDs count.
	IDs []ID
	// At is the time to go by; zero: the store's clock, as it must be outside tests.
	At time.Time
	// Receipt asks for Sighting.Receipt.
	Receipt bool
}

// MaxIDs is how many business identifiers of a visit count.
const MaxIDs = 4

// ID is a business identifier.
type ID struct{ Kind, Value string }

// Count is a number of different things, or of attempts. AtLeast: the store has stopped counting there.
type Count struct {
	N       int
	AtLeast bool
}

// Counts are a Count for an hour, a day and a week.
type Counts [3]Count

// Seen is what is known about one thing, this visit included. Counts of what was not asked are zero.
type Seen struct {
	// There says whether the visit had such a thing at all.
	There bool
	// Before says whether it was seen before this visit, and First and Last when: for Device and Print only.
	Before      bool
	First, Last time.Time

	Attempts, IPs, Accounts, Phones, Devices Counts
}

// Sighting is what is known about all of a visit. Business is of the identifier with the most attempts in a day.
type Sighting struct {
	Device, Print, Similar, IP, Phone, Email, Account, Business Seen

	// Receipt is what [Sightings.Undo] takes, at most 4 KiB, where the visit has asked for it. It
	// holds keyed hashes; who has it can take the visit's counts back, so it is not for the visitor.
	Receipt string
}

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

// See writes a visit and says what is known, the visit included. An error means that the store could not tell.
func (s *Sightings) See(ctx context.Context, v Visit) (out Sighting, err error) {
	b, _ := batchPool.Get().(*visitBatch)
	defer b.release()
	b.fill(s, &v)
	if len(b.batch.Subjects) == 0 {
		return out, nil
	}
	if err := s.send(ctx, s.store.See, &b.batch); err != nil {
		return out, fmt.Errorf("fingerprint: sightings: %w", err)
	}
	b.answer(&out)
	if v.Receipt {
		out.Receipt = b.receipt()
	}
	return out, nil
}

// send hands a batch to the store. What has begun to count counts when the client hangs up.
func (s *Sightings) send(ctx context.Context, to func(context.Context, *Batch) error, b *Batch) error {
	if s.local {
		return to(ctx, b)
	}
	c := deadline.Detached(ctx, time.Now().Add(s.o.Timeout))
	defer c.Close()
	return to(c, b)
}

// Uses writes that a business identifier was used by an account, and returns how many different accounts used it in
// the last week, this one included; at most the store's cap. It has only types of the standard library, so that
// packages that ask for the reuse of an identifier can be given it without importing this one.
func (s *Sightings) Uses(ctx context.Context, tenant, kind, id, account string) (int, error) {
	if id == "" || account == "" {
		return 0, nil
	}
	seen, err := s.See(ctx, Visit{Tenant: tenant, Account: account, IDs: []ID{{kind, id}}})
	return seen.Business.Accounts[2].N, err
}

// Forget removes what is kept of the things a visit names, for the erasure of personal data: their own records, under
// all keys and epochs. What was seen with them forgets them when it expires, at the latest a week later.
func (s *Sightings) Forget(ctx context.Context, v Visit) error {
	b, _ := batchPool.Get().(*visitBatch)
	defer b.release()
	b.fill(s, &v)
	var keys []Key
	for i := range b.batch.Subjects {
		keys = append(keys, b.batch.Subjects[i].Key)
	}
	if s.o.Ring != nil && s.o.Ring.Epoch() != 0 { // the former epoch too, whether or not it is written still
		v.At = cmp.Or(v.At, s.o.Now()).Add(-s.o.Ring.Epoch())
		b.fill(s, &v)
		for i := range b.batch.Subjects {
			keys = append(keys, b.batch.Subjects[i].Key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	if err := s.store.Forget(ctx, v.Tenant, keys); err != nil {
		return fmt.Errorf("fingerprint: forgetting: %w", err)
	}
	return nil
}

// cleanID brings a business identifier to one form: upper case, letters and digits only.
func cleanID(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9', r >= 'A' && r <= 'Z':
			return r
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r < 0x80:
			return -1
		}
		return r
	}, s)
}
