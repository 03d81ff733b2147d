package jsonhttp

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"unicode/utf8"
)

// Value is a JSON value read strictly: names match exactly (package encoding/json would let "SUCCESS" set "success"),
// kinds are never converted, and a name that comes twice is an error. The zero Value is one that is not there.
type Value struct {
	v     any
	there bool
}

// ErrJSON says that a body is not one well-formed JSON value. It does not repeat the body.
var ErrJSON = errors.New("jsonhttp: the body is not one well-formed JSON value")

const mostDepth = 32

// Parse reads a body that is exactly one JSON value, at most 32 deep.
func Parse(body []byte) (Value, error) {
	if !utf8.Valid(body) {
		return Value{}, ErrJSON
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	v, err := read(dec, 0)
	if err != nil {
		return Value{}, ErrJSON
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Value{}, ErrJSON
	}
	return Value{v, true}, nil
}

func read(dec *json.Decoder, depth int) (any, error) {
	if depth > mostDepth {
		return nil, ErrJSON
	}
	t, err := dec.Token()
	if err != nil {
		return nil, err
	}
	d, ok := t.(json.Delim)
	if !ok {
		return t, nil
	}
	if d == '[' {
		list := []any{}
		for dec.More() {
			v, err := read(dec, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = dec.Token()
		return list, err
	}
	object := map[string]any{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, _ := t.(string)
		if _, twice := object[name]; twice {
			return nil, ErrJSON
		}
		if object[name], err = read(dec, depth+1); err != nil {
			return nil, err
		}
	}
	_, err = dec.Token()
	return object, err
}

// At walks down members by exact name. It is a Value that is not there when one of them is missing.
func (v Value) At(names ...string) Value {
	for _, name := range names {
		object, ok := v.v.(map[string]any)
		if !ok {
			return Value{}
		}
		next, ok := object[name]
		if !ok {
			return Value{}
		}
		v = Value{next, true}
	}
	return v
}

// There reports whether the value exists; null does.
func (v Value) There() bool { return v.there }

// IsNull reports whether the value is null.
func (v Value) IsNull() bool { return v.there && v.v == nil }

// IsObject reports whether the value is an object.
func (v Value) IsObject() bool { _, ok := v.v.(map[string]any); return ok }

// Text returns a string.
func (v Value) Text() (string, bool) { s, ok := v.v.(string); return s, ok }

// String returns a string, or "" for everything else.
func (v Value) String() string { s, _ := v.Text(); return s }

// Bool returns a boolean.
func (v Value) Bool() (value, ok bool) { value, ok = v.v.(bool); return value, ok }

// Number returns a finite number.
func (v Value) Number() (float64, bool) {
	n, ok := v.v.(json.Number)
	if !ok {
		return 0, false
	}
	f, err := n.Float64()
	return f, err == nil && !math.IsInf(f, 0)
}

// Int returns a whole number written without fraction and exponent.
func (v Value) Int() (int64, bool) {
	n, ok := v.v.(json.Number)
	if !ok {
		return 0, false
	}
	i, err := n.Int64()
	return i, err == nil
}

// List returns the elements of an array.
func (v Value) List() ([]Value, bool) {
	list, ok := v.v.([]any)
	out := make([]Value, len(list))
	for i := range list {
		out[i] = Value{list[i], true}
	}
	return out, ok
}

// Texts returns the strings of an array, leaving out what is none.
func (v Value) Texts() []string {
	list, _ := v.List()
	var out []string
	for _, e := range list {
		if s, ok := e.Text(); ok {
			out = append(out, s)
		}
	}
	return out
}

// Names returns the members' names of an object, in no order.
func (v Value) Names() []string {
	object, _ := v.v.(map[string]any)
	out := make([]string, 0, len(object))
	for name := range object {
		out = append(out, name)
	}
	return out
}
