package passkey

import (
	"encoding/hex"
	"errors"
	"fmt"
)

// AAGUID names a model of authenticator. The zero value is that of U2F keys and of authenticators that hide theirs.
// Comparable.
type AAGUID [16]byte

// ParseAAGUID reads the form 01020304-0506-0708-0102-030405060708.
func ParseAAGUID(s string) (AAGUID, error) {
	var a AAGUID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return a, errors.New("passkey: an AAGUID has the form 01020304-0506-0708-0102-030405060708")
	}
	if _, err := hex.Decode(a[:], []byte(s[:8]+s[9:13]+s[14:18]+s[19:23]+s[24:])); err != nil {
		return AAGUID{}, errors.New("passkey: an AAGUID consists of hexadecimal digits")
	}
	return a, nil
}

// String is the form that ParseAAGUID reads.
func (a AAGUID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", a[:4], a[4:6], a[6:8], a[8:10], a[10:])
}

// IsZero reports whether no model is named.
func (a AAGUID) IsZero() bool { return a == AAGUID{} }

// MarshalText is String.
func (a AAGUID) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText is ParseAAGUID.
func (a *AAGUID) UnmarshalText(text []byte) error {
	v, err := ParseAAGUID(string(text))
	if err != nil {
		return err
	}
	*a = v
	return nil
}
