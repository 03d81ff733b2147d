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
