package fingerprinttest

import (
	"bytes"
	"compress/flate"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Server is a fake of the Fingerprint Server API v4: a real server on loopback that knows the events a test adds. It
// seals and signs as Fingerprint does. It is safe for concurrent use.
type Server struct {
	// URL is the base URL for fpjs.New; Key the secret API key it wants, SealKey the base64 key it seals with, and
	// WebhookSecret the secret it signs with.
	URL, Key, SealKey, WebhookSecret string

	mu     sync.Mutex
	events map[string]json.RawMessage // guarded by mu
	fail   int                        // guarded by mu
	calls  int                        // guarded by mu
}

// Event is what a test wants to have happened; Signals are further fields of the event's JSON.
type Event struct {
	ID, VisitorID, IP, UserAgent, URL, LinkedID string
	Time                                        time.Time
	Signals                                     map[string]any
}

// NewServer starts one that ends with the test.
func NewServer(t testing.TB) *Server {
	t.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	s := &Server{
		Key: "secret-" + hex.EncodeToString(key[:8]), SealKey: base64.StdEncoding.EncodeToString(key),
		WebhookSecret: "webhook-" + hex.EncodeToString(key[8:16]), events: map[string]json.RawMessage{},
	}
	server := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(server.Close)
	s.URL = server.URL + "/v4"
	return s
}

// JSON is the event as the API, a webhook and a sealed result have it.
func (e Event) JSON() []byte {
	fields := map[string]any{
		"event_id": e.ID, "timestamp": e.Time.UnixMilli(), "url": e.URL, "ip_address": e.IP, "user_agent": e.UserAgent,
		"linked_id": e.LinkedID, "incremental_identification_status": "completed",
		"identification": map[string]any{
			"visitor_id": e.VisitorID, "visitor_found": true, "confidence": map[string]any{"score": 0.98, "version": "1.1"},
		},
	}
	for k, v := range e.Signals {
		fields[k] = v
	}
	b, err := json.Marshal(fields)
	if err != nil {
		panic("fingerprinttest: an event that is no JSON: " + err.Error())
	}
	return b
}

// Add makes the server know an event.
func (s *Server) Add(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events[e.ID] = e.JSON()
}

// Fail makes all answers have this status; 0: no longer.
func (s *Server) Fail(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = status
}

// Calls is how many requests came.
func (s *Server) Calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	w.Header().Set("Content-Type", "application/json")
	refuse := func(status int, code string) {
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"error":{"code":%q,"message":"fake"}}`, code)
	}
	id, is := strings.CutPrefix(r.URL.Path, "/v4/events/")
	switch event, known := s.events[id]; {
	case s.fail == http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "7")
		refuse(s.fail, "too_many_requests")
	case s.fail != 0:
		refuse(s.fail, "failed")
	case r.Header.Get("Authorization") != "Bearer "+s.Key:
		refuse(http.StatusForbidden, "secret_api_key_not_found")
	case !is || r.Method != http.MethodGet || !known:
		refuse(http.StatusNotFound, "event_not_found")
	default:
		_, _ = w.Write(event) // the client is gone
	}
}

// Seal returns the sealed result of an event, as the page's agent gets it.
func (s *Server) Seal(e Event) string { return s.SealBytes(e.JSON()) }

// SealBytes seals any content.
func (s *Server) SealBytes(plain []byte) string {
	var packed bytes.Buffer
	f, _ := flate.NewWriter(&packed, flate.BestCompression) // the level exists
	_, _ = f.Write(plain)
	_ = f.Close()
	return s.SealPacked(packed.Bytes())
}

// SealPacked seals what is packed already, or not at all.
func (s *Server) SealPacked(packed []byte) string {
	key, _ := base64.StdEncoding.DecodeString(s.SealKey)
	block, _ := aes.NewCipher(key)
	aead, _ := cipher.NewGCM(block)
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce)
	out := append([]byte{0x9e, 0x85, 0xdc, 0xed}, nonce...)
	return base64.StdEncoding.EncodeToString(aead.Seal(out, nonce, packed, nil))
}

// Webhook returns the body and signature of an event's webhook.
func (s *Server) Webhook(e Event) (body []byte, signature string) {
	body = e.JSON()
	m := hmac.New(sha256.New, []byte(s.WebhookSecret))
	_, _ = m.Write(body)
	return body, "v1=" + hex.EncodeToString(m.Sum(nil))
}
