package captcha_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
)

// A token counts with the ticket it was handed out with, for the visitor it was handed to.
func TestOrchestratorTicket(t *testing.T) {
	c := newCast(t, "alpha beta")
	s := c.sessionOf("alpha")
	task := c.task(s)
	good := captcha.Join(task.Ticket, "tok")
	flip := func(i int) string {
		b := []byte(good)
		b[i] ^= 1
		return string(b)
	}
	for _, row := range []struct {
		name   string
		change func(in *captcha.Request)
		want   captcha.Reason
	}{
		{"another session", func(in *captcha.Request) { in.Expect.Session = "other" }, captcha.ReasonTicket},
		{"no session", func(in *captcha.Request) { in.Expect.Session = "" }, captcha.ReasonTicket},
		{"another flow", func(in *captcha.Request) { in.Expect.Flow = "f-8" }, captcha.ReasonTicket},
		{"another action", func(in *captcha.Request) { in.Expect.Action = "login" }, captcha.ReasonTicket},
		{"another tenant", func(in *captcha.Request) { in.Expect.Tenant = "t2" }, captcha.ReasonTicket},
		{"another provider", func(in *captcha.Request) { in.Token = strings.Replace(good, "alpha", "beta", 1) }, captcha.ReasonTicket},
		{"another nonce", func(in *captcha.Request) { in.Token = flip(strings.LastIndexByte(task.Ticket, '.') - 3) }, captcha.ReasonTicket},
		{"changed signature", func(in *captcha.Request) { in.Token = flip(len(task.Ticket) - 2) }, captcha.ReasonTicket},
		{"changed version", func(in *captcha.Request) { in.Token = flip(0) }, captcha.ReasonMalformed},
		{"no ticket", func(in *captcha.Request) { in.Token = "tok" }, captcha.ReasonMalformed},
		{"ticket only", func(in *captcha.Request) { in.Token = task.Ticket }, captcha.ReasonMissing},
		{"empty token", func(in *captcha.Request) { in.Token = task.Ticket + " " }, captcha.ReasonMissing},
		{"one token too many", func(in *captcha.Request) { in.Token = good + " tok2" }, captcha.ReasonMalformed},
		{"nothing", func(in *captcha.Request) { in.Token = "" }, captcha.ReasonMissing},
		{"oversize", func(in *captcha.Request) { in.Token += strings.Repeat("a", 1<<20) }, captcha.ReasonMalformed},
		{"long ticket", func(in *captcha.Request) { in.Token = strings.Repeat("1.", 200) + " tok" }, captcha.ReasonMalformed},
	} {
		t.Run(row.name, func(t *testing.T) {
			in := answerOf(s, good)
			row.change(&in)
			res, err := c.Verify(t.Context(), in)
			require.NoError(t, err)
			requireReason(t, row.want, res)
		})
	}
	require.Zero(t, c.members["alpha"].calls.Load()+c.members["beta"].calls.Load(), "no provider is asked")
	in := answerOf(s, "tok")
	in.Fields = map[string]string{captcha.FieldTicket: task.Ticket}
	res, err := c.Verify(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, captcha.Passed, res.Outcome, "a vendor's own field beside the ticket")
	require.Equal(t, "alpha", res.Provider)
	res, err = c.Verify(t.Context(), answerOf(s, good))
	require.NoError(t, err)
	requireReason(t, captcha.ReasonReplayed, res)
	require.EqualValues(t, 1, c.members["alpha"].calls.Load(), "a used token is not sent")
	c.clock.Advance(11 * time.Minute)
	res, err = c.Verify(t.Context(), answerOf(s, captcha.Join(task.Ticket, "new")))
	require.NoError(t, err)
	requireReason(t, captcha.ReasonExpired, res)
}

// The proof of work of another task does not pass with this ticket, so that nobody answers a hard one with an easy one.
func TestOrchestratorBindsWork(t *testing.T) {
	clk := newClock()
	guard := newGuard(t, clk)
	pow := newPoW(t, clk, guard)
	o, err := captcha.NewOrchestrator([]captcha.Member{{Provider: pow, Weight: 1}}, keys(), guard, &captcha.OrchestratorOptions{Now: clk.Now})
	require.NoError(t, err)
	require.True(t, o.Offline())
	one, err := o.Challenge(t.Context(), visitor("s"))
	require.NoError(t, err)
	two, err := o.Challenge(t.Context(), visitor("s"))
	require.NoError(t, err)
	solve := func(task captcha.Task) string {
		tok, err := captchatest.Solve(task.Challenge)
		require.NoError(t, err)
		return tok
	}
	res, err := o.Verify(t.Context(), answerOf("s", captcha.Join(one.Ticket, solve(two))))
	require.NoError(t, err)
	requireReason(t, captcha.ReasonTicket, res)
	res, err = o.Verify(t.Context(), answerOf("s", captcha.Join(one.Ticket, solve(one))))
	require.NoError(t, err)
	requireReason(t, captcha.ReasonOK, res)
	require.Equal(t, "pow", res.Provider)
}
