package redistest

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Kill ends the process at once, as a power cut does. Connections are refused from then on.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.kill()
}

// Stop ends the process in an orderly way, saving nothing.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	c, paused := s.child, s.paused
	s.mu.Unlock()
	if c == nil {
		return
	}
	if paused {
		s.Resume(t)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = s.admin.ShutdownNoSave(ctx).Err() // answered by a closed connection
	select {
	case <-c.done:
	case <-ctx.Done():
		t.Fatalf("redistest: %s does not stop: %s", s.Addr(), c.log)
	}
	s.kill()
}

// Restart ends the process if it runs, and starts it again on the same port: empty, without scripts.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.kill()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = s.start(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// Pause stops the process from running: it still accepts connections and commands, and answers nothing until Resume.
// It resumes with the end of the test at the latest.
func (s *Server) Pause(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.child == nil {
		t.Fatal("redistest: the server does not run")
	}
	if err := pause(s.child.proc); err != nil {
		t.Fatal(err)
	}
	if !s.paused {
		c := s.child
		t.Cleanup(func() { _ = resume(c.proc) })
	}
	s.paused = true
}

// Resume lets a paused process run on. It then answers what it was sent meanwhile.
func (s *Server) Resume(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.child == nil || !s.paused {
		return
	}
	if err := resume(s.child.proc); err != nil {
		t.Fatal(err)
	}
	s.paused = false
}

// Running reports whether the process runs. A paused one does.
func (s *Server) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.child == nil {
		return false
	}
	select {
	case <-s.child.done:
		return false
	default:
		return true
	}
}

// Flush removes all keys and scripts and forgets statistics.
func (s *Server) Flush(t testing.TB) {
	t.Helper()
	s.Do(t, "FLUSHALL")
	s.Do(t, "SCRIPT", "FLUSH")
	s.Do(t, "CONFIG", "RESETSTAT")
}

// FlushScripts makes the server forget its scripts: the next EVALSHA is answered with NOSCRIPT.
func (s *Server) FlushScripts(t testing.TB) {
	t.Helper()
	s.Do(t, "SCRIPT", "FLUSH")
}

// Do sends the server a command, over a connection of the helper's own, and fails the test when it fails. A nil answer
// is no failure.
func (s *Server) Do(t testing.TB, args ...any) any {
	t.Helper()
	v, err := s.Try(t, args...)
	if err != nil && err != redis.Nil {
		t.Fatalf("redistest: %v on %s: %v", args[0], s.Addr(), err)
	}
	return v
}

// Try is Do for commands that may fail.
func (s *Server) Try(t testing.TB, args ...any) (any, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return s.admin.Do(ctx, args...).Result()
}

// Info returns one field of INFO, such as "total_reads_processed" of section "stats".
func (s *Server) Info(t testing.TB, section, name string) string {
	t.Helper()
	text, _ := s.Do(t, "INFO", section).(string)
	return field(text, name)
}

// Expires returns when a key of the server's expires, by the server's clock, to a few milliseconds.
func (s *Server) Expires(t testing.TB, key string) time.Time {
	t.Helper()
	const script = `
local left,now=redis.call('PTTL',KEYS[1]),redis.call('TIME')
return {left,now[1]*1000+math.floor(now[2]/1000)}`
	answer, ok := s.Do(t, "EVAL", script, 1, key).([]any)
	if !ok || len(answer) != 2 {
		t.Fatalf("redistest: %v", answer)
	}
	left, _ := answer[0].(int64)
	now, _ := answer[1].(int64)
	if left < 0 {
		t.Fatal("redistest: the key is not there, or never expires")
	}
	return time.UnixMilli(now + left)
}

// Reads returns how often the server has read from a socket, the reads of this call included. Between two calls with
// nothing else it grows by one.
func (s *Server) Reads(t testing.TB) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s.Info(t, "stats", "total_reads_processed"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// eventually polls until ok, and fails the test when that takes too long.
func eventually(what string, ok func() bool) error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return nil
		}
	}
	return &timeoutError{what}
}

type timeoutError struct{ what string }

func (e *timeoutError) Error() string { return "redistest: waited in vain until " + e.what }
