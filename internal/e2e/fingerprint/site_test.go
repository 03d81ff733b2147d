package fingerprint_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint"
	"github.com/vestibule-go/vestibule/fingerprint/ja4"
	"github.com/vestibule-go/vestibule/fingerprint/useragent"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/keyed"
	"github.com/vestibule-go/vestibule/risk/riskhttp"
)

// need skips the test, or fails it where clients are required.
func need(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("VESTIBULE_REQUIRE_CLIENTS") == "1" {
			t.Fatal(err)
		}
		t.Skip(name + " is not on PATH")
	}
	return path
}

// scripts installs FingerprintJS as package-lock.json says.
var scripts = sync.OnceValues(func() ([]byte, error) {
	path := filepath.Join("node_modules", "@fingerprintjs", "fingerprintjs", "dist", "fp.umd.min.js")
	if _, err := os.Stat(filepath.Join("node_modules", "puppeteer-core", "package.json")); err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if out, err := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund").CombinedOutput(); err != nil {
			return nil, fmt.Errorf("npm ci: %w\n%s", err, out)
		}
	}
	return os.ReadFile(path)
})

const page = `<!doctype html><title>e2e</title><form><input type="hidden" name="device"></form>
<script src="/fp.js"></script><script src="/device.js" data-endpoint="/device" data-level="active"></script>
<script>vestibuleDevice.ready.then(async (report) => {
  await fetch("/result", {method: "POST", headers: {"Content-Type": "application/json"}, body: report || ""});
  document.title = "done";
});</script>`

// visit is what the server saw of one client.
type visit struct {
	header http.Header
	ja4    string
	hello  []byte // the bytes the connection began with
	report []byte
	codes  map[string]int // what the engine observed, with points
}

// site is a TLS server with all signals of package fingerprint.
type site struct {
	url, port string
	visits    chan visit

	mu     sync.Mutex
	hellos map[string]*tee // guarded by mu: by the client's address
}

// tee keeps what a connection begins with.
type tee struct {
	net.Conn
	mu    sync.Mutex
	first []byte // guarded by mu
}

func (c *tee) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.first) < 8<<10 {
		c.first = append(c.first, p[:n]...)
	}
	return n, err
}

type teeListener struct {
	net.Listener
	site *site
}

func (l teeListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	own := &tee{Conn: c}
	l.site.mu.Lock()
	defer l.site.mu.Unlock()
	l.site.hellos[c.RemoteAddr().String()] = own
	return own, nil
}

func start(t *testing.T) *site {
	t.Helper()
	fp, err := scripts()
	require.NoError(t, err)
	s := &site{visits: make(chan visit, 16), hellos: map[string]*tee{}}
	ring, err := keyed.New([]keyed.Key{{ID: "k", Secret: keyed.NewSecret()}}, nil)
	require.NoError(t, err)
	devices, err := fingerprint.NewDevices(ring, fingerprint.AskNobody, nil)
	require.NoError(t, err)
	store, err := fingerprint.NewMemory(nil)
	require.NoError(t, err)
	sightings, err := fingerprint.NewSightings(store, nil)
	require.NoError(t, err)
	velocity, err := fingerprint.NewVelocity(sightings, nil)
	require.NoError(t, err)
	device, err := fingerprint.NewSignal(nil)
	require.NoError(t, err)
	checker, err := useragent.New(nil)
	require.NoError(t, err)
	ua, err := useragent.NewSignal(checker)
	require.NoError(t, err)
	library, err := ja4.NewSignal(nil)
	require.NoError(t, err)
	signals := []risk.Signal{velocity, device, ua, library}
	engine, err := risk.NewEngine(risk.DefaultPolicy(signals), signals, nil)
	require.NoError(t, err)
	guard, err := riskhttp.New(engine, &riskhttp.Options{Collectors: []riskhttp.Collector{ja4.Collector(nil), devices.Collect}})
	require.NoError(t, err)

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, page)
	})
	mux.HandleFunc("GET /fp.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = w.Write(fp)
	})
	mux.Handle("GET /device.js", fingerprint.Script())
	mux.Handle("/device", devices.Handler())
	mux.HandleFunc("POST /result", func(_ http.ResponseWriter, r *http.Request) {
		report, err := io.ReadAll(io.LimitReader(r.Body, fingerprint.MaxReport))
		if err != nil {
			t.Error(err)
		}
		a := guard.Attempt(r, risk.SignUp)
		a.Email = "person@example.com"
		devices.Report(a, report)
		got := engine.Assess(r.Context(), a)
		v := visit{header: r.Header.Clone(), report: report, codes: map[string]int{}}
		v.ja4, _ = ja4.FromContext(r.Context())
		for _, reason := range got.Reasons {
			if reason.Signal != "" {
				v.codes[reason.Signal+"."+strings.TrimPrefix(reason.Code, reason.Signal+".")] += reason.Points
			}
		}
		s.mu.Lock()
		if c := s.hellos[r.RemoteAddr]; c != nil {
			c.mu.Lock()
			v.hello = append([]byte(nil), c.first...)
			c.mu.Unlock()
		}
		s.mu.Unlock()
		s.visits <- v
	})
	// httptest makes the certificate; the server is one of net/http's as hosts have it.
	pair := httptest.NewUnstartedServer(nil)
	pair.StartTLS()
	certificate := pair.TLS.Certificates[0]
	pair.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: mux, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	wrapped := ja4.Wrap(server, teeListener{l, s})
	done := make(chan error, 1)
	go func() { done <- server.ServeTLS(wrapped, "", "") }()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	_, s.port, err = net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	s.url = "https://fp.test:" + s.port + "/"
	return s
}

// next is the next client the server sees.
func (s *site) next(t *testing.T) visit {
	t.Helper()
	select {
	case v := <-s.visits:
		return v
	case <-time.After(60 * time.Second):
		require.Fail(t, "no client came")
		return visit{}
	}
}

// visitorID is what the page's FingerprintJS computed.
func (v visit) visitorID(t *testing.T) string {
	t.Helper()
	var report struct {
		FPJS struct{ VisitorID, Version string }
	}
	require.NoError(t, json.Unmarshal(v.report, &report))
	require.Equal(t, "5.2.0", report.FPJS.Version)
	return report.FPJS.VisitorID
}
