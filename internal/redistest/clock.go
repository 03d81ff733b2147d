package redistest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// clockFile is the file in a server's folder that says how far its clock is ahead.
const clockFile = "clock"

// clockEnv returns the environment that gives a server a wall clock of its own, or skips the test. Intervals, which Redis
// measures by the monotonic clock, stay what they are.
func clockEnv(t testing.TB, dir string) []string {
	t.Helper()
	lib := ""
	for _, pattern := range []string{"/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib*/faketime/libfaketimeMT.so.1", "/usr/local/lib/faketime/libfaketimeMT.so.1"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			lib = found[0]
			break
		}
	}
	if lib == "" {
		t.Skip("libfaketime is not there: install the package faketime to run this test")
	}
	file := filepath.Join(dir, clockFile)
	if err := os.WriteFile(file, []byte("+0"), 0o600); err != nil {
		t.Fatal(err)
	}
	// libc's malloc: the allocator that redis-server is linked with asks for the time before the library is ready.
	return []string{
		"LD_PRELOAD=" + lib + " libc.so.6", "FAKETIME_TIMESTAMP_FILE=" + file, "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1",
	}
}

// SetClock makes the wall clock of a server with Options.OwnClock jump: from now on it is ahead of this process's by so
// many whole seconds, or behind.
func (s *Server) SetClock(t testing.TB, ahead time.Duration) {
	t.Helper()
	if len(s.env) == 0 {
		t.Fatal("redistest: the server has no clock of its own")
	}
	// Renamed into place, so that the server never reads half a file.
	next := filepath.Join(s.dir, clockFile+".next")
	if err := os.WriteFile(next, fmt.Appendf(nil, "%+d", int64(ahead/time.Second)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(s.dir, clockFile)); err != nil {
		t.Fatal(err)
	}
	err := eventually("the server's clock has jumped", func() bool {
		at, ok := s.Do(t, "TIME").([]any)
		if !ok || len(at) != 2 {
			return false
		}
		var sec int64
		if _, err := fmt.Sscan(fmt.Sprint(at[0]), &sec); err != nil {
			return false
		}
		d := sec - time.Now().Add(ahead).Unix()
		return -5 <= d && d <= 5
	})
	if err != nil {
		t.Fatal(err)
	}
}
