package identity_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/identity"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

// uses is a counter of reuse in memory.
type uses struct {
	mu   sync.Mutex
	seen map[string]map[string]bool
	fail error
}

func (u *uses) Uses(_ context.Context, tenant, kind, id, owner string) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.fail != nil {
		return 0, u.fail
	}
	if u.seen == nil {
		u.seen = map[string]map[string]bool{}
	}
	k := tenant + "/" + kind + "/" + id
	if u.seen[k] == nil {
		u.seen[k] = map[string]bool{}
	}
	u.seen[k][owner] = true
	return len(u.seen[k]), nil
}

func email(t testing.TB, o *identity.EmailOptions) *identity.EmailSignal {
	s, err := identity.NewEmailSignal(o)
	require.NoError(t, err)
	return s
}

func ask(t testing.TB, s risk.Signal, a *risk.Attempt) *risktest.Said {
	t.Helper()
	said, err := risktest.Evaluate(s, a)
	require.NoError(t, err)
	return said
}

func TestEmailSignal(t *testing.T) {
	s := email(t, nil)
	for in, want := range map[string]struct{ code, class string }{
		"ann@example.com": {}, "ann@mailinator.com": {"disposable", "disposable"}, "ann@x.Mailinator.COM.": {"disposable", "disposable"},
		"ann@gmail.com": {"free", "free"}, "ann@duck.com": {"relay", "relay"}, "nobody": {"malformed", ""}, strings.Repeat("a", 1<<20): {"malformed", ""},
	} {
		said := ask(t, s, &risk.Attempt{Email: risk.Private(in)})
		codes := map[string]float64{}
		if want.code != "" {
			codes[want.code] = 1
		}
		require.Equal(t, codes, said.Codes, in[:min(len(in), 40)])
		require.Equal(t, want.class, said.Texts["class"])
	}
	require.False(t, s.Applies(&risk.Attempt{}))
	require.Equal(t, risk.Local, s.Describe().Cost)

	own, err := identity.ParseDomains(strings.NewReader("example.com\n"))
	require.NoError(t, err)
	require.NoError(t, s.SetDisposable(own))
	require.Contains(t, ask(t, s, &risk.Attempt{Email: "ann@example.com"}).Codes, "disposable")
	require.Empty(t, ask(t, s, &risk.Attempt{Email: "ann@mailinator.com"}).Codes)
	require.Error(t, s.SetDisposable(nil))
}

func TestSpellings(t *testing.T) {
	u := &uses{}
	s := email(t, &identity.EmailOptions{Reuse: u})
	d := s.Describe()
	require.Equal(t, risk.Stored, d.Cost)
	require.True(t, d.Counts)
	degree := func(spelling string) float64 {
		return ask(t, s, &risk.Attempt{Tenant: "t", Email: risk.Private(spelling)}).Codes["respelled"]
	}
	require.Zero(t, degree("ann@gmail.com"))
	require.Zero(t, degree("ANN@GMAIL.com"), "capitals are no other spelling")
	require.Zero(t, degree("a.nn@gmail.com"))
	require.InDelta(t, 0.125, degree("an.n@gmail.com"), 1e-9)
	for i := range 6 {
		degree(fmt.Sprintf("ann+%d@gmail.com", i))
	}
	require.InDelta(t, 1, degree("a.n.n@googlemail.com"), 1e-9)
	require.InDelta(t, 1, degree("ann@gmail.com"), 1e-9)
	require.Zero(t, ask(t, s, &risk.Attempt{Tenant: "other", Email: "ann@gmail.com"}).Codes["respelled"])
	for k := range u.seen {
		require.NotContains(t, k, "ann")
	}
	u.fail = errors.New("down")
	_, err := risktest.Evaluate(s, &risk.Attempt{Email: "ann@gmail.com"})
	require.ErrorIs(t, err, u.fail)
	require.NotContains(t, err.Error(), "ann")
}

func TestBusinessSignal(t *testing.T) {
	u := &uses{}
	s, err := identity.NewBusinessSignal(&identity.BusinessOptions{Reuse: u})
	require.NoError(t, err)
	attempt := func(phone, device string, ids map[string]risk.Private) *risk.Attempt {
		a := &risk.Attempt{Phone: risk.Private(phone), IDs: ids}
		if device != "" {
			a.Device = []string{device}
		}
		return a
	}
	dot := map[string]risk.Private{"usdot": "USDOT 1234567", "sso": "issuer subject"}
	require.Empty(t, ask(t, s, attempt("+47 900 00 001", "d1", dot)).Codes)
	require.Empty(t, ask(t, s, attempt("+4790000001", "d2", map[string]risk.Private{"usdot": "01234567"})).Codes, "the same telephone")
	said := ask(t, s, attempt("+4790000002", "d2", dot))
	require.Equal(t, map[string]float64{"reused": 0.5}, said.Codes)
	require.Equal(t, 2.0, said.Numbers["uses"])
	require.Equal(t, map[string]float64{"reused": 1}, ask(t, s, attempt("", "d3", dot)).Codes, "another device")
	require.Equal(t, map[string]float64{"reused": 1}, ask(t, s, &risk.Attempt{Email: "ann@example.com", IDs: dot}).Codes)
	require.Equal(t, 4.0, ask(t, s, &risk.Attempt{Email: "a.nn@example.com", Account: "x", IDs: map[string]risk.Private{"mc": "1", "usdot": "9"}}).Numbers["uses"]+
		ask(t, s, attempt("+4790000001", "", dot)).Numbers["uses"]-1)
	require.Empty(t, ask(t, s, &risk.Attempt{IDs: dot}).Codes, "nobody to count")

	require.Equal(t, map[string]float64{"malformed": 1, "check": 1}, ask(t, s, attempt("+4790000009", "", map[string]risk.Private{"usdot": "abc", "ein": "00-1234567"})).Codes)
	many := map[string]risk.Private{}
	for i := range 20 {
		many[fmt.Sprint("kind", i)] = "x1"
	}
	require.Contains(t, ask(t, s, attempt("", "d", many)).Codes, "malformed")
	require.False(t, s.Applies(&risk.Attempt{IDs: map[string]risk.Private{"sso": "x", "usdot": ""}}))
	require.True(t, s.Applies(&risk.Attempt{IDs: dot}))

	u.fail = errors.New("down")
	_, err = risktest.Evaluate(s, attempt("+4790000001", "", dot))
	require.ErrorIs(t, err, u.fail)

	alone, err := identity.NewBusinessSignal(nil)
	require.NoError(t, err)
	require.Equal(t, risk.Local, alone.Describe().Cost)
	require.Empty(t, ask(t, alone, attempt("+4790000001", "", dot)).Codes)
}

func TestSignalsConform(t *testing.T) {
	u := identity.ReuseFunc((&uses{}).Uses)
	a := &risk.Attempt{Event: risk.SignUp, Email: "a.nn+x@gmail.com", Phone: "+4790000001", IDs: map[string]risk.Private{"usdot": "1234567", "vat": "DE136695976"}}
	for _, o := range []*identity.EmailOptions{nil, {Reuse: u}} {
		require.NoError(t, risktest.Conform(email(t, o), a, &risk.Attempt{Email: "ann@mailinator.com"}))
	}
	for _, o := range []*identity.BusinessOptions{nil, {Reuse: u}} {
		s, err := identity.NewBusinessSignal(o)
		require.NoError(t, err)
		require.NoError(t, risktest.Conform(s, a))
	}
	s, _ := listSignal(t, nil)
	require.NoError(t, risktest.Conform(s, a))
}

func TestOptionsRefused(t *testing.T) {
	for _, o := range []identity.EmailOptions{{Ordinary: -1}, {Ordinary: 5, Certain: 5}, {Certain: 1}, {OnError: 9}} {
		_, err := identity.NewEmailSignal(&o)
		require.Error(t, err)
	}
	for _, o := range []identity.BusinessOptions{{Ordinary: -1}, {Ordinary: 5, Certain: 5}, {OnError: 9}} {
		_, err := identity.NewBusinessSignal(&o)
		require.Error(t, err)
	}
	_, err := identity.NewListSignal(nil, nil)
	require.Error(t, err)
	require.Equal(t, risk.FailOpen, email(t, nil).Describe().OnError)
	for _, m := range []risk.FailMode{risk.FailOpen, risk.FailChallenge, risk.FailReview, risk.FailClosed} {
		require.Equal(t, m, email(t, &identity.EmailOptions{OnError: m}).Describe().OnError)
	}
}

// broken is a store that cannot tell.
type broken struct{ identity.ListStore }

func (broken) Find(context.Context, string, []string) ([][]byte, error) {
	return nil, errors.New("down")
}

// A list that cannot be asked lets nobody in by default.
func TestListSignalFailModes(t *testing.T) {
	for mode, want := range map[risk.FailMode]risk.Action{
		0: risk.Block, risk.FailOpen: risk.Allow, risk.FailReview: risk.Review, risk.FailClosed: risk.Block,
	} {
		l, err := identity.NewLists(broken{}, ring(t), nil)
		require.NoError(t, err)
		s, err := identity.NewListSignal(l, &identity.ListSignalOptions{OnError: mode})
		require.NoError(t, err)
		signals := []risk.Signal{s}
		engine, err := risk.NewEngine(risk.DefaultPolicy(signals), signals, nil)
		require.NoError(t, err)
		require.Equal(t, want, engine.Assess(t.Context(), &risk.Attempt{Event: risk.SignUp, Email: "ann@example.com"}).Action, mode)
	}
}

func TestListSignalInEngine(t *testing.T) {
	clock := &clock{now: time.Unix(1_800_000_000, 0)}
	s, lists := listSignal(t, clock)
	e := email(t, nil)
	signals := []risk.Signal{s, e}
	engine, err := risk.NewEngine(risk.DefaultPolicy(signals), signals, nil)
	require.NoError(t, err)
	action := func(address string) risk.Action {
		return engine.Assess(t.Context(), &risk.Attempt{Event: risk.SignUp, Email: risk.Private(address)}).Action
	}
	require.Equal(t, risk.Allow, action("ann@example.com"))
	id := put(t, lists, identity.Entry{Effect: identity.Deny, Kind: identity.EntryDomain, Value: "example.com", By: "ops", Expires: clock.Now().Add(time.Hour)})
	require.Equal(t, risk.Block, action("ann@example.com"), "at once")
	require.Equal(t, risk.Allow, action("ann@example.org"))
	put(t, lists, identity.Entry{Effect: identity.Allow, Kind: identity.EntryEmail, Value: "ann@example.com", By: "ops", Expires: clock.Now().Add(time.Hour)})
	require.Equal(t, risk.Block, action("ann@example.com"), "a deny is never outvoted")
	said := ask(t, s, &risk.Attempt{Email: "ann@example.com"})
	require.Equal(t, map[string]float64{"deny": 1, "allow": 1}, said.Codes)
	require.Equal(t, "domain", said.Texts["match"])
	ok, err := lists.Remove(t.Context(), "", id)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, risk.Allow, action("bob@example.com"))
	require.Equal(t, map[string]float64{"allow": 1}, ask(t, s, &risk.Attempt{Email: "ann@example.com"}).Codes)
	clock.advance(time.Hour)
	require.Empty(t, ask(t, s, &risk.Attempt{Email: "ann@example.com"}).Codes)
}
