package identity_test

import (
	"bufio"
	"crypto/md5" //nolint:gosec // the vectors' hash
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk/identity"
)

// vector reads a file of the area, or skips.
func vector(t *testing.T, name string) []byte {
	t.Helper()
	dir := os.Getenv("VESTIBULE_VECTORS")
	if dir == "" {
		t.Skip("VESTIBULE_VECTORS names no directory of vectors")
	}
	b, err := os.ReadFile(filepath.Join(dir, "fingerprint", "email", name))
	if os.IsNotExist(err) {
		t.Skip("no " + name)
	}
	require.NoError(t, err)
	return b
}

func TestVectorsNormalize(t *testing.T) {
	var cases []struct {
		Email     string
		Canonical *string
		MD5       string `json:"canonical_md5"`
	}
	require.NoError(t, json.Unmarshal(vector(t, "minfraud_normalize.json"), &cases))
	for i, c := range cases {
		t.Run(fmt.Sprintf("minfraud_normalize.json/%d", i), func(t *testing.T) {
			// The file has some characters as the source text they were taken from: \u0308.
			if s, err := strconv.Unquote(`"` + c.Email + `"`); err == nil {
				c.Email = s
			}
			got, err := identity.CanonicalEmail(c.Email)
			require.NoError(t, err, c.Email)
			if c.Canonical != nil {
				require.Equal(t, *c.Canonical, got)
			}
			sum := md5.Sum([]byte(got))
			require.Equal(t, c.MD5, hex.EncodeToString(sum[:]), got)
		})
	}
}

func TestVectorsDisposable(t *testing.T) {
	list := vector(t, "disposable_email_blocklist.conf")
	parsed, err := identity.ParseDomains(strings.NewReader(string(list)))
	require.NoError(t, err)
	listed := map[string]bool{}
	for scan := bufio.NewScanner(strings.NewReader(string(list))); scan.Scan(); {
		listed[scan.Text()] = true
		require.True(t, parsed.Has(scan.Text()), scan.Text())
		require.Equal(t, identity.ClassDisposable, identity.Classify(scan.Text(), parsed), scan.Text())
	}
	t.Run("disposable_probes.json", func(t *testing.T) {
		var probes []struct {
			Domain     string
			Disposable bool
		}
		require.NoError(t, json.Unmarshal(vector(t, "disposable_probes.json"), &probes))
		for _, p := range probes {
			require.Equal(t, p.Disposable, parsed.Has(p.Domain), p.Domain)
			email, err := identity.ParseEmail("x@" + p.Domain)
			require.NoError(t, err)
			require.Equal(t, p.Disposable, identity.Classify(email.Domain(), parsed) == identity.ClassDisposable, p.Domain)
		}
	})
	t.Run("free_email_domains.json", func(t *testing.T) {
		var domains []string
		require.NoError(t, json.Unmarshal(vector(t, "free_email_domains.json"), &domains))
		for _, d := range domains {
			want := false
			for rest := d; strings.Contains(rest, ".") && !want; {
				want = listed[rest]
				_, rest, _ = strings.Cut(rest, ".")
			}
			require.Equal(t, want, parsed.Has(d), d)
		}
	})
}
