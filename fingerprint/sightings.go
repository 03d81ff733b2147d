package fingerprint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
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
