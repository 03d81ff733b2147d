package fpjs_test

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint/fingerprinttest"
	"github.com/vestibule-go/vestibule/fingerprint/fpjs"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

const agent = "Mozilla/5.0 (Windows NT 10.0)"

func event() fingerprinttest.Event {
	return fingerprinttest.Event{
		ID: "1795262400000.AbCdEf", VisitorID: "Ibk1527CUFmcnjLwIs4A9", IP: "192.0.2.1", UserAgent: agent,
		URL: "https://example.com/signup?x=1", Time: fingerprinttest.Start,
	}
}

func now() time.Time { return fingerprinttest.Start.Add(time.Second) }

func client(t testing.TB, s *fingerprinttest.Server) *fpjs.Client {
	t.Helper()
	c, err := fpjs.New(s.URL, s.Key, &fpjs.Options{Now: now})
	require.NoError(t, err)
	return c
}

func TestClient(t *testing.T) {
	s := fingerprinttest.NewServer(t)
	s.Add(event())
	c := client(t, s)
	e, err := c.Event(t.Context(), event().ID)
	require.NoError(t, err)
	require.Equal(t, "Ibk1527CUFmcnjLwIs4A9", e.VisitorID)
	require.Equal(t, netip.MustParseAddr("192.0.2.1"), e.IP)
	require.InDelta(t, 0.98, e.Confidence, 1e-9)
	require.Equal(t, fpjs.NotGiven, e.VPN, "what is not in the event is not false")
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", e, *e, *e), "Ibk1527")

	calls := s.Calls()
	for name, id := range map[string]string{"empty": "", "path": "../events", "query": "a?b=c", "long": strings.Repeat("1", 200), "dots": "..", "space": "a b"} {
		_, err := c.Event(t.Context(), id)
		require.ErrorIs(t, err, fpjs.ErrID, name)
	}
	require.Equal(t, calls, s.Calls(), "what is no id asks nobody")

	_, err = c.Event(t.Context(), "1.unknown")
	refused, ok := errors.AsType[*fpjs.APIError](err)
	require.True(t, ok)
	require.True(t, refused.NotFound())
	s.Fail(http.StatusTooManyRequests)
	_, err = c.Event(t.Context(), event().ID)
	refused, ok = errors.AsType[*fpjs.APIError](err)
	require.True(t, ok)
	require.Equal(t, 7*time.Second, refused.RetryAfter)
	require.False(t, refused.NotFound())
	s.Fail(0)
	wrong, err := fpjs.New(s.URL, "wrong", nil)
	require.NoError(t, err)
	_, err = wrong.Event(t.Context(), event().ID)
	refused, ok = errors.AsType[*fpjs.APIError](err)
	require.True(t, ok)
	require.Equal(t, "secret_api_key_not_found", refused.Code)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", wrong, wrong, err), "Bearer")

	for _, base := range []string{"", "http://api.example.com", "https://user@example.com", "ftp://example.com"} {
		_, err := fpjs.New(base, "key", nil)
		require.Error(t, err, base)
	}
	for _, key := range []string{"", "a b", "a\n"} {
		_, err := fpjs.New(fpjs.EU, key, nil)
		require.Error(t, err)
	}
	require.Equal(t, "unknown", fpjs.ParseError(500, []byte(`{"error":{"code":"<script>"}}`)).Code)
}

func TestSealed(t *testing.T) {
	s, other := fingerprinttest.NewServer(t), fingerprinttest.NewServer(t)
	o, err := fpjs.NewOpener(s.SealKey)
	require.NoError(t, err)
	e, err := o.Open(s.Seal(event()))
	require.NoError(t, err)
	require.Equal(t, event().ID, e.ID)
	rotated, err := fpjs.NewOpener(other.SealKey, s.SealKey)
	require.NoError(t, err)
	_, err = rotated.Open(s.Seal(event()))
	require.NoError(t, err, "the former key")

	sealed := s.Seal(event())
	raw, err := base64.StdEncoding.DecodeString(sealed)
	require.NoError(t, err)
	flip := func(i int) string {
		b := bytes.Clone(raw)
		b[i] ^= 1
		return base64.StdEncoding.EncodeToString(b)
	}
	bomb := func(n int) string {
		var packed bytes.Buffer
		f, _ := flate.NewWriter(&packed, flate.BestCompression)
		_, _ = f.Write(bytes.Repeat([]byte(" "), n))
		_ = f.Close()
		return s.SealPacked(packed.Bytes())
	}
	for name, c := range map[string]struct {
		sealed string
		reason fpjs.SealedReason
	}{
		"empty": {"", fpjs.SealedHeader}, "no base64": {"!", fpjs.SealedEncoding}, "oversize": {strings.Repeat("A", fpjs.MaxSealed+4), fpjs.SealedEncoding},
		"header": {flip(0), fpjs.SealedHeader}, "nonce": {flip(5), fpjs.SealedDecrypt}, "body": {flip(20), fpjs.SealedDecrypt}, "tag": {flip(len(raw) - 1), fpjs.SealedDecrypt},
		"cut": {base64.StdEncoding.EncodeToString(raw[:20]), fpjs.SealedDecrypt}, "another's key": {other.Seal(event()), fpjs.SealedDecrypt},
		"not packed": {s.SealPacked([]byte("\xff\xff")), fpjs.SealedInflate}, "bomb": {bomb(8 << 20), fpjs.SealedInflate},
		"just too large": {bomb(fpjs.MaxUnsealed + 1), fpjs.SealedInflate}, "no JSON": {s.SealBytes([]byte("{")), fpjs.SealedJSON},
		"no event": {s.SealBytes([]byte("{}")), fpjs.SealedJSON}, "version 3": {s.SealBytes([]byte(`{"products":{"identification":{}}}`)), fpjs.SealedLegacy},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := o.Open(c.sealed)
			refused, ok := errors.AsType[*fpjs.SealedError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, c.reason, refused.Reason)
			require.Equal(t, c.reason == fpjs.SealedLegacy, errors.Is(err, fpjs.ErrLegacy))
		})
	}
	for name, keys := range map[string][]string{"none": nil, "short": {"aW52YWxpZF9rZXk="}, "no base64": {"!"}, "many": make([]string, 9)} {
		_, err := fpjs.NewOpener(keys...)
		require.Error(t, err, name)
	}
	_, err = fpjs.ParseEvent([]byte(`{"products":{}}`))
	require.ErrorIs(t, err, fpjs.ErrLegacy)
	require.Contains(t, err.Error(), "v3")
}

func TestSmartSignals(t *testing.T) {
	e := event()
	e.Signals = map[string]any{"vpn": true, "incognito": false, "vpn_methods": map[string]any{"relay": true}, "bot": "bad", "suspect_score": 7,
		"velocity": map[string]any{"distinct_ip": map[string]any{"24_hours": 3}}, "tampering": "yes"}
	got, err := fpjs.ParseEvent(e.JSON())
	require.NoError(t, err)
	require.Equal(t, fpjs.Yes, got.VPN)
	require.Equal(t, fpjs.No, got.Incognito)
	require.Equal(t, fpjs.NotGiven, got.Tampering, "another kind is not converted")
	require.Equal(t, fpjs.NotGiven, got.Emulator)
	require.InDelta(t, 7, got.SuspectScore, 0)
	require.EqualValues(t, 3, got.DistinctIPs24h)
	require.EqualValues(t, -1, got.Events24h)
	e.Signals["incremental_identification_status"] = "partially_completed"
	got, err = fpjs.ParseEvent(e.JSON())
	require.NoError(t, err)
	require.Equal(t, fpjs.NotGiven, got.VPN, "signals of a partial event are not computed")
	for name, body := range map[string]string{
		"no id": `{"timestamp":1}`, "no time": `{"event_id":"a"}`, "time a text": `{"event_id":"a","timestamp":"1"}`, "negative": `{"event_id":"a","timestamp":-1}`,
		"a list": `[]`, "twice": `{"event_id":"a","event_id":"b","timestamp":1}`, "deep": strings.Repeat("[", 40) + strings.Repeat("]", 40),
	} {
		_, err := fpjs.ParseEvent([]byte(body))
		require.ErrorIs(t, err, fpjs.ErrEvent, name)
		_, err = fpjs.ParseEvents([]byte(`{"events":[` + body + `]}`))
		require.ErrorIs(t, err, fpjs.ErrEvent, name)
	}
	_, err = fpjs.ParseEvents([]byte(`{}`))
	require.ErrorIs(t, err, fpjs.ErrEvent)
}

// TestVerify changes one thing of an event that is accepted in each row.
func TestVerify(t *testing.T) {
	origins := []string{"https://example.com"}
	for name, c := range map[string]struct {
		event  func(e *fingerprinttest.Event)
		expect func(x *fpjs.Expect)
		opts   func(o *fpjs.VerifierOptions)
		want   fpjs.Verdict
	}{
		"accepted":        {nil, nil, nil, fpjs.Verdict{}},
		"two minutes":     {func(e *fingerprinttest.Event) { e.Time = now().Add(-2 * time.Minute) }, nil, nil, fpjs.Verdict{}},
		"older":           {func(e *fingerprinttest.Event) { e.Time = now().Add(-2*time.Minute - time.Millisecond) }, nil, nil, fpjs.Verdict{Reason: fpjs.Stale}},
		"a bit ahead":     {func(e *fingerprinttest.Event) { e.Time = now().Add(10 * time.Second) }, nil, nil, fpjs.Verdict{}},
		"from the future": {func(e *fingerprinttest.Event) { e.Time = now().Add(10*time.Second + time.Millisecond) }, nil, nil, fpjs.Verdict{Reason: fpjs.Stale}},
		"replayed there":  {func(e *fingerprinttest.Event) { e.Signals = map[string]any{"replayed": true} }, nil, nil, fpjs.Verdict{Reason: fpjs.Replayed}},
		"another page":    {func(e *fingerprinttest.Event) { e.URL = "https://evil.example/" }, nil, nil, fpjs.Verdict{Reason: fpjs.WrongOrigin}},
		"a longer host":   {func(e *fingerprinttest.Event) { e.URL = "https://example.com.evil.example/" }, nil, nil, fpjs.Verdict{Reason: fpjs.WrongOrigin}},
		"plain HTTP":      {func(e *fingerprinttest.Event) { e.URL = "http://example.com/" }, nil, nil, fpjs.Verdict{Reason: fpjs.WrongOrigin}},
		"default port":    {func(e *fingerprinttest.Event) { e.URL = "https://EXAMPLE.com:443/" }, nil, nil, fpjs.Verdict{}},
		"no page":         {func(e *fingerprinttest.Event) { e.URL = "" }, nil, nil, fpjs.Verdict{Reason: fpjs.WrongOrigin}},
		"another Origin":  {nil, func(x *fpjs.Expect) { x.Origin = "https://www.example.com" }, nil, fpjs.Verdict{Reason: fpjs.WrongOrigin}},
		"Origin null":     {nil, func(x *fpjs.Expect) { x.Origin = "null" }, nil, fpjs.Verdict{Reason: fpjs.WrongOrigin}},
		"no Origin":       {nil, func(x *fpjs.Expect) { x.Origin = "" }, nil, fpjs.Verdict{}},
		"another address": {nil, func(x *fpjs.Expect) { x.IP = netip.MustParseAddr("192.0.2.2") }, nil, fpjs.Verdict{IPMismatch: true}},
		"strictly":        {nil, func(x *fpjs.Expect) { x.IP = netip.MustParseAddr("192.0.2.2") }, func(o *fpjs.VerifierOptions) { o.StrictIP = true }, fpjs.Verdict{Reason: fpjs.WrongIP, IPMismatch: true}},
		"mapped address":  {nil, func(x *fpjs.Expect) { x.IP = netip.MustParseAddr("::ffff:192.0.2.1") }, nil, fpjs.Verdict{}},
		"another browser": {nil, func(x *fpjs.Expect) { x.Agent = "curl" }, nil, fpjs.Verdict{AgentMismatch: true}},
		"linked":          {func(e *fingerprinttest.Event) { e.LinkedID = "n" }, func(x *fpjs.Expect) { x.LinkedID = "n" }, nil, fpjs.Verdict{}},
		"not linked":      {nil, func(x *fpjs.Expect) { x.LinkedID = "n" }, nil, fpjs.Verdict{Reason: fpjs.WrongLinkedID}},
	} {
		t.Run(name, func(t *testing.T) {
			o := &fpjs.VerifierOptions{Origins: origins, Now: now}
			if c.opts != nil {
				c.opts(o)
			}
			v := verifier(t, o)
			sent := event()
			if c.event != nil {
				c.event(&sent)
			}
			e, err := fpjs.ParseEvent(sent.JSON())
			require.NoError(t, err)
			x := fpjs.Expect{Tenant: "t", Origin: "https://example.com", IP: netip.MustParseAddr("192.0.2.1"), Agent: agent}
			if c.expect != nil {
				c.expect(&x)
			}
			got, err := v.Verify(t.Context(), e, x)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			got, err = v.Verify(t.Context(), e, x)
			require.NoError(t, err)
			if c.want.Reason == fpjs.Accepted {
				require.Equal(t, fpjs.Replayed, got.Reason, "each counts once")
			} else {
				require.Equal(t, c.want.Reason, got.Reason, "what was refused is not used up")
			}
		})
	}
	for name, o := range map[string]*fpjs.VerifierOptions{
		"path": {Origins: []string{"https://example.com/x"}}, "no scheme": {Origins: []string{"example.com"}}, "age": {MaxAge: 25 * time.Hour}, "skew": {Skew: -1},
	} {
		once, err := fpjs.NewMemoryOnce(nil)
		require.NoError(t, err)
		_, err = fpjs.NewVerifier(once, o)
		require.Error(t, err, name)
	}
	_, err := fpjs.NewVerifier(nil, nil)
	require.Error(t, err)
}

func TestMemoryOnce(t *testing.T) {
	at := now()
	once, err := fpjs.NewMemoryOnce(&fpjs.MemoryOnceOptions{Most: 2, Now: func() time.Time { return at }})
	require.NoError(t, err)
	use := func(name string) (bool, error) { return once.Use(t.Context(), name, time.Minute) }
	for _, name := range []string{"a", "b"} {
		first, err := use(name)
		require.NoError(t, err)
		require.True(t, first)
	}
	first, err := use("a")
	require.NoError(t, err)
	require.False(t, first)
	_, err = use("c")
	require.ErrorIs(t, err, fpjs.ErrFull, "none is forgotten to make room")
	at = at.Add(time.Minute)
	first, err = use("c")
	require.NoError(t, err)
	require.True(t, first)
	_, err = fpjs.NewMemoryOnce(&fpjs.MemoryOnceOptions{Most: -1})
	require.Error(t, err)
}

func TestWebhook(t *testing.T) {
	s := fingerprinttest.NewServer(t)
	w, err := fpjs.NewWebhook(verifier(t, &fpjs.VerifierOptions{Now: now}), "newer", s.WebhookSecret)
	require.NoError(t, err)
	seen := 0
	var fail error
	handler := w.Handler(func(context.Context, *fpjs.Event) error { seen++; return fail })
	send := func(body []byte, signatures ...string) int {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		for _, v := range signatures {
			r.Header.Add(fpjs.HeaderSignature, v)
		}
		out := httptest.NewRecorder()
		handler.ServeHTTP(out, r)
		return out.Code
	}
	body, signature := s.Webhook(event())
	require.Equal(t, http.StatusUnauthorized, send(body))
	require.Equal(t, http.StatusUnauthorized, send(body, strings.Replace(signature, "v1", "v2", 1)))
	require.Equal(t, http.StatusUnauthorized, send(append(body, ' '), signature))
	require.Equal(t, http.StatusRequestEntityTooLarge, send(bytes.Repeat(body, 4000), signature))
	require.Equal(t, http.StatusUnauthorized, send(body, strings.Repeat(signature+",", 100)), "more signatures than anybody rotates")
	require.Zero(t, seen)
	require.Equal(t, http.StatusOK, send(body, "v1=00", "v1=00, "+signature))
	require.Equal(t, http.StatusOK, send(body, signature))
	require.Equal(t, 1, seen, "a replay is not given on")
	old := event()
	old.Time = now().Add(-25 * time.Hour)
	old.ID = "1.old"
	body, signature = s.Webhook(old)
	require.Equal(t, http.StatusOK, send(body, signature))
	require.Equal(t, 1, seen, "an old one is not given on")
	for name, secrets := range map[string][]string{"none": nil, "empty": {""}, "one empty": {"a", ""}} {
		_, err := fpjs.NewWebhook(verifier(t, nil), secrets...)
		require.Error(t, err, name)
	}
	_, err = fpjs.NewWebhook(nil, "s")
	require.Error(t, err)
	next := event()
	next.ID = "1.next"
	body, signature = s.Webhook(next)
	fail = errors.New("down")
	require.Equal(t, http.StatusServiceUnavailable, send(body, signature))
	fail = nil
	seen = 0
	require.Equal(t, http.StatusOK, send(body, signature))
	require.Equal(t, 1, seen, "what the handler failed on comes again")
	require.Equal(t, http.StatusOK, send(body, signature))
	require.Equal(t, 1, seen, "once")
	next.ID = "1.panic"
	body, signature = s.Webhook(next)
	good := handler
	handler = w.Handler(func(context.Context, *fpjs.Event) error { panic("bug of the host") })
	require.Panics(t, func() { send(body, signature) })
	handler = good
	require.Equal(t, http.StatusOK, send(body, signature))
	require.Equal(t, 2, seen, "what it panicked on comes again")
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	out := httptest.NewRecorder()
	handler.ServeHTTP(out, r)
	require.Equal(t, http.StatusMethodNotAllowed, out.Code)
}

func newSignal(t *testing.T, s *fingerprinttest.Server) *fpjs.Signal {
	t.Helper()
	o, err := fpjs.NewOpener(s.SealKey)
	require.NoError(t, err)
	v := verifier(t, &fpjs.VerifierOptions{Origins: []string{"https://example.com"}, Now: now})
	signal, err := fpjs.NewSignal(client(t, s), o, v, nil)
	require.NoError(t, err)
	return signal
}

func attempt(r fpjs.Response) *risk.Attempt {
	a := &risk.Attempt{Event: risk.SignUp, IP: netip.MustParseAddr("192.0.2.1"), Header: map[string][]string{"User-Agent": {agent}, "Origin": {"https://example.com"}}}
	risk.Attach(a, r)
	return a
}

func TestSignal(t *testing.T) {
	s := fingerprinttest.NewServer(t)
	bad := event()
	bad.ID = "1.bad"
	bad.Signals = map[string]any{"bot": "bad", "vpn": true, "vpn_methods": map[string]any{"relay": true}, "virtual_machine": true, "frida": true}
	foreign := event()
	foreign.ID, foreign.URL = "1.foreign", "https://evil.example/"
	stale := event()
	stale.ID, stale.Time = "1.stale", now().Add(-time.Hour)
	for _, e := range []fingerprinttest.Event{event(), bad, foreign, stale} {
		s.Add(e)
	}
	signal := newSignal(t, s)
	for _, c := range []struct {
		name string
		r    fpjs.Response
		want []string
	}{
		{"fine", fpjs.Response{EventID: event().ID}, nil}, {"again", fpjs.Response{EventID: event().ID}, []string{"replayed"}},
		{"bad", fpjs.Response{EventID: "1.bad"}, []string{"bot", "vm", "hooked"}}, {"foreign", fpjs.Response{EventID: "1.foreign"}, []string{"mismatch"}},
		{"stale", fpjs.Response{EventID: "1.stale"}, []string{"stale"}}, {"made up", fpjs.Response{EventID: "1.none"}, []string{"invalid"}},
		{"no id", fpjs.Response{EventID: "../x"}, []string{"invalid"}}, {"sealed rubbish", fpjs.Response{Sealed: "x", EventID: event().ID}, []string{"invalid"}},
		{"sealed and used", fpjs.Response{Sealed: s.Seal(event())}, []string{"replayed"}},
		{"not linked", fpjs.Response{Sealed: s.Seal(fingerprinttest.Event{ID: "1.x", Time: now(), URL: "https://example.com/"}), LinkedID: "n"}, []string{"mismatch"}},
	} {
		var f risk.Finding
		require.NoError(t, signal.Evaluate(t.Context(), attempt(c.r), &f), c.name)
		var got []string
		for o := range f.Observations() {
			got = append(got, o.Code)
		}
		require.ElementsMatch(t, c.want, got, c.name)
	}
	s.Fail(http.StatusInternalServerError)
	var f risk.Finding
	require.Error(t, signal.Evaluate(t.Context(), attempt(fpjs.Response{EventID: event().ID}), &f), "an outage is no denial")
	require.False(t, signal.Applies(&risk.Attempt{}))
	s.Fail(0)
	require.NoError(t, risktest.Conform(newSignal(t, s), attempt(fpjs.Response{Sealed: s.Seal(event())})))

	v := verifier(t, nil)
	_, err := fpjs.NewSignal(nil, nil, v, nil)
	require.Error(t, err)
	_, err = fpjs.NewSignal((*fpjs.Client)(nil), nil, v, nil)
	require.Error(t, err)
	_, err = fpjs.NewSignal(client(t, s), nil, nil, nil)
	require.Error(t, err)
	_, err = fpjs.NewSignal(client(t, s), nil, v, &fpjs.SignalOptions{OnError: 9})
	require.Error(t, err)
}

func FuzzSealed(f *testing.F) {
	key := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
	s := &fingerprinttest.Server{SealKey: key}
	f.Add(s.Seal(event()))
	f.Add(s.SealBytes([]byte(`{"products":{}}`)))
	f.Add("noXc7Q==")
	o, err := fpjs.NewOpener(key)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, sealed string) {
		e, err := o.Open(sealed)
		if err != nil {
			_, ok := errors.AsType[*fpjs.SealedError](err)
			require.True(t, ok)
			return
		}
		require.NotEmpty(t, e.ID)
	})
}

func FuzzEvent(f *testing.F) {
	f.Add(event().JSON())
	f.Add([]byte(`{"products":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := fpjs.ParseEvent(body)
		if err != nil {
			return
		}
		require.True(t, json.Valid(body))
		require.NotEmpty(t, e.ID)
		require.GreaterOrEqual(t, e.Confidence, 0.0)
		require.LessOrEqual(t, e.Confidence, 1.0)
	})
}
