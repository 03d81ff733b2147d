package fingerprint

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// member is a name and the value as it was sent, byte for byte.
type member struct {
	name string
	raw  json.RawMessage
}

// ErrReport is what every error about what a visitor's page sent is. It does not repeat what was sent.
var ErrReport = errors.New("fingerprint: malformed report")

const (
	mostMembers = 512 // of one object that is read
	mostDepth   = 32
)

// members reads a JSON object and keeps the values' bytes: decoding and encoding again would sort members and change
// numbers, and with them every hash.
func members(raw []byte) ([]member, error) {
	if !utf8.Valid(raw) {
		return nil, ErrReport
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, ErrReport
	}
	var list []member
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if err != nil || !ok || seen[name] || len(list) == mostMembers {
			return nil, ErrReport
		}
		seen[name] = true
		m := member{name: name}
		if err := dec.Decode(&m.raw); err != nil || tooDeep(m.raw) {
			return nil, ErrReport
		}
		list = append(list, m)
	}
	if _, err := dec.Token(); err != nil {
		return nil, ErrReport
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, ErrReport
	}
	return list, nil
}

// tooDeep reports values nested more than mostDepth deep.
func tooDeep(raw []byte) bool {
	depth, text := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case text:
			if c == '\\' {
				i++
			} else if c == '"' {
				text = false
			}
		case c == '"':
			text = true
		case c == '{', c == '[':
			if depth++; depth > mostDepth {
				return true
			}
		case c == '}', c == ']':
			depth--
		}
	}
	return false
}

// get returns a member's value, or nil.
func get(list []member, name string) json.RawMessage {
	if i := slices.IndexFunc(list, func(m member) bool { return m.name == name }); i >= 0 {
		return list[i].raw
	}
	return nil
}

// text returns a string of at most most bytes, "" for null and for what is not there.
func text(raw json.RawMessage, most int) (string, error) {
	if raw == nil || string(raw) == "null" {
		return "", nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil || len(s) > most {
		return "", ErrReport
	}
	return s, nil
}

// flag reports whether a value is true. What is no boolean is false.
func flag(raw json.RawMessage) bool { return string(raw) == "true" }

// object reads a member that is an object; nil when it is not there or null.
func object(list []member, name string) ([]member, error) {
	raw := get(list, name)
	if raw == nil || string(raw) == "null" {
		return nil, nil
	}
	return members(raw)
}

// byUTF16 orders names as JavaScript's sort does.
func byUTF16(a, b member) int {
	return slices.Compare(utf16.Encode([]rune(a.name)), utf16.Encode([]rune(b.name)))
}
