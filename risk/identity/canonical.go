package identity

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Canonical is the one form of all spellings of a mailbox, for counting only: never write to it, and never show it. The
// rules are those MaxMind publishes for minFraud
// (https://dev.maxmind.com/minfraud/normalizing-email-addresses-for-minfraud): lower case and NFC, IDN in ASCII, frequent
// typing errors of domains repaired, other names of one provider joined, everything from "+" on cut off ("-" for Yahoo),
// dots removed for Gmail, and alias@user.fastmail.com counted as user@fastmail.com. What would leave nothing before the
// "@" stays. "" for the zero value.
func (e Email) Canonical() string {
	if e.domain == "" {
		return ""
	}
	domain := canonicalDomain(e.domain)
	local := lowerNFC(e.local)
	separator := byte('+')
	if yahoo[domain] {
		separator = '-'
	}
	if i := strings.IndexByte(local, separator); i > 0 && local[0] != '"' {
		local = local[:i]
	}
	if domain == "gmail.com" {
		if short := strings.ReplaceAll(local, ".", ""); short != "" {
			local = short
		}
	}
	if user, rest, ok := strings.Cut(domain, "."); ok && fastmail[rest] {
		local, domain = user, rest
	}
	return local + "@" + domain
}

// CanonicalEmail parses an address and returns its canonical form.
func CanonicalEmail(s string) (string, error) {
	e, err := ParseEmail(s)
	if err != nil {
		return "", err
	}
	return e.Canonical(), nil
}

func lowerNFC(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return norm.NFC.String(strings.ToLower(s))
		}
	}
	return strings.ToLower(s)
}

// canonicalDomain repairs and joins domains.
func canonicalDomain(d string) string {
	d = repairCom(d)
	if strings.HasSuffix(d, "gmail.com") || strings.HasSuffix(d, "gmai.com") {
		// 10000gmail.com: people type a part of their name on the wrong side of the "@".
		if rest := strings.TrimLeft(d, "0123456789"); len(rest) < len(d) && (rest == "gmail.com" || rest == "gmai.com") {
			d = "gmail.com"
		}
	}
	if to, ok := typos[d]; ok {
		d = to
	}
	if to, ok := equivalents[d]; ok {
		d = to
	}
	return d
}

// repairCom repairs endings that were meant to be ".com": several of them in a row, and slips of one or two keys.
func repairCom(d string) string {
	if i := strings.LastIndexByte(d, '.'); slip(d[i+1:]) {
		d = d[:i] + ".com"
	}
	for strings.HasSuffix(d, ".com.com") {
		d = d[:len(d)-4]
	}
	return d
}

// slip reports last labels that nobody can have but who meant "com": c?m and c??m, col, con, and dom, son, vom, xon and
// their like. MaxMind's rules take "cam" too, which is a top-level domain of its own.
func slip(label string) bool {
	switch len(label) {
	case 3:
		c, o, m := label[0], label[1], label[2]
		switch {
		case label == "com" || label == "cam":
			return false
		case c == 'c' && m == 'm':
			return letter(o)
		case c == 'c' && o == 'o':
			return m == 'l' || m == 'n'
		case o == 'o' && (m == 'm' || m == 'n'):
			return c == 'd' || c == 's' || c == 'v' || c == 'x'
		}
	case 4:
		return label[0] == 'c' && letter(label[1]) && letter(label[2]) && label[3] == 'm'
	}
	return false
}

func letter(c byte) bool { return 'a' <= c && c <= 'z' }
