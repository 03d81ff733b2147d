package captchatest

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"math"
	"strings"

	"github.com/vestibule-go/vestibule/captcha"
)

// ErrUnsolved means that no counter solves a challenge within MaxTries.
var ErrUnsolved = errors.New("captchatest: no solution found")

// MaxTries bounds the solver.
const MaxTries = 1 << 22

// QuickSteps is a difficulty table that is solved in a few milliseconds: 16 tries of the least cost a verifier accepts.
func QuickSteps() []captcha.Step {
	return []captcha.Step{{From: 0, Work: captcha.Work{Cost: 1000}, Digits: 1}}
}

// Solution is a counter and the key it derives, in hex.
type Solution struct {
	Counter    uint32
	DerivedKey string
}

// Solve finds the first solution of a challenge and returns the token a client would send. It needs no configuration
// for PBKDF2 and plain hashes; kdfs solve other algorithms.
func Solve(c *captcha.Challenge, kdfs ...captcha.KDF) (string, error) {
	s, err := SolveFrom(c, 0, kdfs...)
	if err != nil {
		return "", err
	}
	return Token(c, s), nil
}

// SolveFrom finds the first solution with at least the given counter: another one, when called with the last plus one.
func SolveFrom(c *captcha.Challenge, counter uint32, kdfs ...captcha.KDF) (Solution, error) {
	p := &c.Parameters
	nonce, err := hex.DecodeString(p.Nonce)
	if err != nil {
		return Solution{}, fmt.Errorf("captchatest: nonce: %w", err)
	}
	salt, err := hex.DecodeString(p.Salt)
	if err != nil {
		return Solution{}, fmt.Errorf("captchatest: salt: %w", err)
	}
	prefix := strings.ToLower(p.KeyPrefix)
	if len(prefix) > 2*p.KeyLength || strings.Trim(prefix, "0123456789abcdef") != "" {
		return Solution{}, fmt.Errorf("captchatest: no key of %d bytes begins with %q", p.KeyLength, prefix)
	}
	derive, err := deriver(p, kdfs)
	if err != nil {
		return Solution{}, err
	}
	for n := uint64(counter); n <= math.MaxUint32 && n < uint64(counter)+MaxTries; n++ {
		key, err := derive(binary.BigEndian.AppendUint32(nonce[:len(nonce):len(nonce)], uint32(n)), salt)
		if err != nil {
			return Solution{}, fmt.Errorf("captchatest: deriving: %w", err)
		}
		if k := hex.EncodeToString(key); strings.HasPrefix(k, prefix) {
			return Solution{uint32(n), k}, nil
		}
	}
	return Solution{}, ErrUnsolved
}

// deriver is written apart from package captcha, so that the two check each other.
func deriver(p *captcha.Parameters, kdfs []captcha.KDF) (func(password, salt []byte) ([]byte, error), error) {
	for _, k := range kdfs {
		if k.Algorithm() == p.Algorithm {
			w := captcha.Work{Cost: p.Cost, MemoryCost: p.MemoryCost, Parallelism: p.Parallelism}
			return func(password, salt []byte) ([]byte, error) { return k.Derive(w, password, salt, p.KeyLength) }, nil
		}
	}
	name, isPBKDF2 := strings.CutPrefix(p.Algorithm, "PBKDF2/")
	h, ok := map[string]func() hash.Hash{"SHA-256": sha256.New, "SHA-384": sha512.New384, "SHA-512": sha512.New}[name]
	if !ok {
		return nil, fmt.Errorf("captchatest: algorithm %q needs its KDF", p.Algorithm)
	}
	if isPBKDF2 {
		return func(password, salt []byte) ([]byte, error) {
			return pbkdf2.Key(h, string(password), salt, p.Cost, p.KeyLength)
		}, nil
	}
	return func(password, salt []byte) ([]byte, error) {
		data := append(append([]byte(nil), salt...), password...)
		for range p.Cost {
			d := h()
			d.Write(data)
			data = d.Sum(nil)
		}
		if p.KeyLength > len(data) {
			return nil, fmt.Errorf("captchatest: %s has no %d bytes", p.Algorithm, p.KeyLength)
		}
		return data[:p.KeyLength], nil
	}, nil
}

// Token is what a client sends for a solution, right or wrong.
func Token(c *captcha.Challenge, s Solution) string {
	return encode(map[string]any{
		"challenge": c,
		"solution":  map[string]any{"counter": s.Counter, "derivedKey": s.DerivedKey, "time": 12.5},
	})
}

func encode(payload any) string {
	b, err := json.Marshal(payload)
	if err != nil {
		panic("captchatest: " + err.Error()) // Data of a challenge made by hand that JSON cannot hold
	}
	return base64.StdEncoding.EncodeToString(b)
}
