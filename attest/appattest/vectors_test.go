package appattest_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest/appattest"
)

type vectorReceipt struct {
	Receipt            []byte    `json:"receipt"`
	EvaluateAt         time.Time `json:"evaluate_at"`
	Expect             *receiptExpectation
	receiptExpectation // receiptInAttestation holds it flat
}

type receiptExpectation struct {
	Valid          *bool      `json:"valid"`
	AppID          string     `json:"appId"`
	ClientHash     []byte     `json:"clientHash"`
	CreationTime   time.Time  `json:"creationTime"`
	ExpirationTime time.Time  `json:"expirationTime"`
	Environment    string     `json:"environment"`
	Type           string     `json:"type"`
	NotBefore      *time.Time `json:"notBefore"`
	RiskMetric     *string    `json:"riskMetric"`
}

type vector struct {
	TeamID         string    `json:"teamId"`
	BundleID       string    `json:"bundleId"`
	Environment    string    `json:"environment"`
	KeyID          []byte    `json:"keyId"`
	ClientData     []byte    `json:"clientData"`
	ClientDataHash []byte    `json:"clientDataHash"`
	VerifyAt       time.Time `json:"verifyAt"`
	PublicKeyPEM   string    `json:"publicKeyPem"`
	Attestation    []byte    `json:"attestation"`
	Expect         *struct {
		Valid             bool    `json:"valid"`
		AAGUIDEnvironment string  `json:"aaguidEnvironment"`
		AuthDataFlags     string  `json:"authDataFlags"`
		Counter           uint32  `json:"counter"`
		PublicKeyX963     string  `json:"publicKeyX963"`
		ReceiptPresent    bool    `json:"receiptPresent"`
		Category          *uint32 `json:"validationCategory"`
		BundleVersion     *string `json:"bundleVersion"`
	} `json:"expect"`
	ReceiptInAttestation *vectorReceipt `json:"receiptInAttestation"`
	Assertions           []struct {
		Assertion       []byte `json:"assertion"`
		ClientData      []byte `json:"clientData"`
		ClientDataHash  []byte `json:"clientDataHash"`
		PreviousCounter uint32 `json:"previousCounter"`
		Expect          struct {
			Valid         bool   `json:"valid"`
			Counter       uint32 `json:"counter"`
			AuthDataFlags string `json:"authDataFlags"`
		} `json:"expect"`
	} `json:"assertions"`
	Receipts []vectorReceipt `json:"receipts"`
}

func vectorFiles(t *testing.T, pattern string) []string {
	dir := os.Getenv("VESTIBULE_VECTORS")
	if dir == "" {
		t.Skip("VESTIBULE_VECTORS names no directory of vectors")
	}
	files, err := filepath.Glob(filepath.Join(dir, "attest", pattern))
	require.NoError(t, err)
	return files
}

// allCategories accepts whatever a vector says: what is compared is what was read.
func allCategories() appattest.Categories {
	return appattest.OnlyOrMissing(appattest.OSExecutable, appattest.TestFlight, appattest.Developer, appattest.AppStore,
		appattest.Enterprise, appattest.DeveloperID, 7, 8, 9, appattest.NoneOfThese)
}

func (v *vector) env() appattest.Environment {
	if v.Environment == "development" {
		return appattest.Development
	}
	return appattest.Production
}

func (v *vector) verifier(t *testing.T, at time.Time) *appattest.Verifier {
	out, err := appattest.New([]appattest.App{{TeamID: v.TeamID, BundleID: v.BundleID, Environment: v.env(), Categories: allCategories()}},
		&appattest.Options{Now: func() time.Time { return at }})
	require.NoError(t, err)
	return out
}

func (v *vector) publicKey(t *testing.T) *ecdsa.PublicKey {
	block, _ := pem.Decode([]byte(v.PublicKeyPEM))
	require.NotNil(t, block)
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	require.NoError(t, err)
	return pub.(*ecdsa.PublicKey)
}

func TestVectors(t *testing.T) {
	for _, file := range vectorFiles(t, "appattest/*.json") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			require.NoError(t, err)
			var v vector
			require.NoError(t, json.Unmarshal(raw, &v))
			key := appattest.Key{AppID: v.TeamID + "." + v.BundleID, Environment: v.env()}
			if v.PublicKeyPEM != "" {
				key.PublicKey = v.publicKey(t)
			}
			if v.Attestation != nil {
				t.Run("attestation", func(t *testing.T) { v.checkAttestation(t, &key) })
			}
			at := v.VerifyAt
			if at.IsZero() {
				at = time.Now()
			}
			verifier := v.verifier(t, at)
			for i, a := range v.Assertions {
				t.Run("assertion "+strconv.Itoa(i), func(t *testing.T) {
					if a.ClientData != nil {
						sum := sha256.Sum256(a.ClientData)
						require.Equal(t, a.ClientDataHash, sum[:])
					}
					key.Counter = a.PreviousCounter
					got, err := verifier.Assertion(key, a.Assertion, a.ClientDataHash)
					require.Equal(t, a.Expect.Valid, err == nil, "%v", err)
					if err == nil {
						require.Equal(t, a.Expect.Counter, got.Counter)
						require.Equal(t, a.Expect.AuthDataFlags, fmt.Sprintf("%#02x", got.Flags))
					}
				})
			}
			for i, r := range v.Receipts {
				t.Run("receipt "+strconv.Itoa(i), func(t *testing.T) { r.check(t, &v, key, r.Receipt, r.Expect) })
			}
		})
	}
}

func (v *vector) checkAttestation(t *testing.T, key *appattest.Key) {
	if v.ClientData != nil {
		sum := sha256.Sum256(v.ClientData)
		require.Equal(t, v.ClientDataHash, sum[:])
	}
	got, err := v.verifier(t, v.VerifyAt).Attestation(v.Attestation, v.KeyID, v.ClientDataHash)
	require.Equal(t, v.Expect.Valid, err == nil, "%v", err)
	if err != nil {
		return
	}
	require.Equal(t, v.Expect.AAGUIDEnvironment, got.Environment.String())
	require.Equal(t, v.Expect.AuthDataFlags, fmt.Sprintf("%#02x", got.Flags))
	require.Zero(t, v.Expect.Counter)
	point, err := got.PublicKey.Bytes()
	require.NoError(t, err)
	require.Equal(t, v.Expect.PublicKeyX963, hex.EncodeToString(point))
	require.Equal(t, v.Expect.ReceiptPresent, len(got.Receipt) > 0)
	require.Equal(t, v.Expect.Category, (*uint32)(got.Category))
	require.Equal(t, v.Expect.BundleVersion, got.BundleVersion)
	key.PublicKey = got.PublicKey
	if r := v.ReceiptInAttestation; r != nil {
		r.check(t, v, *key, got.Receipt, &r.receiptExpectation)
	}
}

func (r *vectorReceipt) check(t *testing.T, v *vector, key appattest.Key, receipt []byte, want *receiptExpectation) {
	got, err := v.verifier(t, r.EvaluateAt).Receipt(receipt, key)
	require.Equal(t, want.Valid == nil || *want.Valid, err == nil, "%v", err)
	if err != nil {
		return
	}
	require.Equal(t, want.AppID, got.AppID)
	require.Equal(t, want.ClientHash, got.ClientHash)
	require.Equal(t, want.Environment, got.Environment)
	require.Equal(t, want.Type, string(got.Type))
	require.True(t, want.CreationTime.Equal(got.Created))
	require.True(t, want.ExpirationTime.Equal(got.Expires))
	require.Equal(t, want.NotBefore == nil, got.NotBefore.IsZero())
	if want.NotBefore != nil {
		require.True(t, want.NotBefore.Equal(got.NotBefore))
	}
	require.Equal(t, want.RiskMetric == nil, got.RiskMetric == nil)
	if want.RiskMetric != nil {
		require.Equal(t, *want.RiskMetric, strconv.Itoa(*got.RiskMetric))
	}
}
