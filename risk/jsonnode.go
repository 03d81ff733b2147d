package risk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// node is a JSON value with its place.
type node struct {
	at      position
	value   any // string, json.Number, bool, nil; for objects and arrays nil
	kind    byte
	members []namedNode
	items   []*node
}

type namedNode struct {
	name string
	at   position
	node *node
}

// The kinds of node, written as they are told to people.
const (
	kindObject = '{'
	kindArray  = '['
	kindText   = '"'
	kindNumber = '0'
	kindBool   = 't'
	kindNull   = 'n'
)

var kindNames = map[byte]string{kindObject: "an object", kindArray: "an array", kindText: "a string",
	kindNumber: "a number", kindBool: "a boolean", kindNull: "null"}

// reader turns JSON text into nodes and nodes into a spec.
type reader struct {
	problems
	data []byte
	dec  *json.Decoder

	at, line, column int // where next was last asked, from 0
}

func (r *reader) read() (*node, error) {
	if len(r.data) > mostPolicyBytes {
		return nil, &PolicyError{Msg: fmt.Sprintf("%d bytes, at most %d", len(r.data), mostPolicyBytes)}
	}
	if !utf8.Valid(r.data) {
		return nil, &PolicyError{Msg: "not valid UTF-8"}
	}
	r.dec = json.NewDecoder(bytes.NewReader(r.data))
	r.dec.UseNumber()
	root, err := r.value(0)
	if err != nil {
		return nil, err
	}
	end := r.next()
	if _, err := r.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, r.fail(end, "data after the policy")
	}
	return root, nil
}

// next is where the next token starts. It goes on from where it was last asked.
func (r *reader) next() position {
	i := int(r.dec.InputOffset())
	for i < len(r.data) && bytes.IndexByte([]byte(" \t\r\n,:"), r.data[i]) >= 0 {
		i++
	}
	passed := r.data[r.at:i]
	if n := bytes.Count(passed, []byte("\n")); n > 0 {
		r.line += n
		r.column = 0
		passed = passed[bytes.LastIndexByte(passed, '\n')+1:]
	}
	r.column += utf8.RuneCount(passed)
	r.at = i
	return position{r.line + 1, r.column + 1}
}

func (r *reader) fail(at position, msg string) error {
	return &PolicyError{Line: at.line, Column: at.column, Msg: msg}
}

func (r *reader) token() (json.Token, position, error) {
	at := r.next()
	t, err := r.dec.Token()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, at, r.fail(at, "the text ends too early")
	case err != nil:
		return nil, at, r.fail(at, "not JSON: "+jsonFault(err))
	}
	return t, at, nil
}

// jsonFault is what encoding/json says, without its own prefix and offsets.
func jsonFault(err error) string {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return clip(syntax.Error())
	}
	return "malformed"
}

func (r *reader) value(depth int) (*node, error) {
	if depth > mostPolicyDepth {
		return nil, r.fail(r.next(), fmt.Sprintf("nested deeper than %d", mostPolicyDepth))
	}
	t, at, err := r.token()
	if err != nil {
		return nil, err
	}
	n := &node{at: at, value: t}
	switch t := t.(type) {
	case json.Delim:
		n.value = nil
		n.kind = byte(t)
		if t == '{' {
			return n, r.object(n, depth)
		}
		return n, r.array(n, depth)
	case string:
		n.kind = kindText
	case json.Number:
		n.kind = kindNumber
	case bool:
		n.kind = kindBool
	default:
		n.kind = kindNull
	}
	return n, nil
}

func (r *reader) object(n *node, depth int) error {
	seen := map[string]bool{}
	for r.dec.More() {
		t, at, err := r.token()
		if err != nil {
			return err
		}
		name, ok := t.(string)
		if !ok {
			return r.fail(at, "want a member's name")
		}
		if seen[name] {
			return r.fail(at, fmt.Sprintf("duplicate member %q", clip(name)))
		}
		seen[name] = true
		v, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		n.members = append(n.members, namedNode{name, at, v})
	}
	_, _, err := r.token()
	return err
}

func (r *reader) array(n *node, depth int) error {
	for r.dec.More() {
		v, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		n.items = append(n.items, v)
	}
	_, _, err := r.token()
	return err
}
