package riskhttp

import (
	"net/netip"
	"strings"
)

// cutForwarded cuts the Forwarded header (RFC 7239). It looks for the comma from the right, stepping over quoted
// strings, so that a quote which a visitor opens and never closes cannot swallow what a proxy appends after it.
func cutForwarded(line string) (string, netip.Addr, bool, bool) {
	for i := len(line) - 1; i >= 0; i-- {
		switch line[i] {
		case ',':
			addr, ok := parseElement(line[i+1:])
			return line[:i], addr, true, ok
		case '"':
			if i = openingQuote(line, i); i < 0 {
				return "", netip.Addr{}, false, false
			}
		}
	}
	addr, ok := parseElement(line)
	return "", addr, false, ok
}

// openingQuote finds the quote that opens the string closed at i, or -1.
func openingQuote(line string, i int) int {
	for {
		i = strings.LastIndexByte(line[:i], '"')
		if i < 0 {
			return -1
		}
		slashes := 0
		for slashes < i && line[i-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return i
		}
	}
}

// parseElement reads the address of one element: for=192.0.2.43;proto=http. There must be exactly one "for".
func parseElement(s string) (addr netip.Addr, ok bool) {
	for {
		s = strings.TrimLeft(s, " \t")
		name, rest, found := strings.Cut(s, "=")
		if !found || !isToken(name) {
			return netip.Addr{}, false
		}
		var value string
		if value, s, found = parseValue(rest); !found {
			return netip.Addr{}, false
		}
		if strings.EqualFold(name, "for") {
			if ok {
				return netip.Addr{}, false
			}
			if addr, ok = parseHop(value); !ok {
				return netip.Addr{}, false
			}
		}
		s = strings.TrimLeft(s, " \t")
		if s == "" {
			return addr, ok
		}
		if s[0] != ';' {
			return netip.Addr{}, false
		}
		s = s[1:]
	}
}

// parseValue reads a quoted string, or anything up to the end of the pair: proxies exist that forget to quote a port.
func parseValue(s string) (value, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		i := strings.IndexAny(s, "; \t")
		if i < 0 {
			i = len(s)
		}
		return s[:i], s[i:], i > 0 && strings.IndexByte(s[:i], '"') < 0
	}
	s = s[1:]
	if i := strings.IndexAny(s, `"\`); i >= 0 && s[i] == '"' { // nothing escaped
		return s[:i], s[i+1:], true
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}
