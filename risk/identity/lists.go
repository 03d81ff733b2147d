package identity

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/risk/keyed"
)

// ListStore keeps entries of lists by opaque keys. [Lists] calls it; it must be safe for concurrent use. [MemoryLists] is
// one, riskredis.Lists another; package identitytest has the conformance suite. Its types are of the standard library, so
// that a store need not import this package. Errors mean that the store could not tell.
type ListStore interface {
	// Put keeps a record until it expires, in place of what is under the key.
	Put(ctx context.Context, tenant, key string, record []byte, expires time.Time) error
	// Remove removes a record, and says whether there was one.
	Remove(ctx context.Context, tenant, key string) (bool, error)
	// Find returns the records under the keys that have not expired, in any order.
	Find(ctx context.Context, tenant string, keys []string) ([][]byte, error)
	// All returns up to most records of the tenant that have not expired, in any order.
	All(ctx context.Context, tenant string, most int) ([][]byte, error)
}

// ListsOptions of [NewLists]. The zero value and nil mean the defaults.
type ListsOptions struct {
	// Timeout bounds each call of the store beside the context; default 50 ms.
	Timeout time.Duration
	// Now is the clock; default time.Now.
	Now func() time.Time
}

// Lists are emergency deny and allow lists that change at run time: put an entry, and the next attempt of every instance
// that shares the store meets it. Values are kept as keyed hashes. Safe for concurrent use.
type Lists struct {
	store ListStore
	ring  *keyed.Ring
	local bool
	opts  ListsOptions
}

// purpose of the tags.
const purpose keyed.Purpose = "identity.list"

// NewLists makes lists over a store. The ring must be without salt epochs (keyed.NoEpochs): an entry lasts longer than an
// epoch. All keys of the ring are looked up; take an old one out when the entries made with it have expired.
func NewLists(store ListStore, ring *keyed.Ring, opts *ListsOptions) (*Lists, error) {
	switch {
	case store == nil:
		return nil, errors.New("identity: no store; NewMemoryLists makes one")
	case ring == nil:
		return nil, errors.New("identity: no ring; keyed.New makes one, with Options.Epoch keyed.NoEpochs")
	case ring.Epoch() != 0:
		return nil, errors.New("identity: the ring has salt epochs, and entries would be lost with them; make one with keyed.NoEpochs")
	}
	l := &Lists{store: store, ring: ring}
	if opts != nil {
		l.opts = *opts
	}
	if l.opts.Timeout < 0 {
		return nil, errors.New("identity: Timeout must be positive, or 0 for the default")
	}
	if l.opts.Timeout == 0 {
		l.opts.Timeout = 50 * time.Millisecond
	}
	if l.opts.Now == nil {
		l.opts.Now = time.Now
	}
	if p, ok := store.(interface{ InProcess() bool }); ok {
		l.local = p.InProcess()
	}
	return l, nil
}

// bound gives a call of the store its deadline.
func (l *Lists) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if l.local {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, l.opts.Timeout)
}

// Put adds an entry, or replaces the one of the same kind and value, and returns its ID. It refuses, with [ErrEntry], what
// has no author, no end, or a value that is none of its kind.
func (l *Lists) Put(ctx context.Context, e Entry) (id string, err error) {
	e.Created = l.opts.Now()
	if err := e.check(e.Created); err != nil {
		return "", err
	}
	value, err := normalValue(e.Kind, string(e.Value))
	if err != nil {
		return "", err
	}
	e.ID = l.ring.Sum(purpose, e.Tenant, listed(e.Kind, value), time.Time{}).String()
	record, err := e.encode()
	if err != nil {
		return "", fmt.Errorf("identity: putting an entry: %w", err)
	}
	ctx, cancel := l.bound(ctx)
	defer cancel()
	if err := l.store.Put(ctx, e.Tenant, e.ID, record, e.Expires); err != nil {
		return "", fmt.Errorf("identity: putting an entry: %w", err)
	}
	return e.ID, nil
}

// listed is what is hashed: a value of one kind is never one of another.
func listed(kind EntryKind, value string) string { return string(kind) + "\x00" + value }

// Remove takes an entry back by its ID, and says whether there was one.
func (l *Lists) Remove(ctx context.Context, tenant, id string) (bool, error) {
	ctx, cancel := l.bound(ctx)
	defer cancel()
	ok, err := l.store.Remove(ctx, tenant, id)
	if err != nil {
		return false, fmt.Errorf("identity: removing an entry: %w", err)
	}
	return ok, nil
}

// mostEntries is how many entries Entries returns.
const mostEntries = 10_000

// Entries returns the tenant's entries, oldest first, at most 10,000, without their values.
func (l *Lists) Entries(ctx context.Context, tenant string) ([]Entry, error) {
	ctx, cancel := l.bound(ctx)
	defer cancel()
	records, err := l.store.All(ctx, tenant, mostEntries)
	if err != nil {
		return nil, fmt.Errorf("identity: listing entries: %w", err)
	}
	return l.decode(tenant, records)
}

func (l *Lists) decode(tenant string, records [][]byte) ([]Entry, error) {
	now := l.opts.Now()
	var out []Entry
	for _, b := range records {
		e, err := decodeEntry(tenant, b)
		if err != nil {
			return nil, err
		}
		if e.Expires.After(now) {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b Entry) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out, nil
}

// Subject is whom entries may name. Fields may be empty.
type Subject struct {
	Tenant  string
	IP      netip.Addr
	Email   string
	Phone   string
	Devices []string // keyed tags; the first eight count
}

// Match returns the entries that name the subject, oldest first.
func (l *Lists) Match(ctx context.Context, s Subject) ([]Entry, error) {
	keys := l.keys(s)
	if len(keys) == 0 {
		return nil, nil
	}
	ctx, cancel := l.bound(ctx)
	defer cancel()
	records, err := l.store.Find(ctx, s.Tenant, keys)
	if err != nil {
		return nil, fmt.Errorf("identity: looking up lists: %w", err)
	}
	return l.decode(s.Tenant, records)
}

const mostDevices = 8

// keys are all keys under which an entry about the subject may be: at most 50 for each key of the ring.
func (l *Lists) keys(s Subject) []string {
	var keys []string
	var sums []keyed.Sum
	var text []byte
	add := func() {
		sums = l.ring.AppendSumsBytes(sums[:0], purpose, s.Tenant, text, time.Time{})
		for _, sum := range sums {
			keys = append(keys, sum.String())
		}
	}
	begin := func(kind EntryKind) { text = append(append(text[:0], kind...), 0) }
	if ip := normalIP(s.IP); ip.IsValid() {
		for bits := ip.BitLen(); bits >= 8; bits-- {
			if p := netip.PrefixFrom(ip, bits); keptBits(p) {
				begin(EntryIP)
				text = p.Masked().AppendTo(text)
				add()
			}
		}
	}
	if e, err := ParseEmail(s.Email); err == nil {
		begin(EntryEmail)
		text = append(text, e.Canonical()...)
		add()
		domain := e.Domain()
		for range 8 {
			begin(EntryDomain)
			text = append(text, domain...)
			add()
			_, above, ok := strings.Cut(domain, ".")
			if !ok || !strings.Contains(above, ".") {
				break
			}
			domain = above
		}
	}
	if d, ok := foldPhone(s.Phone); ok {
		begin(EntryPhone)
		text = append(text, d...)
		add()
	}
	for _, tag := range s.Devices[:min(len(s.Devices), mostDevices)] {
		if len(tag) <= 256 && tag != "" {
			begin(EntryDevice)
			text = append(text, tag...)
			add()
		}
	}
	return keys
}
