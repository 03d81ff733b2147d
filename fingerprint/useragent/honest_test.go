package useragent_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint/useragent"
)

// challenge is how many points beyond the base reach a challenge.
const challenge = 31 - 12

// rows are those of the table in the package's documentation, by how their samples begin there.
type row struct {
	label  string
	points int
}

// table reads what the documentation says.
func table(t *testing.T) (rows []row) {
	t.Helper()
	raw, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	_, text, found := strings.Cut(string(raw), "//	sample")
	require.True(t, found)
	text, _, found = strings.Cut(text, "//\n")
	require.True(t, found)
	label := ""
	for _, line := range strings.Split(text, "\n")[1:] {
		line = strings.TrimPrefix(line, "//	")
		if !strings.HasPrefix(line, " ") {
			label = line
		}
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		points, err := strconv.Atoi(fields[len(fields)-1])
		if _, e := strconv.Atoi(fields[len(fields)-2]); err == nil && e == nil {
			rows = append(rows, row{label, points})
		}
	}
	return rows
}

// TestDocumentedPoints: no row of the documentation reaches a challenge by itself.
func TestDocumentedPoints(t *testing.T) {
	rows := table(t)
	require.Len(t, rows, 7)
	for _, r := range rows {
		require.Less(t, r.points, challenge, r.label)
	}
}

// hinting reports browsers that send client hints unasked.
func hinting(a useragent.Agent) bool {
	return a.Engine == useragent.Blink && a.Major >= 89 && !a.WebView
}

// TestVectorsHonest gives every sample that others have labelled honest the points of its row in the documentation.
func TestVectorsHonest(t *testing.T) {
	dir := vectors(t, "")
	rows, found := table(t), map[string]int{}
	c := newChecker(t)
	judge := func(t *testing.T, label string, h http.Header) {
		t.Helper()
		for _, r := range rows {
			if strings.HasPrefix(r.label, label) {
				found[label]++
				require.Equal(t, r.points, points(t, h), "%s: %v %v", label, c.Check(h).Codes(), h)
				return
			}
		}
		require.Fail(t, "the documentation has no such row", label)
	}
	complete := func(h http.Header) http.Header { // the files have User-Agents and hints only
		h.Set("Accept-Language", "en")
		h.Set("Accept-Encoding", "gzip")
		h.Set("Sec-Fetch-Mode", "navigate")
		return h
	}
	t.Run("clienthints.json", func(t *testing.T) {
		var cases []struct {
			UA      string `json:"user_agent"`
			Headers map[string]any
		}
		readJSON(t, filepath.Join(dir, "ua", "clienthints.json"), &cases)
		for _, x := range cases {
			h := http.Header{"User-Agent": {x.UA}}
			for k, v := range x.Headers {
				if s, ok := v.(string); ok {
					h.Set(k, s)
				}
			}
			label := "browsers with client hints"
			switch {
			case c.Parse(x.UA).Kind.Bot():
				label = "a page speed test"
			case h.Get("Sec-CH-UA") == "" && h.Get("Sec-CH-UA-Platform") == "" && h.Get("Sec-CH-UA-Mobile") == "" && hinting(c.Parse(x.UA)):
				label = "browsers of television sets"
			}
			h.Set("User-Agent", x.UA)
			judge(t, label, complete(h))
		}
	})
	t.Run("isbot_fixtures.json", func(t *testing.T) {
		var cases []struct {
			UA  string
			Bot bool
		}
		readJSON(t, filepath.Join(dir, "ua", "isbot_fixtures.json"), &cases)
		for _, x := range cases {
			if x.Bot {
				continue
			}
			label := "browsers by User-Agent"
			switch a := c.Parse(x.UA); {
			case a.Engine == useragent.NoEngine:
				label = "apps, mail programs"
			case hinting(a):
				label = "Chromium 89 and newer among such"
			}
			judge(t, label, complete(http.Header{"User-Agent": {x.UA}}))
		}
	})
	t.Run("browser", func(t *testing.T) {
		files, err := filepath.Glob(filepath.Join(dir, "browser", "*.request.json"))
		require.NoError(t, err)
		for _, file := range files {
			var x struct {
				Expected struct {
					ByHeaders bool `json:"by_headers"`
				}
				Requests [][][2]string
			}
			readJSON(t, file, &x)
			for _, request := range x.Requests {
				if !x.Expected.ByHeaders {
					judge(t, "Chromium with a window", headerOf(request))
				}
			}
		}
	})
	t.Log(found)
}
