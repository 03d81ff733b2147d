package e2e_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// insecureHost resolves to this machine, and is no secure context for the browser as it is not called localhost.
const insecureHost = "signup.test"

var (
	program string          // the example, built
	browser context.Context // the browser all tests share
)

func TestMain(m *testing.M) {
	code, err := prepare(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

// prepare builds the example, starts the browser and runs.
func prepare(run func() int) (int, error) {
	dir, err := os.MkdirTemp("", "vestibule-e2e")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "signup")
	build := exec.Command("go", "build", "-o", program, "./examples/signup")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("building the example: %w\n%s", err, out)
	}
	path, err := findBrowser()
	if err != nil {
		return 0, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(filepath.Join(dir, "profile")), chromedp.WindowSize(1100, 900),
		chromedp.DisableGPU, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP "+insecureHost+" 127.0.0.1"),
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium has no sandbox for root
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	defer stop()
	var quit context.CancelFunc
	browser, quit = chromedp.NewContext(allocator)
	defer quit()
	if err := chromedp.Do(browser); err != nil {
		return 0, fmt.Errorf("starting %s: %w", path, err)
	}
	return run(), nil
}

func findBrowser() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome-stable", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	for _, path := range []string{
		"/Applications/Chromium.app/Contents/MacOS/Chromium",
		"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
	} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no Chromium or Chrome found: make e2e installs one")
}

// site is the example, running, with a log of its own.
type site struct {
	url  string
	port string
	mu   sync.Mutex
	log  strings.Builder // guarded by mu
}

func start(t *testing.T, args ...string) *site {
	t.Helper()
	cmd := exec.Command(program, append([]string{"-addr", "127.0.0.1:0"}, args...)...)
	out, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	s := &site{}
	lines := bufio.NewReader(out)
	opened := make(chan string, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			line, err := lines.ReadString('\n')
			s.mu.Lock()
			s.log.WriteString(line)
			s.mu.Unlock()
			if _, rest, ok := strings.Cut(line, `"open http://`); ok {
				opened <- strings.TrimRight(rest, "/\"\n")
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					t.Log(err)
				}
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-ended
		require.NoError(t, cmd.Wait(), "the server ends by itself when it is told to")
		if t.Failed() {
			t.Log(s.logged())
		}
	})
	select {
	case address := <-opened:
		s.url = "http://" + address
		s.port = address[strings.LastIndex(address, ":")+1:]
	case <-ended:
		require.Fail(t, "the server did not start", s.logged())
	case <-time.After(20 * time.Second):
		require.Fail(t, "the server did not say where it listens", s.logged())
	}
	return s
}

func (s *site) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// says waits until the log has a text: what the server writes before it answers may be read after the answer.
func (s *site) says(t *testing.T, text string) {
	t.Helper()
	for begun := time.Now(); !strings.Contains(s.logged(), text); {
		require.Less(t, time.Since(begun), 10*time.Second, "the log does not have %q:\n%s", text, s.logged())
		time.Sleep(5 * time.Millisecond)
	}
}

// tab is a window with cookies of its own. What its pages complain about fails the test.
type tab struct {
	t   *testing.T
	ctx context.Context
}

func open(t *testing.T) *tab {
	t.Helper()
	ctx, closeTab := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	var mu sync.Mutex
	var complaints []string
	err := chromedp.Listen(ctx, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			complaints = append(complaints, (&chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails}).Error())
		case *log.EventEntryAdded:
			// Answers of 4xx are what these tests ask for.
			if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork {
				complaints = append(complaints, fmt.Sprint(e.Entry.Source, ": ", e.Entry.Text))
			}
		}
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		cancel()
		closeTab()
		mu.Lock()
		defer mu.Unlock()
		require.Empty(t, complaints)
	})
	return &tab{t: t, ctx: ctx}
}

func (b *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.shoot("failed")
		require.NoError(b.t, err)
	}
}

// shoot keeps a picture of the page.
func (b *tab) shoot(name string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.ctx), 10*time.Second)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Logf("no picture of %s: %v", name, err)
		return
	}
	require.NoError(b.t, os.WriteFile(filepath.Join(b.t.ArtifactDir(), name+".png"), png, 0o644))
}

// get is the value of an action.
func get[T any](b *tab, action chromedp.Action[T]) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, action)
	if err != nil {
		b.shoot("failed")
		require.NoError(b.t, err)
	}
	return v
}

// text is what an element shows.
func (b *tab) text(selector chromedp.CSS) string {
	b.t.Helper()
	return strings.TrimSpace(get(b, chromedp.Text(selector)))
}

// eval is the value of an expression of the page's; it waits for promises.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	return get(b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}
