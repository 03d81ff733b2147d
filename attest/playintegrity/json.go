package playintegrity

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/vestibule-go/vestibule/attest"
)

// The bounds of a payload's JSON.
const (
	maxDepth   = 16
	maxMembers = 128 // of one object
)

// kind is the type of a JSON value.
type kind uint8

const (
	none kind = iota // not there
	null
	boolean
	number
	text
	list
	object
)

// value is a JSON value. Tokens are judged for each visitor, and encoding/json, made to refuse names that come twice, takes
// as long as decrypting them.
type value struct {
	kind kind
	yes  bool    // boolean
	text string  // text; the digits of a number
	list []value // list; an object's members, in order
	name string  // of a member
}

// at returns a member, or none.
func (v value) at(name string) value {
	if v.kind == object {
		for _, m := range v.list {
			if m.name == name {
				return m
			}
		}
	}
	return value{}
}

// parser reads one JSON value (RFC 8259) strictly: names come once.
type parser struct {
	in string
	at int
}

// parseJSON reads a text that is exactly one JSON value. The error is attest.ErrMalformed.
func parseJSON(raw []byte) (value, error) {
	if !utf8.Valid(raw) {
		return value{}, attest.ErrMalformed
	}
	p := parser{in: string(raw)}
	v, ok := p.value(0)
	if p.space(); !ok || p.at != len(p.in) {
		return value{}, attest.ErrMalformed
	}
	return v, nil
}

func (p *parser) space() {
	for p.at < len(p.in) {
		switch p.in[p.at] {
		case ' ', '\t', '\r', '\n':
			p.at++
		default:
			return
		}
	}
}

// take steps over a character, after space.
func (p *parser) take(c byte) bool {
	p.space()
	if p.at < len(p.in) && p.in[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *parser) value(depth int) (value, bool) {
	p.space()
	if depth > maxDepth || p.at >= len(p.in) {
		return value{}, false
	}
	switch c := p.in[p.at]; {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		s, ok := p.string()
		return value{kind: text, text: s}, ok
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	}
	switch {
	case p.word("true"):
		return value{kind: boolean, yes: true}, true
	case p.word("false"):
		return value{kind: boolean}, true
	case p.word("null"):
		return value{kind: null}, true
	}
	return value{}, false
}

func (p *parser) word(w string) bool {
	ok := strings.HasPrefix(p.in[p.at:], w)
	if ok {
		p.at += len(w)
	}
	return ok
}

func (p *parser) object(depth int) (value, bool) {
	p.at++
	v := value{kind: object}
	if p.take('}') {
		return v, true
	}
	for {
		p.space()
		name, ok := p.string()
		if !ok || len(v.list) >= maxMembers || v.at(name).kind != none || !p.take(':') {
			return v, false
		}
		m, ok := p.value(depth + 1)
		if !ok {
			return v, false
		}
		m.name = name
		v.list = append(v.list, m)
		if p.take('}') {
			return v, true
		}
		if !p.take(',') {
			return v, false
		}
	}
}

func (p *parser) array(depth int) (value, bool) {
	p.at++
	v := value{kind: list}
	if p.take(']') {
		return v, true
	}
	for {
		e, ok := p.value(depth + 1)
		if !ok {
			return v, false
		}
		v.list = append(v.list, e)
		if p.take(']') {
			return v, true
		}
		if !p.take(',') {
			return v, false
		}
	}
}

// string reads a string; escapes, which Google's answers seldom have, are left to encoding/json.
func (p *parser) string() (string, bool) {
	if p.at >= len(p.in) || p.in[p.at] != '"' {
		return "", false
	}
	begin, escaped := p.at, false
	for i := begin + 1; i < len(p.in); i++ {
		switch c := p.in[i]; {
		case c == '\\':
			escaped = true
			i++
		case c < ' ':
			return "", false
		case c == '"':
			p.at = i + 1
			if !escaped {
				return p.in[begin+1 : i], true
			}
			var s string
			err := json.Unmarshal([]byte(p.in[begin:p.at]), &s)
			return s, err == nil
		}
	}
	return "", false
}

func (p *parser) number() (value, bool) {
	begin := p.at
	for p.at < len(p.in) && strings.IndexByte("+-.eE0123456789", p.in[p.at]) >= 0 {
		p.at++
	}
	digits := p.in[begin:p.at]
	return value{kind: number, text: digits}, json.Valid([]byte(digits))
}
