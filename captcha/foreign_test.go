package captcha_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
)

// foreign signs parameters, given as canonical JSON, as another ALTCHA server with our secret does, and solves them on
// request: some rows have no solution.
func foreign(t testing.TB, canonical string, solve bool) string {
	var q captcha.Parameters
	require.NoError(t, json.Unmarshal([]byte(canonical), &q))
	s := captchatest.Solution{DerivedKey: strings.Repeat("0", 2*q.KeyLength)}
	if solve {
		var err error
		s, err = captchatest.SolveFrom(&captcha.Challenge{Parameters: q}, 0)
		require.NoError(t, err)
	}
	h := hmac.New(sha256.New, secret('k'))
	h.Write([]byte(canonical))
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"challenge":{"parameters":%s,"signature":"%s"},"solution":{"counter":%d,"derivedKey":"%s","time":1.5}}`,
		canonical, hex.EncodeToString(h.Sum(nil)), s.Counter, s.DerivedKey))
}

// Signed by the right key, and still only what this verifier accepts.
func TestForeignChallenges(t *testing.T) {
	const (
		nonce = "00112233445566778899aabbccddeeff"
		good  = `{"algorithm":"PBKDF2/SHA-256","cost":1000,"expiresAt":1800000300,"keyLength":32,"keyPrefix":"0","nonce":"` + nonce + `","salt":"` + nonce + `"}`
	)
	edit := func(old, with string) string {
		require.Contains(t, good, old)
		return strings.Replace(good, old, with, 1)
	}
	for _, row := range []struct {
		name, parameters string
		want             captcha.Reason
	}{
		{"good", good, captcha.ReasonOK},
		{"another hash", edit("SHA-256", "SHA-512"), captcha.ReasonOK},
		{"longer key", edit(`"keyLength":32`, `"keyLength":64`), captcha.ReasonOK},
		{"prefix in upper case", edit(`"keyPrefix":"0"`, `"keyPrefix":"A"`), captcha.ReasonOK},
		{"even prefix", edit(`"keyPrefix":"0"`, `"keyPrefix":"0a"`), captcha.ReasonOK},
		{"rich data", edit(`"expiresAt"`, "\"data\":{\"1\":\"<&>\u2028\",\"a\":true,\"é\":null,\"😀\":5},\"expiresAt\""), captcha.ReasonOK},
		{"bound data", edit(`"expiresAt"`, `"data":{"ses":"x"},"expiresAt"`), captcha.ReasonSession},
		{"bound data of another kind", edit(`"expiresAt"`, `"data":{"flw":null},"expiresAt"`), captcha.ReasonFlow},
		{"issued in the future", edit(`"expiresAt"`, `"data":{"iat":1800000121},"expiresAt"`), captcha.ReasonLifetime},
		{"no expiry", edit(`"expiresAt":1800000300,`, ``), captcha.ReasonLifetime},
		{"expiry zero", edit(`1800000300`, `0`), captcha.ReasonLifetime},
		{"expiry far away", edit(`1800000300`, `1800000421`), captcha.ReasonLifetime},
		{"expiry in milliseconds", edit(`1800000300`, `1800000300000`), captcha.ReasonLifetime},
		{"expiry negative", edit(`1800000300`, `-1`), captcha.ReasonMalformed},
		{"expired", edit(`1800000300`, `1799999999`), captcha.ReasonExpired},
		{"cost too low", edit(`1000`, `999`), captcha.ReasonWork},
		{"cost too high", edit(`1000`, `200001`), captcha.ReasonWork},
		{"cost negative", edit(`1000`, `-1`), captcha.ReasonMalformed},
		{"cost beyond 32 bits", edit(`1000`, `4294968296`), captcha.ReasonMalformed},
		{"memory", edit(`"nonce"`, `"memoryCost":8,"nonce"`), captcha.ReasonWork},
		{"key too short", edit(`"keyLength":32`, `"keyLength":8`), captcha.ReasonWork},
		{"key too long", edit(`"keyLength":32`, `"keyLength":65`), captcha.ReasonWork},
		{"empty prefix", edit(`"keyPrefix":"0"`, `"keyPrefix":""`), captcha.ReasonMalformed},
		{"prefix longer than the key", edit(`"keyPrefix":"0"`, `"keyPrefix":"`+strings.Repeat("0", 65)+`"`), captcha.ReasonMalformed},
		{"prefix no hex", edit(`"keyPrefix":"0"`, `"keyPrefix":"x"`), captcha.ReasonMalformed},
		{"nonce odd", edit(`"nonce":"0`, `"nonce":"`), captcha.ReasonMalformed},
		{"nonce short", edit(`"nonce":"`+nonce, `"nonce":"00112233445566`), captcha.ReasonMalformed},
		{"salt empty", edit(`"salt":"`+nonce, `"salt":"`), captcha.ReasonMalformed},
		{"key signature empty", edit(`"nonce"`, `"keySignature":"","nonce"`), captcha.ReasonMalformed},
		{"key signature wrong", edit(`"nonce"`, `"keySignature":"00","nonce"`), captcha.ReasonSolution},
		{"key signature over a whole key", strings.Replace(edit(`"nonce"`, `"keySignature":"00","nonce"`), `"keyPrefix":"0"`, `"keyPrefix":"`+strings.Repeat("0", 64)+`"`, 1), captcha.ReasonWork},
		{"plain hash", edit(`PBKDF2/`, ``), captcha.ReasonAlgorithm},
		{"memory-hard", edit(`PBKDF2/SHA-256`, `SCRYPT`), captcha.ReasonAlgorithm},
		{"unknown parameter", edit(`"nonce"`, `"mode":1,"nonce"`), captcha.ReasonMalformed},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := newClock()
			requireReason(t, row.want, verify(t, newPoW(t, c, newGuard(t, c)), foreign(t, row.parameters, row.want == captcha.ReasonOK), captcha.Expect{}))
		})
	}
	t.Run("plain hash where allowed", func(t *testing.T) {
		c := newClock()
		p := newPoW(t, c, newGuard(t, c), func(o *captcha.PoWOptions) { o.InsecurePlainHash = true })
		for _, hash := range []string{"SHA-256", "SHA-384", "SHA-512"} {
			tok := foreign(t, strings.NewReplacer("PBKDF2/SHA-256", hash, `"cost":1000`, `"cost":3`, `"nonce":"0`, `"nonce":"`+hash[4:5]).Replace(good), true)
			requireReason(t, captcha.ReasonOK, verify(t, p, tok, captcha.Expect{}))
		}
		tooLong := strings.NewReplacer("PBKDF2/", "", `"cost":1000`, `"cost":1`, `"keyLength":32`, `"keyLength":64`).Replace(good)
		res, err := p.Verify(t.Context(), captcha.Request{Token: foreign(t, tooLong, false)})
		require.Error(t, err)
		require.NotEqual(t, captcha.Passed, res.Outcome)
	})
	t.Run("issued time is told", func(t *testing.T) {
		c := newClock()
		p := newPoW(t, c, newGuard(t, c))
		res := verify(t, p, token(t, p, bound), expect)
		require.Equal(t, c.Now(), res.ChallengeTime)
		require.Equal(t, "signup", res.Action)
		require.WithinDuration(t, time.Unix(1_800_000_000, 0), res.ChallengeTime, 0)
	})
}
