package attesttest

import (
	"encoding/asn1"
)

// Description is what a virtual device says of a key, before it is encoded.
type Description struct {
	AttestationVersion, KeyMintVersion int
	AttestationLevel, KeyMintLevel     int // 0 software, 1 TEE, 2 StrongBox
	Challenge, UniqueID                []byte
	Software, Hardware                 []Authorization
}

// Authorization is one tag with its value in DER.
type Authorization struct {
	Tag   int
	Value []byte
}

// Set replaces a tag's value, or appends it.
func Set(list *[]Authorization, tag int, value []byte) {
	for i := range *list {
		if (*list)[i].Tag == tag {
			(*list)[i].Value = value
			return
		}
	}
	*list = append(*list, Authorization{tag, value})
}

// Remove takes a tag out.
func Remove(list *[]Authorization, tag int) {
	var out []Authorization
	for _, a := range *list {
		if a.Tag != tag {
			out = append(out, a)
		}
	}
	*list = out
}

// DER encodes an integer, bytes or another value that encoding/asn1 knows.
func DER(v any) []byte {
	raw, err := asn1.Marshal(v)
	must(err)
	return raw
}

func wrap(class, tag int, body []byte) []byte {
	return DER(asn1.RawValue{Class: class, Tag: tag, IsCompound: true, Bytes: body})
}

func join(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// Sequence and SetOf encode their parts, which are DER.
func Sequence(parts ...[]byte) []byte {
	return wrap(asn1.ClassUniversal, asn1.TagSequence, join(parts...))
}

// SetOf encodes a SET.
func SetOf(parts ...[]byte) []byte { return wrap(asn1.ClassUniversal, asn1.TagSet, join(parts...)) }

// RootOfTrust encodes tag 704. locked is the raw octet: 0xff is true in DER.
func RootOfTrust(key []byte, locked byte, state int, hash []byte) []byte {
	return Sequence(DER(key), []byte{1, 1, locked}, DER(asn1.Enumerated(state)), DER(hash))
}

// ApplicationID encodes tag 709.
func ApplicationID(packages []string, signers ...[]byte) []byte {
	var names, digests [][]byte
	for _, p := range packages {
		names = append(names, Sequence(DER([]byte(p)), DER(1)))
	}
	for _, s := range signers {
		digests = append(digests, DER(s))
	}
	return DER(Sequence(SetOf(names...), SetOf(digests...)))
}

// Describe is what the device truly says of a new key.
func (d *Android) Describe(challenge []byte) *Description {
	level := 1
	switch {
	case d.opts.Emulator:
		level = 0
	case d.opts.StrongBox:
		level = 2
	}
	algorithm := 3
	if d.opts.RSA {
		algorithm = 1
	}
	bootKey, locked, state := make([]byte, 32), byte(0xff), 0
	bootKey[0] = 7
	if d.opts.Unlocked {
		bootKey, locked, state = make([]byte, 32), 0, 2
	}
	desc := &Description{
		AttestationVersion: d.opts.Version, KeyMintVersion: d.opts.Version, AttestationLevel: level, KeyMintLevel: level,
		Challenge: challenge,
		Software: []Authorization{
			{701, DER(d.Google.now().UnixMilli())}, {709, ApplicationID([]string{d.Package}, d.Signer)},
		},
	}
	keys := []Authorization{{1, SetOf(DER(2))}, {2, DER(algorithm)}, {3, DER(256)}, {5, SetOf(DER(4))}, {10, DER(1)}, {503, asn1.NullBytes}, {702, DER(0)}}
	if d.opts.Emulator {
		desc.Software = append(keys, desc.Software...)
		return desc
	}
	desc.Hardware = append(keys, Authorization{704, RootOfTrust(bootKey, locked, state, make([]byte, 32))},
		Authorization{705, DER(160000)}, Authorization{706, DER(d.opts.PatchLevel)}, Authorization{718, DER(d.opts.PatchLevel*100 + 5)})
	return desc
}

func encodeList(list []Authorization) []byte {
	var parts [][]byte
	for _, a := range list {
		parts = append(parts, wrap(asn1.ClassContextSpecific, a.Tag, a.Value))
	}
	return Sequence(parts...)
}

// Encode is the value of the key attestation extension.
func (d *Description) Encode() []byte {
	return Sequence(DER(d.AttestationVersion), DER(asn1.Enumerated(d.AttestationLevel)), DER(d.KeyMintVersion),
		DER(asn1.Enumerated(d.KeyMintLevel)), DER(d.Challenge), DER(d.UniqueID), encodeList(d.Software), encodeList(d.Hardware))
}
