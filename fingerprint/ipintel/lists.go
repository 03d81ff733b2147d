package ipintel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Source is one list or threat feed.
type Source struct {
	// Name is what reasons and Status call it: 1 to 32 letters, digits, '-', '_' or '.'.
	Name string
	// Kind is what an address on it is.
	Kind Kind
	Origin
	// Format of the feed; default FormatAuto.
	Format Format
	// Every is how often it is asked for; default a day for a URL and a minute for a file. Respect what the publisher
	// asks for: Spamhaus bans who comes more than once an hour.
	Every time.Duration
	// MaxAge is how old the last good copy may become before it no longer counts; default for ever. A week-old list of
	// Tor exits accuses people who have the addresses now.
	MaxAge time.Duration
	// MaxBytes and MaxEntries bound the feed; default 64 MiB and 2,000,000.
	MaxBytes   int64
	MaxEntries int
	// AllowEmpty accepts an empty list and one that shrinks: for lists of the host's own.
	AllowEmpty bool
}

// Status is what is known of a source.
type Status struct {
	Name string
	Kind Kind
	// Entries of the last good copy, and how many lines of it were not understood.
	Entries, Malformed int
	// Loaded is when the content last changed, Checked when it was last found current; zero: never.
	Loaded, Checked time.Time
	// Age is the time since Checked.
	Age time.Duration
	// Stale says that the copy is older than MaxAge and does not count, or that there is none.
	Stale bool
	// Err is why the last attempt failed or was refused; nil: it did not.
	Err error
	// Next is when it is due.
	Next time.Time
}

// ListsOptions of [NewLists]. The zero value and nil mean the defaults.
type ListsOptions struct {
	Now func() time.Time // the clock; default time.Now
	// OnError hears of each failed or refused update. It must not block.
	OnError func(name string, err error)
}

// Lists keeps lists and feeds current and answers from one prefix table. Look-ups take no lock: an update builds a new
// table beside the old one and swaps them. An update is taken only whole: what is truncated, malformed, mostly gone or
// absurdly broad is refused and the last good copy goes on counting, its age growing. Safe for concurrent use.
type Lists struct {
	now     func() time.Time
	onError func(string, error)
	current atomic.Pointer[snapshot]

	refreshing sync.Mutex // one refresh at a time
	mu         sync.Mutex // never held during I/O
	sources    []*source
}

type source struct {
	Source
	bounds ParseOptions
	fetch  *fetcher // guarded by refreshing
	counts bool     // is part of the current table; guarded by refreshing
	feed   *Feed    // guarded by mu
	status Status   // guarded by mu
}

// snapshot is one state of all lists.
type snapshot struct {
	table   *Table
	systems map[uint32]uint64
	kinds   []Kind
	names   []string
	all     Kind
}

// NewLists makes lists of at most [MaxLists] sources. Nothing is loaded yet: call [Lists.Refresh] once, and let
// [Lists.Run] go on.
func NewLists(sources []Source, opts *ListsOptions) (*Lists, error) {
	l := &Lists{now: time.Now}
	if opts != nil {
		if opts.Now != nil {
			l.now = opts.Now
		}
		l.onError = opts.OnError
	}
	if len(sources) > MaxLists {
		return nil, fmt.Errorf("ipintel: %d sources; at most %d", len(sources), MaxLists)
	}
	names := map[string]bool{}
	for i, in := range sources {
		s := &source{Source: in, bounds: ParseOptions{in.Format, in.MaxBytes, in.MaxEntries, in.AllowEmpty}}
		if !validName(in.Name) || names[in.Name] {
			return nil, fmt.Errorf("ipintel: source %d: the name must be unique, of 1 to 32 letters, digits, '-', '_' or '.'", i)
		}
		names[in.Name] = true
		if in.Kind == 0 || in.Kind&^allKinds != 0 {
			return nil, fmt.Errorf("ipintel: source %s: Kind must say what an address on the list is", in.Name)
		}
		if in.Every < 0 || in.MaxAge < 0 {
			return nil, fmt.Errorf("ipintel: source %s: Every and MaxAge must not be negative", in.Name)
		}
		if s.Every == 0 {
			s.Every = 24 * time.Hour
			if in.File != "" {
				s.Every = time.Minute
			}
		}
		if _, err := newParser(bytes.NewReader(nil), &s.bounds); err != nil {
			return nil, fmt.Errorf("ipintel: source %s: %w", in.Name, err)
		}
		if s.bounds.MaxBytes == 0 {
			s.bounds.MaxBytes = 64 << 20
		}
		var err error
		if s.fetch, err = newFetcher(in.Origin, s.bounds.MaxBytes); err != nil {
			return nil, fmt.Errorf("ipintel: source %s: %w", in.Name, err)
		}
		s.status = Status{Name: in.Name, Kind: in.Kind, Stale: true}
		l.sources = append(l.sources, s)
	}
	l.build()
	return l, nil
}

func validName(s string) bool {
	for _, c := range []byte(s) {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 32
}

// Refresh loads the sources that are due and returns what failed, joined; the others are loaded all the same. A caller
// that may not start without lists checks the error or Status.
func (l *Lists) Refresh(ctx context.Context) error { return l.refresh(ctx, false) }

// Force loads all sources now, and takes a list that has shrunk by more than half: for whoever has looked at it and knows
// that it is right. All other checks hold.
func (l *Lists) Force(ctx context.Context) error { return l.refresh(ctx, true) }

func (l *Lists) refresh(ctx context.Context, force bool) error {
	l.refreshing.Lock()
	defer l.refreshing.Unlock()
	var errs []error
	changed := false
	for _, s := range l.sources {
		if !force && l.now().Before(s.status.Next) {
			continue
		}
		if ctx.Err() != nil {
			errs = append(errs, ctx.Err())
			break
		}
		loaded, err := l.load(ctx, s, force)
		changed = changed || loaded
		if err != nil {
			err = fmt.Errorf("ipintel: source %s: %w", s.Name, err)
			errs = append(errs, err)
			if l.onError != nil {
				l.onError(s.Name, err)
			}
		}
	}
	for _, s := range l.sources {
		changed = changed || s.counts != s.fresh(l.now())
	}
	if changed {
		l.build()
	}
	return errors.Join(errs...)
}

// retryAfter is how long a source that failed is left alone, at most.
const retryAfter = 10 * time.Minute

// load asks for one source and keeps it if it is good.
func (l *Lists) load(ctx context.Context, s *source, force bool) (loaded bool, err error) {
	at := l.now()
	var feed *Feed
	body, seen, err := s.fetch.fetch(ctx)
	if err == nil && body != nil {
		feed, err = s.accept(body, force)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.status.Err = err
	if err != nil {
		wait := min(s.Every, retryAfter)
		if status, ok := errors.AsType[*StatusError](err); ok {
			wait = max(wait, status.RetryAfter)
		}
		s.status.Next = at.Add(wait)
		return false, err
	}
	s.fetch.seen = seen
	s.status.Checked, s.status.Next = at, at.Add(s.Every)
	if feed == nil {
		return false, nil
	}
	s.feed = feed
	s.status.Loaded = at
	s.status.Entries, s.status.Malformed = feed.Len(), feed.Malformed
	return true, nil
}

// accept parses a new copy and holds it against the last.
func (s *source) accept(body []byte, force bool) (*Feed, error) {
	feed, err := Parse(bytes.NewReader(body), &s.bounds)
	if err != nil {
		return nil, err
	}
	if s.feed != nil && !force && !s.AllowEmpty && feed.Len()*2 < s.feed.Len() {
		return nil, &FeedError{Err: ErrShrunk}
	}
	return feed, nil
}

// fresh reports whether the last good copy may count.
func (s *source) fresh(now time.Time) bool {
	return s.feed != nil && (s.MaxAge == 0 || now.Sub(s.status.Checked) <= s.MaxAge)
}

// build makes a new snapshot of all copies that count.
func (l *Lists) build() {
	snap := &snapshot{systems: map[uint32]uint64{}}
	prefixes := make([][]netip.Prefix, len(l.sources))
	for i, s := range l.sources {
		snap.kinds = append(snap.kinds, s.Kind)
		snap.names = append(snap.names, s.Name)
		if s.counts = s.fresh(l.now()); !s.counts {
			continue
		}
		snap.all |= s.Kind
		prefixes[i] = s.feed.Prefixes
		for _, n := range s.feed.Systems {
			snap.systems[n] |= 1 << i
		}
	}
	// Parse has validated every prefix, and NewLists their number.
	snap.table, _ = NewTable(prefixes...)
	l.current.Store(snap)
}

// Run refreshes sources when they are due, until ctx is done, and returns its error. Start it in a goroutine.
func (l *Lists) Run(ctx context.Context) error {
	for {
		_ = l.Refresh(ctx) // heard by OnError, and kept in Status
		next := time.NewTimer(l.wait())
		select {
		case <-ctx.Done():
			next.Stop()
			return ctx.Err()
		case <-next.C:
		}
	}
}

// wait is how long until a source is due or becomes stale.
func (l *Lists) wait() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, wait := l.now(), time.Hour
	for _, s := range l.sources {
		wait = min(wait, s.status.Next.Sub(now))
		if s.counts && s.MaxAge > 0 {
			wait = min(wait, s.status.Checked.Add(s.MaxAge).Sub(now)+time.Second)
		}
	}
	return max(wait, time.Second)
}

// Status tells of each source, in the order given to NewLists. Alarm on Age and Stale: lists grow old silently.
func (l *Lists) Status() []Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Status, len(l.sources))
	for i, s := range l.sources {
		out[i] = s.status
		out[i].Stale = !s.fresh(l.now())
		if !s.status.Checked.IsZero() {
			out[i].Age = l.now().Sub(s.status.Checked)
		}
	}
	return out
}

// Hits is what lists say of an address.
type Hits struct {
	// Kinds is what the lists make of it, as they say it: see [Kind.Fair].
	Kinds Kind
	bits  uint64
	snap  *snapshot
}

// Names are the lists, in the order given to NewLists.
func (h Hits) Names() []string {
	var out []string
	for i := range MaxLists {
		if h.bits&(1<<i) != 0 {
			out = append(out, h.snap.names[i])
		}
	}
	return slices.Clip(out)
}

// Lookup returns what the lists say of an address, and of its autonomous system where that is known (0: unknown). It
// does not allocate.
func (l *Lists) Lookup(ip netip.Addr, system uint32) Hits {
	snap := l.current.Load()
	h := Hits{bits: snap.table.Lookup(ip), snap: snap}
	if system != 0 && len(snap.systems) > 0 {
		h.bits |= snap.systems[system]
	}
	for i, bits := 0, h.bits; bits != 0; i, bits = i+1, bits>>1 {
		if bits&1 != 0 {
			h.Kinds |= snap.kinds[i]
		}
	}
	return h
}
