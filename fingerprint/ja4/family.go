package ja4

import (
	"errors"
	"fmt"
)

// Family is a TLS library as far as its cipher suites tell. Hosts add their own.
type Family string

// The families of the default table.
const (
	Unknown  Family = ""         // not in the table, which says nothing against anybody
	Chromium Family = "chromium" // BoringSSL as in Chrome, Edge, Opera, Android WebView
	Firefox  Family = "firefox"  // NSS as in Firefox
	Safari   Family = "safari"   // Apple's, of every browser on iOS
	Curl     Family = "curl"     // OpenSSL with its default suites
	GnuTLS   Family = "gnutls"   // Wget
	Python   Family = "python"   // OpenSSL with Python's suites
	Node     Family = "node"     // OpenSSL with Node's suites
	GoTLS    Family = "go"       // crypto/tls
)

// Browser reports whether people browse with the family. Families a host adds are tools unless they have one of the
// browsers' names.
func (f Family) Browser() bool { return f == Chromium || f == Firefox || f == Safari }

// Entry is a line of a table: what the second part of a JA4 means.
type Entry struct {
	ALPN   string // two characters, "h2"; empty: any
	B      string // second part of the JA4
	Family Family
}

// DefaultEntries are cipher lists that are stable for years (Chromium's has not changed since 2023), taken from
// clients measured in November 2026 and from FoxIO's mapping. Give [NewTable] a longer list to add your own.
func DefaultEntries() []Entry {
	return []Entry{
		{B: "8daaf6152771", Family: Chromium},
		{B: "5b57614c22b0", Family: Firefox},
		{B: "86a278354501", Family: Firefox},
		{B: "a09f3c656075", Family: Safari},
		{B: "e8f1e7e78f70", Family: Curl},
		{B: "723694b0fccc", Family: GnuTLS},
		{B: "85036bcba153", Family: Python},
		{B: "a33745022dd6", Family: Node},
		{B: "f57a46bbacb6", Family: GoTLS},
	}
}

// Table tells families. It is immutable and safe for concurrent use.
type Table struct {
	entries map[Entry]Family // by ALPN and B
}

// MaxEntries bounds a table.
const MaxEntries = 100_000

// NewTable makes a table; nil: of [DefaultEntries]. It refuses malformed entries and one key with two families.
func NewTable(entries []Entry) (*Table, error) {
	if entries == nil {
		entries = DefaultEntries()
	}
	if len(entries) > MaxEntries {
		return nil, fmt.Errorf("ja4: %d entries, at most %d", len(entries), MaxEntries)
	}
	t := &Table{entries: make(map[Entry]Family, len(entries))}
	for i, e := range entries {
		if (len(e.ALPN) != 0 && len(e.ALPN) != 2) || len(e.B) != len(none) || !lowerHex(e.B) || e.Family == Unknown {
			return nil, fmt.Errorf("ja4: entry %d: want an ALPN of two characters or none, a B of 12 hexadecimal digits, and a family", i)
		}
		k := Entry{ALPN: e.ALPN, B: e.B}
		if had, ok := t.entries[k]; ok && had != e.Family {
			return nil, fmt.Errorf("ja4: entry %d: its key is another family's already", i)
		}
		t.entries[k] = e.Family
	}
	if len(t.entries) == 0 {
		return nil, errors.New("ja4: the table is empty; nil is the default one")
	}
	return t, nil
}

// Family returns the family of a JA4: the entry of its ALPN and B, else the one of its B alone, else Unknown.
func (t *Table) Family(p Parts) Family {
	if f, ok := t.entries[Entry{ALPN: p.ALPN, B: p.B}]; ok {
		return f
	}
	return t.entries[Entry{B: p.B}]
}
