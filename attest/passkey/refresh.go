package passkey

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/attest"
)

// maxCRL bounds a revocation list of the BLOB's signers.
const maxCRL = 4 << 20

// Refresh fetches the BLOB and puts it in use if everything about it is right. An error means that the last good one, if
// there is one, stays in use. Requests go on meanwhile. It is bounded by MDSOptions.Timeout.
func (m *MDS) Refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, m.o.Timeout)
	defer cancel()
	select {
	case m.refreshing <- struct{}{}:
		defer func() { <-m.refreshing }()
	case <-ctx.Done():
		return fmt.Errorf("passkey: fetching the metadata: another refresh is under way: %w: %w", attest.ErrUnavailable, ctx.Err())
	}
	err := m.refresh(ctx)
	if err != nil {
		s := *m.state.Load()
		s.LastError = err
		m.state.Store(&s)
	}
	return err
}

func (m *MDS) refresh(ctx context.Context) error {
	raw, err := m.get(ctx, m.o.URL, m.o.MaxBytes)
	if err != nil {
		return fmt.Errorf("passkey: fetching the metadata: %w", err)
	}
	b, err := parseBLOB(raw, m.roots, m.o.Now())
	if err != nil {
		return err
	}
	if m.stale(b) {
		// A service that hands out what is long over is not the service, or is broken.
		if old := m.current.Load(); old != nil {
			return ErrBLOBStale
		}
	}
	unchecked := m.o.SkipRevocation
	if !m.o.SkipRevocation {
		if unchecked, err = m.revoked(ctx, b.chain); err != nil {
			return err
		}
	}
	return m.take(b, unchecked)
}

// revoked looks the signers up in their issuers' lists. Lists that cannot be had do not stop a refresh (unchecked): a
// signer is believed until its issuer says otherwise, or nobody could refresh while a list is down.
func (m *MDS) revoked(ctx context.Context, chain []*x509.Certificate) (unchecked bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, m.o.Timeout/4)
	defer cancel()
	for i := 0; i+1 < len(chain); i++ {
		places := chain[i].CRLDistributionPoints[:min(len(chain[i].CRLDistributionPoints), 4)]
		answered := len(places) == 0
		for _, at := range places {
			raw, err := m.get(ctx, at, maxCRL)
			if err != nil {
				continue
			}
			list, err := x509.ParseRevocationList(raw)
			if err != nil {
				continue
			}
			hit, err := revokedBy(list, chain[i+1], chain[i].SerialNumber)
			switch {
			case err != nil:
				continue
			case hit:
				return false, fmt.Errorf("%w: its signer is revoked", ErrBLOBSigner)
			}
			answered = true
			break
		}
		unchecked = unchecked || !answered
	}
	return unchecked, nil
}

// get fetches a body of at most so many bytes. Lists are signed, and issuers serve them over http.
func (m *MDS) get(ctx context.Context, at string, most int64) ([]byte, error) {
	if !strings.HasPrefix(at, "https://") && !strings.HasPrefix(at, "http://") {
		return nil, fmt.Errorf("%w: no web address", attest.ErrUnavailable)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: no web address", attest.ErrUnavailable)
	}
	resp, err := m.o.Client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", attest.ErrUnavailable, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: status %d", attest.ErrUnavailable, resp.StatusCode)
	}
	if resp.ContentLength > most {
		return nil, ErrBLOBSize
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", attest.ErrUnavailable, err)
	case int64(len(raw)) > most:
		return nil, ErrBLOBSize
	}
	return raw, nil
}

// Run refreshes now and then every Interval, give or take a tenth, until ctx ends. Start it in a goroutine of the host's.
func (m *MDS) Run(ctx context.Context) {
	for {
		wait := m.o.Interval
		if err := m.Refresh(ctx); err != nil {
			if ctx.Err() != nil {
				return
			}
			wait /= 12
			if m.o.OnError != nil {
				m.o.OnError(err)
			}
		}
		wait += time.Duration(rand.Int64N(int64(wait)/5+1)) - wait/10
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}
