package playintegrity_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/playintegrity"
	"github.com/vestibule-go/vestibule/internal/jose"
)

var b64 = base64.RawURLEncoding

func TestTokens(t *testing.T) {
	g := theGoogle()
	aes, _, signing := g.PlayKeys()
	payload, err := json.Marshal(phone().PlayPayload(nonce, ""))
	require.NoError(t, err)
	signed, err := jose.Sign(payload, signing, nil)
	require.NoError(t, err)
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	byStranger, err := jose.Sign(payload, stranger, nil)
	require.NoError(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	good := g.EncryptPlay(signed)
	parts := strings.Split(good, ".")
	require.Len(t, parts, 5)
	headed := func(header string) string {
		return strings.Join(append([]string{b64.EncodeToString([]byte(header))}, parts[1:]...), ".")
	}
	encrypt := func(alg, enc string, key any, zip bool) string {
		token, err := jose.Encrypt(signed, alg, enc, key, zip)
		require.NoError(t, err)
		return string(token)
	}
	jws := func(header string, sign func(in []byte) []byte) []byte {
		in := []byte(b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString(payload))
		return append(append(in, '.'), b64.EncodeToString(sign(in))...)
	}
	point, err := signing.PublicKey.Bytes()
	require.NoError(t, err)
	other := make([]byte, 32)
	for _, row := range []struct {
		name, token, step string
		want              error
	}{
		{"dir", encrypt("dir", "A256GCM", aes, false), "decrypt", attest.ErrMalformed},
		{"A128KW", encrypt("A128KW", "A256GCM", aes[:16], false), "decrypt", attest.ErrMalformed},
		{"PBES2", encrypt("PBES2-HS256+A128KW", "A256GCM", aes, false), "decrypt", attest.ErrMalformed},
		{"A128CBC-HS256", encrypt("A256KW", "A128CBC-HS256", aes, false), "decrypt", attest.ErrMalformed},
		{"zip", encrypt("A256KW", "A256GCM", aes, true), "decrypt", attest.ErrMalformed},
		{"RSA-OAEP", encrypt("RSA-OAEP", "A256GCM", &rsaKey.PublicKey, false), "decrypt", attest.ErrMalformed},
		{"PBES2 with a billion rounds", headed(`{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","p2c":1000000000,"p2s":"AAAA"}`), "decrypt", attest.ErrMalformed},
		{"critical extension", headed(`{"alg":"A256KW","enc":"A256GCM","crit":["x"],"x":1}`), "decrypt", attest.ErrMalformed},
		{"key by URL", headed(`{"alg":"A256KW","enc":"A256GCM","jku":"https://example.com/keys"}`), "decrypt", attest.ErrMalformed},
		{"key in the header", headed(`{"alg":"A256KW","enc":"A256GCM","jwk":{"kty":"oct"}}`), "decrypt", attest.ErrMalformed},
		{"certificate in the header", headed(`{"alg":"A256KW","enc":"A256GCM","x5c":["AAAA"]}`), "decrypt", attest.ErrMalformed},
		{"algorithm twice", headed(`{"alg":"dir","alg":"A256KW","enc":"A256GCM"}`), "decrypt", attest.ErrMalformed},
		{"JSON form", `{"protected":"` + parts[0] + `","encrypted_key":"` + parts[1] + `","iv":"` + parts[2] + `","ciphertext":"` + parts[3] + `","tag":"` + parts[4] + `"}`,
			"decrypt", attest.ErrMalformed},
		{"six parts", good + ".AAAA", "decrypt", attest.ErrMalformed},
		{"tag cut short", good[:len(good)-6], "decrypt", attest.ErrMalformed},
		{"another key pair", encrypt("A256KW", "A256GCM", other, false), "decrypt", attest.ErrKeyID},
		{"signed by a stranger", g.EncryptPlay(byStranger), "signature", attest.ErrForged},
		{"unsigned", g.EncryptPlay(payload), "signature", attest.ErrMalformed},
		{"alg none", g.EncryptPlay(jws(`{"alg":"none"}`, func([]byte) []byte { return make([]byte, 64) })), "signature", attest.ErrMalformed},
		{"HS256 with the public key", g.EncryptPlay(jws(`{"alg":"HS256"}`, func(in []byte) []byte {
			mac := hmac.New(sha256.New, point)
			mac.Write(in)
			return mac.Sum(nil)
		})), "signature", attest.ErrMalformed},
		{"own key embedded", g.EncryptPlay(jws(`{"alg":"ES256","jwk":{"kty":"EC"}}`, func([]byte) []byte { return make([]byte, 64) })), "signature", attest.ErrMalformed},
		{"encrypted twice", g.EncryptPlay([]byte(g.EncryptPlay(signed))), "signature", attest.ErrMalformed},
		{"signed and not encrypted", string(signed), "decrypt", attest.ErrMalformed},
		{"payload no JSON", g.SealPlay([]byte("text")), "payload", attest.ErrMalformed},
		{"rubbish", "rubbish", "decrypt", attest.ErrMalformed},
		{"nothing", "", "size", attest.ErrTooLarge},
		{"huge", strings.Repeat("A", 1<<20), "size", attest.ErrTooLarge},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := newVerifier(t, local(t, nil), nil).Classic(ctx, row.token, nonce)
			requireStep(t, err, row.step, row.want)
			if len(row.token) > 20 {
				require.NotContains(t, err.Error(), row.token[:20])
			}
		})
	}
}

func TestKeyPairs(t *testing.T) {
	d, ver, _ := theGoogle().PlayKeys()
	_, otherVer, _ := attesttest.NewGoogle(at(start)).PlayKeys()
	old := playintegrity.KeyPair{Decryption: make([]byte, 32), Verification: otherVer}
	l, err := playintegrity.NewLocal([]playintegrity.KeyPair{old, {Decryption: d, Verification: ver}}, nil)
	require.NoError(t, err)
	_, err = newVerifier(t, l, nil).Classic(ctx, phone().PlayToken(nonce, "", nil), nonce)
	require.NoError(t, err, "the second pair")
	l, err = playintegrity.NewLocal([]playintegrity.KeyPair{{Decryption: d, Verification: otherVer}}, nil)
	require.NoError(t, err)
	_, err = newVerifier(t, l, nil).Classic(ctx, phone().PlayToken(nonce, "", nil), nonce)
	requireStep(t, err, "signature", attest.ErrForged)
	for name, pairs := range map[string][]playintegrity.KeyPair{
		"want 1 to 16": nil, "want 32": {{Decryption: d[:16], Verification: ver}}, "no P-256": {{Decryption: d, Verification: []byte("x")}},
	} {
		_, err := playintegrity.NewLocal(pairs, nil)
		require.ErrorContains(t, err, name)
	}
}

func endpoint(t testing.TB, h http.Handler, o playintegrity.EndpointOptions) *playintegrity.Endpoint {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	o.BaseURL = s.URL
	e, err := playintegrity.NewEndpoint(pkg, func(context.Context) (string, error) { return "s3cret", nil }, &o)
	require.NoError(t, err)
	return e
}

func TestEndpoint(t *testing.T) {
	server := theGoogle().PlayServer()
	e := endpoint(t, server, playintegrity.EndpointOptions{})
	v := newVerifier(t, e, nil)
	token := phone().PlayToken(nil, hash, nil)
	p, err := v.Standard(ctx, token, hash)
	require.NoError(t, err)
	require.Equal(t, hash, p.Request.RequestHash)
	_, err = v.Standard(ctx, token, hash)
	requireStep(t, err, "replay", attest.ErrReplay)
	require.Equal(t, 1, server.Calls(), "never decoded twice")
	_, err = newVerifier(t, e, nil).Standard(ctx, token, hash) // another process decodes it again
	requireStep(t, err, "app", attest.ErrTampered)
	_, err = v.Standard(ctx, phone().PlayToken(nil, "another", nil), hash)
	requireStep(t, err, "request", attest.ErrNonce)
	_, err = v.Standard(ctx, "rubbish", hash)
	requireStep(t, err, "decode", attest.ErrMalformed)
	yes, no := true, false
	require.NoError(t, e.WriteRecall(ctx, token, &yes, nil, &no))
	require.Error(t, e.WriteRecall(ctx, token, nil, nil, nil))
	// A pair that does not open the token leaves it to the fallback.
	_, otherVer, _ := attesttest.NewGoogle(at(start)).PlayKeys()
	l, err := playintegrity.NewLocal([]playintegrity.KeyPair{{Decryption: make([]byte, 32), Verification: otherVer}}, &playintegrity.LocalOptions{Fallback: e})
	require.NoError(t, err)
	_, err = newVerifier(t, l, nil).Classic(ctx, phone().PlayToken(nonce, "", nil), nonce)
	require.NoError(t, err)
}

func TestEndpointFailures(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	body := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(s)) }
	}
	for name, h := range map[string]http.HandlerFunc{
		"401": status(401), "403": status(403), "404": status(404), "429": status(429), "500": status(500), "503": status(503),
		"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", http.StatusFound) }, "not JSON": body("<html>"),
		"no payload": body(`{}`), "name twice": body(`{"tokenPayloadExternal":{},"tokenPayloadExternal":{}}`), "huge": body(strings.Repeat(" ", 1<<20)),
		"slow": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = r.Body.Read(make([]byte, 1<<16))
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := playintegrity.EndpointOptions{Timeout: 5 * time.Second}
			if name == "slow" {
				o.Timeout = 50 * time.Millisecond
			}
			var mu sync.Mutex
			calls := 0
			v := newVerifier(t, endpoint(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				calls++
				mu.Unlock()
				h(w, r)
			}), o), nil)
			token := phone().PlayToken(nil, hash, nil)
			_, err := v.Standard(ctx, token, hash)
			require.ErrorIs(t, err, attest.ErrUnavailable)
			_, refused := attest.Refused(attest.PlayIntegrity, err)
			require.False(t, refused)
			for _, secret := range []string{"s3cret", token[:30], "127.0.0.1"} {
				require.NotContains(t, err.Error(), secret)
			}
			_, err = v.Standard(ctx, token, hash)
			requireStep(t, err, "replay", attest.ErrReplay)
			mu.Lock()
			defer mu.Unlock()
			require.Equal(t, 1, calls)
		})
	}
	t.Run("not sent", func(t *testing.T) {
		boom := true
		s := httptest.NewServer(theGoogle().PlayServer())
		t.Cleanup(s.Close)
		e, err := playintegrity.NewEndpoint(pkg, func(context.Context) (string, error) {
			if boom {
				return "", errors.New("s3cret")
			}
			return "token", nil
		}, &playintegrity.EndpointOptions{BaseURL: s.URL})
		require.NoError(t, err)
		v := newVerifier(t, e, nil)
		token := phone().PlayToken(nil, hash, nil)
		_, err = v.Standard(ctx, token, hash)
		require.ErrorIs(t, err, attest.ErrUnavailable)
		require.NotContains(t, err.Error(), "s3cret")
		boom = false
		_, err = v.Standard(ctx, token, hash)
		require.NoError(t, err, "what Google has not seen may be tried again")
	})
	t.Run("bad request", func(t *testing.T) {
		_, err := newVerifier(t, endpoint(t, status(400), playintegrity.EndpointOptions{}), nil).Standard(ctx, "token", hash)
		requireStep(t, err, "decode", attest.ErrMalformed)
	})
}
