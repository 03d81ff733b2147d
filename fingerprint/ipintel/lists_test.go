package ipintel_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint/ipintel"
)

// publisher is a fake of whoever publishes a feed.
type publisher struct {
	mu       sync.Mutex
	body     string
	status   int
	header   http.Header
	asked    int
	answered int // with a body
	seen     http.Header
	query    string
}

func (p *publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	p.seen, p.query = r.Header.Clone(), r.URL.RawQuery
	for k, v := range p.header {
		w.Header()[k] = v
	}
	if p.status != 0 {
		w.WriteHeader(p.status)
		return
	}
	tag := fmt.Sprintf(`"%x"`, len(p.body))
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	p.answered++
	w.Header().Set("ETag", tag)
	w.Header().Set("Last-Modified", "Sat, 21 Nov 2026 00:00:00 GMT")
	_, _ = w.Write([]byte(p.body))
}

func (p *publisher) set(body string, status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.body, p.status = body, status
}

func addresses(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "20.0.%d.%d\n", i/256, i%256)
	}
	return b.String()
}

func TestListsRefresh(t *testing.T) {
	p := &publisher{body: addresses(100)}
	server := httptest.NewServer(p)
	defer server.Close()
	now := time.Unix(1_800_000_000, 0)
	var heard []string
	l, err := ipintel.NewLists([]ipintel.Source{{
		Name: "tor", Kind: ipintel.Tor, Every: time.Hour, MaxAge: 24 * time.Hour,
		Origin: ipintel.Origin{URL: server.URL + "/list?key=hush", Header: http.Header{"Key": {"hush"}}},
	}}, &ipintel.ListsOptions{
		Now:     func() time.Time { return now },
		OnError: func(name string, err error) { heard = append(heard, name); require.NotContains(t, err.Error(), "hush") },
	})
	require.NoError(t, err)
	listed := func() bool { return l.Lookup(ip("20.0.0.5"), 0).Kinds == ipintel.Tor }
	status := func() ipintel.Status { return l.Status()[0] }
	require.False(t, listed())
	require.True(t, status().Stale)

	require.NoError(t, l.Refresh(t.Context()))
	require.True(t, listed())
	require.Equal(t, 100, status().Entries)
	require.Equal(t, now, status().Loaded)
	require.False(t, status().Stale)
	require.Equal(t, "key=hush", p.query)
	require.Equal(t, "hush", p.seen.Get("Key"))
	require.Equal(t, []string{"tor"}, l.Lookup(ip("20.0.0.5"), 0).Names())

	require.NoError(t, l.Refresh(t.Context()))
	require.Equal(t, 1, p.asked, "not due")
	loaded := now
	now = now.Add(time.Hour)
	require.NoError(t, l.Refresh(t.Context()))
	require.Equal(t, 2, p.asked)
	require.Equal(t, 1, p.answered, "nothing new costs no download")
	require.Equal(t, "Sat, 21 Nov 2026 00:00:00 GMT", p.seen.Get("If-Modified-Since"))
	require.Equal(t, loaded, status().Loaded)
	require.Equal(t, now, status().Checked)

	// Refused and failed updates leave the last good copy, and the validators it came with.
	for _, row := range []struct {
		name   string
		body   string
		status int
		want   error
	}{
		{"truncated", addresses(49), 0, ipintel.ErrShrunk},
		{"empty", "", 0, ipintel.ErrEmpty},
		{"HTML", "<html>sorry</html>", 0, ipintel.ErrHTML},
		{"everything", addresses(200) + "0.0.0.0/0\n", 0, ipintel.ErrTooBroad},
		{"down", "", 503, nil},
		{"moved", "", 302, nil},
		{"gone", "", 404, nil},
	} {
		now = now.Add(time.Hour)
		heard = nil
		p.set(row.body, row.status)
		err := l.Refresh(t.Context())
		require.Error(t, err, row.name)
		require.NotContains(t, err.Error(), "hush")
		if row.want != nil {
			require.ErrorIs(t, err, row.want, row.name)
		} else {
			s, ok := errors.AsType[*ipintel.StatusError](err)
			require.True(t, ok)
			require.Equal(t, row.status, s.Status)
		}
		require.True(t, listed(), row.name)
		require.Equal(t, []string{"tor"}, heard)
		require.Equal(t, 100, status().Entries)
		require.Error(t, status().Err)
		require.Equal(t, `"`+fmt.Sprintf("%x", len(addresses(100)))+`"`, p.seen.Get("If-None-Match"))
		require.Equal(t, now.Add(10*time.Minute), status().Next, "it is tried again soon")
	}
	require.Equal(t, 7*time.Hour, status().Age)

	// Half is enough, and Force takes less.
	now = now.Add(time.Hour)
	p.set(addresses(50), 0)
	require.NoError(t, l.Refresh(t.Context()))
	require.Equal(t, 50, status().Entries)
	p.set(addresses(6), 0)
	require.NoError(t, l.Force(t.Context()))
	require.Equal(t, 6, status().Entries)
	require.True(t, listed())

	// The server says when it wants to be asked again.
	p.set("", 429)
	p.header = http.Header{"Retry-After": {"7200"}}
	now = now.Add(time.Hour)
	require.Error(t, l.Refresh(t.Context()))
	require.Equal(t, now.Add(2*time.Hour), status().Next)

	// What is too old accuses nobody.
	now = now.Add(24 * time.Hour)
	require.Error(t, l.Refresh(t.Context()))
	require.True(t, status().Stale)
	require.False(t, listed())
	p.set(addresses(60), 0)
	p.header = nil
	now = now.Add(24 * time.Hour)
	require.NoError(t, l.Refresh(t.Context()))
	require.True(t, listed())
}

func TestListsJoin(t *testing.T) {
	l := lists(t, map[ipintel.Kind]string{
		ipintel.Hosting: "20.0.0.0/16\n", ipintel.VPN: "20.0.1.0/24\n", ipintel.Relay: "20.0.1.7\n",
	})
	require.Equal(t, ipintel.Hosting|ipintel.VPN|ipintel.Relay, l.Lookup(ip("::ffff:20.0.1.7"), 0).Kinds)
	require.Equal(t, ipintel.Hosting, l.Lookup(ip("20.0.2.7"), 0).Kinds)
	require.Zero(t, l.Lookup(ip("20.1.0.0"), 0).Kinds)
	require.Nil(t, l.Lookup(ip("20.1.0.0"), 0).Names())
	require.Zero(t, testing.AllocsPerRun(100, func() { l.Lookup(ip("20.0.1.7"), 0) }))
}

func TestListsOfSystems(t *testing.T) {
	path := file(t, "asn", []byte("ASN,Entity\n64500,x\n"))
	l, err := ipintel.NewLists([]ipintel.Source{{Name: "bad-asn", Kind: ipintel.Hosting, Origin: ipintel.Origin{File: path}, Format: ipintel.FormatASN}}, nil)
	require.NoError(t, err)
	require.NoError(t, l.Refresh(t.Context()))
	require.Equal(t, ipintel.Hosting, l.Lookup(ip("20.0.0.1"), 64500).Kinds)
	require.Zero(t, l.Lookup(ip("20.0.0.1"), 64501).Kinds)
	require.Zero(t, l.Lookup(ip("20.0.0.1"), 0).Kinds)
}

func TestOneBadSourceHidesNoOther(t *testing.T) {
	good, bad := file(t, "good", []byte("20.0.0.1\n")), file(t, "bad", []byte("<html>"))
	l, err := ipintel.NewLists([]ipintel.Source{
		{Name: "bad", Kind: ipintel.VPN, Origin: ipintel.Origin{File: bad}},
		{Name: "none", Kind: ipintel.VPN, Origin: ipintel.Origin{File: bad + ".none"}},
		{Name: "folder", Kind: ipintel.VPN, Origin: ipintel.Origin{File: t.TempDir()}},
		{Name: "good", Kind: ipintel.Threat, Origin: ipintel.Origin{File: good}},
	}, nil)
	require.NoError(t, err)
	err = l.Refresh(t.Context())
	require.ErrorIs(t, err, ipintel.ErrHTML)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "folder")
	require.Equal(t, ipintel.Threat, l.Lookup(ip("20.0.0.1"), 0).Kinds)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, l.Force(ctx), context.Canceled)
}

func TestOwnListMayEmpty(t *testing.T) {
	path := file(t, "own", []byte(addresses(10)))
	l, err := ipintel.NewLists([]ipintel.Source{{Name: "own", Kind: ipintel.Listed, Origin: ipintel.Origin{File: path}, AllowEmpty: true}}, nil)
	require.NoError(t, err)
	require.NoError(t, l.Force(t.Context()))
	require.Equal(t, ipintel.Listed, l.Lookup(ip("20.0.0.1"), 0).Kinds)
	replace(t, path, []byte("# none\n"), time.Now().Add(time.Second))
	require.NoError(t, l.Force(t.Context()))
	require.Zero(t, l.Lookup(ip("20.0.0.1"), 0).Kinds)
	require.False(t, l.Status()[0].Stale)
}

func TestNewListsRefuses(t *testing.T) {
	good := ipintel.Source{Name: "x", Kind: ipintel.Tor, Origin: ipintel.Origin{File: "x"}}
	for name, change := range map[string]func(s *ipintel.Source){
		"no name":      func(s *ipintel.Source) { s.Name = "" },
		"odd name":     func(s *ipintel.Source) { s.Name = "a b" },
		"long name":    func(s *ipintel.Source) { s.Name = strings.Repeat("a", 33) },
		"no kind":      func(s *ipintel.Source) { s.Kind = 0 },
		"unknown kind": func(s *ipintel.Source) { s.Kind = 1 << 15 },
		"no origin":    func(s *ipintel.Source) { s.File = "" },
		"two origins":  func(s *ipintel.Source) { s.URL = "https://example.com" },
		"plain http":   func(s *ipintel.Source) { s.File, s.URL = "", "http://example.com/x" },
		"every":        func(s *ipintel.Source) { s.Every = -1 },
		"age":          func(s *ipintel.Source) { s.MaxAge = -1 },
		"format":       func(s *ipintel.Source) { s.Format = "xml" },
		"bytes":        func(s *ipintel.Source) { s.MaxBytes = -1 },
	} {
		s := good
		change(&s)
		_, err := ipintel.NewLists([]ipintel.Source{s}, nil)
		require.ErrorContains(t, err, "source", name)
	}
	_, err := ipintel.NewLists([]ipintel.Source{good, good}, nil)
	require.ErrorContains(t, err, "unique")
	_, err = ipintel.NewLists(make([]ipintel.Source, 65), nil)
	require.ErrorContains(t, err, "at most 64")
}

func TestRun(t *testing.T) {
	path := file(t, "own", []byte("20.0.0.1\n"))
	base := file(t, "x.mmdb", some(t, "NO", 5))
	synctest.Test(t, func(t *testing.T) {
		l, err := ipintel.NewLists([]ipintel.Source{{Name: "own", Kind: ipintel.Listed, Origin: ipintel.Origin{File: path}, AllowEmpty: true}}, nil)
		require.NoError(t, err)
		failed := 0
		db, err := ipintel.OpenDatabase(t.Context(), ipintel.Origin{File: base}, &ipintel.DatabaseOptions{OnError: func(error) { failed++ }})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		go func() { ended <- l.Run(ctx) }()
		go func() { ended <- db.Run(ctx) }()
		synctest.Wait()
		require.Equal(t, ipintel.Listed, l.Lookup(ip("20.0.0.1"), 0).Kinds)

		replace(t, path, []byte("20.0.0.2\n"), time.Now().Add(time.Second))
		replace(t, base, some(t, "SE", 5), time.Now().Add(time.Second))
		time.Sleep(61 * time.Second) // the bubble's clock
		synctest.Wait()
		require.Zero(t, l.Lookup(ip("20.0.0.1"), 0).Kinds)
		require.Equal(t, ipintel.Listed, l.Lookup(ip("20.0.0.2"), 0).Kinds)
		r, _, _ := db.Lookup(prefixes(1)[0].Addr())
		require.Equal(t, "SE", r.Country)

		replace(t, base, []byte("x"), time.Now().Add(time.Second))
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, 1, failed)
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}
