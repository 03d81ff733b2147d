package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
			w := newWorld(t, func(o *options) { o.Vendor = v })
			visitor := w.visit(t)
			w.clock.pass(20 * time.Second)
			asked := visitor.burst()
			require.Contains(t, asked.header.Get("Content-Security-Policy"), v.sources[0])
			var task captcha.Task
			require.NoError(t, json.Unmarshal(asked.task(t, "captcha"), &task))
			require.Equal(t, strings.TrimSuffix(name, "_v3"), task.Provider)
			visitor.continues(asked.Flow)
			in := visitor.signUp(person(5), "captcha", captcha.Join(task.Ticket, mint(t, w.URL, task)))
			require.Equal(t, http.StatusCreated, in.status, in.text)
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
