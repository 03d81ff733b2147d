package phone

import "unicode/utf8"

// clean copies what a person typed to dst as ASCII digits, '+' and punctuation, or says why it is no number. The library
// behind Parse takes more (letters, RFC 3966 parameters, several numbers in one text); what it is never shown cannot
// surprise.
func clean(dst []byte, s string) ([]byte, error) {
	if len(s) > MaxInput {
		return nil, ErrTooLong
	}
	var script rune // zero digit of the script the digits come from
	digits := 0
	for i := 0; i < len(s); {
		r, size := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			if r, size = utf8.DecodeRuneInString(s[i:]); r == utf8.RuneError && size <= 1 {
				return nil, ErrInvalid
			}
		}
		i += size
		zero, digit := digitOf(r)
		switch {
		case digit:
			if script != 0 && script != zero {
				return nil, ErrInvalid
			}
			script = zero
			digits++
			dst = append(dst, byte('0'+r-zero))
		case r == '+' || r == '＋':
			if digits > 0 {
				return nil, ErrInvalid
			}
			dst = append(dst, '+')
		case r == ' ' || r == '-' || r == '.' || r == '(' || r == ')' || r == '/':
			dst = append(dst, byte(r))
		case r == '\u00a0' || r == '\u202f' || r == '\u2009' || r == '\u3000' || r == '\t':
			dst = append(dst, ' ')
		case r >= '\u2010' && r <= '\u2015' || r == '\u2212':
			dst = append(dst, '-')
		case isMark(r):
			// Phones wrap copied numbers in direction marks: around the number they mean nothing, inside it they
			// change what a reader sees.
			if digits > 0 && !onlyMarks(s[i:]) {
				return nil, ErrInvalid
			}
		case digits > 0 && (r == 'x' || r == 'X' || r == '#' || r == ',' || r == ';' || r == 'e' || r == 'E' || r == '~'):
			if extension(s[i-size:]) {
				return nil, ErrExtension
			}
			return nil, ErrInvalid
		default:
			return nil, ErrInvalid
		}
	}
	if digits < 2 || digits > 20 {
		return nil, ErrInvalid
	}
	return dst, nil
}

// digitOf knows ASCII, Arabic-Indic, extended Arabic-Indic, Devanagari and full-width digits: those of phone keyboards.
func digitOf(r rune) (zero rune, ok bool) {
	for _, zero := range [...]rune{'0', '٠', '۰', '०', '０'} {
		if r >= zero && r <= zero+9 {
			return zero, true
		}
	}
	return 0, false
}

func isMark(r rune) bool {
	return r == '\u200e' || r == '\u200f' || r == '\u061c' || r == '\ufeff' ||
		r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

func onlyMarks(s string) bool {
	for _, r := range s {
		if !isMark(r) && r != ' ' {
			return false
		}
	}
	return true
}

// extension reports whether s, behind a number, begins an extension: "x12", "ext. 12", ";ext=12", "#12", ",,12".
func extension(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			return i > 0
		case c == 'x' || c == 'X' || c == 'e' || c == 'E' || c == 't' || c == 'T' || c == 'n' || c == 's' || c == 'i' || c == 'o',
			c == '#' || c == ',' || c == ';' || c == '=' || c == '.' || c == ' ' || c == ':' || c == '~':
		default:
			return false
		}
	}
	return false
}
