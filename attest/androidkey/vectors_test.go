package androidkey_test

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/androidkey"
)

type vector struct {
	ChainFile string    `json:"chainFile"`
	VerifyAt  time.Time `json:"verifyAt"`
	Challenge []byte    `json:"challenge"`
	Expect    struct {
		ChainTrusted bool  `json:"chainTrusted"`
		Accepted     *bool `json:"acceptedByStrictDevicePolicy"`
		Valid2040    bool  `json:"validAfterAllCertsExpired_2040-01-01"`
	} `json:"expect"`
	Certificate struct {
		Packages []struct {
			Name string `json:"name"`
		} `json:"packages"`
		SignatureDigests []string `json:"signatureDigests"`
		AttestationLevel string   `json:"attestationSecurityLevel"`
		KeyMintLevel     string   `json:"keyMintSecurityLevel"`
	} `json:"certificate"`
}

func vectorDir(t *testing.T) string {
	dir := os.Getenv("VESTIBULE_VECTORS")
	if dir == "" {
		t.Skip("VESTIBULE_VECTORS names no directory of vectors")
	}
	return filepath.Join(dir, "attest")
}

func readPEM(t *testing.T, file string) [][]byte {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var out [][]byte
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		out = append(out, block.Bytes)
	}
	return out
}

func (v *vector) verifier(t *testing.T, at time.Time) *androidkey.Verifier {
	var signers [][]byte
	for _, s := range v.Certificate.SignatureDigests {
		raw, err := hex.DecodeString(s)
		require.NoError(t, err)
		signers = append(signers, raw)
	}
	if len(signers) == 0 {
		signers = [][]byte{make([]byte, 32)} // the vector names no signer: no app can be pinned
	}
	apps := []androidkey.App{{Package: "none", Signers: signers}}
	for _, p := range v.Certificate.Packages {
		apps = append(apps, androidkey.App{Package: p.Name, Signers: signers})
	}
	out, err := androidkey.New(apps, nil, &androidkey.Options{Now: func() time.Time { return at }, SkipRevocation: true})
	require.NoError(t, err)
	return out
}

func TestVectors(t *testing.T) {
	dir := vectorDir(t)
	files, err := filepath.Glob(filepath.Join(dir, "android", "*.json"))
	require.NoError(t, err)
	for _, file := range files {
		if strings.HasSuffix(file, ".google-decoded.json") {
			continue
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			require.NoError(t, err)
			var v vector
			require.NoError(t, json.Unmarshal(raw, &v))
			chain := readPEM(t, filepath.Join(dir, "android", v.ChainFile))
			verifier := v.verifier(t, v.VerifyAt)
			c, err := verifier.Chain(chain)
			require.Equal(t, v.Expect.ChainTrusted, err == nil, "%v", err)
			if err == nil {
				require.Equal(t, v.Challenge, c.Description.Challenge)
			}
			a, err := verifier.Attestation(context.Background(), chain, v.Challenge)
			if v.Expect.Accepted != nil {
				require.Equal(t, *v.Expect.Accepted, err == nil, "%v", err)
			}
			if err != nil {
				verdict, refused := attest.Refused(attest.AndroidKey, err)
				require.True(t, refused, "%v", err)
				if !v.Expect.ChainTrusted {
					bothSoftware := v.Certificate.AttestationLevel == "SOFTWARE" && v.Certificate.KeyMintLevel == "SOFTWARE"
					require.Equal(t, bothSoftware, verdict.Outcome == attest.Emulator, "an emulator, and no phone of old")
				}
			} else {
				require.Equal(t, v.Challenge, a.Description.Challenge)
			}
			_, err = v.verifier(t, time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)).Chain(chain)
			require.Equal(t, v.Expect.Valid2040, err == nil, "%v", err)
			if v.Expect.ChainTrusted && len(chain) > 2 {
				c, err := verifier.Chain(chain[:len(chain)-1])
				require.NoError(t, err, "without its root")
				require.NotNil(t, c.Root)
			}
		})
	}
}

// TestVectorsDecoded compares each leaf's description with what Google's own verifier reads in it.
func TestVectorsDecoded(t *testing.T) {
	dir := vectorDir(t)
	files, err := filepath.Glob(filepath.Join(dir, "android", "*.google-decoded.json"))
	require.NoError(t, err)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			require.NoError(t, err)
			var want map[string]any
			require.NoError(t, json.Unmarshal(raw, &want))
			chain := readPEM(t, strings.TrimSuffix(file, ".google-decoded.json")+".pem")
			leaf, err := x509.ParseCertificate(chain[0])
			require.NoError(t, err)
			var got *androidkey.KeyDescription
			for _, e := range leaf.Extensions {
				if e.Id.String() == "1.3.6.1.4.1.11129.2.1.17" {
					got, err = androidkey.ParseKeyDescription(e.Value)
					require.NoError(t, err)
				}
			}
			require.NotNil(t, got)
			have := map[string]any{
				"attestationVersion":       strconv.FormatInt(got.AttestationVersion, 10),
				"attestationSecurityLevel": got.AttestationLevel.String(),
				"keyMintVersion":           strconv.FormatInt(got.KeyMintVersion, 10),
				"keyMintSecurityLevel":     got.KeyMintLevel.String(),
				"attestationChallenge":     b64(got.Challenge),
				"uniqueId":                 b64(got.UniqueID),
				"softwareEnforced":         asGoogle(&got.Software),
				"hardwareEnforced":         asGoogle(&got.Hardware),
			}
			// Google's file says so of the lists it has found ordered.
			for _, side := range []string{"softwareEnforced", "hardwareEnforced"} {
				if _, ok := want[side].(map[string]any)["areTagsOrdered"]; !ok {
					delete(have[side].(map[string]any), "areTagsOrdered")
				}
			}
			require.Equal(t, want, have)
		})
	}
}

func b64(b []byte) string {
	raw, _ := json.Marshal(append([]byte{}, b...))
	return strings.Trim(string(raw), `"`)
}

// asGoogle writes a list as Google's decoder does: by name, numbers as text.
func asGoogle(a *androidkey.Authorizations) map[string]any {
	out := map[string]any{"areTagsOrdered": a.Ordered}
	numbers := map[androidkey.Tag]string{
		androidkey.TagAlgorithm: "algorithms", androidkey.TagKeySize: "keySize", androidkey.TagECCurve: "ecCurve",
		androidkey.TagMLDSAVariant: "mlDsaVariant", androidkey.TagRSAExponent: "rsaPublicExponent",
		androidkey.TagUsageCountLimit: "usageCountLimit", androidkey.TagUserAuthType: "userAuthType",
		androidkey.TagAuthTimeout: "authTimeout", androidkey.TagCreation: "creationDateTime",
		androidkey.TagOSVersion: "osVersion", androidkey.TagOSPatchLevel: "osPatchLevel",
		androidkey.TagVendorPatchLevel: "vendorPatchLevel", androidkey.TagBootPatchLevel: "bootPatchLevel",
	}
	for tag, n := range a.Numbers {
		if tag == androidkey.TagOrigin {
			out["origin"] = map[int64]string{0: "GENERATED"}[n]
			continue
		}
		out[numbers[tag]] = strconv.FormatInt(n, 10)
	}
	sets := map[androidkey.Tag]string{
		androidkey.TagPurpose: "purposes", androidkey.TagDigest: "digests", androidkey.TagPadding: "paddings",
		androidkey.TagMGFDigest: "rsaOaepMgfDigests",
	}
	for tag, set := range a.Sets {
		list := []any{}
		for _, n := range set {
			list = append(list, strconv.FormatInt(n, 10))
		}
		out[sets[tag]] = list
	}
	flags := map[androidkey.Tag]string{
		androidkey.TagNoAuthRequired: "noAuthRequired", androidkey.TagRollbackResist: "rollbackResistant",
		androidkey.TagUserPresence: "trustedUserPresenceRequired",
	}
	for tag := range a.Flags {
		out[flags[tag]] = true
	}
	texts := map[androidkey.Tag]string{
		androidkey.TagBrand: "attestationIdBrand", androidkey.TagDevice: "attestationIdDevice",
		androidkey.TagProduct: "attestationIdProduct", androidkey.TagIMEI: "attestationIdImei",
		androidkey.TagManufacturer: "attestationIdManufacturer", androidkey.TagModel: "attestationIdModel",
	}
	for tag, b := range a.Bytes {
		if tag == androidkey.TagModuleHash {
			out["moduleHash"] = b64(b)
			continue
		}
		out[texts[tag]] = string(b)
	}
	if r := a.RootOfTrust; r != nil {
		root := map[string]any{"verifiedBootKey": b64(r.BootKey), "deviceLocked": r.Locked, "verifiedBootState": r.State.String()}
		if r.BootHash != nil {
			root["verifiedBootHash"] = b64(r.BootHash)
		}
		out["rootOfTrust"] = root
	}
	if id := a.Application; id != nil {
		packages, signers := []any{}, []any{}
		for _, p := range id.Packages {
			packages = append(packages, map[string]any{"name": p.Name, "version": strconv.FormatInt(p.Version, 10)})
		}
		for _, s := range id.Signers {
			signers = append(signers, b64(s))
		}
		out["attestationApplicationId"] = map[string]any{"packages": packages, "signatures": signers}
	}
	return out
}

func TestVectorsRoots(t *testing.T) {
	dir := vectorDir(t)
	app := []androidkey.App{{Package: "a", Signers: [][]byte{make([]byte, 32)}}}
	files, err := filepath.Glob(filepath.Join(dir, "roots", "*MUST-NOT-TRUST.pem"))
	require.NoError(t, err)
	for _, file := range files {
		for i, der := range readPEM(t, file) {
			t.Run(filepath.Base(file)+" "+strconv.Itoa(i), func(t *testing.T) {
				root, err := x509.ParseCertificate(der)
				require.NoError(t, err)
				for _, o := range []androidkey.Options{
					{SkipRevocation: true, Anchors: []*x509.Certificate{root}},
					{SkipRevocation: true, InsecureTestRoots: []*x509.Certificate{root}},
				} {
					v, err := androidkey.New(app, nil, &o)
					require.ErrorContains(t, err, "software root")
					require.Nil(t, v)
				}
			})
		}
	}
	t.Run("google-status-sample.json", func(t *testing.T) {
		body, err := os.ReadFile(filepath.Join(dir, "roots", "google-status-sample.json"))
		if os.IsNotExist(err) {
			t.Skip("no sample of the status list in this directory")
		}
		require.NoError(t, err)
		entries, err := androidkey.ParseStatus(body)
		require.NoError(t, err)
		var raw struct {
			Entries map[string]struct{ Status, Reason string }
		}
		require.NoError(t, json.Unmarshal(body, &raw))
		require.Len(t, entries, len(raw.Entries))
		var states []string
		for serial, e := range raw.Entries {
			require.Equal(t, androidkey.Entry{Status: e.Status, Reason: e.Reason}, entries[serial])
			states = append(states, e.Status)
		}
		slices.Sort(states)
		require.Contains(t, slices.Compact(states), "SUSPENDED")
	})
}
