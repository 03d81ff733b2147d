package passkey_test

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest/passkey"
)

func TestOptions(t *testing.T) {
	r := newRig(t)
	for _, row := range []struct {
		name   string
		site   func(s *passkey.RelyingParty)
		change func(o *passkey.Options)
	}{
		{"no name", func(s *passkey.RelyingParty) { s.Name = "" }, nil},
		{"no origins", func(s *passkey.RelyingParty) { s.Origins = nil }, nil},
		{"http", func(s *passkey.RelyingParty) { s.Origins = []string{"http://example.com"} }, nil},
		{"path", func(s *passkey.RelyingParty) { s.Origins = []string{"https://example.com/"} }, nil},
		{"upper case", func(s *passkey.RelyingParty) { s.Origins = []string{"https://Example.com"} }, nil},
		{"another site", func(s *passkey.RelyingParty) { s.Origins = []string{"https://example.net"} }, nil},
		{"suffix", func(s *passkey.RelyingParty) { s.Origins = []string{"https://notexample.com"} }, nil},
		{"app without hash", func(s *passkey.RelyingParty) { s.Origins = []string{"android:apk-key-hash:x"} }, nil},
		{"least", nil, func(o *passkey.Options) { o.Least = 99 }},
		{"level", nil, func(o *passkey.Options) { o.MinLevel = 99 }},
		{"conveyance", nil, func(o *passkey.Options) { o.Attestation = "please" }},
		{"body", nil, func(o *passkey.Options) { o.MaxBody = 1 }},
		{"timeout", nil, func(o *passkey.Options) { o.Timeout = time.Millisecond }},
		{"zero model", nil, func(o *passkey.Options) { o.AllowModels = []passkey.AAGUID{{}} }},
		{"top without cross", nil, func(o *passkey.Options) { o.TopOrigins = []string{origin} }},
		{"safetynet", nil, func(o *passkey.Options) { o.AllowFormats = []string{"android-safetynet"} }},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, o := site, &passkey.Options{}
			if row.site != nil {
				row.site(&s)
			}
			if row.change != nil {
				row.change(o)
			}
			_, err := passkey.New(s, r.challenges, r.store, o)
			require.Error(t, err)
		})
	}
	_, err := passkey.New(site, nil, r.store, nil)
	require.Error(t, err)
	_, err = passkey.New(site, r.challenges, nil, nil)
	require.Error(t, err)
	app := site
	app.Origins = []string{origin, "android:apk-key-hash:" + base64.RawURLEncoding.EncodeToString(make([]byte, 32))}
	_, err = passkey.New(app, r.challenges, r.store, nil)
	require.NoError(t, err)
}
