package captcha_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
)

func TestChallengeForm(t *testing.T) {
	c := newClock()
	for _, row := range []struct {
		name   string
		change func(o *captcha.PoWOptions)
		prefix int
		signed bool
	}{{"random", func(*captcha.PoWOptions) {}, 2, false}, {"deterministic", deterministic, 32, true}} {
		t.Run(row.name, func(t *testing.T) {
			p := newPoW(t, c, newGuard(t, c), row.change, func(o *captcha.PoWOptions) { o.Steps = nil })
			task, err := p.Challenge(context.Background(), bound)
			require.NoError(t, err)
			require.Equal(t, "pow", task.Provider)
			q := task.Challenge.Parameters
			require.Equal(t, "PBKDF2/SHA-256", q.Algorithm)
			require.Equal(t, 5000, q.Cost)
			require.Equal(t, 32, q.KeyLength)
			require.Len(t, q.KeyPrefix, row.prefix)
			require.Regexp(t, `^[0-9a-f]{32}$`, q.Nonce)
			require.Regexp(t, `^[0-9a-f]{32}$`, q.Salt)
			require.Regexp(t, `^[0-9a-f]{64}$`, task.Challenge.Signature)
			require.Equal(t, c.Now().Add(5*time.Minute), task.Challenge.Expires())
			require.Equal(t, row.signed, q.KeySignature != "")
			require.Len(t, q.Data, 4)
			for _, name := range []string{"act", "ses", "flw"} {
				require.Regexp(t, `^[0-9a-f]{32}$`, q.Data[name])
			}
			body, err := json.Marshal(task)
			require.NoError(t, err)
			for _, raw := range []string{"signup", "s-42", "f-7", "t1"} {
				require.NotContains(t, string(body), raw)
			}
			other, err := p.Issue(context.Background(), bound)
			require.NoError(t, err)
			require.NotEqual(t, q.Data["ses"], other.Parameters.Data["ses"], "a tag is no name for the session")
		})
	}
}

func TestDeterministicCounterSpread(t *testing.T) {
	c := newClock()
	p := newPoW(t, c, newGuard(t, c), counting(new(countingKDF)), deterministic)
	low := 0
	for range 200 {
		challenge, err := p.Issue(context.Background(), bound)
		require.NoError(t, err)
		s, err := captchatest.SolveFrom(challenge, 0, new(countingKDF))
		require.NoError(t, err)
		require.True(t, s.Counter >= 1 && s.Counter <= 32, "counter %d", s.Counter)
		if s.Counter <= 16 {
			low++
		}
	}
	require.True(t, low > 50 && low < 150, "%d of 200 in the lower half", low)
}

func TestIssueData(t *testing.T) {
	c := newClock()
	p := newPoW(t, c, newGuard(t, c))
	for name, data := range map[string]map[string]string{
		"reserved": {"ses": "x"}, "upper case": {"Ab": "x"}, "digit": {"a1": "x"}, "empty name": {"": "x"},
		"long name": {strings.Repeat("a", 17): "x"}, "long value": {"a": strings.Repeat("x", 129)},
		"not ASCII": {"a": "é"}, "control": {"a": "\n"},
		"too many": {"a": "", "b": "", "c": "", "d": "", "e": "", "f": "", "g": "", "h": "", "i": ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := p.Issue(context.Background(), captcha.ChallengeRequest{Data: data})
			require.ErrorIs(t, err, captcha.ErrData)
		})
	}
}
