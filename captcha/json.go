package captcha

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A payload is objects of strings, integers, booleans and null, three levels below the outermost. The standard decoder
// accepts duplicate names and names in another case and drops unknown ones; here each would be a way to show the
// signature one thing and the verifier another.

type jsonKind uint8

const (
	jsonNull jsonKind = iota + 1
	jsonBool
	jsonInt   // within +-(2^53-1), the range JavaScript keeps exactly
	jsonOther // any other number
	jsonString
	jsonObject
)

type jsonValue struct {
	kind    jsonKind
	num     int64 // jsonInt; jsonBool: 1 is true
	str     string
	members []jsonMember
}

type jsonMember struct {
	name  string
	value jsonValue
}

const (
	jsonMaxDepth   = 4
	jsonMaxMembers = 32
	maxSafeInteger = 1<<53 - 1
)

var errJSON = errors.New("captcha: not the JSON of a payload")

// get returns the member called name.
func (v *jsonValue) get(name string) (*jsonValue, bool) {
	for i := range v.members {
		if v.members[i].name == name {
			return &v.members[i].value, true
		}
	}
	return nil, false
}

// only reports whether v is an object with no members but those named.
func (v *jsonValue) only(names ...string) bool {
	if v.kind != jsonObject {
		return false
	}
	for i := range v.members {
		if !slices.Contains(names, v.members[i].name) {
			return false
		}
	}
	return true
}

// parseJSON reads exactly one object.
func parseJSON(data string) (jsonValue, error) {
	if !utf8.ValidString(data) {
		return jsonValue{}, errJSON
	}
	var scratch [24]jsonMember
	p := jsonParser{data: data, open: scratch[:0]}
	p.space()
	if p.peek() != '{' {
		return jsonValue{}, errJSON
	}
	v, ok := p.value(1)
	p.space()
	if !ok || p.pos != len(data) {
		return jsonValue{}, errJSON
	}
	return v, nil
}

type jsonParser struct {
	data string
	open []jsonMember // members of objects not yet closed, innermost last
	pos  int
}

func (p *jsonParser) peek() byte {
	if p.pos < len(p.data) {
		return p.data[p.pos]
	}
	return 0
}

func (p *jsonParser) space() {
	for p.pos < len(p.data) {
		switch p.data[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

func (p *jsonParser) value(depth int) (jsonValue, bool) {
	switch c := p.peek(); {
	case c == '{':
		return p.object(depth)
	case c == '"':
		s, ok := p.text()
		return jsonValue{kind: jsonString, str: s}, ok
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	case p.word("true"):
		return jsonValue{kind: jsonBool, num: 1}, true
	case p.word("false"):
		return jsonValue{kind: jsonBool}, true
	case p.word("null"):
		return jsonValue{kind: jsonNull}, true
	}
	return jsonValue{}, false
}

func (p *jsonParser) word(w string) bool {
	if !strings.HasPrefix(p.data[p.pos:], w) {
		return false
	}
	p.pos += len(w)
	return true
}

func (p *jsonParser) object(depth int) (jsonValue, bool) {
	v := jsonValue{kind: jsonObject}
	if depth > jsonMaxDepth {
		return v, false
	}
	p.pos++
	p.space()
	if p.peek() == '}' {
		p.pos++
		return v, true
	}
	start := len(p.open)
	for {
		p.space()
		if p.peek() != '"' {
			return v, false
		}
		name, ok := p.text()
		if !ok || len(p.open)-start == jsonMaxMembers {
			return v, false
		}
		for i := start; i < len(p.open); i++ {
			if p.open[i].name == name {
				return v, false
			}
		}
		p.space()
		if p.peek() != ':' {
			return v, false
		}
		p.pos++
		p.space()
		p.open = append(p.open, jsonMember{name: name})
		at := len(p.open) - 1
		m, ok := p.value(depth + 1)
		if !ok {
			return v, false
		}
		p.open[at].value = m
		p.space()
		switch p.peek() {
		case ',':
			p.pos++
		case '}':
			p.pos++
			v.members = slices.Clone(p.open[start:])
			p.open = p.open[:start]
			return v, true
		default:
			return v, false
		}
	}
}

// number keeps integers that JavaScript keeps; all others are jsonOther.
func (p *jsonParser) number() (jsonValue, bool) {
	start := p.pos
	if p.peek() == '-' {
		p.pos++
	}
	intStart := p.pos
	if !p.digits() || p.data[intStart] == '0' && p.pos-intStart > 1 {
		return jsonValue{}, false
	}
	plain := true
	if p.peek() == '.' {
		p.pos++
		plain = false
		if !p.digits() {
			return jsonValue{}, false
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.pos++
		plain = false
		if c := p.peek(); c == '+' || c == '-' {
			p.pos++
		}
		if !p.digits() {
			return jsonValue{}, false
		}
	}
	text := p.data[start:p.pos]
	if n, err := strconv.ParseInt(text, 10, 64); plain && err == nil && text != "-0" && n <= maxSafeInteger && n >= -maxSafeInteger {
		return jsonValue{kind: jsonInt, num: n}, true
	}
	return jsonValue{kind: jsonOther}, true
}

func (p *jsonParser) digits() bool {
	start := p.pos
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		p.pos++
	}
	return p.pos > start
}

// text reads a string. Lone surrogates are refused: Go strings cannot hold them.
func (p *jsonParser) text() (string, bool) {
	p.pos++
	start := p.pos
	for p.pos < len(p.data) {
		switch c := p.data[p.pos]; {
		case c == '"':
			p.pos++
			return p.data[start : p.pos-1], true
		case c < 0x20:
			return "", false
		case c == '\\':
			return p.escaped(start)
		}
		p.pos++
	}
	return "", false
}

func (p *jsonParser) escaped(start int) (string, bool) {
	b := append([]byte(nil), p.data[start:p.pos]...)
	for p.pos < len(p.data) {
		c := p.data[p.pos]
		p.pos++
		switch {
		case c == '"':
			return string(b), true
		case c < 0x20:
			return "", false
		case c != '\\':
			b = append(b, c)
			continue
		}
		e := p.peek()
		p.pos++
		if i := strings.IndexByte(`"\/bfnrt`, e); e != 0 && i >= 0 {
			b = append(b, "\"\\/\b\f\n\r\t"[i])
			continue
		}
		if e != 'u' {
			return "", false
		}
		r, ok := p.unit()
		if !ok {
			return "", false
		}
		if utf16.IsSurrogate(r) {
			if !p.word(`\u`) {
				return "", false
			}
			low, ok := p.unit()
			r = utf16.DecodeRune(r, low)
			if !ok || r == utf8.RuneError {
				return "", false
			}
		}
		b = utf8.AppendRune(b, r)
	}
	return "", false
}

// unit reads the four hex digits of a \u escape.
func (p *jsonParser) unit() (rune, bool) {
	if len(p.data)-p.pos < 4 {
		return 0, false
	}
	var r rune
	for _, c := range []byte(p.data[p.pos : p.pos+4]) {
		d := strings.IndexByte("0123456789abcdef", c|0x20)
		if d < 0 || c < '0' {
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	p.pos += 4
	return r, true
}
