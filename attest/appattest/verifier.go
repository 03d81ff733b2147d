package appattest

import (
	"crypto/sha256"
	"crypto/x509"
	_ "embed"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vestibule-go/vestibule/attest"
)

// The bounds of evidence, in bytes. Real attestations have some 6 KB, assertions 150 bytes, receipts 4 KB.
const (
	MaxAttestation = 32 << 10
	MaxAssertion   = 4 << 10
	MaxReceipt     = 32 << 10
	MaxClientData  = 1 << 10 // of what is passed as clientDataHash, which is 32 bytes but for Apple's samples
)

//go:embed app_attestation_root.pem
var attestationRoot []byte

//go:embed apple_root_g3.pem
var receiptRoot []byte

// Options of a Verifier. The zero value and nil mean the defaults.
type Options struct {
	// Now is the clock for validity of certificates and receipts; default time.Now.
	Now func() time.Time
	// ReceiptAge is how old a receipt may be when [Verifier.Receipt] sees it; default 5 minutes, as Apple advises.
	ReceiptAge time.Duration
	// InsecureTestRoots are trusted beside Apple's roots, for attestations and receipts. Whoever has their keys can make
	// any device: for tests with package attesttest, never for production.
	InsecureTestRoots []*x509.Certificate
}

// Verifier verifies attestations, assertions and receipts by Apple's procedures. It keeps nothing but verified
// intermediate certificates. It is safe for concurrent use.
type Verifier struct {
	apps         []known
	now          func() time.Time
	receiptAge   time.Duration
	roots        []*x509.Certificate
	receiptRoots []*x509.Certificate
	warm         warmCerts
}

// New makes a Verifier for one or more apps.
func New(apps []App, opts *Options) (*Verifier, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	v := &Verifier{now: o.Now, receiptAge: o.ReceiptAge}
	if len(apps) == 0 {
		return nil, errors.New("appattest: no apps: every key of every app would be refused")
	}
	for i, a := range apps {
		if err := a.check(); err != nil {
			return nil, fmt.Errorf("appattest: app %d %w", i, err)
		}
		a.BundleVersions = slices.Clone(a.BundleVersions)
		for _, k := range v.apps {
			if k.ID() == a.ID() && k.Environment == a.Environment {
				return nil, fmt.Errorf("appattest: app %d is listed twice for one environment", i)
			}
		}
		v.apps = append(v.apps, known{a, sha256.Sum256([]byte(a.ID()))})
	}
	if v.now == nil {
		v.now = time.Now
	}
	if v.receiptAge == 0 {
		v.receiptAge = 5 * time.Minute
	}
	if v.receiptAge < 0 {
		return nil, fmt.Errorf("appattest: ReceiptAge is %v; it must be positive, or 0 for 5 minutes", v.receiptAge)
	}
	var err error
	if v.roots, err = anchors(attestationRoot, o.InsecureTestRoots); err != nil {
		return nil, err
	}
	if v.receiptRoots, err = anchors(receiptRoot, o.InsecureTestRoots); err != nil {
		return nil, err
	}
	return v, nil
}

func anchors(own []byte, extra []*x509.Certificate) ([]*x509.Certificate, error) {
	block, _ := pem.Decode(own)
	if block == nil {
		return nil, errors.New("appattest: the pinned root is damaged")
	}
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("appattest: the pinned root is damaged: %w", err)
	}
	out := []*x509.Certificate{root}
	for i, c := range extra {
		if c == nil || !c.IsCA {
			return nil, fmt.Errorf("appattest: InsecureTestRoots %d is no CA certificate", i)
		}
		out = append(out, c)
	}
	return out, nil
}

// trace notes the steps passed, and what was said, for Explain. A nil trace notes nothing.
type trace struct{ out *attest.Explanation }

func (t *trace) pass(step string) {
	if t != nil {
		t.out.Steps = append(t.out.Steps, step)
	}
}

func (t *trace) say(name, format string, args ...any) {
	if t != nil {
		t.out.Say(name, format, args...)
	}
}

// refusal makes the error of a step.
func refusal(op, step string, err error) error {
	return &attest.StepError{Op: "appattest." + op, Step: step, Err: err}
}
