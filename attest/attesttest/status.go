package attesttest

import (
	"crypto/x509"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
)

// StatusServer is Google's list of revoked certificates: for androidkey.ListOptions.URL. It answers conditional requests
// as Google does. It is safe for concurrent use.
type StatusServer struct {
	mu      sync.Mutex
	entries map[string]map[string]string // guarded by mu
	version int                          // guarded by mu
	calls   int                          // guarded by mu
}

// StatusServer makes a server whose list holds one certificate that nobody has, as an empty list is none.
func (g *Google) StatusServer() *StatusServer {
	return &StatusServer{entries: map[string]map[string]string{"1f": {"status": "REVOKED", "reason": "SUPERSEDED"}}}
}

// List puts a certificate on the list: "REVOKED" or "SUSPENDED". An empty status takes it off.
func (s *StatusServer) List(c *x509.Certificate, status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	serial := c.SerialNumber.Text(16)
	if status == "" {
		delete(s.entries, serial)
		return
	}
	s.entries[serial] = map[string]string{"status": status, "reason": "KEY_COMPROMISE"}
}

// Calls is how often it was asked.
func (s *StatusServer) Calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// ServeHTTP implements http.Handler.
func (s *StatusServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.calls++
	tag := `"` + strconv.Itoa(s.version) + `"`
	body, err := json.Marshal(map[string]any{"entries": s.entries})
	s.mu.Unlock()
	must(err)
	w.Header().Set("ETag", tag)
	w.Header().Set("Content-Type", "application/json")
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(body)
}
