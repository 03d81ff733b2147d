package camara

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
	"github.com/vestibule-go/vestibule/phone"
)

// VerificationOptions of [NumberVerification]. The zero value and nil mean the defaults.
type VerificationOptions struct {
	HTTP HTTPOptions
	// Path of the API below the root; default "/number-verification/v2".
	Path string
	// Hashed sends the SHA-256 of the number instead of the number.
	Hashed bool
}

// NumberVerification asks the network whether a device has a number, without any code. It is safe for concurrent use.
type NumberVerification struct {
	http *jsonhttp.Client
	o    VerificationOptions
}

var _ phone.SilentVerifier = (*NumberVerification)(nil)

// NewNumberVerification makes a client of an operator's API root.
func NewNumberVerification(root string, opts *VerificationOptions) (*NumberVerification, error) {
	v := &NumberVerification{}
	if opts != nil {
		v.o = *opts
	}
	if v.o.Path == "" {
		v.o.Path = "/number-verification/v2"
	}
	var err error
	v.http, err = newHTTP(root, v.o.HTTP)
	return v, err
}

// Codes of answers.
const (
	notMobile = "NUMBER_VERIFICATION.USER_NOT_AUTHENTICATED_BY_MOBILE_NETWORK"
)

// HashNumber is the form of a number for hashedPhoneNumber: SHA-256 of the E.164 form with '+', in lower-case
// hexadecimal. Numbers can be tried out: the hash hides nothing from who wants to know.
func HashNumber(n phone.Number) string {
	sum := sha256.Sum256([]byte(n.E164()))
	return hex.EncodeToString(sum[:])
}

// Claim is the body of a verification: exactly one of the two forms of the number.
type Claim struct {
	PhoneNumber       string `json:"phoneNumber,omitempty"`
	HashedPhoneNumber string `json:"hashedPhoneNumber,omitempty"`
}

// ErrClaim says that a [Claim] has both forms or none.
var ErrClaim = errors.New("camara: want exactly one of phoneNumber and hashedPhoneNumber")

// VerifyDevice implements [phone.SilentVerifier].
func (v *NumberVerification) VerifyDevice(ctx context.Context, token phone.Token, n phone.Number) (bool, error) {
	if n.IsZero() {
		return false, errors.New("camara: no number to verify")
	}
	if v.o.Hashed {
		return v.Verify(ctx, token, Claim{HashedPhoneNumber: HashNumber(n)})
	}
	return v.Verify(ctx, token, Claim{PhoneNumber: n.E164()})
}

// Verify asks about a claim. Hashes are accepted in either case and sent in lower case.
func (v *NumberVerification) Verify(ctx context.Context, token phone.Token, c Claim) (bool, error) {
	switch {
	case (c.PhoneNumber == "") == (c.HashedPhoneNumber == ""):
		return false, ErrClaim
	case c.HashedPhoneNumber != "":
		raw, err := hex.DecodeString(c.HashedPhoneNumber)
		if err != nil || len(raw) != sha256.Size {
			return false, errors.New("camara: a hashed number is 64 hexadecimal digits")
		}
		c.HashedPhoneNumber = hex.EncodeToString(raw)
	}
	got, err := post(ctx, v.http, v.o.Path+"/verify", token, c)
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusForbidden && e.Code == notMobile {
			return false, phone.ErrNotMobile
		}
		return false, err
	}
	is, ok := got.At("devicePhoneNumberVerified").Bool()
	if !ok {
		return false, &Error{Status: http.StatusOK}
	}
	return is, nil
}
