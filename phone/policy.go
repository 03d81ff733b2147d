package phone

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Refusal says why a policy sends nothing to a number; "" means that it may. It is for logs and rules, never for the
// visitor.
type Refusal string

// The refusals.
const (
	RefusedCountry Refusal = "country" // not on the allow-list
	RefusedType    Refusal = "type"    // a line type that is denied
	RefusedPrefix  Refusal = "prefix"  // on the list of denied prefixes
	RefusedVoice   Refusal = "voice"   // not to be called
)

// PolicyOptions of a [Policy]. The zero value and nil mean the defaults.
type PolicyOptions struct {
	// VoiceCountries may be called, a part of the countries; default all of them. Calls cost more than messages and
	// are pumped more: keep the list short.
	VoiceCountries []string
	// DenyTypes get nothing; default premium, shared cost, UAN, pager, voicemail, personal, toll-free and satellite
	// numbers. Note that Twilio's magic test numbers are personal numbers.
	DenyTypes []LineType
	// DenyPrefixes get nothing: '+' and at least the calling code.
	DenyPrefixes []string
	// InsecureAllCountries makes the allow-list every country: toll fraud finds the dearest of them.
	InsecureAllCountries bool
}

// Policy says which numbers a service sends to. It is immutable and safe for concurrent use.
type Policy struct {
	countries, voice map[string]bool // nil: all
	deny             [lineTypes]bool
	prefixes         []string
}

// NewPolicy makes a policy that sends to numbers of the given countries (ISO 3166, "NO"; [NonGeographic] for numbers of
// none) and to no others.
func NewPolicy(countries []string, opts *PolicyOptions) (*Policy, error) {
	if opts == nil {
		opts = &PolicyOptions{}
	}
	p := &Policy{}
	switch {
	case opts.InsecureAllCountries && len(countries) > 0:
		return nil, errors.New("phone: name the countries, or set InsecureAllCountries, not both")
	case !opts.InsecureAllCountries && len(countries) == 0:
		return nil, errors.New("phone: name the countries messages may go to, such as \"NO\", \"SE\"; InsecureAllCountries names all")
	}
	var err error
	if !opts.InsecureAllCountries {
		if p.countries, err = countrySet(countries); err != nil {
			return nil, err
		}
	}
	p.voice = p.countries
	if opts.VoiceCountries != nil {
		if p.voice, err = countrySet(opts.VoiceCountries); err != nil {
			return nil, err
		}
		for c := range p.voice {
			if p.countries != nil && !p.countries[c] {
				return nil, fmt.Errorf("phone: %s is in VoiceCountries, but not among the countries", c)
			}
		}
	}
	deny := opts.DenyTypes
	if deny == nil {
		deny = []LineType{Premium, SharedCost, UAN, Pager, Voicemail, Personal, TollFree, Satellite}
	}
	for _, t := range deny {
		if t >= lineTypes || t == Unknown {
			return nil, fmt.Errorf("phone: DenyTypes holds %d, which is no line type", t)
		}
		p.deny[t] = true
	}
	for _, s := range opts.DenyPrefixes {
		if len(s) < 2 || len(s) > 16 || s[0] != '+' || strings.Trim(s[1:], "0123456789") != "" || s[1] == '0' {
			return nil, fmt.Errorf("phone: DenyPrefixes holds %q: want '+' and digits", s)
		}
	}
	p.prefixes = slices.Clone(opts.DenyPrefixes)
	return p, nil
}

func countrySet(list []string) (map[string]bool, error) {
	set := map[string]bool{}
	for _, c := range list {
		if c != NonGeographic && (len(c) != 2 || c[0] < 'A' || c[0] > 'Z' || c[1] < 'A' || c[1] > 'Z') {
			return nil, fmt.Errorf("phone: %q is no country: want two capital letters of ISO 3166, or %q", c, NonGeographic)
		}
		set[c] = true
	}
	return set, nil
}

// Refuses says why nothing is sent to n on a channel. line is what an [Intelligence] says; Unknown: only the number's own
// type counts.
func (p *Policy) Refuses(n Number, line LineType, ch Channel) Refusal {
	e164 := n.E164()
	switch {
	case n.IsZero() || p.countries != nil && !p.countries[n.Region()]:
		return RefusedCountry
	case p.deny[n.Line()] || line < lineTypes && p.deny[line]:
		return RefusedType
	case slices.ContainsFunc(p.prefixes, func(s string) bool { return strings.HasPrefix(e164, s) }):
		return RefusedPrefix
	}
	if ch == Voice && (p.voice != nil && !p.voice[n.Region()] || n.Line().Costly() || line.Costly() || n.Line() == NonFixedVoIP || line == NonFixedVoIP) {
		return RefusedVoice
	}
	return ""
}
