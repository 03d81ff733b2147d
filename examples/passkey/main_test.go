package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/passkey"
)

func TestSite(t *testing.T) {
	const origin = "http://localhost:8080"
	var log strings.Builder
	h, err := newSite(origin, &passkey.Options{}, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	serve := func(method, path, body string, cookies ...*http.Cookie) *http.Response {
		r := httptest.NewRequest(method, origin+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		for _, c := range cookies {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Result()
	}
	page := serve("GET", "/", "")
	require.Equal(t, 200, page.StatusCode)
	session := page.Cookies()[0]
	for _, path := range []string{"/passkey.js", "/static/page.js", "/static/page.css"} {
		require.Equal(t, 200, serve("GET", path, "").StatusCode, path)
	}
	require.Equal(t, 400, serve("POST", "/registration/begin", "").StatusCode, "no session")

	key := attesttest.SyncedPasskey([16]byte{1})
	for _, c := range []string{"registration", "login"} {
		begun := serve("POST", "/"+c+"/begin", "", session)
		require.Equal(t, 200, begun.StatusCode)
		raw, err := io.ReadAll(begun.Body)
		require.NoError(t, err)
		var task struct {
			PublicKey json.RawMessage `json:"publicKey"`
		}
		require.NoError(t, json.Unmarshal(raw, &task))
		answer := key.Create
		if c == "login" {
			answer = key.Get
		}
		body, err := answer(origin, task.PublicKey, nil)
		require.NoError(t, err)
		require.Equal(t, 200, serve("POST", "/"+c+"/finish", string(body), session).StatusCode)
		require.Contains(t, log.String(), "ceremony="+c+" trust=none")
	}
	require.NotContains(t, log.String(), "visitor@example.com")
}

func TestRunRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"-no-such-flag"}, {"-addr", "x"},
		{"-addr", "127.0.0.1:0", "-metadata", "http://example.com/"},
		{"-addr", "127.0.0.1:0", "-metadata", "http://127.0.0.1:1/", "-metadata-root", "main.go"},
	} {
		require.Error(t, run(context.Background(), args, io.Discard), args)
	}
}
