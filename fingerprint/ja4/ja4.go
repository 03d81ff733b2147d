package ja4

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"slices"
)

// Transport is what carried the hello: the first letter of a JA4.
type Transport byte

// The transports of the specification.
const (
	TCP  Transport = 't'
	QUIC Transport = 'q'
	DTLS Transport = 'd'
)

// The extensions that the specification names.
const (
	extServerName = 0x0000
	extALPN       = 0x0010
)

// Of returns the JA4 of a hello that came over TCP. Hand it the hello of tls.Config.GetConfigForClient, which is the
// first of the connection; GetCertificate sees the second one after a HelloRetryRequest. It does not keep h.
func Of(h *tls.ClientHelloInfo) string {
	var buf [valueLen]byte
	return string(appendValue(buf[:0], h, TCP))
}

// valueLen is the length of every JA4: ten characters, and twice an underscore and twelve hexadecimal digits.
const valueLen = 10 + 1 + 12 + 1 + 12

func appendValue(dst []byte, h *tls.ClientHelloInfo, t Transport) []byte {
	var room [3][64]uint16
	l := read(h, &room)
	slices.Sort(l.ciphers)
	dst = l.appendPrefix(dst, h, t)
	var text [1024]byte
	dst = appendHash(append(dst, '_'), appendList(text[:0], l.ciphers))
	l.sortExtensions()
	if len(l.extensions) == 0 {
		return append(append(dst, '_'), none...)
	}
	raw := appendList(text[:0], l.extensions)
	if len(l.signatures) > 0 {
		raw = appendList(append(raw, '_'), l.signatures)
	}
	return appendHash(append(dst, '_'), raw)
}

// Forms are the four ways to write one fingerprint.
type Forms struct {
	JA4         string // the fingerprint
	Raw         string // JA4_r: its lists, sorted, not hashed
	Original    string // JA4_o: hashed in the order sent, server name and ALPN included
	RawOriginal string // JA4_ro: the same, not hashed
}

// All returns the four forms of a hello. The raw ones are for people who compare clients; they are as long as the
// hello's lists.
func All(h *tls.ClientHelloInfo, t Transport) Forms {
	var room [3][64]uint16
	var f Forms
	original := read(h, &room)
	prefix := string(original.appendPrefix(nil, h, t))
	f.Original, f.RawOriginal = original.forms(prefix)
	sorted := lists{slices.Sorted(slices.Values(original.ciphers)), slices.Clone(original.extensions), original.signatures, original.sni, original.count}
	sorted.sortExtensions()
	f.JA4, f.Raw = sorted.forms(prefix)
	return f
}

func (l lists) forms(prefix string) (hashed, raw string) {
	ciphers := appendList(nil, l.ciphers)
	rest := appendList(nil, l.extensions)
	if len(l.signatures) > 0 {
		rest = appendList(append(rest, '_'), l.signatures)
	}
	b := appendHash(append([]byte(prefix), '_'), ciphers)
	if len(l.extensions) == 0 {
		b = append(append(b, '_'), none...)
	} else {
		b = appendHash(append(b, '_'), rest)
	}
	return string(b), prefix + "_" + string(ciphers) + "_" + string(rest)
}

// lists are a hello's values without GREASE (RFC 8701), in the order sent.
type lists struct {
	ciphers, extensions, signatures []uint16
	sni                             bool
	count                           int // extensions, server name and ALPN included
}

func read(h *tls.ClientHelloInfo, room *[3][64]uint16) (l lists) {
	l.ciphers, l.extensions, l.signatures = room[0][:0], room[1][:0], room[2][:0]
	for _, v := range h.CipherSuites {
		if !grease(v) {
			l.ciphers = append(l.ciphers, v)
		}
	}
	for _, v := range h.Extensions {
		if grease(v) {
			continue
		}
		l.sni = l.sni || v == extServerName
		l.extensions = append(l.extensions, v)
	}
	for _, v := range h.SignatureSchemes {
		if !grease(uint16(v)) {
			l.signatures = append(l.signatures, uint16(v))
		}
	}
	l.count = len(l.extensions)
	return l
}

// sortExtensions sorts them and drops the server name and ALPN, as the hashed form demands.
func (l *lists) sortExtensions() {
	l.extensions = slices.DeleteFunc(l.extensions, func(v uint16) bool { return v == extServerName || v == extALPN })
	slices.Sort(l.extensions)
}

// grease reports values of the form 0x?a?a with equal bytes.
func grease(v uint16) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff }

// appendPrefix appends the first part, the ten readable characters.
func (l lists) appendPrefix(dst []byte, h *tls.ClientHelloInfo, t Transport) []byte {
	version := uint16(0)
	for _, v := range h.SupportedVersions {
		if !grease(v) && v > version {
			version = v
		}
	}
	dst = append(append(dst, byte(t)), versionName(version)...)
	if l.sni {
		dst = append(dst, 'd')
	} else {
		dst = append(dst, 'i')
	}
	dst = appendCount(appendCount(dst, len(l.ciphers)), l.count)
	first := ""
	if len(h.SupportedProtos) > 0 {
		first = h.SupportedProtos[0]
	}
	return appendALPN(dst, first)
}

func versionName(v uint16) string {
	switch v {
	case 0x0304:
		return "13"
	case 0x0303:
		return "12"
	case 0x0302:
		return "11"
	case 0x0301:
		return "10"
	case 0x0300:
		return "s3"
	case 0x0002:
		return "s2"
	case 0xfeff:
		return "d1"
	case 0xfefd:
		return "d2"
	case 0xfefc:
		return "d3"
	}
	return "00"
}

func appendCount(dst []byte, n int) []byte {
	n = min(n, 99)
	return append(dst, byte('0'+n/10), byte('0'+n%10))
}

// appendALPN appends the first and last character of the first protocol, or of its hexadecimal form when one of the
// two is no letter or digit of ASCII.
func appendALPN(dst []byte, first string) []byte {
	if first == "" {
		return append(dst, "00"...)
	}
	a, z := first[0], first[len(first)-1]
	if alphanumeric(a) && alphanumeric(z) {
		return append(dst, a, z)
	}
	const digits = "0123456789abcdef"
	return append(dst, digits[a>>4], digits[z&15])
}

func alphanumeric(c byte) bool {
	return c-'0' < 10 || c|0x20-'a' < 26
}

// appendList appends four hexadecimal digits for each value, joined by commas.
func appendList(dst []byte, values []uint16) []byte {
	const digits = "0123456789abcdef"
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, digits[v>>12], digits[v>>8&15], digits[v>>4&15], digits[v&15])
	}
	return dst
}

// none stands for the hash of nothing.
const none = "000000000000"

func appendHash(dst, text []byte) []byte {
	if len(text) == 0 {
		return append(dst, none...)
	}
	sum := sha256.Sum256(text)
	return hex.AppendEncode(dst, sum[:6])
}

// Parts are a JA4 taken apart.
type Parts struct {
	Transport Transport
	Version   string // "13", "12", ...; "00": unknown
	SNI       bool   // the hello named a server
	Ciphers   int    // at most 99
	Exts      int    // at most 99
	ALPN      string // two characters: "h2", "h1", "00" for none
	B, C      string // twelve hexadecimal digits each: cipher suites; extensions and signature algorithms
}

// ErrFormat says that a text is no JA4. It does not repeat the text.
var ErrFormat = errors.New("ja4: not a JA4 fingerprint")

// Parse takes a JA4 apart. The text may come from outside; only the one form that [Of] writes is accepted.
func Parse(text string) (Parts, error) {
	if len(text) != valueLen || text[10] != '_' || text[23] != '_' {
		return Parts{}, ErrFormat
	}
	p := Parts{Transport: Transport(text[0]), Version: text[1:3], SNI: text[3] == 'd', ALPN: text[8:10], B: text[11:23], C: text[24:]}
	ok := p.Transport == TCP || p.Transport == QUIC || p.Transport == DTLS
	ok = ok && (text[3] == 'd' || text[3] == 'i') && knownVersion(p.Version)
	ok = ok && alphanumeric(text[8]) && alphanumeric(text[9]) && lowerHex(p.B) && lowerHex(p.C)
	for i := 4; i < 8; i++ {
		ok = ok && text[i]-'0' < 10
	}
	if !ok {
		return Parts{}, ErrFormat
	}
	p.Ciphers = int(text[4]-'0')*10 + int(text[5]-'0')
	p.Exts = int(text[6]-'0')*10 + int(text[7]-'0')
	return p, nil
}

func knownVersion(v string) bool {
	return slices.Contains([]string{"13", "12", "11", "10", "s3", "s2", "d1", "d2", "d3", "00"}, v)
}

func lowerHex(s string) bool {
	for i := range len(s) {
		if s[i]-'0' >= 10 && s[i]-'a' >= 6 {
			return false
		}
	}
	return true
}
