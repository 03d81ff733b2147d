package captcha_test

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
)

// BenchmarkPoWVerify verifies right answers of the default difficulty. The floor is the derivation that verifying one
// cannot avoid; both are timed in turn, and x/floor is the ratio of their medians.
func BenchmarkPoWVerify(b *testing.B) {
	const minted = 16
	c := newClock()
	p := newPoW(b, c, newGuard(b, c), func(o *captcha.PoWOptions) { o.Steps = captcha.DefaultSteps() })
	type answer struct {
		token    string
		password string
		salt     []byte
	}
	answers := make([]answer, minted)
	for i := range answers {
		challenge, s := issue(b, p, bound)
		nonce, err := hex.DecodeString(challenge.Parameters.Nonce)
		require.NoError(b, err)
		salt, err := hex.DecodeString(challenge.Parameters.Salt)
		require.NoError(b, err)
		answers[i] = answer{captchatest.Token(challenge, s), string(binary.BigEndian.AppendUint32(nonce, s.Counter)), salt}
	}
	ctx := context.Background()
	var whole, floor []time.Duration
	i := 0
	for b.Loop() {
		if i%minted == 0 && i > 0 { // all answers are spent: forget it
			b.StopTimer()
			p = newPoW(b, c, newGuard(b, c), func(o *captcha.PoWOptions) { o.Steps = captcha.DefaultSteps() })
			b.StartTimer()
		}
		a := answers[i%minted]
		i++
		start := time.Now()
		res, err := p.Verify(ctx, captcha.Request{Token: a.token, Expect: expect})
		whole = append(whole, time.Since(start))
		if err != nil || res.Outcome != captcha.Passed {
			b.Fatal(res.Reason, err)
		}
		b.StopTimer()
		start = time.Now()
		if _, err := pbkdf2.Key(sha256.New, a.password, a.salt, 5000, 32); err != nil {
			b.Fatal(err)
		}
		floor = append(floor, time.Since(start))
		b.StartTimer()
	}
	slices.Sort(whole)
	slices.Sort(floor)
	b.ReportMetric(float64(whole[len(whole)/2])/float64(floor[len(floor)/2]), "x/floor")
}

// BenchmarkPoWRefuse refuses what costs no derivation.
func BenchmarkPoWRefuse(b *testing.B) {
	ctx := context.Background()
	for _, row := range []struct {
		name string
		want captcha.Reason
		make func(b *testing.B, c *clock, p *captcha.PoW) string
	}{
		{"forged", captcha.ReasonSignature, func(b *testing.B, _ *clock, p *captcha.PoW) string {
			challenge, s := issue(b, p, bound)
			challenge.Signature = strings.Repeat("0", 64)
			return captchatest.Token(challenge, s)
		}},
		{"expired", captcha.ReasonExpired, func(b *testing.B, c *clock, p *captcha.PoW) string {
			tok := token(b, p, bound)
			c.Advance(time.Hour)
			return tok
		}},
		{"replayed", captcha.ReasonReplayed, func(b *testing.B, _ *clock, p *captcha.PoW) string {
			tok := token(b, p, bound)
			requireReason(b, captcha.ReasonOK, verify(b, p, tok, expect))
			return tok
		}},
		{"oversize", captcha.ReasonMalformed, func(*testing.B, *clock, *captcha.PoW) string {
			return strings.Repeat("A", 1<<20)
		}},
	} {
		b.Run(row.name, func(b *testing.B) {
			c := newClock()
			p := newPoW(b, c, newGuard(b, c))
			in := captcha.Request{Token: row.make(b, c, p), Expect: expect}
			b.ReportAllocs()
			for b.Loop() {
				if res, err := p.Verify(ctx, in); err != nil || res.Reason != row.want {
					b.Fatal(res.Reason, err)
				}
			}
		})
	}
}

// nothing is a provider that does no work, remote by what it says.
type nothing struct{ name string }

func (n nothing) Name() string { return n.name }

func (n nothing) Verify(context.Context, captcha.Request) (captcha.Result, error) {
	return captcha.Result{Provider: n.name, Outcome: captcha.Passed, Reason: captcha.ReasonOK}, nil
}

func (n nothing) Challenge(context.Context, captcha.ChallengeRequest) (captcha.Task, error) {
	return captcha.Task{Provider: n.name}, nil
}

// BenchmarkOrchestrator is what the orchestrator adds to a provider: assigning with a ticket, and judging an answer with
// circuit and replay guard.
func BenchmarkOrchestrator(b *testing.B) {
	c := newClock()
	ladder, err := captcha.NewLadder(captcha.DefaultLadder(), captcha.DefaultSlack)
	require.NoError(b, err)
	guard, err := captcha.NewMemoryGuard(&captcha.MemoryGuardOptions{MaxMarks: 1 << 26})
	require.NoError(b, err)
	o, err := captcha.NewOrchestrator([]captcha.Member{
		{Provider: nothing{"alpha"}, Weight: 60}, {Provider: nothing{"beta"}, Weight: 30}, {Provider: nothing{"gamma"}, Weight: 10},
	}, keys(), guard, &captcha.OrchestratorOptions{Now: c.Now, Ladder: ladder})
	require.NoError(b, err)
	ctx := context.Background()
	r := captcha.ChallengeRequest{Action: "signup", Tenant: "t1", Session: "session-0123456789", Flow: "flow-0123456789", Score: 40}
	task, err := o.Challenge(ctx, r)
	require.NoError(b, err)
	b.Run("assign", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := o.Challenge(ctx, r); err != nil {
				b.Fatal(err)
			}
		}
	})
	token := []byte(captcha.Join(task.Ticket, "0123456789abcdef"))
	n := uint64(0)
	in := captcha.Request{Expect: captcha.Expect{Action: r.Action, Tenant: r.Tenant, Session: r.Session, Flow: r.Flow}}
	b.Run("verify", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n++
			hex.Encode(token[len(token)-16:], binary.BigEndian.AppendUint64(nil, n))
			in.Token = string(token)
			if res, err := o.Verify(ctx, in); err != nil || res.Outcome != captcha.Passed {
				b.Fatal(res.Reason, err)
			}
		}
	})
	b.Run("replayed", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if res, err := o.Verify(ctx, in); err != nil || res.Reason != captcha.ReasonReplayed {
				b.Fatal(res.Reason, err)
			}
		}
	})
}
