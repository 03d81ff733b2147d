package main

import (
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/internal/redistest"
	"github.com/vestibule-go/vestibule/risk"
)

var servers redistest.Group

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

// TestTwoInstances: what two instances count they count together, and a flow begun on one is finished on the other,
// once.
func TestTwoInstances(t *testing.T) {
	redis := servers.Single(t)
	instance := func() *world {
		return newWorld(t, func(o *options) {
			s, err := openShared(t.Context(), redis.Addr(), o.Log)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.client.Close()) })
			o.Shared = s
		})
	}
	a, b := instance(), instance()
	v := a.visit(t) // the form comes from one
	a.clock.pass(20 * time.Second)
	b.clock.pass(20 * time.Second)
	for i := range 5 {
		v.w = []*world{a, b}[i%2]
		r := v.signUp(person(i))
		require.Equal(t, http.StatusCreated, r.status, r.text)
		require.NotContains(t, v.w.last(t), "form.")
	}
	v.w = a
	r := v.signUp(person(5))
	require.Equal(t, http.StatusForbidden, r.status, "three on one and two on the other are five")
	require.NotEmpty(t, r.Flow)
	token := v.solve(r)
	v.continues(r.Flow)
	v.w = b
	in := v.signUp(person(5), "captcha", token)
	require.Equal(t, http.StatusCreated, in.status, in.text)
	require.Contains(t, b.last(t), "captcha.passed")
	v.w = a
	again := v.signUp(person(6), "captcha", token)
	require.Equal(t, http.StatusForbidden, again.status, "spent on the other instance")
	require.Contains(t, a.last(t), "flow.spent")
}

// The steps of one sign-up on two instances in turn: the CAPTCHA, the code by phone, the passkey.
func TestTwoInstancesTakeTurns(t *testing.T) {
	redis := servers.Single(t)
	key, trust := vouched(t, time.Now)
	instance := func() *world {
		return newWorld(t, func(o *options) {
			s, err := openShared(t.Context(), redis.Addr(), o.Log)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.client.Close()) })
			o.Shared, o.Trust, o.Now = s, trust, time.Now
		})
	}
	a, b := instance(), instance()
	v := a.visit(t)
	on := func(w *world) *visitor {
		v.w = w
		return v
	}
	r := on(a).suspect()
	require.Equal(t, []risk.Proof{risk.ProofDevice}, r.Require, r.text)
	v.continues(r.Flow)
	fields := made(t, key, page, r)
	r = on(b).suspect(fields...)
	require.Contains(t, b.last(t), "passkey.certified -12 (attest)")
	on(a).suspect(fields...)
	require.NotContains(t, a.last(t), "passkey.replayed", "it stays with the flow")

	fields = append(fields, "captcha", v.solve(r), "phone", number)
	r = on(a).suspect(fields...)
	require.Contains(t, a.last(t), "captcha.passed")
	require.Equal(t, []risk.Proof{risk.ProofPhone}, r.Require, r.text)
	require.Equal(t, http.StatusAccepted, on(b).start().status)
	require.Equal(t, http.StatusAccepted, on(a).start().status)
	require.Empty(t, a.codes(), "too soon after the one that the other has sent")
	b.sent(t, 1)
	require.Equal(t, http.StatusUnprocessableEntity, on(b).check(other(b.sent(t, 1)[0])).status)
	require.Equal(t, http.StatusOK, on(a).check(b.sent(t, 1)[0]).status)
	require.NotEqual(t, http.StatusOK, on(b).check(b.sent(t, 1)[0]).status, "spent on the other")
	in := on(a).suspect(fields...)
	require.Equal(t, http.StatusCreated, in.status, in.text)
	require.Contains(t, a.last(t), "phone.verified -8 (phone)")
	require.Contains(t, a.log.String(), "bound=true", "the passkey the other has seen made")
}

// A device that one instance knows the other knows as well, and so does its history.
func TestTwoInstancesSeeTheSame(t *testing.T) {
	redis := servers.Single(t)
	instance := func() *world {
		return newWorld(t, func(o *options) {
			s, err := openShared(t.Context(), redis.Addr(), o.Log)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.client.Close()) })
			o.Shared = s
		})
	}
	a, b := instance(), instance()
	v := a.visit(t)
	a.clock.pass(20 * time.Second)
	b.clock.pass(20 * time.Second)
	require.Contains(t, v.post("/device", fields{"consent": "true"}).text, "level")
	v.do(http.MethodPost, "/device", "application/json", `{"consent":true}`)
	for i, reason := range []string{"device.new +4", "device.reused +3", "device.reused +3", "velocity.high"} {
		v.w = []*world{a, b}[i%2]
		r := v.signUp(person(i), "device", `{}`)
		require.NotEmpty(t, r.status)
		require.Contains(t, v.w.last(t), reason, "sign-up %d", i)
	}
}

func TestNoRedisThere(t *testing.T) {
	err := run(t.Context(), []string{"-addr", "127.0.0.1:0", "-redis", "127.0.0.1:1"}, t.Output())
	require.ErrorContains(t, err, "Redis at 127.0.0.1:1")
}
