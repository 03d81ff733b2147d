package redistest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// patience bounds every wait for a server: far more than any machine needs.
const patience = 30 * time.Second

// Options of a server. The zero value and nil mean the defaults.
type Options struct {
	// Args are added to redis-server's command line, such as "--maxmemory", "8mb".
	Args []string
	// OwnClock gives the server a wall clock that SetClock sets. Without a C compiler, or elsewhere than on Linux, the test
	// skips.
	OwnClock bool
}

// Server is one redis-server process. Its methods are for one test at a time.
type Server struct {
	bin  string
	dir  string
	port int
	args []string
	env  []string // added to this process's own

	mu     sync.Mutex
	child  *child // nil: not running
	paused bool
	admin  *redis.Client
}

// child is one running process.
type child struct {
	proc *os.Process
	log  *tail
	done chan struct{} // closed when it has ended
}

// Find returns the path of redis-server. Without one it skips the test, or fails it when VESTIBULE_REQUIRE_REDIS is 1.
func Find(t testing.TB) string {
	t.Helper()
	path, err := find()
	if err != nil {
		if os.Getenv("VESTIBULE_REQUIRE_REDIS") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return path
}

func find() (string, error) {
	if !supported {
		return "", errors.New("redis-server does not run on " + runtime.GOOS)
	}
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return "", errors.New("redis-server is not on PATH: install the package redis-server to run this test")
	}
	return path, nil
}

// Start starts a server that ends with the test.
func Start(t testing.TB, opts *Options) *Server {
	t.Helper()
	var o Options
	if opts != nil {
		o = *opts
	}
	bin, dir := Find(t), t.TempDir()
	var env []string
	if o.OwnClock {
		env = clockEnv(t, dir)
	}
	s, err := newServer(bin, dir, o.Args, env...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.end)
	return s
}

// newServer starts a server on a free port. Ports are tried at random: another process may be quicker.
func newServer(bin, dir string, args []string, env ...string) (*Server, error) {
	var err error
	for range 8 {
		s := &Server{bin: bin, dir: dir, args: args, env: env}
		if s.port, err = freePort(); err != nil {
			return nil, err
		}
		if err = s.start(); err == nil {
			return s, nil
		}
		s.end()
	}
	return nil, err
}

// freePort returns a loopback port that is free now. It and the one 10,000 above it, which a cluster's node takes too, are
// below the range that outgoing connections are given, so that a stopped server finds its ports again.
func freePort() (int, error) {
	for range 200 {
		port := 10_000 + rand.IntN(10_000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("redistest: no free loopback port")
}

// Addr is the server's address, host and port. It stays the same over restarts.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Port is the server's port.
func (s *Server) Port() int { return s.port }

// Client returns a client that is closed with the test. edit, unless nil, may change its options first.
func (s *Server) Client(t testing.TB, edit func(*redis.Options)) *redis.Client {
	t.Helper()
	o := &redis.Options{Addr: s.Addr(), ContextTimeoutEnabled: true}
	if edit != nil {
		edit(o)
	}
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// start starts the process and waits until it answers.
func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.child != nil {
		return nil
	}
	args := []string{
		"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--appendonly", "no",
		"--daemonize", "no", "--repl-diskless-sync-delay", "0",
	}
	if before7, err := isBefore7(s.bin); err != nil {
		return err
	} else if !before7 {
		args = append(args, "--enable-debug-command", "yes") // unknown to older ones, where DEBUG needs no leave
	}
	return s.startWith(append(args, s.args...))
}

// isBefore7 says whether a server is older than Redis 7.
func isBefore7(bin string) (bool, error) {
	out, err := exec.Command(bin, "--version").Output()
	if err != nil {
		return false, fmt.Errorf("redistest: asking %s for its version: %w", bin, err)
	}
	_, v, _ := strings.Cut(string(out), " v=")
	major, err := strconv.Atoi(v[:max(0, strings.IndexByte(v, '.'))])
	if err != nil {
		return false, fmt.Errorf("redistest: %s does not tell its version: %s", bin, out)
	}
	return major < 7, nil
}

func (s *Server) startWith(args []string) error {
	c, err := startChild(s.bin, args, s.env)
	if err != nil {
		return err
	}
	s.child, s.paused = c, false
	if s.admin == nil {
		s.admin = redis.NewClient(&redis.Options{
			Addr: s.Addr(), MaxRetries: -1, ContextTimeoutEnabled: true,
			ReadTimeout: patience, DialTimeout: patience,
		})
	}
	for end := time.Now().Add(patience); ; {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		pid, err := serverPID(ctx, s.admin)
		cancel()
		if err == nil && pid == c.proc.Pid {
			return nil
		}
		select {
		case <-c.done:
			s.child = nil
			return fmt.Errorf("redistest: redis-server on port %d ended at once: %s", s.port, c.log)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(end) {
			return fmt.Errorf("redistest: redis-server on port %d does not answer: %v", s.port, err)
		}
	}
}

// serverPID asks a server which process it is, so that a stranger on the same port is not taken for ours.
func serverPID(ctx context.Context, c *redis.Client) (int, error) {
	info, err := c.Info(ctx, "server").Result()
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(field(info, "process_id"))
}

// field returns one line of an INFO answer, or "".
func field(info, name string) string {
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// startChild starts a process that dies with this one.
func startChild(bin string, args, env []string) (*child, error) {
	c := &child{log: &tail{}, done: make(chan struct{})}
	cmd := exec.Command(bin, args...)
	cmd.Stdout, cmd.Stderr = c.log, c.log
	if len(env) > 0 {
		cmd.Env = append(os.Environ(), env...)
	}
	tie(cmd)
	started := make(chan error)
	go func() {
		// The kernel ends the child with the thread that started it, so that thread has to stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // how it ended is seen in its log
		close(c.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("redistest: %w", err)
	}
	c.proc = cmd.Process
	return c, nil
}

// end ends the process, if any, for good.
func (s *Server) end() {
	s.kill()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.admin != nil {
		_ = s.admin.Close()
		s.admin = nil
	}
}

func (s *Server) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.child == nil {
		return
	}
	_ = s.child.proc.Kill() // fails only when it has ended
	<-s.child.done
	s.child, s.paused = nil, false
}

// log is the end of what the process has printed.
func (s *Server) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.child == nil {
		return "(not running)"
	}
	return s.child.log.String()
}

// confFile writes a configuration file into the server's folder.
func (s *Server) confFile(name, text string) (string, error) {
	path := filepath.Join(s.dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// tail keeps the end of what a process prints.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (l *tail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	const most = 8 << 10
	l.buf = append(l.buf, p...)
	if n := len(l.buf); n > most {
		l.buf = append(l.buf[:0], l.buf[n-most:]...)
	}
	return len(p), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(bytes.TrimSpace(l.buf))
}
