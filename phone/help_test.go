package phone_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/risk/keyed"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: start} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func ring(t testing.TB, ids ...string) *keyed.Ring {
	t.Helper()
	var keys []keyed.Key
	for _, id := range ids {
		secret := make(keyed.Secret, 32)
		copy(secret, "a secret for tests, named "+id)
		keys = append(keys, keyed.Key{ID: id, Secret: secret})
	}
	r, err := keyed.New(keys, &keyed.Options{Epoch: keyed.NoEpochs})
	require.NoError(t, err)
	return r
}

func keysOf(t testing.TB) phone.Keys { return phone.Keys{Pepper: ring(t, "p1"), Index: ring(t, "i1")} }

func number(t testing.TB, s string) phone.Number {
	t.Helper()
	n, err := phone.Parse(s, "")
	require.NoError(t, err)
	return n
}

// box is a sender that keeps what it was given.
type box struct {
	mu   sync.Mutex
	got  []phone.Message
	fail func(phone.Message) (phone.Receipt, error)
}

func (b *box) Send(_ context.Context, m phone.Message) (phone.Receipt, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, m)
	if b.fail != nil {
		return b.fail(m)
	}
	return phone.Receipt{Ref: "ref-" + m.ID}, nil
}

func (b *box) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.got)
}

func (b *box) last(t testing.TB) phone.Message {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	require.NotEmpty(t, b.got)
	return b.got[len(b.got)-1]
}

type bench struct {
	*phone.Verifier
	clock *clock
	box   *box
	store *phone.Memory
	keys  phone.Keys
}

const mobile = "+4740000000"

func newBench(t testing.TB, change func(*phone.Options)) *bench {
	t.Helper()
	b := &bench{clock: newClock(), box: &box{}, keys: keysOf(t)}
	var err error
	b.store, err = phone.NewMemory(&phone.MemoryOptions{Now: b.clock.now})
	require.NoError(t, err)
	policy, err := phone.NewPolicy([]string{"NO", "SE", "GB", "US", "DE"}, nil)
	require.NoError(t, err)
	o := &phone.Options{Now: b.clock.now, Origin: "example.com", Brand: "Example"}
	if change != nil {
		change(o)
	}
	senders := map[phone.Channel]phone.Sender{phone.SMS: b.box, phone.Voice: b.box}
	if o.Hosted != nil {
		senders = nil
	}
	b.Verifier, err = phone.NewVerifier(b.store, policy, senders, b.keys, o)
	require.NoError(t, err)
	return b
}

func asking(t testing.TB, n string) phone.StartRequest {
	return phone.StartRequest{Number: number(t, n), Tenant: "t", Purpose: "signup", Flow: "f1", Device: "d1"}
}

func (b *bench) start(t testing.TB, r phone.StartRequest) phone.Challenge {
	t.Helper()
	c, err := b.Start(context.Background(), r)
	require.NoError(t, err)
	return c
}

func (b *bench) check(t testing.TB, r phone.StartRequest, code string) phone.Result {
	t.Helper()
	got, err := b.Check(context.Background(), checking(r, code))
	require.NoError(t, err)
	return got
}

func checking(r phone.StartRequest, code string) phone.CheckRequest {
	return phone.CheckRequest{Number: r.Number, Tenant: r.Tenant, Purpose: r.Purpose, Flow: r.Flow, Device: r.Device, Code: code}
}

// wrong is a code that is not c.
func wrong(c phone.Code) string {
	b := []byte(c)
	b[0] = '0' + (b[0]-'0'+1)%10
	return string(b)
}
