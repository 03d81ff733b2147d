package passkey

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"sync"
	"time"
)

// The bounds of chains. Real ones have up to four certificates.
const (
	maxChain     = 8
	maxKnown     = 256 // chains kept for one model: a batch certificate is shared by 100 000 keys
	sanExtension = "2.5.29.17"
)

// chainCache keeps which chains lead to a model's roots, so that the certificate a batch shares is verified once. Validity
// is judged anew each time.
type chainCache struct {
	mu  sync.RWMutex
	all map[[sha256.Size]byte][]*x509.Certificate // guarded by mu: verified paths, leaf to anchor
}

// verify reports whether a chain leads to one of the anchors at the time.
func (m *Model) verify(chain []*x509.Certificate, now time.Time) bool {
	if len(m.Roots) == 0 || len(chain) == 0 {
		return false
	}
	if m.chains == nil {
		return path(chain, m.Roots, now) != nil
	}
	d := sha256.New()
	for _, c := range chain {
		d.Write(c.Raw)
	}
	var key [sha256.Size]byte
	d.Sum(key[:0])
	m.chains.mu.RLock()
	known := m.chains.all[key]
	m.chains.mu.RUnlock()
	if known != nil && valid(known, now) {
		return true
	}
	known = path(chain, m.Roots, now)
	if known == nil {
		return false
	}
	m.chains.mu.Lock()
	defer m.chains.mu.Unlock()
	if m.chains.all == nil || len(m.chains.all) >= maxKnown {
		m.chains.all = map[[sha256.Size]byte][]*x509.Certificate{}
	}
	m.chains.all[key] = known
	return true
}

func valid(path []*x509.Certificate, now time.Time) bool {
	return !slices.ContainsFunc(path, func(c *x509.Certificate) bool { return now.Before(c.NotBefore) || now.After(c.NotAfter) })
}

// path builds the chain from the leaf to an anchor; nil: there is none.
func path(chain, anchors []*x509.Certificate, now time.Time) []*x509.Certificate {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range anchors {
		roots.AddCert(c)
	}
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	leaf := *chain[0]
	// The certificates of TPM keys name their TPM in a critical alternative name of a kind that package x509 does not read;
	// go-webauthn has (WebAuthn section 8.3.1).
	leaf.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(leaf.UnhandledCriticalExtensions),
		func(id asn1.ObjectIdentifier) bool { return id.String() == sanExtension })
	paths, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil
	}
	return paths[0]
}

// parseChain reads the certificates of a statement; ok is false when it is no chain.
func parseChain(x5c any) (chain []*x509.Certificate, ok bool) {
	list, ok := x5c.([]any)
	if !ok || len(list) == 0 || len(list) > maxChain {
		return nil, false
	}
	for _, e := range list {
		der, ok := e.([]byte)
		if !ok {
			return nil, false
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, false
		}
		chain = append(chain, c)
	}
	return chain, true
}
