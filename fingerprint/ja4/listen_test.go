package ja4_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint/ja4"
	"github.com/vestibule-go/vestibule/risk"
)

type hostKey struct{}

// start serves with Wrap, and with hooks of the host's own.
func start(t *testing.T) (server *httptest.Server, hostHellos *sync.Map) {
	t.Helper()
	hostHellos = &sync.Map{}
	collect := ja4.Collector(nil)
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &risk.Attempt{}
		collect(r, a)
		hello, _ := risk.Evidence[ja4.Hello](a)
		_, _ = fmt.Fprint(w, hello.JA4, " ", r.Proto, " ", r.Context().Value(hostKey{}))
	}))
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		hostHellos.Store(ja4.Of(h), true)
		return nil, nil
	}}
	server.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, hostKey{}, "host")
	}
	server.TLS = ja4.Config(server.TLS)
	server.Config.ConnContext = ja4.ConnContext(server.Config.ConnContext)
	server.Listener = ja4.Listener(server.Listener)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, hostHellos
}

func get(t *testing.T, client *http.Client, url string) (value, proto, host string) {
	t.Helper()
	r, err := client.Get(url)
	require.NoError(t, err)
	defer func() { _ = r.Body.Close() }()
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	_, err = fmt.Sscan(string(body), &value, &proto, &host)
	require.NoError(t, err, "%s", body)
	return value, proto, host
}

func TestListener(t *testing.T) {
	server, hellos := start(t)
	for name, c := range map[string]struct {
		protos []string
		curves []tls.CurveID
		proto  string
		alpn   string
	}{
		"HTTP/2":            {[]string{"h2", "http/1.1"}, nil, "HTTP/2.0", "h2"},
		"HTTP/1.1":          {[]string{"http/1.1"}, nil, "HTTP/1.1", "h1"},
		"no ALPN":           {nil, nil, "HTTP/1.1", "00"},
		"HelloRetryRequest": {[]string{"h2"}, []tls.CurveID{tls.CurveP521, tls.X25519}, "HTTP/2.0", "h2"},
	} {
		t.Run(name, func(t *testing.T) {
			transport := &http.Transport{
				TLSClientConfig:   &tls.Config{InsecureSkipVerify: true, ServerName: "example.com", NextProtos: c.protos, CurvePreferences: c.curves},
				ForceAttemptHTTP2: c.proto == "HTTP/2.0",
			}
			if c.proto != "HTTP/2.0" {
				transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
			}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport}
			value, proto, host := get(t, client, server.URL)
			require.Equal(t, c.proto, proto)
			require.Equal(t, "host", host, "the host's own hook still runs")
			p, err := ja4.Parse(value)
			require.NoError(t, err)
			require.Equal(t, c.alpn, p.ALPN)
			require.Equal(t, "f57a46bbacb6", p.B, "Go's cipher suites")
			_, seen := hellos.Load(value)
			require.True(t, seen, "the host's own hook saw the same hello")
			again, _, _ := get(t, client, server.URL)
			require.Equal(t, value, again)
		})
	}
}

func TestWrap(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan string, 1)
	server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		value, _ := ja4.FromContext(r.Context())
		done <- value
	})}
	pair := httptest.NewUnstartedServer(nil)
	pair.StartTLS()
	certificate := pair.TLS.Certificates[0]
	pair.Close()
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}}
	before := server.TLSConfig
	wrapped := ja4.Wrap(server, l)
	require.Nil(t, before.GetConfigForClient, "the host's configuration is not written to")
	stopped := make(chan error, 1)
	go func() { stopped <- server.ServeTLS(wrapped, "", "") }()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	r, err := client.Get("https://" + l.Addr().String())
	require.NoError(t, err)
	_ = r.Body.Close()
	_, err = ja4.Parse(<-done)
	require.NoError(t, err)
	require.NoError(t, server.Close())
	require.ErrorIs(t, <-stopped, http.ErrServerClosed)
}

func TestWithoutTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, ok := ja4.FromContext(r.Context())
		_, _ = fmt.Fprint(w, ok)
	}))
	server.Config.ConnContext = ja4.ConnContext(nil)
	server.Listener = ja4.Listener(server.Listener)
	server.Start()
	defer server.Close()
	r, err := http.Get(server.URL)
	require.NoError(t, err)
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	_ = r.Body.Close()
	require.Equal(t, "false", string(body))
	_, ok := ja4.FromContext(t.Context())
	require.False(t, ok)
}
