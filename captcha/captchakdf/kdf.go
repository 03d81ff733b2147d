package captchakdf

import (
	"errors"
	"fmt"
	"math"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/scrypt"

	"github.com/vestibule-go/vestibule/captcha"
)

// The algorithms, as challenges name them.
const (
	SCRYPT   = "SCRYPT"
	ARGON2ID = "ARGON2ID"
)

// Options bound what one derivation may cost. The zero value and nil mean the defaults.
type Options struct {
	// MinMemory and MaxMemory are in KiB; defaults 1024 and 65,536.
	MinMemory, MaxMemory int
	// MaxPasses bounds ARGON2ID's passes and SCRYPT's p; default 4.
	MaxPasses int
}

func (o *Options) fill() (Options, error) {
	var f Options
	if o != nil {
		f = *o
	}
	if f.MinMemory == 0 {
		f.MinMemory = 1 << 10
	}
	if f.MaxMemory == 0 {
		f.MaxMemory = max(64<<10, f.MinMemory)
	}
	if f.MaxPasses == 0 {
		f.MaxPasses = 4
	}
	if f.MinMemory < 1 || f.MaxMemory < f.MinMemory || f.MaxMemory > 1<<20 || f.MaxPasses < 1 || f.MaxPasses > 64 {
		return f, errors.New("captchakdf: memory must be 1 KiB to 1 GiB, the least no more than the most, and passes 1 to 64")
	}
	return f, nil
}

// Scrypt is SCRYPT (RFC 7914): Work.Cost is N, MemoryCost r, Parallelism p. Build it with NewScrypt. It is safe for
// concurrent use.
type Scrypt struct{ opts Options }

// Argon2id is ARGON2ID (RFC 9106, version 1.3): Work.Cost is the number of passes, MemoryCost KiB, Parallelism lanes.
// Build it with NewArgon2id. It is safe for concurrent use.
type Argon2id struct{ opts Options }

var (
	_ captcha.KDF = (*Scrypt)(nil)
	_ captcha.KDF = (*Argon2id)(nil)
)

// NewScrypt makes a Scrypt.
func NewScrypt(opts *Options) (*Scrypt, error) {
	o, err := opts.fill()
	if err != nil {
		return nil, err
	}
	return &Scrypt{o}, nil
}

// NewArgon2id makes an Argon2id.
func NewArgon2id(opts *Options) (*Argon2id, error) {
	o, err := opts.fill()
	if err != nil {
		return nil, err
	}
	return &Argon2id{o}, nil
}

// Algorithm is "SCRYPT".
func (*Scrypt) Algorithm() string { return SCRYPT }

// normal fills in what ALTCHA takes for a p that is absent: 1.
func normal(w captcha.Work) (n, r, p int) {
	n, r, p = w.Cost, w.MemoryCost, w.Parallelism
	if p == 0 {
		p = 1
	}
	return n, r, p
}

// Check implements captcha.KDF.
func (k *Scrypt) Check(w captcha.Work) error {
	n, r, p := normal(w)
	if n < 2 || n&(n-1) != 0 || r < 1 || p < 1 || p > k.opts.MaxPasses || r > 64 || n > math.MaxInt32/(128*r) {
		return fmt.Errorf("captchakdf: N %d, r %d, p %d of SCRYPT: N must be a power of two, r 1 to 64, p 1 to %d", n, r, p, k.opts.MaxPasses)
	}
	if memory := n * r / 8; memory < k.opts.MinMemory || memory > k.opts.MaxMemory {
		return fmt.Errorf("captchakdf: SCRYPT would take %d KiB; it must be %d to %d", memory, k.opts.MinMemory, k.opts.MaxMemory)
	}
	return nil
}

// Derive implements captcha.KDF.
func (k *Scrypt) Derive(w captcha.Work, password, salt []byte, keyLength int) ([]byte, error) {
	if err := k.Check(w); err != nil {
		return nil, err
	}
	n, r, p := normal(w)
	return scrypt.Key(password, salt, n, r, p, keyLength)
}

// Algorithm is "ARGON2ID".
func (*Argon2id) Algorithm() string { return ARGON2ID }

// lanes is Parallelism, 1 when absent.
func lanes(w captcha.Work) int { return max(w.Parallelism, 1) }

// Check implements captcha.KDF.
func (k *Argon2id) Check(w captcha.Work) error {
	if w.Cost < 1 || w.Cost > k.opts.MaxPasses || w.Parallelism < 0 || w.Parallelism > 16 {
		return fmt.Errorf("captchakdf: %d passes, %d lanes of ARGON2ID; they must be 1 to %d and 0 to 16", w.Cost, w.Parallelism, k.opts.MaxPasses)
	}
	if w.MemoryCost < k.opts.MinMemory || w.MemoryCost > k.opts.MaxMemory || w.MemoryCost < 8*lanes(w) {
		return fmt.Errorf("captchakdf: ARGON2ID would take %d KiB; it must be %d to %d", w.MemoryCost, k.opts.MinMemory, k.opts.MaxMemory)
	}
	return nil
}

// Derive implements captcha.KDF.
func (k *Argon2id) Derive(w captcha.Work, password, salt []byte, keyLength int) ([]byte, error) {
	if err := k.Check(w); err != nil {
		return nil, err
	}
	return argon2.IDKey(password, salt, uint32(w.Cost), uint32(w.MemoryCost), uint8(lanes(w)), uint32(keyLength)), nil
}
