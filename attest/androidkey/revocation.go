package androidkey

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/internal/jsonhttp"
)

// StatusURL is Google's revocation list.
const StatusURL = "https://android.googleapis.com/attestation/status"

// Entry is what the list says of a certificate. Whatever is listed is refused: REVOKED, SUSPENDED and any word to come.
type Entry struct {
	Status string // "REVOKED", "SUSPENDED"
	Reason string // "KEY_COMPROMISE", "CA_COMPROMISE", "SUPERSEDED", "SOFTWARE_FLAW"; may be empty
}

// Revocations know which certificates are revoked. A [Verifier] calls it for each chain; it must be safe for concurrent
// use. An error means that it could not tell.
type Revocations interface {
	// Lookup returns the entry of the first of the serial numbers that is listed. They are in lower-case hex without
	// leading zeros.
	Lookup(ctx context.Context, serials []string) (e Entry, listed bool, err error)
}

// ListOptions of a RevocationList. The zero value and nil mean the defaults.
type ListOptions struct {
	// URL is where the list is; default StatusURL.
	URL string
	// Now is the clock; default time.Now.
	Now func() time.Time
	// Refresh is how long a list is used without asking again where the server does not say; default 1 hour. What the
	// server says (Cache-Control: max-age) counts from 1 minute to 24 hours.
	Refresh time.Duration
	// MaxStale is how long a list is used after it was last known to be current; default 72 hours. After that Lookup
	// fails: certificates revoked since would pass. What the failure costs is the signal's fail mode.
	MaxStale time.Duration
	// MaxBytes bounds the list; default 8 MiB. It has some 200 KB.
	MaxBytes int64
	// Transport and Timeout of the calls; default a clone of http.DefaultTransport, 5 s.
	Transport http.RoundTripper
	Timeout   time.Duration
}

// The bounds of what a server may say about refreshing, and the pause after a failure.
const (
	minRefresh = time.Minute
	maxRefresh = 24 * time.Hour
	retryAfter = time.Minute
)

// RevocationList is Google's list, fetched at first use and again when it is due: the lookup that finds it due starts one
// fetch beside itself and goes on with the list there is. Only without a usable list does a lookup wait for the fetch. It
// keeps the last good list for a bounded time. It is safe for concurrent use.
type RevocationList struct {
	client *jsonhttp.Client
	opts   ListOptions

	mu       sync.Mutex
	entries  map[string]Entry // guarded by mu; the map itself is never changed
	etag     string           // guarded by mu
	modified string           // guarded by mu
	current  time.Time        // guarded by mu: when the list was last known to be current
	due      time.Time        // guarded by mu: when to ask again
	fetching chan struct{}    // guarded by mu: closed when the fetch under way is over
	lastErr  error            // guarded by mu: of the last fetch
}

var _ Revocations = (*RevocationList)(nil)

// NewRevocationList makes a list. It fetches nothing yet; [RevocationList.Refresh] or the first lookup does.
func NewRevocationList(opts *ListOptions) (*RevocationList, error) {
	l := &RevocationList{}
	if opts != nil {
		l.opts = *opts
	}
	o := &l.opts
	if o.URL == "" {
		o.URL = StatusURL
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Refresh == 0 {
		o.Refresh = time.Hour
	}
	if o.MaxStale == 0 {
		o.MaxStale = 72 * time.Hour
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 8 << 20
	}
	switch {
	case o.Refresh < minRefresh || o.Refresh > maxRefresh:
		return nil, fmt.Errorf("androidkey: Refresh is %v; it must be from %v to %v", o.Refresh, minRefresh, maxRefresh)
	case o.MaxStale < o.Refresh:
		return nil, fmt.Errorf("androidkey: MaxStale is %v; it must be at least Refresh, %v", o.MaxStale, o.Refresh)
	case o.MaxBytes < 0:
		return nil, errors.New("androidkey: MaxBytes must be positive, or 0 for 8 MiB")
	}
	var err error
	l.client, err = jsonhttp.New(o.URL, &jsonhttp.Options{Transport: o.Transport, Timeout: o.Timeout, MaxBody: o.MaxBytes})
	if err != nil {
		return nil, fmt.Errorf("androidkey: the revocation list: %w", err)
	}
	return l, nil
}

// Lookup implements Revocations. The error wraps attest.ErrUnavailable, or is the context's.
func (l *RevocationList) Lookup(ctx context.Context, serials []string) (Entry, bool, error) {
	entries, wait := l.usable()
	if entries == nil {
		select {
		case <-wait:
		case <-ctx.Done():
			return Entry{}, false, ctx.Err()
		}
		var err error
		if entries, err = l.fetched(); err != nil {
			return Entry{}, false, err
		}
	}
	for _, s := range serials {
		if e, ok := entries[s]; ok {
			return e, true, nil
		}
	}
	return Entry{}, false, nil
}

// usable returns the list, if it may be used, starts a fetch that is due, and says how to wait for it.
func (l *RevocationList) usable() (map[string]Entry, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.opts.Now()
	if l.fetching == nil && !now.Before(l.due) {
		done := make(chan struct{})
		l.fetching = done
		go func() {
			defer func() {
				l.mu.Lock()
				l.fetching = nil
				l.mu.Unlock()
				close(done)
			}()
			l.store(l.fetch(context.Background())) // bounded by the client's timeout
		}()
	}
	if l.fresh(now) {
		return l.entries, nil
	}
	if l.fetching == nil { // failed a moment ago
		done := make(chan struct{})
		close(done)
		return nil, done
	}
	return nil, l.fetching
}

// fresh reports whether the list may be used; l.mu is held.
func (l *RevocationList) fresh(now time.Time) bool {
	return l.entries != nil && now.Sub(l.current) <= l.opts.MaxStale
}

func (l *RevocationList) fetched() (map[string]Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fresh(l.opts.Now()) {
		return l.entries, nil
	}
	if l.lastErr != nil {
		return nil, l.lastErr
	}
	return nil, fmt.Errorf("androidkey: the revocation list is too old: %w", attest.ErrUnavailable)
}

// Refresh fetches the list now, whether it is due or not. For start-up, so that the first visitor need not wait.
func (l *RevocationList) Refresh(ctx context.Context) error {
	return l.store(l.fetch(ctx))
}

// answer is what a fetch brought: entries, or nil when the list we have is current.
type answer struct {
	entries        map[string]Entry
	etag, modified string
	lives          time.Duration
}

func (l *RevocationList) fetch(ctx context.Context) (*answer, error) {
	h := http.Header{}
	l.mu.Lock()
	if l.entries != nil && l.etag != "" {
		h.Set("If-None-Match", l.etag)
	}
	if l.entries != nil && l.modified != "" {
		h.Set("If-Modified-Since", l.modified)
	}
	known := len(l.entries)
	l.mu.Unlock()
	resp, err := l.client.Do(ctx, jsonhttp.Request{Header: h})
	if err != nil {
		return nil, fmt.Errorf("androidkey: the revocation list: %w: %w", attest.ErrUnavailable, err)
	}
	a := &answer{etag: bounded(resp.Header.Get("ETag")), modified: bounded(resp.Header.Get("Last-Modified")), lives: l.lives(resp.Header)}
	switch {
	case resp.Status == http.StatusNotModified && known > 0:
		return a, nil
	case resp.Status != http.StatusOK:
		return nil, fmt.Errorf("androidkey: the revocation list: %w: status %d", attest.ErrUnavailable, resp.Status)
	}
	a.entries, err = ParseStatus(resp.Body)
	switch {
	case err != nil:
		return nil, err
	case len(a.entries) < known/2:
		// Nobody pardons half of all devices at once. The old list goes on until it is too old.
		return nil, fmt.Errorf("androidkey: the revocation list has shrunk to less than half: %w", attest.ErrUnavailable)
	}
	return a, nil
}

// bounded drops validators too long to send back.
func bounded(s string) string {
	if len(s) > 256 {
		return ""
	}
	return s
}

// lives is how long the answer may be used without asking again.
func (l *RevocationList) lives(h http.Header) time.Duration {
	for part := range strings.SplitSeq(h.Get("Cache-Control"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		if secs, err := strconv.ParseUint(value, 10, 31); err == nil {
			return min(max(time.Duration(secs)*time.Second, minRefresh), maxRefresh)
		}
	}
	return l.opts.Refresh
}

func (l *RevocationList) store(a *answer, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.opts.Now()
	l.lastErr = err
	if err != nil {
		l.due = now.Add(retryAfter)
		return err
	}
	if a.entries != nil {
		l.entries = a.entries
		l.etag, l.modified = a.etag, a.modified
	}
	l.current, l.due = now, now.Add(a.lives)
	return nil
}

// ParseStatus reads the list's JSON: {"entries": {serial: {"status": ..., "reason": ...}}}. Serial numbers are hex, even
// those that look decimal. An empty list, one that is not whole, and serial numbers that are none are errors: a list that
// cannot be read must not pardon anybody.
func ParseStatus(body []byte) (map[string]Entry, error) {
	bad := func(what string) (map[string]Entry, error) {
		return nil, fmt.Errorf("androidkey: the revocation list %s: %w", what, attest.ErrUnavailable)
	}
	v, err := jsonhttp.Parse(body)
	if err != nil {
		return bad("is not JSON")
	}
	list := v.At("entries")
	names := list.Names()
	if !list.IsObject() || len(names) == 0 {
		return bad("has no entries")
	}
	out := make(map[string]Entry, len(names))
	for _, name := range names {
		serial := strings.TrimLeft(strings.ToLower(name), "0")
		if serial == "" || len(serial) > 64 || strings.Trim(serial, "0123456789abcdef") != "" {
			return bad("has a serial number that is not hex")
		}
		e := list.At(name)
		if !e.IsObject() {
			return bad("has an entry that is none")
		}
		status, _ := e.At("status").Text()
		reason, _ := e.At("reason").Text()
		out[serial] = Entry{Status: clip(status), Reason: clip(reason)}
	}
	return out, nil
}

// clip bounds a word of the list.
func clip(s string) string { return s[:min(len(s), 40)] }
