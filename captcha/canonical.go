package captcha

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// appendCanonical appends v as altcha-lib signs it: JSON.stringify of the value with members sorted, at every level,
// the way JavaScript keeps them. It reports false for numbers whose text JavaScript would change.
func appendCanonical(b []byte, v *jsonValue) ([]byte, bool) {
	switch v.kind {
	case jsonNull:
		return append(b, "null"...), true
	case jsonBool:
		return strconv.AppendBool(b, v.num == 1), true
	case jsonInt:
		return strconv.AppendInt(b, v.num, 10), true
	case jsonString:
		return appendJSString(b, v.str), true
	case jsonObject:
		sorted := v.members
		if !slices.IsSortedFunc(sorted, memberOrder) {
			sorted = slices.SortedFunc(slices.Values(sorted), memberOrder)
		}
		b = append(b, '{')
		for i := range sorted {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendJSString(b, sorted[i].name), ':')
			var ok bool
			if b, ok = appendCanonical(b, &sorted[i].value); !ok {
				return b, false
			}
		}
		return append(b, '}'), true
	}
	return b, false
}

// memberOrder is the order of names in a JavaScript object filled in sorted order: array indices by value, then the
// others by UTF-16 code units.
func memberOrder(a, b jsonMember) int {
	x, y := arrayIndex(a.name), arrayIndex(b.name)
	switch {
	case x >= 0 && y >= 0:
		return int(min(max(x-y, -1), 1))
	case x >= 0:
		return -1
	case y >= 0:
		return 1
	}
	return compareUTF16(a.name, b.name)
}

// arrayIndex is the value of a canonical array index, 0 to 2^32-2, else -1.
func arrayIndex(s string) int64 {
	if s == "" || len(s) > 10 || s[0] == '0' && len(s) > 1 {
		return -1
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return -1
		}
		n = n*10 + int64(s[i]-'0')
	}
	if n >= math.MaxUint32 {
		return -1
	}
	return n
}

func compareUTF16(a, b string) int {
	for i := range min(len(a), len(b)) {
		if a[i] >= utf8.RuneSelf || b[i] >= utf8.RuneSelf {
			return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
		}
		if a[i] != b[i] {
			return int(a[i]) - int(b[i])
		}
	}
	return len(a) - len(b)
}

// appendJSString quotes as JSON.stringify does (ECMA-262, QuoteJSONString): <, >, & and U+2028 stay as they are.
func appendJSString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	plain := 0
	for plain < len(s) && s[plain] >= 0x20 && s[plain] != '"' && s[plain] != '\\' {
		plain++
	}
	b, s = append(b, s[:plain]...), s[plain:]
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= 0x20:
			b = append(b, c)
		case strings.IndexByte("\b\t\n\f\r", c) >= 0:
			b = append(b, '\\', "btn.fr"[c-'\b'])
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(b, '"')
}
