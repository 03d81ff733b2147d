package passkey_test

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/passkey"
)

// A BLOB that is wrong in any way is refused, and the last good one goes on.
func TestBLOBRefused(t *testing.T) {
	other := attesttest.NewFIDO(nil)
	impostor := attesttest.NewCA(nil, elliptic.P256(), &x509.Certificate{
		Subject: pkix.Name{CommonName: "Virtual FIDO Root"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	})
	header := func(f func(h map[string]any)) *attesttest.BLOBForge { return &attesttest.BLOBForge{Header: f} }
	payload := func(f func(p map[string]any)) *attesttest.BLOBForge { return &attesttest.BLOBForge{Payload: f} }
	encoded := func(f func(b []byte) []byte) *attesttest.BLOBForge { return &attesttest.BLOBForge{Encoded: f} }
	for _, row := range []struct {
		name  string
		forge *attesttest.BLOBForge
		err   error
	}{
		{"signed by another root", &attesttest.BLOBForge{Signer: &other.Signer}, passkey.ErrBLOBSigner},
		{"signed by a root of the same name", &attesttest.BLOBForge{Signer: &impostor}, passkey.ErrBLOBSigner},
		{"signed by another key", &attesttest.BLOBForge{Key: other.Signer.Key}, passkey.ErrBLOBSigner},
		{"unsigned", encoded(func(b []byte) []byte { return b[:bytes.LastIndexByte(b, '.')+1] }), passkey.ErrBLOBSigner},
		{"alg none", header(func(h map[string]any) { h["alg"] = "none" }), passkey.ErrBLOBSigner},
		{"alg HS256", header(func(h map[string]any) { h["alg"] = "HS256" }), passkey.ErrBLOBSigner},
		{"alg RS256 with an EC key", header(func(h map[string]any) { h["alg"] = "RS256" }), passkey.ErrBLOBSigner},
		{"alg ES384 with a P-256 key", header(func(h map[string]any) { h["alg"] = "ES384" }), passkey.ErrBLOBSigner},
		{"no alg", header(func(h map[string]any) { delete(h, "alg") }), passkey.ErrBLOBSigner},
		{"x5u", header(func(h map[string]any) { h["x5u"] = "https://evil.example/cert" }), passkey.ErrBLOBSigner},
		{"crit", header(func(h map[string]any) { h["crit"] = []string{"b64"} }), passkey.ErrBLOBSigner},
		{"no x5c", header(func(h map[string]any) { delete(h, "x5c") }), passkey.ErrBLOBSigner},
		{"empty x5c", header(func(h map[string]any) { h["x5c"] = []string{} }), passkey.ErrBLOBSigner},
		{"x5c garbage", header(func(h map[string]any) { h["x5c"] = []string{"AAAA"} }), passkey.ErrBLOBSigner},
		{"a hundred certificates", header(func(h map[string]any) {
			h["x5c"] = strings.Split(strings.Repeat(h["x5c"].([]string)[0]+",", 100), ",")
		}), passkey.ErrBLOBSigner},
		{"payload changed", encoded(func(b []byte) []byte { b[bytes.IndexByte(b, '.')+20] ^= 1; return b }), passkey.ErrBLOBSigner},
		{"two parts", encoded(func(b []byte) []byte { return b[:bytes.LastIndexByte(b, '.')] }), passkey.ErrBLOB},
		{"nothing", encoded(func([]byte) []byte { return nil }), passkey.ErrBLOB},
		{"a web page", encoded(func([]byte) []byte { return []byte("<html>v1.2.3</html>") }), passkey.ErrBLOB},
		{"no number", payload(func(p map[string]any) { delete(p, "no") }), passkey.ErrBLOB},
		{"number as text", payload(func(p map[string]any) { p["no"] = "7" }), passkey.ErrBLOB},
		{"number below zero", payload(func(p map[string]any) { p["no"] = -1 }), passkey.ErrBLOB},
		{"no next update", payload(func(p map[string]any) { delete(p, "nextUpdate") }), passkey.ErrBLOB},
		{"odd next update", payload(func(p map[string]any) { p["nextUpdate"] = "soon" }), passkey.ErrBLOB},
		{"no entries", payload(func(p map[string]any) { delete(p, "entries") }), passkey.ErrBLOB},
		{"entries of a wrong type", payload(func(p map[string]any) { p["entries"] = "x" }), passkey.ErrBLOB},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			err := r.mds.Load(r.fido.BLOB(7, r.clock().Add(24*time.Hour), r.models, row.forge))
			require.ErrorIs(t, err, row.err)
			require.Equal(t, 1, r.mds.Status().Number)
			res := r.register(r.key(), nil)
			require.Equal(t, passkey.Certified, res.Judged.Trust)
		})
	}
}

func TestBLOBNumberAndAge(t *testing.T) {
	r := newRig(t)
	later := r.clock().Add(30 * 24 * time.Hour)
	seven := r.fido.BLOB(7, later, r.models, nil)
	require.NoError(t, r.mds.Load(seven))
	require.NoError(t, r.mds.Load(seven), "the same again")
	require.ErrorIs(t, r.mds.Load(r.fido.BLOB(6, later, r.models, nil)), passkey.ErrBLOBOlder)
	require.ErrorIs(t, r.mds.Load(r.fido.BLOB(7, later, nil, nil)), passkey.ErrBLOBOlder, "another one of the same number")
	require.NoError(t, r.mds.Load(r.fido.BLOB(9, later, r.models, nil)), "gaps are no matter")

	fresh, err := passkey.NewMDS(&passkey.MDSOptions{Roots: r.fido.Roots(), MinNumber: 8, Now: r.clock})
	require.NoError(t, err)
	require.ErrorIs(t, fresh.Load(seven), passkey.ErrBLOBOlder, "over restarts too")

	a, b := r.key(), r.key()
	require.Equal(t, passkey.Certified, r.register(a, nil).Judged.Trust)
	r.advance(38 * 24 * time.Hour)
	require.True(t, r.mds.Status().Stale)
	res := r.register(b, nil)
	requirePassed(t, res)
	require.Equal(t, passkey.Hardware, res.Judged.Trust)
	require.Contains(t, res.Judged.Reasons, "stale")
	require.LessOrEqual(t, res.Verdict.Strength(), attest.Software)
	requirePassed(t, r.login(a, nil))
	require.ErrorIs(t, r.mds.Load(r.fido.BLOB(10, later, r.models, nil)), passkey.ErrBLOBStale)
}

// An entry that cannot be read is not used, and takes no other with it.
func TestBLOBWithBadEntry(t *testing.T) {
	r := newRig(t)
	for name, change := range map[string]func(e map[string]any){
		"AAGUID": func(e map[string]any) { e["aaguid"] = "x" },
		"root": func(e map[string]any) {
			e["metadataStatement"].(map[string]any)["attestationRootCertificates"] = []string{"AAAA"}
		},
		"date": func(e map[string]any) {
			e["statusReports"] = []any{map[string]any{"status": "REVOKED", "effectiveDate": "soon"}}
		},
		"certificate": func(e map[string]any) {
			e["statusReports"] = []any{map[string]any{"status": "REVOKED", "certificate": "AAAA"}}
		},
		"type": func(e map[string]any) { e["statusReports"] = "REVOKED" },
	} {
		t.Run(name, func(t *testing.T) {
			r.number++
			good := r.fido.NewModel("Good", "FIDO_CERTIFIED")
			require.NoError(t, r.mds.Load(r.fido.BLOB(r.number, r.clock().Add(24*time.Hour), []*attesttest.FIDOModel{r.model, good}, &attesttest.BLOBForge{
				Payload: func(p map[string]any) { change(p["entries"].([]any)[0].(map[string]any)) },
			})))
			require.Equal(t, 1, r.mds.Status().Unread)
			res := r.register(attesttest.SyncedPasskey([16]byte{1}), nil)
			requirePassed(t, res)
			require.Equal(t, passkey.Unknown, r.register(r.key(), nil).Judged.Trust, "half of an entry is not used")
			require.Equal(t, passkey.Certified, r.register(r.fido.SecurityKey(good), nil).Judged.Trust)
		})
	}
}

type blobServer struct {
	*httptest.Server
	mu    sync.Mutex
	serve http.HandlerFunc // guarded by mu
}

func newBLOBServer(t *testing.T) *blobServer {
	s := &blobServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		f := s.serve
		s.mu.Unlock()
		f(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *blobServer) set(f http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serve = f
}

func bytesOf(b []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) }
}

func TestRefresh(t *testing.T) {
	r := newRig(t)
	s := newBLOBServer(t)
	later := r.clock().Add(30 * 24 * time.Hour)
	mds, err := passkey.NewMDS(&passkey.MDSOptions{URL: s.URL, Roots: r.fido.Roots(), MaxBytes: 1 << 20, Timeout: 2 * time.Second, Now: r.clock})
	require.NoError(t, err)
	ctx := context.Background()
	_, _, err = mds.Lookup(ctx, passkey.AttestedKey{AAGUID: r.model.AAGUID})
	require.ErrorIs(t, err, attest.ErrUnavailable, "down at start")

	s.set(bytesOf(r.fido.BLOB(3, later, r.models, nil)))
	require.NoError(t, mds.Refresh(ctx))
	require.Equal(t, 3, mds.Status().Number)
	require.NoError(t, mds.Status().LastError)
	huge := bytes.Repeat([]byte("x"), 1<<20)
	for _, row := range []struct {
		name  string
		serve http.HandlerFunc
		err   error
	}{
		{"down", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, attest.ErrUnavailable},
		{"gone", func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }, attest.ErrUnavailable},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "eyJ")
		}, attest.ErrUnavailable},
		{"100 MB", func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				if _, err := w.Write(huge); err != nil {
					return
				}
			}
		}, passkey.ErrBLOBSize},
		{"announced as 100 MB", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "104857600")
			_, _ = w.Write(huge)
		}, passkey.ErrBLOBSize},
		{"older", bytesOf(r.fido.BLOB(2, later, r.models, nil)), passkey.ErrBLOBOlder},
		{"long over", bytesOf(r.fido.BLOB(4, r.clock().Add(-60*24*time.Hour), r.models, nil)), passkey.ErrBLOBStale},
		{"another root", bytesOf(attesttest.NewFIDO(nil).BLOB(4, later, r.models, nil)), passkey.ErrBLOBSigner},
		{"redirected for ever", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }, attest.ErrUnavailable},
		{"redirected off https", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		}, attest.ErrUnavailable},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.set(row.serve)
			err := mds.Refresh(ctx)
			require.ErrorIs(t, err, row.err)
			require.ErrorIs(t, mds.Status().LastError, row.err)
			require.Equal(t, 3, mds.Status().Number)
			_, found, err := mds.Lookup(ctx, passkey.AttestedKey{AAGUID: r.model.AAGUID})
			require.NoError(t, err)
			require.True(t, found)
		})
	}
	s.set(bytesOf(r.fido.BLOB(4, later, r.models, nil)))
	require.NoError(t, mds.Refresh(ctx))
	require.Equal(t, 4, mds.Status().Number)
	require.NoError(t, mds.Status().LastError)
}

// The signers of a BLOB are looked up in their issuer's list, which may be away.
func TestRefreshLooksUpSigners(t *testing.T) {
	r := newRig(t)
	s := newBLOBServer(t)
	signer := r.fido.NewSigner([]string{s.URL + "/list", "ldap://192.0.2.1/list"})
	blob := r.fido.BLOB(3, r.clock().Add(24*time.Hour), r.models, &attesttest.BLOBForge{Signer: &signer})
	for _, row := range []struct {
		name      string
		list      http.HandlerFunc
		skip      bool
		err       error
		unchecked bool
	}{
		{"not revoked", bytesOf(r.fido.RevocationList()), false, nil, false}, // the second place is none we ask
		{"revoked", bytesOf(r.fido.RevocationList(signer)), false, passkey.ErrBLOBSigner, false},
		{"another one revoked", bytesOf(r.fido.RevocationList(r.fido.Signer)), false, nil, false},
		{"revoked, not asked", bytesOf(r.fido.RevocationList(signer)), true, nil, true},
		{"list away", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, false, nil, true},
		{"list garbage", bytesOf([]byte("x")), false, nil, true},
		{"list of another", bytesOf(attesttest.NewFIDO(nil).RevocationList(signer)), false, nil, true},
		{"list too large", bytesOf(make([]byte, 5<<20)), false, nil, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.set(func(w http.ResponseWriter, req *http.Request) {
				if req.URL.Path == "/list" {
					row.list(w, req)
					return
				}
				_, _ = w.Write(blob)
			})
			mds, err := passkey.NewMDS(&passkey.MDSOptions{URL: s.URL, Roots: r.fido.Roots(), SkipRevocation: row.skip, Now: r.clock})
			require.NoError(t, err)
			err = mds.Refresh(context.Background())
			require.ErrorIs(t, err, row.err)
			require.Equal(t, row.err == nil, mds.Status().Number == 3)
			require.Equal(t, row.unchecked, mds.Status().Unchecked)
		})
	}
}

// A full BLOB on a slow line: look-ups and registrations go on as if nothing were.
func TestRefreshBlocksNobody(t *testing.T) {
	r := newRig(t)
	models := []*attesttest.FIDOModel{r.model}
	for range 400 {
		m := *r.model
		m.AAGUID[0]++
		m.AAGUID[1] = byte(len(models))
		m.AAGUID[2] = byte(len(models) >> 8)
		models = append(models, &m)
	}
	full := r.fido.BLOB(5, r.clock().Add(24*time.Hour), models, &attesttest.BLOBForge{Payload: func(p map[string]any) {
		p["legalHeader"] = strings.Repeat("x", 8<<20) // the size of the real one
	}})
	s := newBLOBServer(t)
	half, rest := make(chan struct{}), make(chan struct{})
	s.set(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(full[:len(full)/2])
		w.(http.Flusher).Flush()
		close(half)
		<-rest
		_, _ = w.Write(full[len(full)/2:])
	})
	mds, err := passkey.NewMDS(&passkey.MDSOptions{URL: s.URL, Roots: r.fido.Roots(), Now: r.clock})
	require.NoError(t, err)
	require.NoError(t, mds.Load(r.fido.BLOB(4, r.clock().Add(24*time.Hour), r.models, nil)))
	r.v, err = passkey.New(site, r.challenges, r.store, &passkey.Options{Trust: mds, Now: r.clock})
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- mds.Refresh(context.Background()) }()
	<-half
	// These would hang, and the test with them, if the refresh held anything they need: it cannot end before they have.
	require.Equal(t, passkey.Certified, r.register(r.key(), nil).Judged.Trust)
	require.Equal(t, 4, mds.Status().Number)
	close(rest)
	slowest := time.Duration(0)
	for running := true; running; { // while it is verified and read
		t0 := time.Now()
		_, found, err := mds.Lookup(context.Background(), passkey.AttestedKey{AAGUID: r.model.AAGUID})
		slowest = max(slowest, time.Since(t0))
		require.NoError(t, err)
		require.True(t, found)
		select {
		case err := <-done:
			require.NoError(t, err)
			running = false
		default:
		}
	}
	require.Less(t, slowest, time.Second)
	require.Equal(t, 5, mds.Status().Number)
	require.Equal(t, 401, mds.Status().Models)
}

type tripper func(r *http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := attesttest.NewFIDO(nil)
		m := f.NewModel("Key", "FIDO_CERTIFIED")
		number := 0
		var down atomic.Bool
		var failures []error
		mds, err := passkey.NewMDS(&passkey.MDSOptions{
			URL: "https://mds.example/", Roots: f.Roots(), Interval: time.Hour, OnError: func(err error) { failures = append(failures, err) },
			Client: &http.Client{Transport: tripper(func(*http.Request) (*http.Response, error) {
				if down.Load() {
					return nil, errors.New("no route")
				}
				number++
				blob := f.BLOB(number, time.Now().Add(24*time.Hour), []*attesttest.FIDOModel{m}, nil)
				return &http.Response{StatusCode: 200, Body: io.NopCloser(bytes.NewReader(blob))}, nil
			})},
		})
		require.NoError(t, err)
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			mds.Run(ctx)
		}()
		synctest.Wait()
		require.Equal(t, 1, mds.Status().Number)
		time.Sleep(70 * time.Minute)
		synctest.Wait()
		require.Equal(t, 2, mds.Status().Number)
		down.Store(true)
		time.Sleep(70 * time.Minute)
		synctest.Wait()
		require.NotEmpty(t, failures)
		require.Equal(t, 2, mds.Status().Number)
		down.Store(false)
		time.Sleep(6 * time.Minute) // a twelfth of an hour
		synctest.Wait()
		require.Equal(t, 3, mds.Status().Number)
		stop()
		<-ended
	})
}

func TestMDSOptions(t *testing.T) {
	for name, o := range map[string]*passkey.MDSOptions{
		"http":       {URL: "http://example.com"},
		"no url":     {URL: "x"},
		"nil root":   {Roots: []*x509.Certificate{nil}},
		"timeout":    {Timeout: -1},
		"interval":   {Interval: -1},
		"grace":      {Grace: -1},
		"max bytes":  {MaxBytes: -1},
		"min number": {MinNumber: -1},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := passkey.NewMDS(o)
			require.Error(t, err)
		})
	}
	mds, err := passkey.NewMDS(nil)
	require.NoError(t, err)
	require.Zero(t, mds.Status().Number)
	require.ErrorIs(t, mds.Load(make([]byte, passkey.DefaultMDSBytes+1)), passkey.ErrBLOBSize)
}
