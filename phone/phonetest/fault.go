package phonetest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
)

// Fault is a way for a provider to fail. The zero value is none.
type Fault string

// The faults. "status:503" and the like are any status with an empty JSON object.
const (
	FaultHang      Fault = "hang"      // no answer until the client hangs up
	FaultSlowBody  Fault = "slow body" // headers and half a body, then nothing
	FaultTruncated Fault = "truncated" // half a body, and the end
	FaultHTML      Fault = "html"      // 200 with a page
	FaultRedirect  Fault = "redirect"  // 302 elsewhere
	FaultHuge      Fault = "huge"      // a body without end
	FaultEmpty     Fault = "empty"     // 200 with nothing
	FaultTwice     Fault = "twice"     // a JSON object with the same name twice
	FaultArray     Fault = "array"     // JSON, but no object
)

// FaultStatus is the fault of an HTTP status.
func FaultStatus(status int) Fault { return Fault("status:" + strconv.Itoa(status)) }

// Faults lists all faults but the statuses.
func Faults() []Fault {
	return []Fault{FaultHang, FaultSlowBody, FaultTruncated, FaultHTML, FaultRedirect, FaultHuge, FaultEmpty, FaultTwice, FaultArray}
}

// server is what the fakes share: a loopback server with faults, that counts requests.
type server struct {
	http *httptest.Server

	mu       sync.Mutex
	fault    Fault // guarded by mu, as are requests and limit
	requests int
	limit    int                       // requests that are still answered; -1: all
	tooMany  func(http.ResponseWriter) // how the provider says that there were too many
}

// URL is the server's address, for BaseURL.
func (s *server) URL() string { return s.http.URL }

// Close ends the server.
func (s *server) Close() {
	s.http.CloseClientConnections()
	s.http.Close()
}

// Fail makes every request fail in a way from now on; "" ends that.
func (s *server) Fail(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Limit makes the server answer n more requests and refuse those after them as too many, in the provider's own words
// (429); a negative n ends that.
func (s *server) Limit(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = max(n, -1)
}

// Requests is how many requests came in.
func (s *server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

func (s *server) serve(h http.Handler, tooMany func(http.ResponseWriter)) {
	s.limit, s.tooMany = -1, tooMany
	s.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests++
		fault, spent := s.fault, s.limit == 0
		if s.limit > 0 {
			s.limit--
		}
		s.mu.Unlock()
		if fault != "" {
			_, _ = io.CopyN(io.Discard, r.Body, 1<<20) // only then does the server see that a client hangs up
			fail(w, r, fault)
			return
		}
		if spent {
			w.Header().Set("Retry-After", "7")
			s.tooMany(w)
			return
		}
		h.ServeHTTP(w, r)
	}))
}

func fail(w http.ResponseWriter, r *http.Request, fault Fault) {
	half := []byte(`{"sid":"SMaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","status":"queued","valid":true,"to"`)
	w.Header().Set("Content-Type", "application/json")
	switch fault {
	case FaultHang:
		<-r.Context().Done()
	case FaultSlowBody:
		w.Header().Set("Content-Length", "4096")
		_, _ = w.Write(half)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	case FaultTruncated:
		w.Header().Set("Content-Length", "4096")
		_, _ = w.Write(half)
	case FaultHTML:
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<html>approved</html>"))
	case FaultRedirect:
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	case FaultHuge:
		_, _ = w.Write([]byte(`{"a":"`))
		chunk := []byte(strings.Repeat("a", 64<<10))
		for range 64 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	case FaultEmpty:
	case FaultTwice:
		_, _ = w.Write([]byte(`{"status":"pending","status":"approved","valid":false,"valid":true,"swapped":false,"swapped":true}`))
	case FaultArray:
		_, _ = w.Write([]byte(`[{"status":"approved","valid":true}]`))
	default:
		status, err := strconv.Atoi(strings.TrimPrefix(string(fault), "status:"))
		if err != nil || status < 200 || status > 599 {
			status = http.StatusInternalServerError
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte("{}"))
	}
}
