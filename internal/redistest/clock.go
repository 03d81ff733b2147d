package redistest

import (
	"cmp"
	_ "embed"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// clockFile is the file in a server's folder that says how far its clock is ahead.
const clockFile = "clock"

//go:embed preload/clock.c
var clockSource []byte

// clockEnv returns the environment that gives a server a wall clock of its own, or skips the test.
//
// libfaketime is not used: servers linked with jemalloc, as Debian's are, hang with it, and newer ones than Redis 7 crash
// where it is made to work with another allocator.
func clockEnv(t testing.TB, dir string) []string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("servers have clocks of their own on Linux only")
	}
	cc, err := exec.LookPath(cmp.Or(os.Getenv("CC"), "cc"))
	if err != nil {
		t.Skip("a server's clock needs a C compiler: install gcc, or set CC, to run this test")
	}
	source, lib := filepath.Join(dir, "clock.c"), filepath.Join(dir, "clock.so")
	if err := os.WriteFile(source, clockSource, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(cc, "-shared", "-fPIC", "-O1", "-Wall", "-o", lib, source).CombinedOutput(); err != nil {
		t.Fatalf("redistest: compiling preload/clock.c: %v\n%s", err, out)
	}
	if err := setClock(dir, 0); err != nil {
		t.Fatal(err)
	}
	return []string{"LD_PRELOAD=" + lib, "REDISTEST_CLOCK=" + filepath.Join(dir, clockFile)}
}

// setClock writes to the file in place: the server has mapped it.
func setClock(dir string, ahead time.Duration) error {
	f, err := os.OpenFile(filepath.Join(dir, clockFile), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write(binary.NativeEndian.AppendUint64(nil, uint64(ahead/time.Second)))
	return err
}

// SetClock makes the wall clock of a server with Options.OwnClock jump: from now on it is ahead of this process's by so
// many whole seconds, or behind.
func (s *Server) SetClock(t testing.TB, ahead time.Duration) {
	t.Helper()
	if len(s.env) == 0 {
		t.Fatal("redistest: the server has no clock of its own")
	}
	if err := setClock(s.dir, ahead); err != nil {
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
