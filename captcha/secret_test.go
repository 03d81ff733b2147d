package captcha_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
)

// Nothing this package hands out shows a key, a token or what a challenge is bound to, however it is printed.
func TestNothingSecretIsPrinted(t *testing.T) {
	const (
		key, keyKey, old = "CANARY-current-key-0123456789abcdef", "CANARY-key-secret-0123456789abcdef", "CANARY-retired-key-0123456789abcdef"
		session, tok     = "CANARY-session", "CANARY-token"
	)
	c := newClock()
	k := captcha.Keys{
		Current:  captcha.Key{Secret: captcha.Secret(key), KeySecret: captcha.Secret(keyKey)},
		Previous: []captcha.RetiredKey{{Key: captcha.Key{Secret: captcha.Secret(old)}, At: c.Now()}},
	}
	boom := errors.New("dial tcp 192.0.2.1:6379: refused")
	pow, err := captcha.NewPoW(k, brokenGuard{newGuard(t, c), boom, nil}, &captcha.PoWOptions{Now: c.Now, Steps: captchatest.QuickSteps()})
	require.NoError(t, err)
	signal, err := captcha.NewSignal(pow, nil)
	require.NoError(t, err)
	q := captcha.ChallengeRequest{Action: "signup", Session: session, Flow: "CANARY-flow", Tenant: "CANARY-tenant"}
	e := captcha.Expect{Action: "signup", Session: session, Flow: "CANARY-flow", Tenant: "CANARY-tenant"}
	answer := token(t, pow, q)
	_, failed := pow.Verify(context.Background(), captcha.Request{Token: answer, Expect: e})
	require.ErrorIs(t, failed, boom)
	_, short := captcha.NewPoW(captcha.Keys{Current: captcha.Key{Secret: captcha.Secret("CANARY")}}, newGuard(t, c), nil)
	require.Error(t, short)
	_, twice := captcha.NewPoW(captcha.Keys{Current: k.Current, Previous: []captcha.RetiredKey{{Key: k.Current, At: c.Now()}}}, newGuard(t, c), nil)
	require.Error(t, twice)
	refused, err := pow.Verify(context.Background(), captcha.Request{Token: tok, Expect: e})
	require.NoError(t, err)
	task, err := pow.Challenge(context.Background(), q)
	require.NoError(t, err)

	for name, v := range map[string]any{
		"secret": k.Current.Secret, "key": k.Current, "key pointer": &k.Current, "keys": k, "keys pointer": &k, "retired": k.Previous,
		"pow": pow, "pow in a struct": struct{ P *captcha.PoW }{pow}, "hidden pow": struct{ p *captcha.PoW }{pow},
		"signal": signal, "response": captcha.Response{Token: tok, Fields: map[string]string{"a": tok}},
		"response pointer": &captcha.Response{Token: tok}, "request": captcha.Request{Token: tok, Expect: e}, "expect": e,
		"challenge request": q, "task": task, "challenge": task.Challenge,
		"failed": failed, "short key": short, "key twice": twice, "refused": refused, "map": map[string]any{"k": k},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
				fmt.Fprintf(&out, verb+"\n", v)
			}
			level := &slog.HandlerOptions{Level: slog.LevelDebug}
			slog.New(slog.NewJSONHandler(&out, level)).Info("x", "v", v)
			slog.New(slog.NewTextHandler(&out, level)).Info("x", "v", v)
			if b, err := json.Marshal(v); err == nil {
				out.Write(b)
			}
			text := bytes.ToLower(out.Bytes())
			require.NotContains(t, string(text), "canary")
			require.NotContains(t, string(text), hex.EncodeToString([]byte("CANARY")))
			require.NotContains(t, string(text), "67 65 78 65 82 89", "CANARY as numbers")
			require.NotContains(t, string(text), "0x43, 0x41, 0x4e", "CANARY as Go bytes")
		})
	}
	require.Equal(t, "captcha: pow could not tell (fault: provider): spending at the replay guard: "+boom.Error(), failed.Error())
	require.Equal(t, "captcha: turnstile could not tell (fault: caller, HTTP status 401)", (&captcha.Error{Provider: "turnstile", Fault: captcha.FaultCaller, Status: 401, RetryAfter: time.Second}).Error())
}

func TestNames(t *testing.T) {
	require.Equal(t, []string{"unverified", "passed", "failed"}, []string{captcha.Unverified.String(), captcha.Passed.String(), captcha.Failed.String()})
	require.Equal(t, []string{"none", "visitor", "binding", "caller", "provider"}, []string{captcha.FaultNone.String(), captcha.FaultVisitor.String(),
		captcha.FaultBinding.String(), captcha.FaultCaller.String(), captcha.FaultProvider.String()})
	require.Zero(t, captcha.Result{}.Outcome, "the zero result is unverified")
	require.NotEqual(t, captcha.Passed, captcha.Result{}.Outcome)
}
