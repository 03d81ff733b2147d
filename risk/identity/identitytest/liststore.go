// Package identitytest checks stores of emergency lists against the contract of identity.ListStore. It needs no testing
// package: [ListStore] returns the faults it finds.
//
//	func TestStore(t *testing.T) {
//		require.NoError(t, identitytest.ListStore(t.Context(), newStore(t), nil))
//	}
//
// # Security considerations
//
// The suite writes to the store it is given, under tenants of its own whose names begin with "identitytest"; it is for
// stores of tests.
package identitytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Store is what identity.ListStore is.
type Store interface {
	Put(ctx context.Context, tenant, key string, record []byte, expires time.Time) error
	Remove(ctx context.Context, tenant, key string) (bool, error)
	Find(ctx context.Context, tenant string, keys []string) ([][]byte, error)
	All(ctx context.Context, tenant string, most int) ([][]byte, error)
}

// Options of [ListStore]. The zero value and nil mean the defaults.
type Options struct {
	// Wait lets time pass for the store; default time.Sleep. With a clock of its own a store's test moves that.
	Wait func(d time.Duration)
	// Now is the store's clock; default time.Now.
	Now func() time.Time
	// TTL is how long a short-lived record lives; default 300 ms.
	TTL time.Duration
}

type suite struct {
	store Store
	o     Options
	ctx   context.Context // of one run
	errs  []error
}

// ListStore runs the suite on an empty store and returns all faults found, joined, or nil.
func ListStore(ctx context.Context, s Store, opts *Options) error {
	t := &suite{store: s, ctx: ctx}
	if opts != nil {
		t.o = *opts
	}
	if t.o.Wait == nil {
		t.o.Wait = time.Sleep
	}
	if t.o.Now == nil {
		t.o.Now = time.Now
	}
	if t.o.TTL == 0 {
		t.o.TTL = 300 * time.Millisecond
	}
	for _, part := range []func(){t.finds, t.replaces, t.removes, t.tenants, t.copies, t.expires, t.lists, t.odd, t.race, t.contexts} {
		part()
	}
	return errors.Join(t.errs...)
}

func (t *suite) fault(format string, args ...any) {
	t.errs = append(t.errs, fmt.Errorf("identitytest: "+format, args...))
}

func (t *suite) put(tenant, key, record string, ttl time.Duration) {
	if err := t.store.Put(t.ctx, tenant, key, []byte(record), t.o.Now().Add(ttl)); err != nil {
		t.fault("Put: %w", err)
	}
}

// holds compares what is found under keys with what should be, in any order.
func (t *suite) holds(what, tenant string, keys []string, want ...string) {
	got, err := t.store.Find(t.ctx, tenant, keys)
	if err != nil {
		t.fault("%s: Find: %w", what, err)
		return
	}
	t.same(what+": Find", got, want)
}

func (t *suite) same(what string, got [][]byte, want []string) {
	texts := make([]string, len(got))
	for i, b := range got {
		texts[i] = string(b)
	}
	slices.Sort(texts)
	slices.Sort(want)
	if !slices.Equal(texts, want) {
		t.fault("%s answers %q, want %q", what, texts, want)
	}
}

func (t *suite) finds() {
	const tenant = "identitytest-find"
	t.holds("nothing", tenant, []string{"a"})
	t.holds("no keys", tenant, nil)
	t.put(tenant, "a", "1", time.Minute)
	t.put(tenant, "b", "2", time.Minute)
	t.holds("both", tenant, []string{"x", "b", "y", "a"}, "1", "2")
	keys := []string{"a"}
	for i := range 200 {
		keys = append(keys, fmt.Sprint("none", i))
	}
	t.holds("many keys", tenant, keys, "1")
}

func (t *suite) replaces() {
	const tenant = "identitytest-replace"
	t.put(tenant, "a", "1", time.Minute)
	t.put(tenant, "a", "2", time.Hour)
	t.holds("replaced", tenant, []string{"a"}, "2")
	all, err := t.store.All(t.ctx, tenant, 10)
	if err != nil {
		t.fault("All: %w", err)
	}
	t.same("replaced: All", all, []string{"2"})
}

func (t *suite) removes() {
	const tenant = "identitytest-remove"
	t.put(tenant, "a", "1", time.Minute)
	t.put(tenant, "b", "2", time.Minute)
	for i, want := range []bool{true, false} {
		if ok, err := t.store.Remove(t.ctx, tenant, "a"); err != nil || ok != want {
			t.fault("Remove for the %d. time answers %v, %v", i+1, ok, err)
		}
	}
	t.holds("removed", tenant, []string{"a", "b"}, "2")
	if ok, err := t.store.Remove(t.ctx, "identitytest-other", "b"); err != nil || ok {
		t.fault("Remove of another tenant answers %v, %v", ok, err)
	}
	t.holds("kept", tenant, []string{"b"}, "2")
}

func (t *suite) tenants() {
	t.put("identitytest-t1", "a", "1", time.Minute)
	t.put("identitytest-t2", "a", "2", time.Minute)
	t.put("", "identitytest-a", "3", time.Minute)
	t.holds("tenant 1", "identitytest-t1", []string{"a", "identitytest-a"}, "1")
	t.holds("tenant 2", "identitytest-t2", []string{"a", "identitytest-a"}, "2")
	t.holds("no tenant", "", []string{"a", "identitytest-a"}, "3")
	t.holds("a tenant that is the beginning of another", "identitytest-t", []string{"1a", "a"})
	if _, err := t.store.Remove(t.ctx, "", "identitytest-a"); err != nil {
		t.fault("Remove: %w", err)
	}
}

func (t *suite) copies() {
	const tenant = "identitytest-copy"
	b := []byte("1")
	if err := t.store.Put(t.ctx, tenant, "a", b, t.o.Now().Add(time.Minute)); err != nil {
		t.fault("Put: %w", err)
	}
	b[0] = 'x'
	t.holds("changed after Put", tenant, []string{"a"}, "1")
	if got, err := t.store.Find(t.ctx, tenant, []string{"a"}); err == nil && len(got) == 1 && len(got[0]) == 1 {
		got[0][0] = 'y'
	}
	t.holds("changed after Find", tenant, []string{"a"}, "1")
}

func (t *suite) expires() {
	const tenant = "identitytest-expire"
	t.put(tenant, "long", "1", time.Hour)
	t.put(tenant, "short", "2", t.o.TTL)
	t.put(tenant, "shortened", "3", time.Hour)
	t.put(tenant, "shortened", "3", t.o.TTL)
	t.put(tenant, "lengthened", "4", t.o.TTL)
	t.put(tenant, "lengthened", "4", time.Hour)
	t.put(tenant, "past", "5", time.Hour)
	t.put(tenant, "past", "5", -time.Second)
	t.o.Wait(t.o.TTL + 50*time.Millisecond)
	t.holds("expired", tenant, []string{"long", "short", "shortened", "lengthened", "past"}, "1", "4")
	all, err := t.store.All(t.ctx, tenant, 10)
	if err != nil {
		t.fault("All: %w", err)
	}
	t.same("expired: All", all, []string{"1", "4"})
	if ok, err := t.store.Remove(t.ctx, tenant, "short"); err != nil || ok {
		t.fault("Remove of an expired record answers %v, %v", ok, err)
	}
}

func (t *suite) lists() {
	const tenant = "identitytest-list"
	var want []string
	for i := range 30 {
		want = append(want, fmt.Sprint("r", i))
		t.put(tenant, fmt.Sprint("k", i), want[i], time.Minute)
	}
	for most, n := range map[int]int{100: 30, 30: 30, 7: 7, 0: 0} {
		got, err := t.store.All(t.ctx, tenant, most)
		if err != nil || len(got) != n {
			t.fault("All of at most %d answers %d records, %v", most, len(got), err)
		}
		if most == 100 {
			t.same("All", got, slices.Clone(want))
		}
	}
	if got, err := t.store.All(t.ctx, "identitytest-nobody", 10); err != nil || len(got) != 0 {
		t.fault("All of nobody answers %d records, %v", len(got), err)
	}
}

func (t *suite) odd() {
	tenant := "identitytest {a}:*?\x00\xff"
	key := "k{b}:*\x00\xff \n"
	record := string(bytes.Repeat([]byte{0, 1, 0xff, '\n'}, 1000))
	t.put(tenant, key, record, time.Minute)
	t.holds("odd bytes", tenant, []string{key}, record)
	t.put(tenant, "", "", time.Minute)
	t.holds("empty", tenant, []string{""}, "")
}

func (t *suite) race() {
	const tenant = "identitytest-race"
	var wg sync.WaitGroup
	errs := make([]error, 16)
	removed := make([]int, 16)
	t.put(tenant, "once", "1", time.Minute)
	for i := range errs {
		wg.Go(func() {
			for n := range 20 {
				key := fmt.Sprint("k", n%5)
				err := t.store.Put(t.ctx, tenant, key, []byte(key), t.o.Now().Add(time.Minute))
				_, e := t.store.Find(t.ctx, tenant, []string{key, "k1"})
				errs[i] = errors.Join(errs[i], err, e)
			}
			ok, err := t.store.Remove(t.ctx, tenant, "once")
			errs[i] = errors.Join(errs[i], err)
			if ok {
				removed[i] = 1
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.fault("concurrent calls: %w", err)
	}
	n := 0
	for _, r := range removed {
		n += r
	}
	if n != 1 {
		t.fault("%d of 16 callers removed one record", n)
	}
	t.holds("concurrent calls", tenant, []string{"k0", "k1", "k2", "k3", "k4", "once"}, "k0", "k1", "k2", "k3", "k4")
}

// contexts: a store may ignore its context, but must return soon when it has ended.
func (t *suite) contexts() {
	ctx, cancel := context.WithCancel(t.ctx)
	cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = t.store.Find(ctx, "identitytest-context", []string{"a"})
		_, _ = t.store.All(ctx, "identitytest-context", 10)
		_, _ = t.store.Remove(ctx, "identitytest-context", "a")
	}()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.fault("calls with a cancelled context have not returned in five seconds")
	}
}
