package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
)

// Every vendor's CAPTCHA is asked of the sixth sign-up in a minute; the answer its widget would give lets it in.
func TestVendors(t *testing.T) {
	for name := range vendors {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			v, err := (&vendorFlags{name: name, hosts: "127.0.0.1"}).start(ctx)
			require.NoError(t, err)
			handler, err := newServer(options{Vendor: v})
			require.NoError(t, err)
			s := httptest.NewServer(handler)
			t.Cleanup(s.Close)
			jar := map[string]string{}
			post := func(body map[string]string, flow string) (int, map[string]json.RawMessage) {
				raw, err := json.Marshal(body)
				require.NoError(t, err)
				r, err := http.NewRequest(http.MethodPost, s.URL+"/api/signup", bytes.NewReader(raw))
				require.NoError(t, err)
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Accept", "application/json")
				if flow != "" {
					r.Header.Set("Vestibule-Flow", flow)
				}
				for k, v := range jar {
					r.AddCookie(&http.Cookie{Name: k, Value: v})
				}
				resp, err := s.Client().Do(r)
				require.NoError(t, err)
				defer resp.Body.Close()
				for _, c := range resp.Cookies() {
					jar[c.Name] = c.Value
				}
				require.Contains(t, resp.Header.Get("Content-Security-Policy"), v.sources[0])
				var answer map[string]json.RawMessage
				require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
				return resp.StatusCode, answer
			}
			var status int
			var answer map[string]json.RawMessage
			for range 8 {
				if status, answer = post(map[string]string{"email": "ann@example.com"}, ""); status == http.StatusForbidden {
					break
				}
			}
			require.Equal(t, http.StatusForbidden, status)
			var tasks []struct {
				Signal string
				Data   captcha.Task
			}
			require.NoError(t, json.Unmarshal(answer["tasks"], &tasks))
			var task captcha.Task
			for _, each := range tasks {
				if each.Signal == "captcha" {
					task = each.Data
				}
			}
			require.Equal(t, strings.TrimSuffix(name, "_v3"), task.Provider)
			var flow string
			require.NoError(t, json.Unmarshal(answer["flow"], &flow))

			status, answer = post(map[string]string{"email": "ann@example.com", "captcha": captcha.Join(task.Ticket, mint(t, s.URL, task))}, flow)
			require.Equal(t, http.StatusCreated, status, "%s", answer)
		})
	}
}

// mint gets an answer from the stand-in as its widget does.
func mint(t *testing.T, origin string, task captcha.Task) string {
	base, path, ok := strings.Cut(strings.TrimPrefix(task.Script, "http://"), "/")
	require.True(t, ok)
	prefix := ""
	for p := "/" + path; p != "/" && p != "."; p = filepath.ToSlash(filepath.Dir(p)) {
		body, err := json.Marshal(map[string]string{"sitekey": task.SiteKey, "action": task.Action, "cdata": task.CData})
		require.NoError(t, err)
		prefix = strings.TrimSuffix(p, ".js")
		r, err := http.NewRequest(http.MethodPost, "http://"+base+prefix+"/captchatest/mint", bytes.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Origin", origin)
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		raw, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		var answer struct{ Token string }
		if json.Unmarshal(raw, &answer) == nil && answer.Token != "" {
			return answer.Token
		}
	}
	require.Fail(t, "the stand-in mints nothing")
	return ""
}

func TestVendorFlagsRefuse(t *testing.T) {
	ctx := context.Background()
	none, err := (&vendorFlags{name: "pow"}).start(ctx)
	require.NoError(t, err)
	require.Nil(t, none)
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("a-real-secret\n"), 0o600))
	for what, f := range map[string]vendorFlags{
		"unknown":            {name: "nobody"},
		"key without secret": {name: "turnstile", siteKey: "k", hosts: "example.com"},
		"no such file":       {name: "turnstile", siteKey: "k", secretFile: secret + "x", hosts: "example.com"},
		"no endpoint":        {name: "cap", siteKey: "k", secretFile: secret},
		"bad host":           {name: "turnstile", siteKey: "k", secretFile: secret, hosts: "https://example.com"},
	} {
		_, err := f.start(ctx)
		require.Error(t, err, what)
	}
	v, err := (&vendorFlags{name: "turnstile", siteKey: "k", secretFile: secret, hosts: "example.com"}).start(ctx)
	require.NoError(t, err)
	require.Equal(t, "turnstile", v.provider.Name())
}
