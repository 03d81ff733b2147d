package captchatest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/vestibule-go/vestibule/captcha"
)

// WrongToken is an answer that is wrong in one way, and the reason a verifier refuses it for.
type WrongToken struct {
	Name   string
	Token  string
	Reason captcha.Reason
}

// Wrong returns answers to c, each made from the right solution s by one change. All are to be refused, and none of
// them spends the challenge.
func Wrong(c *captcha.Challenge, s Solution) []WrongToken {
	good := Token(c, s)
	raw, err := base64.StdEncoding.DecodeString(good)
	if err != nil {
		panic("captchatest: " + err.Error())
	}
	text := string(raw)
	enc := base64.StdEncoding
	var out []WrongToken
	add := func(name, token string, why captcha.Reason) { out = append(out, WrongToken{name, token, why}) }
	edit := func(name string, why captcha.Reason, change func(root, challenge, parameters, solution map[string]any)) {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		var root map[string]any
		if err := d.Decode(&root); err != nil {
			panic("captchatest: " + err.Error())
		}
		ch := root["challenge"].(map[string]any)
		change(root, ch, ch["parameters"].(map[string]any), root["solution"].(map[string]any))
		add(name, encode(root), why)
	}
	splice := func(name, old, with string, why captcha.Reason) {
		add(name, enc.EncodeToString([]byte(strings.Replace(text, old, with, 1))), why)
	}
	type m = map[string]any

	// The envelope.
	add("empty", "", captcha.ReasonMissing)
	add("oversize", good+strings.Repeat("A", captcha.MaxToken), captcha.ReasonMalformed)
	add("not base64", "*"+good[1:], captcha.ReasonMalformed)
	add("line end in base64", good[:8]+"\n"+good[8:], captcha.ReasonMalformed)
	add("NUL", good+"\x00", captcha.ReasonMalformed)
	add("CR LF", good+"\r\n", captcha.ReasonMalformed)
	add("truncated", enc.EncodeToString(raw[:len(raw)-2]), captcha.ReasonMalformed)
	add("two values", enc.EncodeToString(append(raw[:len(raw):len(raw)], raw...)), captcha.ReasonMalformed)
	add("not UTF-8", enc.EncodeToString([]byte(text+"\xff")), captcha.ReasonMalformed)
	add("array", enc.EncodeToString([]byte("["+text+"]")), captcha.ReasonMalformed)
	add("null", enc.EncodeToString([]byte("null")), captcha.ReasonMalformed)
	add("deep", enc.EncodeToString([]byte(strings.Repeat(`{"challenge":`, 800)+"1"+strings.Repeat("}", 800))), captcha.ReasonMalformed)
	add("test mode", enc.EncodeToString([]byte(`{"challenge":null,"solution":null,"test":true}`)), captcha.ReasonMalformed)
	edit("null challenge", captcha.ReasonMalformed, func(root, _, _, _ m) { root["challenge"] = nil })
	edit("null parameters", captcha.ReasonMalformed, func(_, ch, _, _ m) { ch["parameters"] = nil })
	edit("null solution", captcha.ReasonMalformed, func(root, _, _, _ m) { root["solution"] = nil })
	edit("extra member", captcha.ReasonMalformed, func(root, _, _, _ m) { root["test"] = true })
	edit("extra challenge member", captcha.ReasonMalformed, func(_, ch, _, _ m) { ch["configuration"] = m{} })
	edit("extra solution member", captcha.ReasonMalformed, func(_, _, _, s m) { s["verified"] = true })
	splice("duplicate solution", `"solution":`, `"solution":{},"solution":`, captcha.ReasonMalformed)
	splice("duplicate counter", `"counter":`, `"counter":1,"counter":`, captcha.ReasonMalformed)
	splice("duplicate cost", `"cost":`, `"cost":1,"cost":`, captcha.ReasonMalformed)
	splice("name in another case", `"solution":`, `"SOLUTION":`, captcha.ReasonMalformed)

	// The signature and what it covers.
	edit("no signature", captcha.ReasonSignature, func(_, ch, _, _ m) { delete(ch, "signature") })
	edit("empty signature", captcha.ReasonSignature, func(_, ch, _, _ m) { ch["signature"] = "" })
	edit("null signature", captcha.ReasonSignature, func(_, ch, _, _ m) { ch["signature"] = nil })
	edit("forged signature", captcha.ReasonSignature, func(_, ch, _, _ m) { ch["signature"] = flip(c.Signature) })
	edit("signature in upper case", captcha.ReasonSignature, func(_, ch, _, _ m) { ch["signature"] = upper(c.Signature) })
	edit("truncated signature", captcha.ReasonSignature, func(_, ch, _, _ m) { ch["signature"] = c.Signature[:62] })
	edit("cost lowered", captcha.ReasonSignature, func(_, _, p, _ m) { p["cost"] = 1 })
	edit("prefix shortened", captcha.ReasonSignature, func(_, _, p, _ m) { p["keyPrefix"] = "" })
	edit("key shortened", captcha.ReasonSignature, func(_, _, p, _ m) { p["keyLength"] = 1 })
	edit("algorithm replaced", captcha.ReasonSignature, func(_, _, p, _ m) { p["algorithm"] = captcha.PlainSHA256 })
	edit("expiry moved", captcha.ReasonSignature, func(_, _, p, _ m) { p["expiresAt"] = c.Parameters.ExpiresAt + 3600 })
	edit("expiry removed", captcha.ReasonSignature, func(_, _, p, _ m) { delete(p, "expiresAt") })
	edit("nonce replaced", captcha.ReasonSignature, func(_, _, p, _ m) { p["nonce"] = flip(c.Parameters.Nonce) })
	edit("nonce and salt spliced", captcha.ReasonSignature, func(_, _, p, _ m) {
		n := len(c.Parameters.Nonce)
		p["nonce"], p["salt"] = c.Parameters.Nonce[:n-2], c.Parameters.Nonce[n-2:]+c.Parameters.Salt
	})
	edit("salt replaced", captcha.ReasonSignature, func(_, _, p, _ m) { p["salt"] = flip(c.Parameters.Salt) })
	edit("data removed", captcha.ReasonSignature, func(_, _, p, _ m) {
		if _, ok := p["data"]; ok {
			delete(p, "data")
		} else {
			p["data"] = m{"x": "y"}
		}
	})
	edit("unsigned parameter", captcha.ReasonSignature, func(_, _, p, _ m) { p["extra"] = "x" })
	edit("unsigned key signature", captcha.ReasonSignature, func(_, _, p, _ m) { p["keySignature"] = flip(c.Signature) })
	edit("cost as a fraction", captcha.ReasonMalformed, func(_, _, p, _ m) { p["cost"] = 1.5 })
	edit("version 1", captcha.ReasonMalformed, func(root, _, _, _ m) {
		clear(root)
		root["algorithm"], root["challenge"], root["number"] = "SHA-256", c.Signature, 1
		root["salt"], root["signature"] = c.Parameters.Salt+"?expires=9999999999&", c.Signature
	})

	// The solution.
	edit("no counter", captcha.ReasonSolution, func(_, _, _, s m) { delete(s, "counter") })
	edit("negative counter", captcha.ReasonSolution, func(_, _, _, s m) { s["counter"] = -1 })
	edit("fractional counter", captcha.ReasonSolution, func(_, _, _, x m) { x["counter"] = float64(s.Counter) + 0.5 })
	edit("counter as text", captcha.ReasonSolution, func(_, _, _, s m) { s["counter"] = "1" })
	edit("counter null", captcha.ReasonSolution, func(_, _, _, s m) { s["counter"] = nil })
	edit("counter + 2^32", captcha.ReasonSolution, func(_, _, _, x m) { x["counter"] = int64(s.Counter) + 1<<32 })
	counter := fmt.Sprintf(`"counter":%d`, s.Counter)
	splice("counter as exponent", counter, counter+"e0", captcha.ReasonSolution)
	splice("counter with a leading zero", counter, fmt.Sprintf(`"counter":0%d`, s.Counter), captcha.ReasonMalformed)
	edit("no key", captcha.ReasonSolution, func(_, _, _, s m) { delete(s, "derivedKey") })
	edit("key null", captcha.ReasonSolution, func(_, _, _, s m) { s["derivedKey"] = nil })
	edit("key in upper case", captcha.ReasonSolution, func(_, _, _, x m) { x["derivedKey"] = upper(s.DerivedKey) })
	edit("key truncated", captcha.ReasonSolution, func(_, _, _, x m) { x["derivedKey"] = s.DerivedKey[:len(s.DerivedKey)-2] })
	edit("key without the prefix", captcha.ReasonSolution, func(_, _, _, x m) {
		x["derivedKey"] = flip(s.DerivedKey[:1]) + s.DerivedKey[1:]
	})
	edit("time as text", captcha.ReasonSolution, func(_, _, _, s m) { s["time"] = "soon" })
	edit("forged key", captcha.ReasonSolution, func(_, _, _, x m) {
		x["derivedKey"] = s.DerivedKey[:len(s.DerivedKey)-1] + flip(s.DerivedKey[len(s.DerivedKey)-1:])
	})
	if c.Parameters.KeySignature == "" { // deterministic verification knows the key without the counter
		edit("wrong counter", captcha.ReasonSolution, func(_, _, _, x m) { x["counter"] = s.Counter ^ 1 })
	}
	return out
}

// flip replaces the first hex digit by another one.
func flip(s string) string {
	const hex = "0123456789abcdef"
	return string(hex[(strings.IndexByte(hex, s[0])+1)%16]) + s[1:]
}

// upper raises the letters; a text without any gets one, so that it differs all the same.
func upper(s string) string {
	if u := strings.ToUpper(s); u != s {
		return u
	}
	return "A" + s[1:]
}

// Shuffled is the token with the same content in another form: white space and another order of members.
func Shuffled(token string, r *rand.Rand) (string, error) {
	raw, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		return "", err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var root map[string]any
	if err := d.Decode(&root); err != nil {
		return "", err
	}
	var b strings.Builder
	shuffle(&b, root, r)
	return base64.StdEncoding.EncodeToString([]byte(b.String())), nil
}

func shuffle(b *strings.Builder, v any, r *rand.Rand) {
	m, ok := v.(map[string]any)
	if !ok {
		text, err := json.Marshal(v)
		if err != nil {
			panic("captchatest: " + err.Error()) // what was decoded from JSON can be encoded
		}
		b.Write(text)
		return
	}
	names := make([]string, 0, len(m))
	for k := range m {
		names = append(names, k)
	}
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	b.WriteString(" {\n")
	for i, k := range names {
		if i > 0 {
			b.WriteString(",\t")
		}
		text, _ := json.Marshal(k) // a string always encodes
		b.Write(text)
		b.WriteString(" : ")
		shuffle(b, m[k], r)
	}
	b.WriteString(" }\n")
}
