package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/identity"
)

// Sightings count the reuse of identifiers.
var _ identity.Reuse = (*fingerprint.Sightings)(nil)

// database is a database file in which 20.0.0.0/16 is in Norway and belongs to a hosting company.
func database(t *testing.T) string {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Test"})
	require.NoError(t, err)
	_, network, err := net.ParseCIDR("20.0.0.0/16")
	require.NoError(t, err)
	require.NoError(t, tree.Insert(network, mmdbtype.Map{
		"country_code": mmdbtype.String("NO"), "is_hosting": mmdbtype.Bool(true), "asn": mmdbtype.String("AS64500"),
	}))
	var b bytes.Buffer
	_, err = tree.WriteTo(&b)
	require.NoError(t, err)
	return text(t, "test.mmdb", b.String())
}

func text(t *testing.T, name, s string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(s), 0o600))
	return path
}

func TestAddressesAreKnown(t *testing.T) {
	feeds := []string{text(t, "feed.txt", "20.1.0.0/24\n"), "tor=" + text(t, "tor.txt", "20.2.0.7\n"), "relay=" + text(t, "relay.csv", "20.0.9.0/24,NO,,,\n")}
	intel, err := openAddresses(t.Context(), []string{database(t)}, feeds, nil, newLog(io.Discard))
	require.NoError(t, err)
	w := newWorld(t, func(o *options) { o.Intel, o.InsecureTrustForwardedFor = intel, true })
	v := w.visit(t)
	w.clock.pass(20e9)
	n := 0
	for address, reasons := range map[string]string{
		"20.9.9.9": "[base +12]",
		"20.0.0.1": "[base +12 ip.hosting +12 (network)]",
		"20.1.0.9": "[base +12 ip.threat +16 (network)]",
		"20.0.9.9": "[base +12 ip.relay +0 (network)]",
	} {
		v.header = http.Header{"X-Forwarded-For": {address}}
		n++
		r := v.signUp(person(n))
		require.Equal(t, http.StatusCreated, r.status, r.text)
		require.Contains(t, w.last(t), `assessment.reasons="`+reasons+`"`, address)
	}
	v.header = http.Header{"X-Forwarded-For": {"20.2.0.7"}}
	r := v.signUp("ann@example.com")
	require.Equal(t, http.StatusForbidden, r.status, "a Tor exit is asked for more")
	require.Contains(t, w.last(t), "ip.tor +22 (network)")
	require.NotContains(t, w.log.String(), "20.2.0.7")
}

func TestDisposableMailbox(t *testing.T) {
	w := newWorld(t, nil)
	v := w.visit(t)
	w.clock.pass(20e9)
	r := v.signUp("ann@mailinator.com")
	require.Equal(t, http.StatusCreated, r.status, r.text)
	require.Contains(t, w.last(t), "email.disposable +14 (email)")
	require.NotContains(t, w.log.String(), "mailinator")
}

func TestAddressFlags(t *testing.T) {
	for name, args := range map[string][]string{
		"no database":  {"-geo", text(t, "x.mmdb", "rubbish")},
		"no file":      {"-geo", "nowhere.mmdb"},
		"web page":     {"-feed", text(t, "x.txt", "<html>")},
		"unknown kind": {"-feed", "aliens=" + text(t, "x.txt", "20.0.0.1\n")},
		"empty":        {"-feed", ""},
	} {
		t.Run(name, func(t *testing.T) {
			require.Error(t, run(t.Context(), append(args, "-addr", "127.0.0.1:0"), io.Discard))
		})
	}
}

// One business number from many telephones is noticed with the sightings of package fingerprint as the counter.
func TestReuseIsCounted(t *testing.T) {
	store, err := fingerprint.NewMemory(nil)
	require.NoError(t, err)
	sightings, err := fingerprint.NewSightings(store, nil)
	require.NoError(t, err)
	business, err := identity.NewBusinessSignal(&identity.BusinessOptions{Reuse: sightings})
	require.NoError(t, err)
	email, err := identity.NewEmailSignal(&identity.EmailOptions{Reuse: sightings})
	require.NoError(t, err)
	signals := []risk.Signal{business, email}
	engine, err := risk.NewEngine(risk.DefaultPolicy(signals), signals, nil)
	require.NoError(t, err)
	for i, want := range []string{"[]", "[business.reused]", "[business.reused email.respelled]", "[business.reused email.respelled]"} {
		s := engine.Assess(t.Context(), &risk.Attempt{
			Event: risk.SignUp, Phone: risk.Private(fmt.Sprint("+479000000", i)), IDs: map[string]risk.Private{"usdot": "USDOT 1234567"},
			Email: risk.Private("ann+" + fmt.Sprint(i) + "@example.com"),
		})
		require.False(t, s.Degraded)
		var codes []string
		for _, r := range s.Reasons {
			if r.Points > 0 && r.Signal != "" {
				codes = append(codes, r.Signal+"."+strings.TrimPrefix(r.Code, r.Signal+"."))
			}
		}
		slices.Sort(codes)
		require.Equal(t, want, fmt.Sprint(codes), "sign-up %d", i)
	}
}
