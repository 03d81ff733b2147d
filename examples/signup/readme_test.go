package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../.."

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(b)
}

// blocks are the fenced blocks of a language in a Markdown text, in order.
func blocks(text, language string) []string {
	var out []string
	for _, m := range regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		if m[1] == language {
			out = append(out, m[2])
		}
	}
	return out
}

// known are the packages the README's shorter blocks use without importing them.
var known = []string{
	"net/http", "net/http/httptest", "strings", "testing",
	"github.com/vestibule-go/vestibule/captcha", "github.com/vestibule-go/vestibule/risk",
	"github.com/vestibule-go/vestibule/risk/riskhttp", "github.com/vestibule-go/vestibule/risk/risktest",
}

// file makes a Go file of a block: package and imports are added where the block has none.
func file(block string) string {
	if strings.HasPrefix(block, "package ") {
		return block
	}
	text := "package main\n\nimport (\n"
	for _, path := range known {
		name := path[strings.LastIndex(path, "/")+1:]
		if regexp.MustCompile(`\b` + name + `\.[A-Z]`).MatchString(block) {
			text += "\t\"" + path + "\"\n"
		}
	}
	return text + ")\n\n" + block
}

// The README's blocks are one program and its test: they are vetted, built and run as if they lay in this module.
func TestReadmeCode(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs the go command")
	}
	text := read(t, root+"/README.md")
	code := blocks(text, "go")
	require.Len(t, code, 3)
	require.True(t, strings.HasPrefix(code[0], "func signUp("), "the first block is a whole handler")

	top, err := filepath.Abs(root)
	require.NoError(t, err)
	dir := t.TempDir()
	replace := map[string]string{}
	for i, name := range []string{"handler.go", "main.go", "handler_test.go"} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(file(code[i])), 0o600))
		replace[filepath.Join(top, "examples", "readme_"+name)] = path
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	overlayPath := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(overlayPath, overlay, 0o600))
	cmd := exec.CommandContext(t.Context(), "go", "test", "-v", "-overlay", overlayPath, "./examples") // a folder without Go files of its own
	cmd.Dir = top
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "--- PASS: TestSignUpAsksForAProof")
}

func TestReadmeBeginning(t *testing.T) {
	text := read(t, root+"/README.md")
	lines := strings.Split(text, "\n")
	first := strings.Join(lines[:30], "\n")
	for _, want := range []string{
		"```go\nfunc signUp(", "guard.Answer(w, r, s)", "```sh\ngo get github.com/vestibule-go/vestibule\ngo run ./examples/signup",
		"| package | question it answers | needs |",
	} {
		require.Contains(t, first, want)
	}
	require.NotContains(t, strings.Join(lines[30:], "\n"), "\n| [`", "the whole table is at the beginning")
}

func TestReadmeLinks(t *testing.T) {
	for _, path := range []string{root + "/README.md", "README.md"} {
		text := regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(read(t, path), "")
		for _, m := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(text, -1) {
			_, err := os.Stat(filepath.Join(filepath.Dir(path), m[1]))
			require.NoError(t, err, m[0])
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| (`.*`) \\|").FindAllStringSubmatch(read(t, "README.md"), -1) {
		for _, name := range strings.Split(strings.ReplaceAll(m[1], "`", ""), ", ") {
			_, err := os.Stat(name)
			require.NoError(t, err, name)
		}
	}
}

// The transcript of this example's README, run against the server.
func TestReadmeTranscript(t *testing.T) {
	for _, tool := range []string{"bash", "curl", "jq", "python3"} {
		if err := exec.Command(tool, "--version").Run(); err != nil {
			t.Skip("needs", tool)
		}
	}
	dir := t.TempDir()
	file, err := os.Create(filepath.Join(dir, "signup.log")) // as the README has it
	require.NoError(t, err)
	defer file.Close()
	url, log := serving(t, file)
	script := "set -eu -o pipefail\n"
	for _, block := range blocks(read(t, "README.md"), "sh") {
		if !strings.Contains(block, "go run ") {
			script += strings.ReplaceAll(block, "http://127.0.0.1:8080", url) + "\n"
		}
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "no_proxy=localhost")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	var codes []string
	for _, m := range regexp.MustCompile(`(?m)^HTTP/1.1 (\d+)|^(\d{3})$|\b(\d{3}) `).FindAllStringSubmatch(string(out), -1) {
		codes = append(codes, m[1]+m[2]+m[3])
	}
	want := slices.Concat(slices.Repeat([]string{"201"}, 7), slices.Repeat([]string{"403"}, 10), slices.Repeat([]string{"429"}, 11))
	require.Equal(t, want, codes, string(out))
	require.Contains(t, string(out), "\"require\": [\n    \"human\"\n  ]")
	require.Contains(t, string(out), `["human","phone"]`)
	require.Contains(t, string(out), `["phone"]`)
	require.Contains(t, string(out), `{"result":"ok"}`)
	require.Contains(t, log.String(), "phone.verified -8 (phone)")
	require.Contains(t, log.String(), "captcha.passed -6 (human)")
	require.Contains(t, log.String(), "ratelimit.banned")
}
