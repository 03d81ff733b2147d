package identity_test

import (
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk/identity"
)

var list = flag.String("list", "", "file of disposable domains that the embedded form is made of anew")

// TestUpdateDisposable makes disposable.bin of disposable_email_blocklist.conf of
// https://github.com/disposable-email-domains/disposable-email-domains when -list names it.
func TestUpdateDisposable(t *testing.T) {
	if *list == "" {
		t.Skip("-list names no file")
	}
	f, err := os.Open(*list)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	d, err := identity.ParseDomains(f)
	require.NoError(t, err)
	b, err := d.MarshalBinary()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile("disposable.bin", b, 0o644))
	t.Log(d.Len(), "domains,", len(b), "bytes")
}
