package captcha_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
)

// FuzzPoWPayload posts any text: it never panics, never errs, and passes only with the signature and the key that were
// minted.
func FuzzPoWPayload(f *testing.F) {
	c := newClock()
	good := foreign(f, `{"algorithm":"PBKDF2/SHA-256","cost":1000,"expiresAt":1800000300,"keyLength":32,"keyPrefix":"0",`+
		`"nonce":"00112233445566778899aabbccddeeff","salt":"ffeeddccbbaa99887766554433221100"}`, true)
	raw, err := base64.StdEncoding.DecodeString(good)
	require.NoError(f, err)
	var minted struct {
		Challenge captcha.Challenge
		Solution  captchatest.Solution
	}
	require.NoError(f, json.Unmarshal(raw, &minted))
	f.Add(good)
	f.Add(string(raw))
	for _, w := range captchatest.Wrong(&minted.Challenge, minted.Solution) {
		f.Add(w.Token)
		if raw, err := base64.StdEncoding.DecodeString(w.Token); err == nil {
			f.Add(string(raw))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		p := newPoW(t, c, newGuard(t, c)) // a mark or an attempt of the last input must not hide anything
		for _, tok := range []string{text, base64.StdEncoding.EncodeToString([]byte(text))} {
			res, err := p.Verify(context.Background(), captcha.Request{Token: tok})
			require.NoError(t, err)
			if res.Outcome != captcha.Passed {
				require.Equal(t, captcha.Failed, res.Outcome)
				continue
			}
			raw, err := base64.StdEncoding.DecodeString(tok)
			require.NoError(t, err)
			require.Contains(t, string(raw), minted.Challenge.Signature)
			require.Contains(t, string(raw), minted.Solution.DerivedKey)
		}
	})
}
