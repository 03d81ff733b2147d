package fingerprint_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint"
	"github.com/vestibule-go/vestibule/fingerprint/ja4"
)

// chromium opens the site until it has been seen.
func chromium(t *testing.T, s *site, env []string, args ...string) visit {
	t.Helper()
	path := need(t, "chromium")
	dir := t.TempDir()
	args = append(args, "--no-sandbox", "--ignore-certificate-errors", "--disable-quic", "--no-first-run", "--disable-gpu-sandbox",
		"--host-resolver-rules=MAP fp.test 127.0.0.1", "--user-data-dir="+filepath.Join(dir, "profile"), s.url)
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.WaitDelay = 5 * time.Second
	require.NoError(t, cmd.Start())
	defer func() {
		cancel()
		_ = cmd.Wait() // it is ended here
	}()
	return s.next(t)
}

const windows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"

func TestHeadlessChromium(t *testing.T) {
	s := start(t)
	v := chromium(t, s, nil, "--headless=new")
	checkHello(t, v)
	checkReport(t, v)
	require.Contains(t, v.codes, "ua.automation", "%v", v.codes)
	p, err := ja4.Parse(v.ja4)
	require.NoError(t, err)
	table, err := ja4.NewTable(nil)
	require.NoError(t, err)
	require.Equal(t, ja4.Chromium, table.Family(p))
}

// TestSpoofedChromium is what scripts in the page take for an honest browser.
func TestSpoofedChromium(t *testing.T) {
	s := start(t)
	v := chromium(t, s, nil, "--headless=new", "--user-agent="+windows)
	checkHello(t, v)
	checkReport(t, v)
	require.Equal(t, windows, v.header.Get("User-Agent"))
	require.Contains(t, v.codes, "ua.platform_mismatch", "%v", v.codes)
	require.Contains(t, v.codes, "device.platform_mismatch", "%v", v.codes)
}

// TestHonestChromium has a window and a person's settings: nothing costs it more than 4 points.
func TestHonestChromium(t *testing.T) {
	need(t, "chromium")
	display := xvfb(t)
	s := start(t)
	v := chromium(t, s, []string{"DISPLAY=" + display})
	checkHello(t, v)
	checkReport(t, v)
	for code, points := range v.codes {
		require.LessOrEqual(t, points, 4, "%s: %v", code, v.codes)
	}
}

// xvfb starts a display and returns its name.
func xvfb(t *testing.T) string {
	t.Helper()
	path := need(t, "Xvfb")
	r, w, err := os.Pipe()
	require.NoError(t, err)
	cmd := exec.Command(path, "-displayfd", "3", "-screen", "0", "1280x900x24", "-nolisten", "tcp")
	cmd.ExtraFiles = []*os.File{w}
	require.NoError(t, cmd.Start())
	require.NoError(t, w.Close())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = r.Close()
	})
	require.NoError(t, r.SetReadDeadline(time.Now().Add(30*time.Second)))
	var number [16]byte
	n, err := r.Read(number[:])
	require.NoError(t, err)
	return ":" + strings.TrimSpace(string(number[:n]))
}

// TestFirefox is driven by puppeteer, which it says: of its own, nothing costs it more than 4 points.
func TestFirefox(t *testing.T) {
	path := need(t, "firefox-esr")
	s := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, need(t, "node"), "firefox.mjs", path, "https://localhost:"+s.port+"/")
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	v := s.next(t)
	checkHello(t, v)
	checkReport(t, v)
	require.Contains(t, v.codes, "device.webdriver", "%v", v.codes)
	delete(v.codes, "device.webdriver")
	for code, points := range v.codes {
		require.LessOrEqual(t, points, 4, "%s: %v", code, v.codes)
	}
	p, err := ja4.Parse(v.ja4)
	require.NoError(t, err)
	table, err := ja4.NewTable(nil)
	require.NoError(t, err)
	require.Equal(t, ja4.Firefox, table.Family(p))
}

func TestCurl(t *testing.T) {
	s := start(t)
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"itself":    {nil, "ua.tool"},
		"as Chrome": {[]string{"-A", windows, "-H", "Accept-Language: en", "-H", "Sec-Fetch-Mode: navigate"}, "ja4.tool"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"-sk", "--resolve", "fp.test:" + s.port + ":127.0.0.1", "-d", "", s.url + "result"}, c.args...)
			out, err := exec.CommandContext(t.Context(), need(t, "curl"), args...).CombinedOutput()
			require.NoError(t, err, "%s", out)
			v := s.next(t)
			checkHello(t, v)
			require.Contains(t, v.codes, c.want, "%v", v.codes)
		})
	}
}

// checkReport computes the visitorId of the page's FingerprintJS again.
func checkReport(t *testing.T, v visit) {
	t.Helper()
	r, err := fingerprint.ParseReport(v.report, v.header.Get("User-Agent"))
	require.NoError(t, err)
	require.Equal(t, v.visitorID(t), r.Token.ID)
	require.False(t, r.Token.Inconsistent, "the visitorId follows from the components")
	require.NotContains(t, v.codes, "device.inconsistent")
	require.NotContains(t, v.codes, "device.malformed")
	require.Contains(t, v.codes, "device.new", "the device has been given an id")
}
