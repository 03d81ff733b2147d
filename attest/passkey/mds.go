package passkey

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/go-webauthn/webauthn/metadata"

	"github.com/vestibule-go/vestibule/attest"
)

// The defaults of MDSOptions.
const (
	DefaultMDSURL      = "https://mds3.fidoalliance.org/"
	DefaultMDSInterval = 6 * time.Hour
	DefaultMDSGrace    = 7 * 24 * time.Hour
	DefaultMDSTimeout  = time.Minute
	DefaultMDSBytes    = 32 << 20
)

// MDSOptions of an MDS. The zero value and nil mean the defaults.
type MDSOptions struct {
	// URL is where the BLOB is; default DefaultMDSURL.
	URL string
	// Roots are the anchors of the BLOB's signers; default the FIDO Alliance's, GlobalSign Root R46. They have changed
	// before: a root can be given here without waiting for a release.
	Roots []*x509.Certificate
	// Client makes the calls; default one with a clone of http.DefaultTransport. Redirects stay on https.
	Client *http.Client
	// Timeout bounds one refresh as a whole, look-ups of revocation included; default DefaultMDSTimeout.
	Timeout time.Duration
	// MaxBytes bounds the BLOB; default DefaultMDSBytes. It has some 8 MB.
	MaxBytes int64
	// Interval is how often Run refreshes; default DefaultMDSInterval. After a failure it tries again after a twelfth.
	Interval time.Duration
	// Grace is how long after its announced next update a BLOB still counts in full; default DefaultMDSGrace. After that
	// chains are still verified by it, but nothing is Certified any more.
	Grace time.Duration
	// MinNumber is the lowest number that is accepted: the last one seen, kept by the host over restarts, so that nobody
	// feeds a new process an old BLOB.
	MinNumber int
	// SkipRevocation leaves out the revocation lists of the BLOB's signers. For hosts that cannot reach them: a signing
	// key that was stolen and revoked then goes on being believed.
	SkipRevocation bool
	// OnError is told why a refresh by Run failed; default nobody.
	OnError func(error)
	// Now is the clock; default time.Now.
	Now func() time.Time
}

// MDS is the FIDO Metadata Service as a TrustSource. It answers from memory: look-ups never wait for the network, nor for a
// refresh under way. A BLOB that fails any check changes nothing; the last good one stays. It is safe for concurrent use.
type MDS struct {
	o       MDSOptions
	roots   []*x509.Certificate
	current atomic.Pointer[blob]
	state   atomic.Pointer[MDSStatus]

	refreshing chan struct{} // of capacity 1: one refresh at a time
}

var _ TrustSource = (*MDS)(nil)

// MDSStatus says what an MDS works with.
type MDSStatus struct {
	Number     int       // of the BLOB in use; 0: none yet
	NextUpdate time.Time // when the service has announced the next one for
	Loaded     time.Time // when the BLOB in use was last confirmed
	Models     int       // entries in use
	Unread     int       // entries that could not be read, and are not used
	Stale      bool      // older than Grace allows
	Unchecked  bool      // the revocation of its signers could not be looked up
	LastError  error     // of the last refresh; nil: it went well
}

// NewMDS makes an MDS without a BLOB. Load gives it one from a file, Refresh and Run fetch it.
func NewMDS(opts *MDSOptions) (*MDS, error) {
	m := &MDS{refreshing: make(chan struct{}, 1)}
	if opts != nil {
		m.o = *opts
	}
	o := &m.o
	if o.URL == "" {
		o.URL = DefaultMDSURL
	}
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && !loopback(u) {
		return nil, errors.New("passkey: the URL of the metadata must be https, or http on loopback")
	}
	if len(o.Roots) == 0 {
		der, err := base64.StdEncoding.DecodeString(metadata.ProductionMDSRoot)
		if err != nil {
			return nil, fmt.Errorf("passkey: the pinned root of the metadata service is damaged: %w", err)
		}
		root, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("passkey: the pinned root of the metadata service is damaged: %w", err)
		}
		o.Roots = []*x509.Certificate{root}
	}
	for i, c := range o.Roots {
		if c == nil {
			return nil, fmt.Errorf("passkey: Roots %d is nil", i)
		}
		m.roots = append(m.roots, c)
	}
	for _, d := range []struct {
		name string
		v    *time.Duration
		def  time.Duration
	}{{"Timeout", &o.Timeout, DefaultMDSTimeout}, {"Interval", &o.Interval, DefaultMDSInterval}, {"Grace", &o.Grace, DefaultMDSGrace}} {
		if *d.v == 0 {
			*d.v = d.def
		}
		if *d.v < 0 {
			return nil, fmt.Errorf("passkey: %s is %v; it must be positive, or 0 for %v", d.name, *d.v, d.def)
		}
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMDSBytes
	}
	if o.MaxBytes < 0 || o.MinNumber < 0 {
		return nil, errors.New("passkey: MaxBytes and MinNumber must not be negative")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	client := http.Client{}
	if o.Client != nil {
		client = *o.Client
	} else if t, ok := http.DefaultTransport.(*http.Transport); ok {
		client.Transport = t.Clone()
	}
	follow := client.CheckRedirect
	client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if r.URL.Scheme != "https" && !loopback(r.URL) || len(via) > 3 {
			return errors.New("passkey: the metadata is redirected too often, or away from https")
		}
		if follow != nil {
			return follow(r, via)
		}
		return nil
	}
	o.Client = &client
	m.state.Store(&MDSStatus{})
	return m, nil
}

func loopback(u *url.URL) bool {
	h := u.Hostname()
	return h == "localhost" || h == "127.0.0.1" || h == "::1"
}

// errNoBLOB: there is no metadata yet.
var errNoBLOB = fmt.Errorf("passkey: no metadata has been loaded: %w", attest.ErrUnavailable)

// Lookup implements TrustSource. The error wraps attest.ErrUnavailable: there is no BLOB yet.
func (m *MDS) Lookup(_ context.Context, k AttestedKey) (*Model, bool, error) {
	b := m.current.Load()
	if b == nil {
		return nil, false, errNoBLOB
	}
	found := b.models[k.AAGUID]
	if k.AAGUID.IsZero() {
		found = nil
		for _, id := range k.KeyIDs {
			if found = b.keys[id]; found != nil {
				break
			}
		}
	}
	if found == nil {
		return nil, false, nil
	}
	if m.stale(b) {
		c := *found
		c.Stale = true
		return &c, true, nil
	}
	return found, true, nil
}

func (m *MDS) stale(b *blob) bool { return m.o.Now().After(b.next.Add(m.o.Grace)) }

// Status says what is in use. It is for health checks: alarm on Stale.
func (m *MDS) Status() MDSStatus {
	s := *m.state.Load()
	if b := m.current.Load(); b != nil {
		s.Number, s.NextUpdate, s.Models, s.Unread, s.Stale = b.number, b.next, len(b.models)+len(b.keys), b.unread, m.stale(b)
	}
	return s
}

// Load takes a BLOB from the host: for systems without a way out, and for a good start after a restart. It is verified as
// a fetched one is, but for the revocation of its signers, which needs the network. A stale BLOB is taken, and the error
// is ErrBLOBStale then: its chains count, its certifications do not.
func (m *MDS) Load(raw []byte) error {
	m.refreshing <- struct{}{}
	defer func() { <-m.refreshing }()
	if int64(len(raw)) > m.o.MaxBytes {
		return ErrBLOBSize
	}
	b, err := parseBLOB(raw, m.roots, m.o.Now())
	if err != nil {
		return err
	}
	if err := m.take(b, true); err != nil {
		return err
	}
	if m.stale(b) {
		return ErrBLOBStale
	}
	return nil
}

// take puts a verified BLOB in use. The same one again is fine; an older one is not, nor is another of the same number.
func (m *MDS) take(b *blob, unchecked bool) error {
	old := m.current.Load()
	switch {
	case b.number < m.o.MinNumber, old != nil && b.number < old.number, old != nil && b.number == old.number && b.sum != old.sum:
		return ErrBLOBOlder
	case old == nil || b.number > old.number:
		m.current.Store(b)
	}
	m.state.Store(&MDSStatus{Loaded: m.o.Now(), Unchecked: unchecked})
	return nil
}
