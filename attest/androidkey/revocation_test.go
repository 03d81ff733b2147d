package androidkey_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/androidkey"
	"github.com/vestibule-go/vestibule/attest/attesttest"
)

// statusServer answers as it is told, and notes what it was asked.
type statusServer struct {
	mu    sync.Mutex
	serve http.HandlerFunc
	asked []http.Header
}

func (s *statusServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.Header.Clone())
	serve := s.serve
	s.mu.Unlock()
	serve(w, r)
}

func (s *statusServer) set(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serve = h
}

func (s *statusServer) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

func entries(n int, more string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"%x":{"status":"REVOKED","reason":"KEY_COMPROMISE"},`, 1000+i)
	}
	return `{"entries":{` + b.String() + more + `"ffff":{"status":"SUSPENDED"}}}`
}

func answer(body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		_, _ = w.Write([]byte(body))
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func newList(t *testing.T, h http.HandlerFunc, o androidkey.ListOptions) (*androidkey.RevocationList, *statusServer, *attesttest.Clock) {
	s, c := &statusServer{serve: h}, attesttest.NewClock()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	o.URL, o.Now = server.URL+"/attestation/status", c.Now
	l, err := androidkey.NewRevocationList(&o)
	require.NoError(t, err)
	return l, s, c
}

func requireListed(t *testing.T, l *androidkey.RevocationList, serial string, want bool) {
	t.Helper()
	_, listed, err := l.Lookup(ctx, []string{"abc", serial})
	require.NoError(t, err)
	require.Equal(t, want, listed)
}

func TestListLookups(t *testing.T) {
	l, s, _ := newList(t, answer(entries(10, `"00AB":{"status":"REVOKED"},"6681152659205225093":{"status":"REVOKED"},`)), androidkey.ListOptions{})
	require.Zero(t, s.calls(), "nothing is fetched before it is asked")
	requireListed(t, l, "3e8", true)
	requireListed(t, l, "ab", true) // leading zeros and capitals
	requireListed(t, l, "6681152659205225093", true)
	requireListed(t, l, "ffff", true)
	requireListed(t, l, "3e7", false)
	require.Equal(t, 1, s.calls())
}

func TestListRefreshes(t *testing.T) {
	l, s, c := newList(t, answer(entries(10, ""), "ETag", `"one"`, "Last-Modified", "Sat, 21 Nov 2026 10:00:00 GMT", "Cache-Control", "public, max-age=600"), androidkey.ListOptions{})
	require.NoError(t, l.Refresh(ctx))
	s.set(status(http.StatusNotModified))
	require.NoError(t, l.Refresh(ctx))
	require.Equal(t, `"one"`, s.asked[1].Get("If-None-Match"))
	require.Equal(t, "Sat, 21 Nov 2026 10:00:00 GMT", s.asked[1].Get("If-Modified-Since"))
	requireListed(t, l, "3e8", true)
	// Not due: nobody is asked.
	c.Advance(9 * time.Minute)
	requireListed(t, l, "3e8", true)
	require.Equal(t, 2, s.calls())
	// A new list replaces the old one.
	s.set(answer(entries(20, "")))
	require.NoError(t, l.Refresh(ctx))
	requireListed(t, l, "3f5", true)
	// 304 without a list of ours is no answer.
	fresh, _, _ := newList(t, status(http.StatusNotModified), androidkey.ListOptions{})
	require.ErrorIs(t, fresh.Refresh(ctx), attest.ErrUnavailable)
}

func TestListFailures(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"404": status(404), "500": status(500), "a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) },
		"empty": answer(""), "no entries": answer(`{}`), "empty entries": answer(`{"entries":{}}`), "null": answer(`{"entries":null}`),
		"truncated": answer(entries(10, "")[:200]), "not JSON": answer("<html>"), "more behind it": answer(entries(10, "") + "{}"),
		"not hex": answer(entries(10, `"xyz":{"status":"REVOKED"},`)), "zero": answer(entries(10, `"000":{"status":"REVOKED"},`)),
		"entry no object": answer(entries(10, `"ab":"REVOKED",`)), "serial twice": answer(entries(10, `"3e8":{"status":"REVOKED"},`)),
		"entries twice": answer(`{"entries":{"a":{}},"entries":{}}`), "huge": answer(entries(200_000, "")), "shrunk": answer(entries(2, "")),
	} {
		t.Run(name, func(t *testing.T) {
			l, s, c := newList(t, answer(entries(10, "")), androidkey.ListOptions{MaxBytes: 1 << 20, MaxStale: 2 * time.Hour})
			require.NoError(t, l.Refresh(ctx))
			s.set(h)
			require.ErrorIs(t, l.Refresh(ctx), attest.ErrUnavailable)
			// The last good list is good for a bounded time.
			c.Advance(30 * time.Second)
			requireListed(t, l, "3e8", true)
			require.Equal(t, 2, s.calls(), "a failure is not followed at once by the next try")
			c.Advance(2 * time.Hour)
			_, _, err := l.Lookup(ctx, []string{"3e8"})
			require.ErrorIs(t, err, attest.ErrUnavailable)
			_, _, err = l.Lookup(ctx, []string{"3e8"})
			require.ErrorIs(t, err, attest.ErrUnavailable, "within the pause after a failure")
			if name == "shrunk" {
				return
			}
			s.set(answer(entries(10, "")))
			c.Advance(2 * time.Minute)
			requireListed(t, l, "3e8", true)
		})
	}
}

func TestListNeverLoaded(t *testing.T) {
	l, _, _ := newList(t, status(503), androidkey.ListOptions{})
	_, _, err := l.Lookup(ctx, []string{"1"})
	require.ErrorIs(t, err, attest.ErrUnavailable)
	require.NotContains(t, err.Error(), "127.0.0.1")

	hang := make(chan struct{})
	l, _, _ = newList(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}, androidkey.ListOptions{Timeout: 5 * time.Second})
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	_, _, err = l.Lookup(short, []string{"1"})
	require.ErrorIs(t, err, context.DeadlineExceeded, "a visitor waits no longer than its own time")
	close(hang)
}

func TestListOneFetchForAll(t *testing.T) {
	release := make(chan struct{})
	l, s, _ := newList(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		answer(entries(10, ""))(w, r)
	}, androidkey.ListOptions{})
	var wg sync.WaitGroup
	failed := make(chan error, 16)
	for range 16 {
		wg.Go(func() {
			_, listed, err := l.Lookup(ctx, []string{"3e8"})
			if err != nil || !listed {
				failed <- fmt.Errorf("listed %t, error %w", listed, err)
			}
		})
	}
	close(release)
	wg.Wait()
	require.Empty(t, failed)
	require.Equal(t, 1, s.calls())
}

func TestNewListRefuses(t *testing.T) {
	for name, o := range map[string]androidkey.ListOptions{
		"Refresh": {Refresh: time.Second}, "MaxStale": {MaxStale: time.Minute}, "MaxBytes": {MaxBytes: -1}, "https": {URL: "http://example.com"},
	} {
		l, err := androidkey.NewRevocationList(&o)
		require.ErrorContains(t, err, name)
		require.Nil(t, l)
	}
	l, err := androidkey.NewRevocationList(nil)
	require.NoError(t, err)
	require.NotNil(t, l)
}

func TestListRefreshesBesideTheLookup(t *testing.T) {
	l, s, c := newList(t, answer(entries(10, ""), "Cache-Control", "max-age=600"), androidkey.ListOptions{})
	require.NoError(t, l.Refresh(ctx))
	asked, release := make(chan struct{}), make(chan struct{})
	s.set(func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-release
		answer(entries(20, ""))(w, r)
	})
	c.Advance(10 * time.Minute)
	requireListed(t, l, "3f5", false) // the old list goes on
	<-asked                           // and the new one is on its way
	requireListed(t, l, "3f5", false)
	close(release)
	require.Eventually(t, func() bool {
		_, listed, err := l.Lookup(ctx, []string{"3f5"})
		return err == nil && listed
	}, 10*time.Second, time.Millisecond)
	require.Equal(t, 2, s.calls())
}
