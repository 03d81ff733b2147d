package main

import (
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint/fingerprinttest"
)

// TestOverTLS starts the program with -tls: a Go program that calls itself Chrome is found out by its hello.
func TestOverTLS(t *testing.T) {
	url, log := serving(t, io.Discard, "-tls")
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/api/signup", strings.NewReader(`{"email":"ann@example.com"}`))
	require.NoError(t, err)
	r.Header = fingerprinttest.Go().Header
	r.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(r)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, 2, answer.ProtoMajor)
	require.Contains(t, log.String(), "ja4.tool +20 (client)")
	require.Contains(t, log.String(), "assessment.action=challenge")

	page, err := client.Get(url)
	require.NoError(t, err)
	defer func() { _ = page.Body.Close() }()
	require.Contains(t, page.Header.Get("Set-Cookie"), "__Host-", "over TLS cookies go no other way")
	_, err = io.Copy(io.Discard, page.Body)
	require.NoError(t, err)
}

// TestDevice agrees to being recognised, and is; who does not agree loses nothing.
func TestDevice(t *testing.T) {
	w := newWorld(t, nil)
	v := w.visit(t)
	w.clock.pass(20 * time.Second)
	ask := v.do(http.MethodPost, "/device", "application/json", `{}`)
	require.JSONEq(t, `{"level":"passive","ask":"yes"}`, ask.text)
	require.Equal(t, http.StatusCreated, v.signUp(person(1), "device", `{"webdriver":true}`).status)
	require.Contains(t, w.last(t), `assessment.reasons="[base +12]"`, "nothing is looked at before consent")

	agreed := v.do(http.MethodPost, "/device", "application/json", `{"consent":true}`)
	require.Contains(t, agreed.text, `"level":"active"`)
	require.Equal(t, http.StatusCreated, v.signUp(person(2), "device", `{}`).status)
	require.Contains(t, w.last(t), "device.new +4 (device)")
	require.Equal(t, http.StatusCreated, v.signUp(person(3), "device", `{}`).status)
	require.Contains(t, w.last(t), "device.reused +3 (device)")

	refused := v.do(http.MethodPost, "/device", "application/json", `{"consent":false}`)
	require.JSONEq(t, `{"level":"passive"}`, refused.text)
	require.Equal(t, http.StatusCreated, v.signUp(person(4), "device", `{}`).status)
	require.Contains(t, w.last(t), `assessment.reasons="[base +12]"`)
}
