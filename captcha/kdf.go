package captcha

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
)

// The algorithms of ALTCHA v2 that need the standard library only. SCRYPT and ARGON2ID come as a [KDF].
const (
	PBKDF2SHA256 = "PBKDF2/SHA-256"
	PBKDF2SHA384 = "PBKDF2/SHA-384"
	PBKDF2SHA512 = "PBKDF2/SHA-512"
	PlainSHA256  = "SHA-256"
	PlainSHA384  = "SHA-384"
	PlainSHA512  = "SHA-512"
)

// Work says how heavy one try is.
type Work struct {
	// Cost is the number of iterations (PBKDF2, plain hashes), N (SCRYPT) or passes (ARGON2ID).
	Cost int
	// MemoryCost and Parallelism are 0 for algorithms without: r and p of SCRYPT, KiB and lanes of ARGON2ID.
	MemoryCost, Parallelism int
}

// KDF is a key derivation of ALTCHA v2 beside the built-in ones. PoW calls it, never more often at once than
// PoWOptions.MaxDerivations; it must be safe for concurrent use.
type KDF interface {
	// Algorithm is the name in challenges: "SCRYPT", "ARGON2ID".
	Algorithm() string
	// Check says why w is out of bounds, before anything is derived. It bounds what one derivation may cost.
	Check(w Work) error
	// Derive returns keyLength bytes. An error means that the key could not be derived; it is none of the visitor's.
	Derive(w Work, password, salt []byte, keyLength int) ([]byte, error)
}

// Bounds of the built-in algorithms' cost.
const (
	defaultMinCost = 1000
	defaultMaxCost = 200_000
)

type pbkdf2KDF struct {
	name     string
	hash     func() hash.Hash
	min, max int
}

func (k *pbkdf2KDF) Algorithm() string { return k.name }

func (k *pbkdf2KDF) Check(w Work) error {
	return checkIterations(k.name, w, k.min, k.max)
}

func (k *pbkdf2KDF) Derive(w Work, password, salt []byte, keyLength int) ([]byte, error) {
	return pbkdf2.Key(k.hash, string(password), salt, w.Cost, keyLength)
}

// plainKDF is the iterated hash of ALTCHA: the first round over salt and password, the others over the last output.
type plainKDF struct {
	name string
	hash func() hash.Hash
	max  int
}

func (k *plainKDF) Algorithm() string { return k.name }

func (k *plainKDF) Check(w Work) error { return checkIterations(k.name, w, 1, k.max) }

func (k *plainKDF) Derive(w Work, password, salt []byte, keyLength int) ([]byte, error) {
	h := k.hash()
	if keyLength > h.Size() {
		return nil, fmt.Errorf("captcha: %s has no %d bytes", k.name, keyLength)
	}
	h.Write(salt)
	h.Write(password)
	sum := h.Sum(nil)
	for range w.Cost - 1 {
		h.Reset()
		h.Write(sum)
		sum = h.Sum(sum[:0])
	}
	return sum[:keyLength], nil
}

func checkIterations(name string, w Work, least, most int) error {
	if w.Cost < least || w.Cost > most {
		return fmt.Errorf("captcha: cost %d of %s is outside %d to %d", w.Cost, name, least, most)
	}
	if w.MemoryCost != 0 || w.Parallelism != 0 {
		return fmt.Errorf("captcha: %s has neither memory cost nor parallelism", name)
	}
	return nil
}

// builtinKDFs lists what the standard library has; plain hashes only on request.
func builtinKDFs(minCost, maxCost int, plain bool) map[string]KDF {
	m := make(map[string]KDF)
	for _, a := range []struct {
		suffix string
		hash   func() hash.Hash
	}{{PlainSHA256, sha256.New}, {PlainSHA384, sha512.New384}, {PlainSHA512, sha512.New}} {
		m["PBKDF2/"+a.suffix] = &pbkdf2KDF{"PBKDF2/" + a.suffix, a.hash, minCost, maxCost}
		if plain {
			m[a.suffix] = &plainKDF{a.suffix, a.hash, maxCost}
		}
	}
	return m
}

// isPlain reports whether the algorithm is a plain hash, which is verified on request and never issued.
func isPlain(algorithm string) bool {
	return algorithm == PlainSHA256 || algorithm == PlainSHA384 || algorithm == PlainSHA512
}
