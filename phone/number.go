package phone

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"

	"github.com/nyaruka/phonenumbers/v2"
)

// Errors of [Parse]. None repeats the input.
var (
	ErrInvalid   = errors.New("phone: not a valid number")
	ErrTooLong   = errors.New("phone: the number is longer than MaxInput")
	ErrExtension = errors.New("phone: a number with an extension; codes go to the bare number")
)

// MaxInput is the most bytes that Parse looks at.
const MaxInput = 64

// NonGeographic is the region of numbers that belong to no country.
const NonGeographic = "001"

// Number is a valid number in E.164 form (ITU-T E.164: a calling code and at most 15 digits in all). Only [Parse] makes
// one; the zero value is no number. It prints, logs and marshals masked, compares with ==, and can be a map key.
type Number struct {
	digits  uint64 // of the E.164 form without '+': a calling code never begins with 0
	region  [3]byte
	calling uint16
	line    LineType
}

// Parse reads a number as a person types it. A number without '+' is read as dialled in the default region (ISO 3166
// letters, "NO"; empty: '+' is required). Accepted are digits of one script, '+' in front, spaces and the usual
// punctuation; letters are not, so that "1-800-FLOWERS" and free text are refused. Whatever is not a valid number of a
// numbering plan is an error that is [ErrInvalid], [ErrTooLong] or [ErrExtension].
//
// Parsing the E.164 form of a Number gives the same Number.
func Parse(s, defaultRegion string) (Number, error) {
	var buf [MaxInput]byte
	text, err := clean(buf[:0], s)
	if err != nil {
		return Number{}, err
	}
	p, perr := phonenumbers.Parse(string(text), defaultRegion)
	if perr != nil {
		return Number{}, ErrInvalid
	}
	return fromParsed(p)
}

func fromParsed(p *phonenumbers.PhoneNumber) (Number, error) {
	kind := phonenumbers.GetNumberType(p)
	// A number is valid when the region it belongs to knows its type; phonenumbers.IsValidNumber says the same at the
	// price of finding region and type once more.
	if kind == phonenumbers.UNKNOWN {
		return Number{}, ErrInvalid
	}
	var n Number
	n.calling = uint16(p.GetCountryCode())
	n.line = lineTypeOf(kind)
	region := phonenumbers.GetRegionCodeForNumber(p)
	if len(region) > len(n.region) || region == "" {
		return Number{}, ErrInvalid
	}
	copy(n.region[:], region)
	if region == NonGeographic && n.line != TollFree && n.line != Premium && n.line != SharedCost && n.line != UAN {
		n.line = Satellite
	}
	n.digits = uint64(n.calling)
	count := len(strconv.Itoa(int(n.calling)))
	if p.GetItalianLeadingZero() {
		for range p.GetNumberOfLeadingZeros() {
			n.digits *= 10
			count++
		}
	}
	national := p.GetNationalNumber()
	for scale := national; scale > 0; scale /= 10 {
		n.digits *= 10
		count++
	}
	if count > 15 {
		return Number{}, ErrInvalid
	}
	n.digits += national
	return n, nil
}

// IsZero reports whether n is no number.
func (n Number) IsZero() bool { return n.digits == 0 }

// E164 is the whole number, '+' and digits: personal data.
func (n Number) E164() string {
	if n.IsZero() {
		return ""
	}
	var buf [17]byte
	return string(strconv.AppendUint(append(buf[:0], '+'), n.digits, 10))
}

// Digits are the digits of the E.164 form as one number: personal data.
func (n Number) Digits() uint64 { return n.digits }

// Region is the ISO 3166 country or territory the number belongs to, [NonGeographic] for none. It is not where its
// owner is, and several regions share a calling code.
func (n Number) Region() string {
	if n.region[2] == 0 {
		return string(n.region[:2])
	}
	return string(n.region[:])
}

// CallingCode is the country calling code, 1 to 999.
func (n Number) CallingCode() int { return int(n.calling) }

// Line is the type the number alone tells. See [LineType] for how little that is.
func (n Number) Line() LineType { return n.line }

// Prefix is the number without its last k digits (0 to 9), with '+'. The calling code is never cut.
func (n Number) Prefix(k int) string {
	if n.IsZero() {
		return ""
	}
	d := n.digits
	for range min(max(k, 0), 9) {
		if d/10 < uint64(n.calling) {
			break
		}
		d /= 10
	}
	return "+" + strconv.FormatUint(d, 10)
}

// String masks all but the calling code and the last two digits: "+44••••••••23". The zero Number is "".
func (n Number) String() string {
	if n.IsZero() {
		return ""
	}
	out := []rune(n.E164())
	for i := len(strconv.Itoa(int(n.calling))) + 1; i < len(out)-2; i++ {
		out[i] = '•'
	}
	return string(out)
}

// GoString is String in quotes.
func (n Number) GoString() string { return strconv.Quote(n.String()) }

// Format writes String for every verb, so that %d and %x do not leak either.
func (n Number) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, n.String()) }

// LogValue makes package slog log the masked form.
func (n Number) LogValue() slog.Value { return slog.StringValue(n.String()) }

// MarshalText marshals the masked form.
func (n Number) MarshalText() ([]byte, error) { return []byte(n.String()), nil }
