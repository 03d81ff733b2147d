package main

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/mail"
	"strings"
)

// fields is what a client sent: flat texts by name. It is untrusted.
type fields map[string]string

const mostBody = 64 << 10 // attestations of passkeys are large

// readFields reads a JSON object of texts, or the form of a browser without scripts, which it leaves parsed for the
// guard.
func readFields(w http.ResponseWriter, r *http.Request) (fields, error) {
	r.Body = http.MaxBytesReader(w, r.Body, mostBody)
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	f := fields{}
	switch kind {
	case "application/json":
		d := json.NewDecoder(r.Body)
		if err := d.Decode(&f); err != nil {
			return nil, err
		}
		if d.More() || f == nil {
			return nil, errors.New("not one JSON object")
		}
	case "application/x-www-form-urlencoded":
		if err := r.ParseForm(); err != nil {
			return nil, err
		}
		for name := range r.PostForm {
			f[name] = r.PostForm.Get(name)
		}
	default:
		return nil, errors.New("unknown content type")
	}
	f["email"], f["phone"] = strings.TrimSpace(f["email"]), strings.TrimSpace(f["phone"])
	return f, nil
}

// fault says which field cannot be right, in words for the visitor; "" when all may be.
func (f fields) fault() string {
	address, err := mail.ParseAddress(f["email"])
	if err != nil || address.Address != f["email"] || len(f["email"]) > 254 {
		return "Please enter an e-mail address."
	}
	if p := f["phone"]; p != "" && (p[0] != '+' || len(p) < 8 || len(p) > 24 || strings.Trim(p[1:], "0123456789 ()-") != "") {
		return "Please enter the mobile number with + and the country code, or leave it empty."
	}
	if kind := f["kind"]; kind != "" && kind != business {
		return "Please choose a kind of account that is on offer."
	}
	return ""
}
