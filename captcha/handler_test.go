package captcha_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
)

func TestChallengeHandler(t *testing.T) {
	c := newClock()
	p := newPoW(t, c, newGuard(t, c))
	bind := func(r *http.Request) (captcha.ChallengeRequest, error) {
		return captcha.ChallengeRequest{Action: "signup", Session: r.Header.Get("X-Session")}, nil
	}
	h := p.ChallengeHandler(bind)
	r := serve(h, "GET", "/challenge", "X-Session", "s-42")
	require.Equal(t, 200, r.StatusCode)
	require.Equal(t, "application/json", r.Header.Get("Content-Type"))
	require.Equal(t, "no-store", r.Header.Get("Cache-Control"))
	require.Equal(t, "nosniff", r.Header.Get("X-Content-Type-Options"))
	text := body(t, r)
	require.NotContains(t, text, "s-42")
	var challenge captcha.Challenge
	require.NoError(t, json.Unmarshal([]byte(text), &challenge))
	tok, err := captchatest.Solve(&challenge)
	require.NoError(t, err)
	requireReason(t, captcha.ReasonSession, verify(t, p, tok, captcha.Expect{Action: "signup", Session: "s-43"}))
	requireReason(t, captcha.ReasonOK, verify(t, p, tok, captcha.Expect{Action: "signup", Session: "s-42"}))

	require.NotEqual(t, text, body(t, serve(h, "GET", "/challenge", "X-Session", "s-42")), "each challenge is new")
	require.Equal(t, 200, serve(p.ChallengeHandler(nil), "GET", "/challenge").StatusCode)
	r = serve(h, "POST", "/challenge")
	require.Equal(t, 405, r.StatusCode)
	require.Equal(t, "no-store", r.Header.Get("Cache-Control"))
	require.Equal(t, "application/problem+json", r.Header.Get("Content-Type"))

	for _, row := range []struct {
		name   string
		q      captcha.ChallengeRequest
		err    error
		status int
	}{
		{"binding refused", captcha.ChallengeRequest{}, errors.New("session s-42 is unknown"), 400},
		{"bad data", captcha.ChallengeRequest{Data: map[string]string{"BAD": "s-42"}}, nil, 500},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := serve(p.ChallengeHandler(func(*http.Request) (captcha.ChallengeRequest, error) { return row.q, row.err }), "GET", "/")
			require.Equal(t, row.status, r.StatusCode)
			require.Equal(t, "application/problem+json", r.Header.Get("Content-Type"))
			require.NotContains(t, body(t, r), "s-42")
		})
	}
	c.Advance(-1e12)
	r = serve(h, "GET", "/")
	require.Equal(t, 503, r.StatusCode)
	require.Equal(t, "5", r.Header.Get("Retry-After"))
}
