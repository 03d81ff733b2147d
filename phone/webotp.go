package phone

import "strings"

// OriginBound is what the last line of a message binds its code to, so that browsers fill it in on that site only.
type OriginBound struct {
	Host     string
	Code     Code
	Embedded string // host of an embedded page; mostly ""
}

// ParseOriginBound reads the last line of a message: "@host #code", optionally " @embedded", as
// https://wicg.github.io/sms-one-time-codes/ has it. It reports false where a browser would see no bound code.
func ParseOriginBound(message string) (OriginBound, bool) {
	line := message[strings.LastIndexByte(message, '\n')+1:]
	line = strings.TrimSuffix(line, "\r")
	var o OriginBound
	rest, ok := strings.CutPrefix(line, "@")
	if !ok {
		return o, false
	}
	host, rest, ok := strings.Cut(rest, " ")
	if !ok || !validHost(host) {
		return o, false
	}
	rest, ok = strings.CutPrefix(rest, "#")
	if !ok {
		return o, false
	}
	code, rest, more := strings.Cut(rest, " ")
	if code == "" || strings.ContainsAny(code, "@#") {
		return o, false
	}
	o.Host, o.Code = host, Code(code)
	if more {
		// Text behind what is understood is ignored.
		if embedded, found := strings.CutPrefix(rest, "@"); found {
			embedded, _, _ = strings.Cut(embedded, " ")
			if !validHost(embedded) {
				return OriginBound{}, false
			}
			o.Embedded = embedded
		}
	}
	return o, true
}

// validHost reports whether s is a host name of letters, digits, hyphens and dots, as RFC 1123 section 2.1 has it.
func validHost(s string) bool {
	if len(s) == 0 || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}
