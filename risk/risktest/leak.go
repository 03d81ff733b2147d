package risktest

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// needle is one text to look for.
type needle struct {
	field, form, text string
	fold              bool // in any case; text is in lower case then
}

// needlesOf lists the forms one spelling of a value can take.
func needlesOf(field, value string) []needle {
	l := needles{field: field}
	cased := []string{value} // hashes and encodings of these
	for _, s := range []string{strings.ToLower(value), strings.ToUpper(value)} {
		if s != value && utf8.ValidString(value) {
			cased = append(cased, s)
		}
	}
	raw := !utf8.ValidString(value) || len(value) < shortest || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' })
	for _, s := range cased {
		if !raw {
			l.texts(s)
		}
		l.bytes([]byte(s), raw)
		l.hashes([]byte(s))
	}
	return l.out
}

// shortest is how long a needle is at least: shorter ones would be found everywhere.
const shortest = 6

// haystack finds many needles in one walk over a text, by their first bytes.
type haystack struct {
	may   [1 << 10]uint64 // bits: some needle starts with bytes of this hash
	heads map[uint64][]needle
}

// head is the first bytes of a text that is not shorter than the shortest needle.
func head(s string) uint64 {
	var b [8]byte
	copy(b[:shortest], s)
	return binary.LittleEndian.Uint64(b[:])
}

func bit(head uint64) (word, mask uint64) {
	h := head * 0x9e3779b97f4a7c15 >> 48
	return h >> 6, 1 << (h & 63)
}

// add adds a needle once.
func (x *haystack) add(n needle) {
	if x.heads == nil {
		x.heads = map[uint64][]needle{}
	}
	h := head(n.text)
	for _, o := range x.heads[h] {
		if o.text == n.text {
			return
		}
	}
	x.heads[h] = append(x.heads[h], n)
	word, mask := bit(h)
	x.may[word] |= mask
}

// search calls found for every needle at every place, in order.
func (x *haystack) search(text string, found func(at int, n needle)) {
	if len(text) < shortest {
		return
	}
	h := head(text[:shortest-1]) << 8
	for i := 0; i+shortest <= len(text); i++ {
		h = h>>8 | uint64(text[i+shortest-1])<<(8*(shortest-1))
		if word, mask := bit(h); x.may[word]&mask == 0 {
			continue
		}
		for _, n := range x.heads[h] {
			if strings.HasPrefix(text[i:], n.text) {
				found(i, n)
			}
		}
	}
}

type needles struct {
	field string
	out   []needle
}

func (l *needles) fold(form, text string) {
	l.out = append(l.out, needle{l.field, form, lowerASCII(text), true})
}

func (l *needles) exact(form, text string) {
	l.out = append(l.out, needle{l.field, form, text, false})
}

// texts are the forms a text takes.
func (l *needles) texts(value string) {
	l.fold("plain", value)
	for _, escaped := range []struct{ form, text string }{
		{"json", jsonText(value)}, {"json", unicodeEscaped(value)}, {"go", unquoted(strconv.Quote(value))},
		{"go", unquoted(strconv.QuoteToASCII(value))}, {"html", html.EscapeString(value)},
		{"url", url.QueryEscape(value)}, {"url", url.PathEscape(value)}, {"url", "%" + spaced([]byte(value), "%02x", "%")},
	} {
		if escaped.text != value {
			l.fold(escaped.form, escaped.text)
		}
	}
	l.exact("utf-16", utf16Text(value))
}

// bytes are the forms bytes take. Short raw ones (an IPv4 address) are left out where they would be found by chance.
func (l *needles) bytes(b []byte, raw bool) {
	l.fold("hex", hexOf(b))
	l.fold("hex", spaced(b, "%02x", " "))
	l.fold("hex", spaced(b, "%02x", ":"))
	l.fold("hex", spaced(b, "0x%x", ", "))
	if raw && len(b) < 8 {
		l.fold("numbers", "["+spaced(b, "%d", " ")+"]")
		l.fold("numbers", "["+spaced(b, "%d", ",")+"]")
		return
	}
	if raw {
		l.exact("bytes", string(b))
	}
	l.fold("numbers", spaced(b, "%d", " "))
	l.fold("numbers", spaced(b, "%d", ","))
	l.base64("base64", b)
}

// base64 finds b wherever it starts within a longer encoded text: three alignments, without the characters its
// neighbours touch.
func (l *needles) base64(form string, b []byte) {
	for shift := range 3 {
		first, last := (shift*8+5)/6, (shift+len(b))*8/6
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			l.exact(form, enc.EncodeToString(append(make([]byte, shift), b...))[first:last])
		}
	}
}

// hashes are plain hashes, looked for by their first 64 bits, so that shortened ones are found too.
func (l *needles) hashes(b []byte) {
	m, s1, s2 := md5.Sum(b), sha1.Sum(b), sha256.Sum256(b)
	for _, h := range []struct {
		name string
		sum  []byte
	}{{"md5", m[:8]}, {"sha1", s1[:8]}, {"sha256", s2[:8]}} {
		l.fold(h.name+" hex", hexOf(h.sum))
		l.fold(h.name+" numbers", spaced(h.sum, "%d", " "))
		l.fold(h.name+" numbers", spaced(h.sum, "%d", ","))
		l.exact(h.name+" bytes", string(h.sum))
		l.base64(h.name+" base64", h.sum)
	}
}

func jsonText(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return s
	}
	return unquoted(string(b))
}

func unquoted(s string) string { return s[1 : len(s)-1] }

func unicodeEscaped(s string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		b.WriteString(`\u` + hexOf([]byte{byte(u >> 8), byte(u)}))
	}
	return b.String()
}

func utf16Text(s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u>>8), byte(u))
	}
	return string(b)
}

func spaced(b []byte, format, between string) string {
	parts := make([]string, len(b))
	for i, v := range b {
		parts[i] = fmt.Sprintf(format, v)
	}
	return strings.Join(parts, between)
}

func hexOf(b []byte) string { return hex.EncodeToString(b) }
