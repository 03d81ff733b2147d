package attest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Kind says what a [Response] carries where a platform knows several forms.
type Kind string

// The kinds. Empty means the platform's first: attestation for App Attest and Android keys, classic for Play Integrity.
const (
	KindAttestation Kind = "attestation" // a new key
	KindAssertion   Kind = "assertion"   // a signature by a key that was attested before
	KindClassic     Kind = "classic"     // Play Integrity, classic request
	KindStandard    Kind = "standard"    // Play Integrity, standard request
)

// Response is what an app sends: the evidence attached to a risk.Attempt. It comes from outside and is not verified.
// Fields of bytes are standard base64 in JSON. It prints without its content.
type Response struct {
	Platform Platform `json:"platform"`
	Kind     Kind     `json:"kind,omitempty"`
	// Challenge is the text of the challenge it answers, as it was handed out.
	Challenge string `json:"challenge"`
	// KeyID names the key of App Attest: SHA-256 of its public point. Others leave it empty.
	KeyID []byte `json:"key_id,omitempty"`
	// Data is the attestation object or assertion of App Attest, or the token of Play Integrity.
	Data []byte `json:"data,omitempty"`
	// Chain is the certificate chain of an Android key, leaf first, each in DER.
	Chain [][]byte `json:"chain,omitempty"`
	// Message, if there is one, is what the evidence covers beside the challenge: see [ClientData].
	Message []byte `json:"message,omitempty"`
}

// Empty reports whether nothing was sent.
func (r Response) Empty() bool {
	return r.Platform == "" && r.Challenge == "" && len(r.KeyID) == 0 && len(r.Data) == 0 && len(r.Chain) == 0
}

// size is how many bytes were sent.
func (r Response) size() int {
	n := len(r.Platform) + len(r.Kind) + len(r.Challenge) + len(r.KeyID) + len(r.Data) + len(r.Message)
	for _, c := range r.Chain {
		n += len(c) + 8
	}
	return n
}

// String names platform and kind only, as far as they are known ones.
func (r Response) String() string {
	switch r.Platform {
	case AppAttest, PlayIntegrity, AndroidKey, WebAuthn:
		return "attest.Response(" + string(r.Platform) + ")"
	}
	return "attest.Response"
}

// LogValue implements slog.LogValuer with String: structured logs hold none of the evidence either.
func (r Response) LogValue() slog.Value { return slog.StringValue(r.String()) }

// Format writes String for every verb, so that no verb prints the evidence.
func (r Response) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// ClientData is what evidence covers: the challenge's text, and where there is a message (the body of the request, say), a
// line feed and the message. Apps build it in the same way:
//
//   - App Attest: clientDataHash is its SHA-256, for attestations and assertions;
//   - Play Integrity, standard: requestHash is its SHA-256 in unpadded base64url;
//   - Play Integrity, classic, and Android keys: without a message the challenge's text is the nonce and the
//     attestationChallenge; with one it is the SHA-256 in unpadded base64url.
func ClientData(challenge string, message []byte) []byte {
	out := append(make([]byte, 0, len(challenge)+1+len(message)), challenge...)
	if len(message) == 0 {
		return out
	}
	return append(append(out, '\n'), message...)
}

// ClientDataHash is the SHA-256 of ClientData.
func ClientDataHash(challenge string, message []byte) [32]byte {
	return sha256.Sum256(ClientData(challenge, message))
}

// Request is what a [Verifier] is asked.
type Request struct {
	// Response is the evidence. Its challenge has been redeemed: it was ours, live, bound to this attempt and unused.
	Response Response
	// Tenant and Owner are whose it is: Owner is [OwnerHash] of the account, zero when there is none yet.
	Tenant string
	Owner  Hash
	// At is when, for what is kept; zero: the verifier's clock.
	At time.Time
}

// Verifier judges the evidence of one platform. [Signal] calls it, once for each redeemed challenge; it must be safe for
// concurrent use. A refusal is a Verdict; an error means that it could not tell.
type Verifier interface {
	Verify(ctx context.Context, in Request) (Verdict, error)
}

// VerifierFunc makes a Verifier of a function.
type VerifierFunc func(ctx context.Context, in Request) (Verdict, error)

// Verify calls f.
func (f VerifierFunc) Verify(ctx context.Context, in Request) (Verdict, error) { return f(ctx, in) }
