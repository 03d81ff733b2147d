package useragent_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint/useragent"
	"github.com/vestibule-go/vestibule/risk"
)

// vectors returns a folder of test vectors, or skips.
func vectors(t *testing.T, folder string) string {
	t.Helper()
	dir := os.Getenv("VESTIBULE_VECTORS")
	if dir == "" {
		t.Skip("VESTIBULE_VECTORS is not set: no vectors to compare with")
	}
	return filepath.Join(dir, "fingerprint", folder)
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, into))
}

func newChecker(t testing.TB) *useragent.Checker {
	t.Helper()
	c, err := useragent.New(nil)
	require.NoError(t, err)
	return c
}

// points is what the engine makes of a request's headers, beyond its base.
func points(t testing.TB, header http.Header) int {
	t.Helper()
	s, err := useragent.NewSignal(newChecker(t))
	require.NoError(t, err)
	signals := []risk.Signal{s}
	engine, err := risk.NewEngine(risk.DefaultPolicy(signals), signals, nil)
	require.NoError(t, err)
	base := engine.Assess(t.Context(), &risk.Attempt{Event: risk.SignUp})
	got := engine.Assess(t.Context(), &risk.Attempt{Event: risk.SignUp, Channel: risk.ChannelWeb, Header: header})
	require.Empty(t, got.Errors)
	return got.Raw - base.Raw
}

func TestVectorsBots(t *testing.T) {
	dir := vectors(t, "ua")
	c := newChecker(t)
	for _, file := range []string{"isbot_fixtures.json", "crawler_user_agents.json"} {
		var cases []struct {
			UA  string
			Bot bool
		}
		readJSON(t, filepath.Join(dir, file), &cases)
		for i, x := range cases {
			t.Run(fmt.Sprintf("%s/%d", file, i), func(t *testing.T) {
				a := c.Parse(x.UA)
				require.Equal(t, x.Bot, a.Kind.Bot(), "%v: %s", a.Kind, x.UA)
			})
		}
	}
}

func TestVectorsClientHints(t *testing.T) {
	var cases []struct {
		UA       string `json:"user_agent"`
		Headers  map[string]any
		Expected struct {
			Most int `json:"max_points"`
		}
	}
	readJSON(t, filepath.Join(vectors(t, "ua"), "clienthints.json"), &cases)
	for i, x := range cases {
		for _, complete := range []bool{false, true} {
			t.Run(fmt.Sprintf("clienthints.json/%d complete=%v", i, complete), func(t *testing.T) {
				h := http.Header{}
				for k, v := range x.Headers {
					if s, ok := v.(string); ok {
						h.Set(k, s)
					}
				}
				h.Set("User-Agent", x.UA)
				if complete { // the file has the hints only
					h.Set("Accept-Language", "en")
					h.Set("Accept-Encoding", "gzip")
					h.Set("Sec-Fetch-Mode", "navigate")
				}
				require.LessOrEqual(t, points(t, h), x.Expected.Most, "%v %v", newChecker(t).Check(h).Codes(), h)
			})
		}
	}
}

func TestVectorsTools(t *testing.T) {
	var cases []struct {
		Proto    string
		Headers  [][2]string
		Expected struct {
			Browser bool
			Kind    string
		}
	}
	readJSON(t, filepath.Join(vectors(t, "headers"), "cli.json"), &cases)
	for i, x := range cases {
		t.Run(fmt.Sprintf("cli.json/%d %s", i, x.Expected.Kind), func(t *testing.T) {
			r := newChecker(t).Check(headerOf(x.Headers))
			require.Equal(t, x.Expected.Browser, r.Agent.Kind == useragent.Browser && len(r.Codes()) == 0, "%v %v", r.Agent, r.Codes())
		})
	}
}

func headerOf(list [][2]string) http.Header {
	h := http.Header{}
	for _, kv := range list {
		if !strings.HasPrefix(kv[0], ":") {
			h.Add(kv[0], kv[1])
		}
	}
	return h
}

// wordCodes says which codes give what the vectors call by words of their own.
var wordCodes = map[string]useragent.Code{
	"headers.headless-ua":          useragent.CodeAutomation,
	"headers.ua-platform-mismatch": useragent.CodePlatform,
}

func TestVectorsBrowsers(t *testing.T) {
	dir := vectors(t, "browser")
	files, err := filepath.Glob(filepath.Join(dir, "*.request.json"))
	require.NoError(t, err)
	for _, file := range files {
		var x struct {
			Client   string
			Expected struct {
				ByHeaders bool `json:"by_headers"`
				Codes     []string
			}
			Requests [][][2]string
		}
		readJSON(t, file, &x)
		for i, request := range x.Requests {
			t.Run(fmt.Sprintf("%s/%d", filepath.Base(file), i), func(t *testing.T) {
				h := headerOf(request)
				r := newChecker(t).Check(h)
				if !x.Expected.ByHeaders {
					require.LessOrEqual(t, points(t, h), 4, "an honest request: %v", r.Codes())
					return
				}
				found := false
				for _, word := range x.Expected.Codes {
					if c, ok := wordCodes[word]; ok {
						found = found || r.Has(c)
					}
				}
				require.True(t, found, "want one of %v, got %v", x.Expected.Codes, r.Codes())
			})
		}
	}
}
