package main

import (
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/internal/redistest"
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

func TestNoRedisThere(t *testing.T) {
	err := run(t.Context(), []string{"-addr", "127.0.0.1:0", "-redis", "127.0.0.1:1"}, t.Output())
	require.ErrorContains(t, err, "Redis at 127.0.0.1:1")
}
