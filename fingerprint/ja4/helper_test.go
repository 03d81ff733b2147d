package ja4_test

import (
	"crypto/tls"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fromLists makes a hello of the text that a JA4 part hashes.
func fromLists(t testing.TB, kind, text string) *tls.ClientHelloInfo {
	t.Helper()
	list := func(s string) (out []uint16) {
		for v := range strings.SplitSeq(s, ",") {
			n, err := strconv.ParseUint(v, 16, 16)
			require.NoError(t, err)
			out = append(out, uint16(n))
		}
		return out
	}
	if kind == "cipher_hash" {
		return &tls.ClientHelloInfo{CipherSuites: list(text)}
	}
	extensions, schemes, _ := strings.Cut(text, "_")
	h := &tls.ClientHelloInfo{Extensions: list(extensions)}
	if schemes != "" {
		for _, v := range list(schemes) {
			h.SignatureSchemes = append(h.SignatureSchemes, tls.SignatureScheme(v))
		}
	}
	return h
}
