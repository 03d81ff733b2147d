package identity_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/identity"
	"github.com/vestibule-go/vestibule/risk/identity/identitytest"
	"github.com/vestibule-go/vestibule/risk/keyed"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func ring(t testing.TB) *keyed.Ring {
	r, err := keyed.New([]keyed.Key{{ID: "k1", Secret: keyed.NewSecret()}}, &keyed.Options{Epoch: keyed.NoEpochs})
	require.NoError(t, err)
	return r
}

func newLists(t testing.TB, c *clock, r *keyed.Ring) *identity.Lists {
	t.Helper()
	store, err := identity.NewMemoryLists(&identity.MemoryListsOptions{Now: c.Now})
	require.NoError(t, err)
	l, err := identity.NewLists(store, r, &identity.ListsOptions{Now: c.Now})
	require.NoError(t, err)
	return l
}

func listSignal(t testing.TB, c *clock) (*identity.ListSignal, *identity.Lists) {
	t.Helper()
	if c == nil {
		c = &clock{now: time.Now()}
	}
	l := newLists(t, c, ring(t))
	s, err := identity.NewListSignal(l, nil)
	require.NoError(t, err)
	require.Equal(t, risk.Local, s.Describe().Cost)
	require.Equal(t, risk.FailClosed, s.Describe().OnError)
	return s, l
}

func put(t testing.TB, l *identity.Lists, e identity.Entry) string {
	t.Helper()
	id, err := l.Put(t.Context(), e)
	require.NoError(t, err)
	return id
}

func TestListsMatch(t *testing.T) {
	c := &clock{now: time.Unix(1_800_000_000, 0)}
	for _, row := range []struct {
		kind  identity.EntryKind
		value string
		hits  []identity.Subject
		miss  []identity.Subject
	}{
		{identity.EntryIP, "20.0.0.7", subjects("20.0.0.7", "::ffff:20.0.0.7", "64:ff9b::20.0.0.7"), subjects("20.0.0.8", "2a00::7")},
		{identity.EntryIP, "20.0.0.99/24", subjects("20.0.0.0", "20.0.0.255", "::ffff:20.0.0.1"), subjects("20.0.1.0", "19.255.255.255")},
		{identity.EntryIP, "20.0.0.0/8", subjects("20.255.0.1"), subjects("21.0.0.0")},
		{identity.EntryIP, "::ffff:20.0.0.0/120", subjects("20.0.0.9"), subjects("20.0.1.9")},
		{identity.EntryIP, "2a00:1:2:3::/64", subjects("2a00:1:2:3::9", "2a00:1:2:3::9%eth0"), subjects("2a00:1:2:4::9")},
		{identity.EntryIP, "2a00:1::/32", subjects("2a00:1:ffff::1"), subjects("2a00:2::1")},
		{identity.EntryIP, "2a00::1", subjects("2a00::1"), subjects("2a00::2")},
		{identity.EntryEmail, "a.nn+x@GoogleMail.com", []identity.Subject{{Email: "ann@gmail.com"}, {Email: "an.n+y@gmail.com"}}, []identity.Subject{{Email: "bob@gmail.com"}, {Email: "x"}}},
		{identity.EntryDomain, "Example.COM.", []identity.Subject{{Email: "a@example.com"}, {Email: "a@b.c.example.com"}}, []identity.Subject{{Email: "a@example.com.example.net"}, {Email: "a@myexample.com"}}},
		{identity.EntryDevice, "tag-1", []identity.Subject{{Devices: []string{"tag-2", "tag-1"}}}, []identity.Subject{{Devices: []string{"tag-2"}}, {Devices: []string{""}}}},
		{identity.EntryPhone, "+47 900 00 001", []identity.Subject{{Phone: "+4790000001"}, {Phone: "(47) 900-00-001"}}, []identity.Subject{{Phone: "+4790000002"}, {Phone: "x4790000001"}}},
	} {
		t.Run(fmt.Sprint(row.kind, " ", row.value), func(t *testing.T) {
			l := newLists(t, c, ring(t))
			for _, tenant := range []string{"", "t"} {
				put(t, l, identity.Entry{Tenant: tenant, Effect: identity.Deny, Kind: row.kind, Value: risk.Private(row.value), By: "ops", Reason: "INC-1", Expires: c.Now().Add(time.Hour)})
			}
			for _, s := range row.hits {
				for _, tenant := range []string{"", "t"} {
					s.Tenant = tenant
					got, err := l.Match(t.Context(), s)
					require.NoError(t, err)
					require.Len(t, got, 1, s)
					require.Equal(t, identity.Entry{ID: got[0].ID, Tenant: tenant, Effect: identity.Deny, Kind: row.kind, By: "ops", Reason: "INC-1",
						Created: c.Now().UTC(), Expires: c.Now().UTC().Add(time.Hour)}, got[0])
				}
				s.Tenant = "another"
				got, err := l.Match(t.Context(), s)
				require.NoError(t, err)
				require.Empty(t, got)
			}
			for _, s := range row.miss {
				got, err := l.Match(t.Context(), s)
				require.NoError(t, err)
				require.Empty(t, got, s)
			}
		})
	}
}

func subjects(ips ...string) []identity.Subject {
	var out []identity.Subject
	for _, a := range ips {
		out = append(out, identity.Subject{IP: netip.MustParseAddr(a)})
	}
	return out
}

func TestListsPutRefuses(t *testing.T) {
	c := &clock{now: time.Unix(1_800_000_000, 0)}
	l := newLists(t, c, ring(t))
	good := identity.Entry{Effect: identity.Deny, Kind: identity.EntryIP, Value: "20.0.0.7", By: "ops", Expires: c.Now().Add(time.Hour)}
	put(t, l, good)
	for name, change := range map[string]func(e *identity.Entry){
		"no effect": func(e *identity.Entry) { e.Effect = "" }, "unknown effect": func(e *identity.Entry) { e.Effect = "maybe" },
		"no kind": func(e *identity.Entry) { e.Kind = "" }, "unknown kind": func(e *identity.Entry) { e.Kind = "name" },
		"no author": func(e *identity.Entry) { e.By = "" }, "long author": func(e *identity.Entry) { e.By = strings.Repeat("a", 65) },
		"bad author": func(e *identity.Entry) { e.By = "\xff" }, "long reason": func(e *identity.Entry) { e.Reason = strings.Repeat("a", 257) },
		"no end": func(e *identity.Entry) { e.Expires = time.Time{} }, "an end that is past": func(e *identity.Entry) { e.Expires = c.Now() },
		"an end that is far": func(e *identity.Entry) { e.Expires = c.Now().Add(400 * 24 * time.Hour) },
		"no value":           func(e *identity.Entry) { e.Value = "" }, "no address": func(e *identity.Entry) { e.Value = "x" },
		"everything": func(e *identity.Entry) { e.Value = "0.0.0.0/0" }, "a /7": func(e *identity.Entry) { e.Value = "20.0.0.0/7" },
		"an odd length": func(e *identity.Entry) { e.Value = "2a00::/33" }, "a broad one": func(e *identity.Entry) { e.Value = "2a00::/12" },
		"all mapped": func(e *identity.Entry) { e.Value = "::ffff:0.0.0.0/96" },
		"no e-mail":  func(e *identity.Entry) { e.Kind = identity.EntryEmail }, "no phone": func(e *identity.Entry) { e.Kind, e.Value = identity.EntryPhone, "call me" },
		"no domain": func(e *identity.Entry) { e.Kind, e.Value = identity.EntryDomain, "com" }, "no device": func(e *identity.Entry) { e.Kind, e.Value = identity.EntryDevice, "" },
	} {
		e := good
		change(&e)
		_, err := l.Put(t.Context(), e)
		require.ErrorIs(t, err, identity.ErrEntry, name)
		require.NotContains(t, err.Error(), "20.0", name)
	}
	_, err := identity.NewLists(nil, ring(t), nil)
	require.Error(t, err)
	store, err := identity.NewMemoryLists(nil)
	require.NoError(t, err)
	_, err = identity.NewLists(store, nil, nil)
	require.Error(t, err)
	_, err = identity.NewLists(store, ring(t), &identity.ListsOptions{Timeout: -1})
	require.Error(t, err)
	epochs, err := keyed.New([]keyed.Key{{ID: "k", Secret: keyed.NewSecret()}}, nil)
	require.NoError(t, err)
	_, err = identity.NewLists(store, epochs, nil)
	require.ErrorContains(t, err, "NoEpochs")
	_, err = identity.NewMemoryLists(&identity.MemoryListsOptions{Entries: -1})
	require.Error(t, err)
}

func TestListsEntries(t *testing.T) {
	c := &clock{now: time.Unix(1_800_000_000, 0)}
	l := newLists(t, c, ring(t))
	entry := identity.Entry{Effect: identity.Deny, Kind: identity.EntryIP, Value: "20.0.0.7", By: "ann", Expires: c.Now().Add(time.Hour)}
	first := put(t, l, entry)
	c.advance(time.Minute)
	entry.Value = "20.0.0.8"
	second := put(t, l, entry)
	entry.Value, entry.By, entry.Effect = "::ffff:20.0.0.7", "bob", identity.Allow
	c.advance(time.Minute)
	require.Equal(t, first, put(t, l, entry), "the same value replaces")
	got, err := l.Entries(t.Context(), "")
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, []string{second, first}, []string{got[0].ID, got[1].ID}, "oldest first")
	require.Equal(t, "bob", got[1].By)
	require.Empty(t, got[0].Value)
	c.advance(time.Hour)
	got, err = l.Entries(t.Context(), "")
	require.NoError(t, err)
	require.Empty(t, got)
}

// Entries made with an old key of the ring count until it is taken out.
func TestListsKeyRotation(t *testing.T) {
	c := &clock{now: time.Unix(1_800_000_000, 0)}
	keys := []keyed.Key{{ID: "k1", Secret: keyed.NewSecret()}, {ID: "k2", Secret: keyed.NewSecret()}}
	make := func(keys ...keyed.Key) *keyed.Ring {
		r, err := keyed.New(keys, &keyed.Options{Epoch: keyed.NoEpochs})
		require.NoError(t, err)
		return r
	}
	store, err := identity.NewMemoryLists(&identity.MemoryListsOptions{Now: c.Now})
	require.NoError(t, err)
	o := &identity.ListsOptions{Now: c.Now}
	before, err := identity.NewLists(store, make(keys[0]), o)
	require.NoError(t, err)
	put(t, before, identity.Entry{Effect: identity.Deny, Kind: identity.EntryIP, Value: "20.0.0.7", By: "ops", Expires: c.Now().Add(time.Hour)})
	for i, r := range []*keyed.Ring{make(keys[1], keys[0]), make(keys[1])} {
		l, err := identity.NewLists(store, r, o)
		require.NoError(t, err)
		got, err := l.Match(t.Context(), identity.Subject{IP: netip.MustParseAddr("20.0.0.7")})
		require.NoError(t, err)
		require.Len(t, got, 1-i)
	}
}

func TestMemoryListsConform(t *testing.T) {
	c := &clock{now: time.Now()}
	m, err := identity.NewMemoryLists(&identity.MemoryListsOptions{Now: c.Now})
	require.NoError(t, err)
	require.NoError(t, identitytest.ListStore(t.Context(), m, &identitytest.Options{Wait: c.advance, Now: c.Now}))
}

func TestMemoryListsAreBounded(t *testing.T) {
	c := &clock{now: time.Now()}
	m, err := identity.NewMemoryLists(&identity.MemoryListsOptions{Entries: 2, Now: c.Now})
	require.NoError(t, err)
	for i, want := range []error{nil, nil, identity.ErrFull} {
		require.ErrorIs(t, m.Put(t.Context(), "", fmt.Sprint(i), []byte("x"), c.Now().Add(time.Minute)), want)
	}
	require.NoError(t, m.Put(t.Context(), "", "1", []byte("y"), c.Now().Add(time.Hour)), "replacing takes no room")
	c.advance(time.Minute)
	require.NoError(t, m.Put(t.Context(), "", "3", []byte("x"), c.Now().Add(time.Minute)), "what has expired makes room")
}

// recording is a store that remembers all that is written to it.
type recording struct {
	*identity.MemoryLists
	text strings.Builder
}

func (r *recording) Put(ctx context.Context, tenant, key string, record []byte, expires time.Time) error {
	fmt.Fprintln(&r.text, tenant, key, string(record))
	return r.MemoryLists.Put(ctx, tenant, key, record, expires)
}

func TestListsStoreNoValue(t *testing.T) {
	memory, err := identity.NewMemoryLists(nil)
	require.NoError(t, err)
	store := &recording{MemoryLists: memory}
	l, err := identity.NewLists(store, ring(t), nil)
	require.NoError(t, err)
	canary := risktest.NewCanary()
	for kind, value := range map[identity.EntryKind]string{
		identity.EntryIP: "20.117.83.201", identity.EntryEmail: "ann.canary@example.com", identity.EntryDomain: "canary.example",
		identity.EntryDevice: "a-device-tag-of-a-canary", identity.EntryPhone: "+4790817263",
	} {
		canary.Watch(string(kind), value)
		put(t, l, identity.Entry{Effect: identity.Deny, Kind: kind, Value: risk.Private(value), By: "ops", Expires: time.Now().Add(time.Hour)})
	}
	require.NotEmpty(t, store.text.String())
	require.Empty(t, canary.Search(store.text.String()))
}

// hanging is a store that answers nobody.
type hanging struct{ identity.ListStore }

func (hanging) Find(ctx context.Context, _ string, _ []string) ([][]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestListsGiveUp(t *testing.T) {
	l, err := identity.NewLists(hanging{}, ring(t), &identity.ListsOptions{Timeout: time.Millisecond})
	require.NoError(t, err)
	_, err = l.Match(context.Background(), identity.Subject{IP: netip.MustParseAddr("20.0.0.1")})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotContains(t, err.Error(), "20.0")
}

// odd answers with records of another version.
type odd struct{ identity.ListStore }

func (odd) Find(context.Context, string, []string) ([][]byte, error) {
	return [][]byte{[]byte(`{"e":"maybe"}`)}, nil
}

func TestListsRefuseForeignRecords(t *testing.T) {
	l, err := identity.NewLists(odd{}, ring(t), nil)
	require.NoError(t, err)
	_, err = l.Match(t.Context(), identity.Subject{IP: netip.MustParseAddr("20.0.0.1")})
	require.Error(t, err)
}
