package captchatest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
)

func newPoW(t testing.TB) *captcha.PoW {
	guard, err := captcha.NewMemoryGuard(nil)
	require.NoError(t, err)
	p, err := captcha.NewPoW(captcha.Keys{Current: captcha.Key{Secret: make(captcha.Secret, 32)}}, guard, &captcha.PoWOptions{Steps: captchatest.QuickSteps()})
	require.NoError(t, err)
	return p
}

func TestSolve(t *testing.T) {
	p := newPoW(t)
	challenge, err := p.Issue(context.Background(), captcha.ChallengeRequest{})
	require.NoError(t, err)
	first, err := captchatest.SolveFrom(challenge, 0)
	require.NoError(t, err)
	second, err := captchatest.SolveFrom(challenge, first.Counter+1)
	require.NoError(t, err)
	require.Greater(t, second.Counter, first.Counter)
	require.NotEqual(t, first.DerivedKey, second.DerivedKey)
	tok, err := captchatest.Solve(challenge)
	require.NoError(t, err)
	require.Equal(t, captchatest.Token(challenge, first), tok)
	res, err := p.Verify(context.Background(), captcha.Request{Token: tok})
	require.NoError(t, err)
	require.Equal(t, captcha.Passed, res.Outcome)
}

func TestSolveRefuses(t *testing.T) {
	good, err := newPoW(t).Issue(context.Background(), captcha.ChallengeRequest{})
	require.NoError(t, err)
	for name, change := range map[string]func(p *captcha.Parameters){
		"nonce": func(p *captcha.Parameters) { p.Nonce = "x" }, "salt": func(p *captcha.Parameters) { p.Salt = "x" },
		"prefix": func(p *captcha.Parameters) { p.KeyPrefix = "x" }, "algorithm": func(p *captcha.Parameters) { p.Algorithm = "SCRYPT" },
		"long prefix": func(p *captcha.Parameters) { p.KeyLength, p.KeyPrefix = 1, "000" },
		"no such key": func(p *captcha.Parameters) { p.Algorithm, p.Cost, p.KeyLength = captcha.PlainSHA256, 1, 64 },
	} {
		t.Run(name, func(t *testing.T) {
			c := *good
			change(&c.Parameters)
			_, err := captchatest.Solve(&c)
			require.Error(t, err)
		})
	}
}

func TestWrongTokensDiffer(t *testing.T) {
	challenge, err := newPoW(t).Issue(context.Background(), captcha.ChallengeRequest{})
	require.NoError(t, err)
	s, err := captchatest.SolveFrom(challenge, 0)
	require.NoError(t, err)
	names, tokens := map[string]bool{}, map[string]bool{captchatest.Token(challenge, s): true}
	for _, w := range captchatest.Wrong(challenge, s) {
		require.False(t, names[w.Name], "%s twice", w.Name)
		require.False(t, tokens[w.Token], "%s is another's token", w.Name)
		require.NotEqual(t, captcha.ReasonOK, w.Reason)
		names[w.Name], tokens[w.Token] = true, true
	}
	_, err = captchatest.Shuffled("***", rand.New(rand.NewPCG(1, 1)))
	require.Error(t, err)
	_, err = captchatest.Shuffled("aGVsbG8=", rand.New(rand.NewPCG(1, 1)))
	require.Error(t, err)
}

func TestFixed(t *testing.T) {
	ctx := context.Background()
	boom := errors.New("boom")
	for _, row := range []struct {
		p    *captchatest.Fixed
		want captcha.Outcome
		err  error
	}{
		{captchatest.Pass(), captcha.Passed, nil},
		{captchatest.Fail(captcha.ReasonExpired, captcha.FaultVisitor), captcha.Failed, nil},
		{captchatest.Unverified(), captcha.Unverified, nil},
		{captchatest.Erring(boom), captcha.Unverified, boom},
		{&captchatest.Fixed{Called: "other", Networked: true}, captcha.Unverified, nil},
	} {
		res, err := row.p.Verify(ctx, captcha.Request{Token: "a"})
		require.Equal(t, row.err, err)
		require.Equal(t, row.want, res.Outcome)
		require.Equal(t, row.p.Name(), res.Provider)
		require.Equal(t, []captcha.Request{{Token: "a"}}, row.p.Verified())
		task, err := row.p.Challenge(ctx, captcha.ChallengeRequest{Score: 3})
		require.Equal(t, row.err, err)
		require.Equal(t, row.p.Name(), task.Provider)
		require.Equal(t, []captcha.ChallengeRequest{{Score: 3}}, row.p.Asked())
	}
	require.False(t, (&captchatest.Fixed{Networked: true}).Offline())
	require.True(t, captchatest.Pass().Offline())
}

func ExampleSolve() {
	guard, _ := captcha.NewMemoryGuard(nil)
	pow, err := captcha.NewPoW(captcha.Keys{Current: captcha.Key{Secret: make(captcha.Secret, 32)}}, guard,
		&captcha.PoWOptions{Steps: captchatest.QuickSteps(), TTL: time.Minute})
	if err != nil {
		panic(err)
	}
	challenge, err := pow.Issue(context.Background(), captcha.ChallengeRequest{Action: "signup"})
	if err != nil {
		panic(err)
	}
	token, err := captchatest.Solve(challenge)
	if err != nil {
		panic(err)
	}
	res, err := pow.Verify(context.Background(), captcha.Request{Token: token, Expect: captcha.Expect{Action: "signup"}})
	fmt.Println(res.Outcome, err)
	// Output: passed <nil>
}

func ExampleFail() {
	provider := captchatest.Fail(captcha.ReasonReplayed, captcha.FaultVisitor)
	res, err := provider.Verify(context.Background(), captcha.Request{Token: "any"})
	fmt.Println(res.Outcome, res.Reason, err)
	// Output: failed replayed <nil>
}
