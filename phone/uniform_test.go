package phone_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/riskhttp"
)

// pending is an engine whose every flow waits for the phone.
type pending struct{ riskhttp.Engine }

func (pending) Pending(context.Context, *risk.Attempt) ([]risk.Proof, error) {
	return []risk.Proof{risk.ProofPhone}, nil
}

// sequences is a store that sees sequences of numbers everywhere.
type sequences struct{ *phone.Memory }

func (sequences) Sight(_ context.Context, s *phone.Sighting) error {
	s.Run = 9
	return nil
}

// held is a store whose routes are all blocked, its probes spent.
type held struct{ *phone.Memory }

func (h held) Routes(ctx context.Context, tenant string, keys []phone.Key) ([]phone.RouteStats, error) {
	stats, err := h.Memory.Routes(ctx, tenant, keys)
	for i := range stats {
		stats[i].Since, stats[i].Until, stats[i].Holds = stats[i].Now.Add(-time.Minute), stats[i].Now.Add(time.Hour), 1
	}
	return stats, err
}

// watched notes which methods of a store are called.
type watched struct {
	testStore
	mu    sync.Mutex
	calls []string
}

type testStore interface {
	phone.Store
	phone.RouteStore
	phone.SightingStore
}

func (w *watched) note(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, s)
}

func (w *watched) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	calls := w.calls
	w.calls = nil
	return calls
}

func (w *watched) Issue(ctx context.Context, r *phone.Issue) error {
	w.note("issue")
	return w.testStore.Issue(ctx, r)
}

func (w *watched) Check(ctx context.Context, r *phone.Check) error {
	w.note("check")
	return w.testStore.Check(ctx, r)
}

func (w *watched) Routes(ctx context.Context, tenant string, keys []phone.Key) ([]phone.RouteStats, error) {
	w.note("routes")
	return w.testStore.Routes(ctx, tenant, keys)
}

func (w *watched) Sight(ctx context.Context, s *phone.Sighting) error {
	w.note("sight")
	return w.testStore.Sight(ctx, s)
}

// uniformCase is a reason for a number to be treated otherwise.
type uniformCase struct {
	name, number string
	want         phone.StartOutcome // of the first Start
	change       func(*phone.Options)
	policy       *phone.PolicyOptions
	store        func(*phone.Memory) testStore
	fail         func(phone.Message) (phone.Receipt, error)
	before       func(t *testing.T, v *phone.Verifier, b *box, c *clock, n phone.Number)
}

func uniformCases() []uniformCase {
	refuse := func(phone.Message) (phone.Receipt, error) {
		return phone.Receipt{}, &phone.SendError{Refused: true, Reason: phone.SendBlocked}
	}
	return []uniformCase{
		{name: "deliverable", number: mobile, want: phone.Sent},
		{name: "verified an hour ago", number: mobile, want: phone.Sent, before: func(t *testing.T, v *phone.Verifier, b *box, c *clock, n phone.Number) {
			r := asking(t, n.E164())
			r.Flow = "an earlier flow"
			_, err := v.Start(context.Background(), r)
			require.NoError(t, err)
			v.Wait()
			got, err := v.Check(context.Background(), checking(r, string(b.last(t).Code)))
			require.NoError(t, err)
			require.Equal(t, phone.OK, got.Verdict)
			c.pass(25 * time.Hour)
		}},
		{name: "country not served", number: "+33612345678", want: phone.Denied},
		{name: "toll-free", number: "+18002345678", want: phone.Denied},
		{name: "blocked prefix", number: mobile, want: phone.Denied, policy: &phone.PolicyOptions{DenyPrefixes: []string{"+4740"}}},
		{name: "budget spent", number: mobile, want: phone.Limited, change: func(o *phone.Options) { o.Budgets = []phone.Budget{{Window: time.Hour, Max: 1}} }},
		{name: "sequence", number: mobile, want: phone.Pumping, store: func(m *phone.Memory) testStore { return sequences{m} }},
		{name: "blocked route", number: mobile, want: phone.Pumping, store: func(m *phone.Memory) testStore { return held{m} },
			before: func(t *testing.T, v *phone.Verifier, _ *box, _ *clock, _ phone.Number) {
				r := asking(t, "+4740009999") // the probe
				r.Tenant = ""
				c, err := v.Start(context.Background(), r)
				require.NoError(t, err)
				require.Equal(t, phone.Sent, c.Outcome)
			}},
		{name: "refused by the service", number: mobile, want: phone.Sent, fail: refuse},
		{name: "service down", number: mobile, want: phone.Sent, fail: func(phone.Message) (phone.Receipt, error) {
			return phone.Receipt{}, &phone.SendError{Reason: phone.SendUnknown}
		}},
		{name: "sender panics", number: mobile, want: phone.Sent, fail: func(phone.Message) (phone.Receipt, error) { panic("x") }},
	}
}

// transcript drives one flow over HTTP, as a visitor can who does not have the phone: it holds all he sees, and the calls
// of the store that he could measure.
func transcript(t *testing.T, u uniformCase) (seen, calls []string) {
	c, b := newClock(), &box{fail: u.fail}
	memory, err := phone.NewMemory(&phone.MemoryOptions{Now: c.now})
	require.NoError(t, err)
	var inner testStore = memory
	if u.store != nil {
		inner = u.store(memory)
	}
	store := &watched{testStore: inner}
	policy, err := phone.NewPolicy([]string{"NO", "US"}, u.policy)
	require.NoError(t, err)
	o := &phone.Options{Now: c.now, Background: true, Limits: phone.SendLimits{PhoneHour: -1, PhoneDay: -1, BlockHour: -1}}
	if u.change != nil {
		u.change(o)
	}
	v, err := phone.NewVerifier(store, policy, map[phone.Channel]phone.Sender{phone.SMS: b}, keysOf(t), o)
	require.NoError(t, err)
	n := number(t, u.number)
	if u.before != nil {
		u.before(t, v, b, c, n)
		v.Wait()
	}
	signal, err := phone.NewSignal(v, nil)
	require.NoError(t, err)
	guard, err := riskhttp.New(pending{}, &riskhttp.Options{Now: c.now, Jitter: func() float64 { return 0 }})
	require.NoError(t, err)
	start, check := guard.PhoneStartHandler(risk.SignUp, signal, nil), guard.PhoneCheckHandler(risk.SignUp, signal, nil)
	post := func(h http.Handler, more string) {
		store.take()
		r := httptest.NewRequest(http.MethodPost, "/phone", strings.NewReader(fmt.Sprintf(`{"phone":%q,%s}`, u.number, more)))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Vestibule-Flow", "the-flow")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		v.Wait()
		seen = append(seen, fmt.Sprint(more, " -> ", w.Code, w.Header(), w.Body.Len(), w.Body.String()))
		calls = append(calls, strings.Join(store.take(), " "))
	}
	first, err := v.Start(context.Background(), phone.StartRequest{Number: n, Tenant: "", Purpose: string(risk.SignUp), Flow: "another flow"})
	require.NoError(t, err)
	require.Equal(t, u.want, first.Outcome, first.Reason)
	v.Wait()
	c.pass(2 * time.Hour)
	for round := range 8 {
		post(start, fmt.Sprintf(`"request":"r%d"`, round))
		post(start, fmt.Sprintf(`"request":"r%d"`, round))
		c.pass(time.Second)
		post(start, `"request":""`)
		for range 2 {
			code := "000000"
			if b.count() > 0 && string(b.last(t).Code) == code {
				code = "000001"
			}
			post(check, `"code":"`+code+`"`)
			seen[len(seen)-1] = strings.Replace(seen[len(seen)-1], code, "a wrong code", 1)
		}
		post(check, `"code":"hello"`)
		c.pass([]time.Duration{29 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Second, time.Hour, time.Minute, 0}[round])
	}
	return seen, calls
}

// Who does not have the phone cannot tell a number that is known, blocked, limited or not served from any other: status,
// header, body and size of every answer are the same in a whole dialogue, and so are the calls of the store behind it.
func TestAnswersAreUniform(t *testing.T) {
	cases := uniformCases()
	want, calls := transcript(t, cases[0])
	require.Contains(t, strings.Join(want, "\n"), `429`, "the dialogue comes to the lock")
	require.Contains(t, strings.Join(want, "\n"), `"result":"wrong"`)
	for _, u := range cases[1:] {
		t.Run(u.name, func(t *testing.T) {
			got, gotCalls := transcript(t, u)
			require.Equal(t, want, got)
			require.Equal(t, calls, gotCalls, "as many calls of the store")
		})
	}
}

// With Options.Background nobody waits for the service, however slow it is.
func TestStartTakesNoLonger(t *testing.T) {
	for _, u := range uniformCases() {
		t.Run(u.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClock()
				memory, err := phone.NewMemory(&phone.MemoryOptions{Now: c.now})
				require.NoError(t, err)
				var store testStore = memory
				if u.store != nil {
					store = u.store(memory)
				}
				policy, err := phone.NewPolicy([]string{"NO", "US"}, u.policy)
				require.NoError(t, err)
				var sent atomic.Int64
				slow := phone.SenderFunc(func(_ context.Context, m phone.Message) (phone.Receipt, error) {
					time.Sleep(3 * time.Second)
					sent.Add(1)
					if u.fail != nil {
						return u.fail(m)
					}
					return phone.Receipt{Ref: "r"}, nil
				})
				o := &phone.Options{Now: c.now, Background: true}
				if u.change != nil {
					u.change(o)
				}
				v, err := phone.NewVerifier(store, policy, map[phone.Channel]phone.Sender{phone.SMS: slow}, keysOf(t), o)
				require.NoError(t, err)
				began := time.Now()
				got, err := v.Start(context.Background(), asking(t, u.number))
				require.NoError(t, err)
				require.Zero(t, time.Since(began))
				require.Zero(t, sent.Load())
				require.Equal(t, 30*time.Second, got.RetryAfter)
				require.Equal(t, c.now().Add(5*time.Minute).UnixMilli(), got.Expires.UnixMilli(), "also of what was not sent")
				v.Wait()
			})
		})
	}
}
