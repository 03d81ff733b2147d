package ipintel

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// jsonEntry has the members that feeds put entries into. Others, among them the trailing metadata line of Spamhaus, are
// ignored.
type jsonEntry struct {
	CIDR       string `json:"cidr"`
	IP         string `json:"ip"`
	IPAddress  string `json:"ipAddress"`
	Value      string `json:"value"` // CrowdSec decisions
	Scope      string `json:"scope"`
	IPPrefix   string `json:"ip_prefix"`   // AWS
	IPv6Prefix string `json:"ipv6_prefix"` // AWS
	IPv4       string `json:"ipv4Prefix"`  // Google
	IPv6       string `json:"ipv6Prefix"`  // Google

	ASN json.RawMessage `json:"asn"` // a number or a text

	Prefix       json.RawMessage `json:"prefix"`
	Data         json.RawMessage `json:"data"`
	Prefixes     json.RawMessage `json:"prefixes"`
	IPv6Prefixes json.RawMessage `json:"ipv6_prefixes"`
	New          json.RawMessage `json:"new"`
}

// json reads FormatJSON: any number of documents, one after the other.
func (p *parser) json(f *Feed) error {
	dec := json.NewDecoder(p.buf)
	for {
		var raw json.RawMessage
		switch err := dec.Decode(&raw); {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, ErrTooLarge):
			return p.fail(err)
		case errors.Is(err, io.ErrUnexpectedEOF):
			return &FeedError{Err: ErrMalformed} // cut off
		case err != nil:
			var syntax *json.SyntaxError
			if errors.As(err, &syntax) {
				return &FeedError{Err: ErrMalformed}
			}
			return p.fail(err)
		}
		p.line++
		if err := p.jsonValue(f, raw, 0); err != nil {
			return err
		}
	}
}

// jsonValue reads an array, an object or a text of entries.
func (p *parser) jsonValue(f *Feed, raw json.RawMessage, depth int) error {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || depth > 3 || string(raw) == "null" {
		return nil
	}
	switch raw[0] {
	case '[':
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) != nil {
			p.malformed()
			return nil
		}
		for _, e := range list {
			if err := p.jsonValue(f, e, depth+1); err != nil {
				return err
			}
		}
		return nil
	case '"':
		var s string
		_ = json.Unmarshal(raw, &s) // it is a whole JSON text
		p.data++
		return p.addText(f, s)
	case '{':
		return p.jsonObject(f, raw, depth)
	}
	p.data++
	p.malformed()
	return nil
}

func (p *parser) jsonObject(f *Feed, raw json.RawMessage, depth int) error {
	var e jsonEntry
	if json.Unmarshal(raw, &e) != nil {
		p.data++
		p.malformed()
		return nil
	}
	texts := []string{e.CIDR, e.IP, e.IPAddress, e.IPPrefix, e.IPv6Prefix, e.IPv4, e.IPv6}
	if e.Scope == "" || e.Scope == "Ip" || e.Scope == "Range" {
		texts = append(texts, e.Value)
	}
	for _, s := range texts {
		if s == "" {
			continue
		}
		p.data++
		if err := p.addText(f, s); err != nil {
			return err
		}
	}
	// A system beside a network names its owner; alone it is the entry, as in ASN-DROP.
	if e.CIDR == "" && e.IP == "" && e.IPAddress == "" && len(e.ASN) > 0 && string(e.ASN) != "null" {
		p.data++
		if err := p.addSystem(f, string(bytes.Trim(e.ASN, `"`))); err != nil {
			return err
		}
	}
	for _, list := range []json.RawMessage{e.Prefix, e.Data, e.Prefixes, e.IPv6Prefixes, e.New} {
		if err := p.jsonValue(f, list, depth+1); err != nil {
			return err
		}
	}
	return nil
}
