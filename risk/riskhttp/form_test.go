package riskhttp_test

import (
	"context"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/riskhttp"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

func secretOf(b byte) []byte { return []byte(strings.Repeat(string(b), 32)) }

// formAt makes the signal with a clock that the test moves.
func formAt(t testing.TB, now *time.Time, opts riskhttp.FormOptions) *riskhttp.FormSignal {
	t.Helper()
	opts.Now = func() time.Time { return *now }
	s, err := riskhttp.NewFormSignal(&opts)
	require.NoError(t, err)
	return s
}

// say returns the codes of the signal for evidence, and the age it tells (-1: none).
func say(t testing.TB, s *riskhttp.FormSignal, a *risk.Attempt) (codes []string, age float64) {
	t.Helper()
	var f risk.Finding
	require.NoError(t, s.Evaluate(context.Background(), a, &f))
	for o := range f.Observations() {
		require.Equal(t, 1.0, o.Degree)
		codes = append(codes, o.Code)
	}
	age = -1
	for v := range f.Facts() {
		require.Equal(t, riskhttp.FormAge, v.Name)
		age = v.Value.Number()
	}
	require.Empty(t, f.Proofs())
	return codes, age
}

func with(e riskhttp.FormEvidence) *risk.Attempt {
	a := &risk.Attempt{Event: risk.SignUp}
	risk.Attach(a, e)
	return a
}

func TestFormTime(t *testing.T) {
	for _, c := range []struct {
		name  string
		after time.Duration
		codes []string
		age   float64
	}{
		{"at once", 0, []string{riskhttp.FormFast}, 0},
		{"just too fast", 2*time.Second - time.Millisecond, []string{riskhttp.FormFast}, 1.999},
		{"just slow enough", 2 * time.Second, nil, 2},
		{"an hour", time.Hour, nil, 3600},
		{"the oldest", 12 * time.Hour, nil, 43200},
		{"too old", 12*time.Hour + time.Millisecond, []string{riskhttp.FormStale}, 43200.001},
		{"a clock a little behind", -time.Minute, []string{riskhttp.FormFast}, 0},
		{"from the future", -time.Minute - time.Millisecond, []string{riskhttp.FormForged}, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := start
			s := formAt(t, &now, riskhttp.FormOptions{})
			stamp := s.Stamp()
			require.Len(t, stamp, 30)
			now = start.Add(c.after)
			codes, age := say(t, s, with(riskhttp.FormEvidence{Stamp: stamp}))
			require.Equal(t, c.codes, codes)
			require.InDelta(t, c.age, age, 1e-9)

			now = start.Add(-time.Hour) // an attempt with a time of its own is judged by that
			a := with(riskhttp.FormEvidence{Stamp: stamp})
			a.Time = start.Add(c.after)
			own, _ := say(t, s, a)
			require.Equal(t, c.codes, own)
		})
	}
}

func TestFormHoneypot(t *testing.T) {
	now := start
	s := formAt(t, &now, riskhttp.FormOptions{})
	stamp := s.Stamp()
	now = now.Add(time.Minute)
	codes, age := say(t, s, with(riskhttp.FormEvidence{Trapped: true, Stamp: stamp}))
	require.Equal(t, []string{riskhttp.FormHoneypot}, codes)
	require.InDelta(t, 60, age, 1e-9)
	codes, _ = say(t, s, with(riskhttp.FormEvidence{Trapped: true}))
	require.Equal(t, []string{riskhttp.FormHoneypot}, codes)
}

func TestFormStampMutations(t *testing.T) {
	now := start
	s := formAt(t, &now, riskhttp.FormOptions{Secret: secretOf('a')})
	good := s.Stamp()
	other := formAt(t, &now, riskhttp.FormOptions{Secret: secretOf('b')}).Stamp()
	swap := func(i int) string {
		c := byte('A')
		if good[i] == c {
			c = 'B'
		}
		return good[:i] + string(c) + good[i+1:]
	}
	now = now.Add(time.Minute)
	for name, stamp := range map[string]string{
		"time changed":      swap(7),
		"MAC changed":       swap(12),
		"last bits set":     good[:29] + "_",
		"another key":       other,
		"cut":               good[:29],
		"longer":            good + "A",
		"line break inside": good[:10] + "\n" + good[11:],
		"padded":            good[:28] + "==",
		"standard alphabet": strings.Repeat("+", 30),
		"no base64":         strings.Repeat("!", 30),
		"zeros":             strings.Repeat("A", 30),
		"huge":              strings.Repeat(good, 10000),
	} {
		t.Run(name, func(t *testing.T) {
			require.NotEqual(t, good, stamp)
			codes, age := say(t, s, with(riskhttp.FormEvidence{Stamp: stamp}))
			require.Equal(t, []string{riskhttp.FormForged}, codes)
			require.Equal(t, -1.0, age)
		})
	}
	codes, _ := say(t, s, with(riskhttp.FormEvidence{Stamp: good}))
	require.Empty(t, codes)
}

func TestFormRotation(t *testing.T) {
	now := start
	old := formAt(t, &now, riskhttp.FormOptions{Secret: secretOf('a')})
	rotated := formAt(t, &now, riskhttp.FormOptions{Secret: secretOf('b'), Previous: [][]byte{secretOf('a')}})
	gone := formAt(t, &now, riskhttp.FormOptions{Secret: secretOf('b')})
	stamp, fresh := old.Stamp(), rotated.Stamp()
	now = now.Add(time.Minute)
	codes, _ := say(t, rotated, with(riskhttp.FormEvidence{Stamp: stamp}))
	require.Empty(t, codes)
	codes, _ = say(t, gone, with(riskhttp.FormEvidence{Stamp: fresh}))
	require.Empty(t, codes)
	for _, s := range []*riskhttp.FormSignal{gone, formAt(t, &now, riskhttp.FormOptions{})} {
		codes, _ = say(t, s, with(riskhttp.FormEvidence{Stamp: stamp}))
		require.Equal(t, []string{riskhttp.FormForged}, codes)
	}
}

func TestFormSecretIsCopied(t *testing.T) {
	now, secret := start, secretOf('a')
	s := formAt(t, &now, riskhttp.FormOptions{Secret: secret})
	stamp := s.Stamp()
	clear(secret)
	now = now.Add(time.Minute)
	codes, _ := say(t, s, with(riskhttp.FormEvidence{Stamp: stamp}))
	require.Empty(t, codes)
}

func TestFormAbsent(t *testing.T) {
	now := start
	silent := formAt(t, &now, riskhttp.FormOptions{})
	always := formAt(t, &now, riskhttp.FormOptions{Always: func(a *risk.Attempt) bool { return a.Channel == risk.ChannelWeb }})
	web, mobile := &risk.Attempt{Channel: risk.ChannelWeb}, &risk.Attempt{Channel: risk.ChannelMobile}

	require.False(t, silent.Applies(web))
	require.True(t, always.Applies(web))
	require.False(t, always.Applies(mobile))
	codes, _ := say(t, always, web)
	require.Equal(t, []string{riskhttp.FormAbsent}, codes)

	risk.Attach(web, riskhttp.FormEvidence{}) // a parsed form without our fields
	require.True(t, silent.Applies(web))
	codes, _ = say(t, silent, web)
	require.Empty(t, codes)
	codes, _ = say(t, always, web)
	require.Equal(t, []string{riskhttp.FormAbsent}, codes)
}

func TestFormOptions(t *testing.T) {
	for name, c := range map[string]struct {
		opts riskhttp.FormOptions
		want string
	}{
		"short secret":      {riskhttp.FormOptions{Secret: secretOf('a')[:31]}, "31 bytes"},
		"empty secret":      {riskhttp.FormOptions{Secret: []byte{}}, "0 bytes"},
		"short previous":    {riskhttp.FormOptions{Previous: [][]byte{[]byte("x")}}, "form secret 1"},
		"too many previous": {riskhttp.FormOptions{Previous: make([][]byte, 9)}, "at most 8"},
		"negative MinAge":   {riskhttp.FormOptions{MinAge: -1}, "MinAge"},
		"long MinAge":       {riskhttp.FormOptions{MinAge: time.Hour}, "MinAge"},
		"short MaxAge":      {riskhttp.FormOptions{MaxAge: time.Second}, "MaxAge"},
		"MaxAge is MinAge":  {riskhttp.FormOptions{MinAge: time.Minute, MaxAge: time.Minute}, "more than MinAge"},
		"negative Skew":     {riskhttp.FormOptions{Skew: -1}, "Skew"},
		"one name twice":    {riskhttp.FormOptions{TrapField: "x", StampField: "x"}, "differ"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := riskhttp.NewFormSignal(&c.opts)
			require.ErrorContains(t, err, c.want)
		})
	}
	s, err := riskhttp.NewFormSignal(nil)
	require.NoError(t, err)
	trap, stamp := s.FieldNames()
	require.Equal(t, [2]string{"website", "form_stamp"}, [2]string{trap, stamp})
}

func TestFormFields(t *testing.T) {
	now := start
	s := formAt(t, &now, riskhttp.FormOptions{TrapField: `a"b`, TrapLabel: "<Empty>"})
	h := s.Fields()
	require.Contains(t, h, `name="a&#34;b"`)
	require.Contains(t, h, "&lt;Empty&gt;")
	require.Contains(t, h, `<div hidden aria-hidden="true">`)
	require.Contains(t, h, `name="form_stamp" value="`+s.Stamp()+`"`)
	require.NotContains(t, h, "style")
	h = formAt(t, &now, riskhttp.FormOptions{TrapClass: "away"}).Fields()
	require.Contains(t, h, `<div class="away" aria-hidden="true">`)
}

func TestFormCollect(t *testing.T) {
	now := start
	s := formAt(t, &now, riskhttp.FormOptions{})
	want := riskhttp.FormEvidence{Trapped: true, Stamp: "abc"}
	posted := func() *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/?form_stamp=url", strings.NewReader("website=x&form_stamp=abc"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return r
	}

	r, a := posted(), &risk.Attempt{}
	s.Collect(r, a)
	_, ok := risk.Evidence[riskhttp.FormEvidence](a)
	require.False(t, ok, "nobody has parsed the form, and collectors do not read bodies")
	require.NoError(t, r.ParseForm())
	s.Collect(r, a)
	e, ok := risk.Evidence[riskhttp.FormEvidence](a)
	require.True(t, ok)
	require.Equal(t, want, e)

	a = &risk.Attempt{}
	var seen string
	enrich := s.Enrich(riskhttp.Form(4096, func(f url.Values, _ *risk.Attempt) { seen = f.Get("website") }))
	require.NoError(t, enrich(posted(), a))
	e, _ = risk.Evidence[riskhttp.FormEvidence](a)
	require.Equal(t, want, e)
	require.Equal(t, "x", seen)

	a = &risk.Attempt{}
	require.Error(t, s.Enrich(riskhttp.Form(4, func(url.Values, *risk.Attempt) {}))(posted(), a))
	_, ok = risk.Evidence[riskhttp.FormEvidence](a)
	require.False(t, ok)

	var body strings.Builder
	w := multipart.NewWriter(&body)
	require.NoError(t, w.WriteField("website", "x"))
	require.NoError(t, w.WriteField("form_stamp", "abc"))
	require.NoError(t, w.Close())
	r = httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body.String()))
	r.Header.Set("Content-Type", w.FormDataContentType())
	require.NoError(t, r.ParseMultipartForm(4096))
	a = &risk.Attempt{}
	s.Collect(r, a)
	e, _ = risk.Evidence[riskhttp.FormEvidence](a)
	require.Equal(t, want, e)
}

func TestFormConforms(t *testing.T) {
	s, err := riskhttp.NewFormSignal(&riskhttp.FormOptions{Always: func(a *risk.Attempt) bool { return a.Channel != "" }})
	require.NoError(t, err)
	require.NoError(t, risktest.Conform(s,
		with(riskhttp.FormEvidence{Stamp: s.Stamp()}),
		with(riskhttp.FormEvidence{Trapped: true, Stamp: "rubbish"}),
		&risk.Attempt{Channel: risk.ChannelWeb},
	))
}

func TestFormEvidencePrintsNothing(t *testing.T) {
	e := riskhttp.FormEvidence{Stamp: "the stamp"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		require.NotContains(t, fmt.Sprintf(verb, e), "the stamp")
	}
}

// What a form says never lets anybody in or shuts anybody out for good: a trapped visitor can still prove to be human.
func TestFormInTheEngine(t *testing.T) {
	now := start
	s := formAt(t, &now, riskhttp.FormOptions{Always: func(*risk.Attempt) bool { return true }})
	signals := []risk.Signal{s, &puzzle{}}
	engine, err := risk.NewEngine(risk.DefaultPolicy(signals), signals, &risk.Options{Now: func() time.Time { return now }})
	require.NoError(t, err)
	stamp := s.Stamp()
	for _, c := range []struct {
		name   string
		after  time.Duration
		e      riskhttp.FormEvidence
		score  int
		action risk.Action
	}{
		{"a person", time.Minute, riskhttp.FormEvidence{Stamp: stamp}, 12, risk.Allow},
		{"fast", time.Second, riskhttp.FormEvidence{Stamp: stamp}, 24, risk.Allow},
		{"nothing sent", time.Minute, riskhttp.FormEvidence{}, 16, risk.Allow},
		{"rubbish", time.Minute, riskhttp.FormEvidence{Stamp: "rubbish"}, 20, risk.Allow},
		{"trapped", time.Minute, riskhttp.FormEvidence{Trapped: true, Stamp: stamp}, 52, risk.Challenge},
		{"trapped and fast", time.Second, riskhttp.FormEvidence{Trapped: true, Stamp: stamp}, 58, risk.Challenge},
	} {
		t.Run(c.name, func(t *testing.T) {
			now = start.Add(c.after)
			got := engine.Assess(context.Background(), with(c.e))
			require.Equal(t, c.score, got.Score, "%v", got.Reasons)
			require.Equal(t, c.action, got.Action)
		})
	}
}

func FuzzFormStamp(f *testing.F) {
	now := start
	s := formAt(f, &now, riskhttp.FormOptions{Secret: secretOf('a')})
	good := s.Stamp()
	for _, seed := range []string{good, good[:29], "", strings.Repeat("A", 30), formAt(f, &now, riskhttp.FormOptions{}).Stamp()} {
		f.Add(seed)
	}
	now = now.Add(time.Minute)
	f.Fuzz(func(t *testing.T, stamp string) {
		codes, _ := say(t, s, with(riskhttp.FormEvidence{Stamp: stamp}))
		if stamp == good || stamp == "" {
			require.Empty(t, codes)
			return
		}
		require.Equal(t, []string{riskhttp.FormForged}, codes) // no other spelling is accepted
	})
}

// The page carries the two fields; the form that comes back is judged by them.
func ExampleFormSignal() {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	form, err := riskhttp.NewFormSignal(&riskhttp.FormOptions{
		Always: func(a *risk.Attempt) bool { return a.Channel == risk.ChannelWeb },
		Now:    clock,
	})
	if err != nil {
		panic(err)
	}
	signals := []risk.Signal{form}
	engine, err := risk.NewEngine(risk.DefaultPolicy(signals), signals, &risk.Options{Now: clock})
	if err != nil {
		panic(err)
	}
	guard, err := riskhttp.New(engine, &riskhttp.Options{Collectors: []riskhttp.Collector{form.Collect}})
	if err != nil {
		panic(err)
	}
	page := "<form>" + form.Fields() + "</form>" // as template.HTML in a template
	_, rest, _ := strings.Cut(page, `name="form_stamp" value="`)
	stamp, _, _ := strings.Cut(rest, `"`)

	send := func(values url.Values) {
		r := httptest.NewRequest(http.MethodPost, "/signup", strings.NewReader(values.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		_ = r.ParseForm() // before Attempt: collectors read no bodies
		s := engine.Assess(r.Context(), guard.Attempt(r, risk.SignUp))
		fmt.Println(s.Score, s.Reasons[1:])
	}
	send(url.Values{"form_stamp": {stamp}})
	now = now.Add(20 * time.Second)
	send(url.Values{"form_stamp": {stamp}})
	send(url.Values{"form_stamp": {stamp}, "website": {"https://example.com"}})
	// Output:
	// 24 [form.fast +12 (human)]
	// 12 []
	// 52 [form.honeypot +40 (human)]
}
