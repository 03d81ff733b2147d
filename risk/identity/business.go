package identity

import (
	"errors"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// The kinds of business identifiers this package knows, as they are named in risk.Attempt.IDs.
const (
	USDOT = "usdot" // a motor carrier's number with the US Department of Transportation
	MC    = "mc"    // a docket number of the FMCSA: MC, MX or FF
	EIN   = "ein"   // an employer identification number of the IRS
	VAT   = "vat"   // a European VAT number with its country's prefix
)

// Reasons to refuse an identifier. Neither repeats it.
var (
	ErrID    = errors.New("identity: not an identifier of that kind")
	ErrCheck = errors.New("identity: the identifier's check digits are wrong")
)

// maxID bounds what is looked at.
const maxID = 64

// ParseID returns the normal form of an identifier of a kind: equal businesses have equal texts. It fails with [ErrID]
// when the text has not the form of the kind and with [ErrCheck] when it has, but its check digits are wrong. Kinds
// unknown to this package are folded by [FoldID] and never checked. A good form does not mean that the business exists.
func ParseID(kind, s string) (string, error) {
	switch kind {
	case USDOT:
		return ParseUSDOT(s)
	case MC:
		return ParseMC(s)
	case EIN:
		return ParseEIN(s)
	case VAT:
		return ParseVAT(s)
	}
	if s = FoldID(s); s == "" {
		return "", ErrID
	}
	return s, nil
}

// FoldID keeps the ASCII letters and digits of a text, letters in upper case, after NFKC, which turns full-width forms
// into ASCII. It is "" for texts of more than 64 bytes.
func FoldID(s string) string {
	if len(s) > maxID {
		return ""
	}
	ascii := true
	for i := range len(s) {
		ascii = ascii && s[i] < 0x80
	}
	if !ascii {
		s = norm.NFKC.String(s)
	}
	b := make([]byte, 0, len(s))
	for _, c := range []byte(s) {
		switch {
		case c >= '0' && c <= '9' || c >= 'A' && c <= 'Z':
			b = append(b, c)
		case c >= 'a' && c <= 'z':
			b = append(b, c-'a'+'A')
		}
	}
	return string(b)
}

// ParseUSDOT reads "USDOT 1234567", "DOT# 01234567" or the number alone, and returns 1 to 8 digits without leading zeros.
// The number has no check digit.
func ParseUSDOT(s string) (string, error) {
	s = FoldID(s)
	for _, prefix := range []string{"USDOT", "DOT", "US"} {
		if rest, ok := strings.CutPrefix(s, prefix); ok {
			s = strings.TrimPrefix(rest, "NO")
			break
		}
	}
	return number(s, 8)
}

// ParseMC reads "MC-123456", "MX 123456", "FF-1234" or the number alone, which means MC, and returns prefix and number
// without leading zeros: "MC123456". The number has no check digit.
func ParseMC(s string) (string, error) {
	s = FoldID(s)
	prefix := "MC"
	if len(s) > 2 && (s[:2] == "MC" || s[:2] == "MX" || s[:2] == "FF") {
		prefix, s = s[:2], strings.TrimPrefix(s[2:], "NO")
	}
	s, err := number(s, 8)
	if err != nil {
		return "", err
	}
	return prefix + s, nil
}

// number wants 1 to most digits, not all zero, and takes leading zeros away.
func number(s string, most int) (string, error) {
	if !digitsOnly(s) {
		return "", ErrID
	}
	s = strings.TrimLeft(s, "0")
	if s == "" || len(s) > most {
		return "", ErrID
	}
	return s, nil
}

func digitsOnly(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// campus are the first two digits the IRS has assigned to its campuses and to the Internet
// (https://www.irs.gov/businesses/small-businesses-self-employed/how-eins-are-assigned-and-valid-ein-prefixes).
var campus = set(`
01 02 03 04 05 06 10 11 12 13 14 15 16 20 21 22 23 24 25 26 27 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48
50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68 71 72 73 74 75 76 77 80 81 82 83 84 85 86 87 88 90 91 92 93 94
95 98 99
`)

// ParseEIN reads "12-3456789" and returns nine digits. There is no check digit; [ErrCheck] means that the IRS has not
// assigned the first two.
func ParseEIN(s string) (string, error) {
	s = strings.TrimPrefix(FoldID(s), "EIN")
	if len(s) != 9 || !digitsOnly(s) {
		return "", ErrID
	}
	if !campus[s[:2]] || s[2:] == "0000000" {
		return "", ErrCheck
	}
	return s, nil
}
