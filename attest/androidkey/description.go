package androidkey

import (
	"encoding/asn1"
	"slices"

	"github.com/vestibule-go/vestibule/attest"
)

// SecurityLevel is where a key, or what speaks of it, lives.
type SecurityLevel int

// The levels.
const (
	LevelSoftware  SecurityLevel = 0
	LevelTEE       SecurityLevel = 1
	LevelStrongBox SecurityLevel = 2
)

// String is the level in Google's words.
func (l SecurityLevel) String() string {
	switch l {
	case LevelSoftware:
		return "SOFTWARE"
	case LevelTEE:
		return "TRUSTED_ENVIRONMENT"
	case LevelStrongBox:
		return "STRONG_BOX"
	}
	return "INVALID"
}

// BootState is what the boot loader found.
type BootState int

// The states.
const (
	BootVerified   BootState = 0 // by the maker's key
	BootSelfSigned BootState = 1 // by a key the owner has installed
	BootUnverified BootState = 2 // unlocked: anything may run
	BootFailed     BootState = 3
)

// String is the state in Google's words.
func (s BootState) String() string {
	switch s {
	case BootVerified:
		return "VERIFIED"
	case BootSelfSigned:
		return "SELF_SIGNED"
	case BootUnverified:
		return "UNVERIFIED"
	case BootFailed:
		return "FAILED"
	}
	return "INVALID"
}

// Tag is the number of an authorization (Android's KeyMint Tag.aidl).
type Tag int

// The tags this package names. Others are kept as they are.
const (
	TagPurpose          Tag = 1
	TagAlgorithm        Tag = 2
	TagKeySize          Tag = 3
	TagDigest           Tag = 5
	TagPadding          Tag = 6
	TagECCurve          Tag = 10
	TagMLDSAVariant     Tag = 11
	TagRSAExponent      Tag = 200
	TagMGFDigest        Tag = 203
	TagUsageCountLimit  Tag = 405
	TagNoAuthRequired   Tag = 503
	TagUserAuthType     Tag = 504
	TagAuthTimeout      Tag = 505
	TagUserPresence     Tag = 507
	TagCreation         Tag = 701 // milliseconds since 1970
	TagOrigin           Tag = 702 // 0: generated in the keystore
	TagRollbackResist   Tag = 703
	TagRootOfTrust      Tag = 704
	TagOSVersion        Tag = 705
	TagOSPatchLevel     Tag = 706 // YYYYMM
	TagApplicationID    Tag = 709
	TagBrand            Tag = 710
	TagDevice           Tag = 711
	TagProduct          Tag = 712
	TagSerial           Tag = 713
	TagIMEI             Tag = 714
	TagMEID             Tag = 715
	TagManufacturer     Tag = 716
	TagModel            Tag = 717
	TagVendorPatchLevel Tag = 718 // YYYYMMDD
	TagBootPatchLevel   Tag = 719 // YYYYMMDD
	TagSecondIMEI       Tag = 723
	TagModuleHash       Tag = 724
)

// KeyDescription is what the key attestation extension says, versions 1 to 500 and later. It is what the device's
// keystore claims: true only once the chain is verified.
type KeyDescription struct {
	AttestationVersion int64
	AttestationLevel   SecurityLevel
	KeyMintVersion     int64
	KeyMintLevel       SecurityLevel
	Challenge          []byte
	UniqueID           []byte
	// Software is what the operating system says, Hardware what the secure environment enforces.
	Software, Hardware Authorizations
}

// Authorizations is one list of tags and their values.
type Authorizations struct {
	// Tags are those of the list in its order; Ordered says whether it ascends.
	Tags    []Tag
	Ordered bool
	// Numbers, Sets, Flags and Bytes hold the values by their kind. Booleans are there only when true.
	Numbers map[Tag]int64
	Sets    map[Tag][]int64
	Flags   map[Tag]bool
	Bytes   map[Tag][]byte
	// Unknown are values of a form not known, in DER.
	Unknown map[Tag][]byte
	// RootOfTrust and Application are nil when the list has none.
	RootOfTrust *RootOfTrust
	Application *ApplicationID
}

// RootOfTrust is what the boot loader has told the secure environment.
type RootOfTrust struct {
	BootKey  []byte
	Locked   bool
	State    BootState
	BootHash []byte // version 3 and later
}

// ApplicationID is the set of packages that share the caller's user id, and their signers.
type ApplicationID struct {
	Packages []Package
	Signers  [][]byte // SHA-256 of the signing certificates
}

// Package is one app of an ApplicationID.
type Package struct {
	Name    string
	Version int64
}

// Bounds of a description.
const (
	maxDescription = 16 << 10
	maxTags        = 128
	maxSet         = 64
	maxPackages    = 256
)

// ParseKeyDescription reads the value of the key attestation extension. Lists may be unordered and hold unknown tags; a
// tag that comes twice is an error, and so is anything that is not DER, but for booleans: real devices write true as 01.
// The error is attest.ErrMalformed or attest.ErrTooLarge.
func ParseKeyDescription(der []byte) (*KeyDescription, error) {
	if len(der) > maxDescription {
		return nil, attest.ErrTooLarge
	}
	seq, err := fields(der, 64)
	if err != nil || len(seq) < 8 {
		return nil, attest.ErrMalformed
	}
	d := &KeyDescription{}
	var levels [2]int64
	r := reader{}
	d.AttestationVersion = r.number(seq[0], asn1.TagInteger)
	levels[0] = r.number(seq[1], asn1.TagEnum)
	d.KeyMintVersion = r.number(seq[2], asn1.TagInteger)
	levels[1] = r.number(seq[3], asn1.TagEnum)
	d.Challenge = r.octets(seq[4])
	d.UniqueID = r.octets(seq[5])
	d.Software = r.list(seq[6])
	d.Hardware = r.list(seq[7])
	if r.bad || d.AttestationVersion < 1 || d.KeyMintVersion < 0 {
		return nil, attest.ErrMalformed
	}
	for i, to := range []*SecurityLevel{&d.AttestationLevel, &d.KeyMintLevel} {
		if levels[i] < 0 || levels[i] > 2 {
			return nil, attest.ErrMalformed
		}
		*to = SecurityLevel(levels[i])
	}
	return d, nil
}

// fields cuts one SEQUENCE or SET that is all of der into its elements.
func fields(der []byte, most int) ([]asn1.RawValue, error) {
	var outer asn1.RawValue
	rest, err := asn1.Unmarshal(der, &outer)
	if err != nil || len(rest) > 0 || outer.Class != asn1.ClassUniversal || !outer.IsCompound ||
		outer.Tag != asn1.TagSequence && outer.Tag != asn1.TagSet {
		return nil, attest.ErrMalformed
	}
	return elements(outer.Bytes, most)
}

func elements(body []byte, most int) ([]asn1.RawValue, error) {
	var out []asn1.RawValue
	for len(body) > 0 {
		var v asn1.RawValue
		var err error
		if body, err = asn1.Unmarshal(body, &v); err != nil || len(out) >= most {
			return nil, attest.ErrMalformed
		}
		out = append(out, v)
	}
	return out, nil
}

// reader reads values and remembers whether one was bad.
type reader struct{ bad bool }

func is(v asn1.RawValue, tag int) bool {
	return v.Class == asn1.ClassUniversal && v.Tag == tag && !v.IsCompound
}

// number reads a minimal INTEGER or ENUMERATED of at most 64 bits.
func (r *reader) number(v asn1.RawValue, tag int) int64 {
	b := v.Bytes
	if !is(v, tag) || len(b) == 0 || len(b) > 8 && !(len(b) == 9 && b[0] == 0) ||
		len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xff && b[1] >= 0x80) {
		r.bad = true
		return 0
	}
	n := uint64(0)
	if b[0] >= 0x80 {
		n = ^n
	}
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return int64(n) // 64-bit secure user ids keep their bits
}

func (r *reader) octets(v asn1.RawValue) []byte {
	if !is(v, asn1.TagOctetString) {
		r.bad = true
	}
	return v.Bytes
}

// list reads an AuthorizationList: EXPLICIT context tags.
func (r *reader) list(v asn1.RawValue) Authorizations {
	a := Authorizations{
		Ordered: true, Numbers: map[Tag]int64{}, Sets: map[Tag][]int64{}, Flags: map[Tag]bool{}, Bytes: map[Tag][]byte{},
		Unknown: map[Tag][]byte{},
	}
	if v.Class != asn1.ClassUniversal || v.Tag != asn1.TagSequence || !v.IsCompound {
		r.bad = true
		return a
	}
	items, err := elements(v.Bytes, maxTags)
	r.bad = r.bad || err != nil
	for _, item := range items {
		inner, err := elements(item.Bytes, 1)
		if item.Class != asn1.ClassContextSpecific || !item.IsCompound || err != nil || len(inner) != 1 {
			r.bad = true
			return a
		}
		tag := Tag(item.Tag)
		if slices.Contains(a.Tags, tag) {
			r.bad = true
			return a
		}
		if n := len(a.Tags); n > 0 && a.Tags[n-1] > tag {
			a.Ordered = false
		}
		a.Tags = append(a.Tags, tag)
		r.value(&a, tag, inner[0])
	}
	return a
}

// value keeps a value by its form. What policies read has to have its own form.
func (r *reader) value(a *Authorizations, tag Tag, v asn1.RawValue) {
	switch {
	case tag == TagRootOfTrust:
		a.RootOfTrust = r.rootOfTrust(v)
	case tag == TagApplicationID:
		a.Application = r.application(r.octets(v))
	case tag == TagOrigin || tag == TagOSVersion || tag == TagOSPatchLevel || tag == TagVendorPatchLevel || tag == TagBootPatchLevel:
		a.Numbers[tag] = r.number(v, asn1.TagInteger)
	case is(v, asn1.TagInteger):
		a.Numbers[tag] = r.number(v, asn1.TagInteger)
	case is(v, asn1.TagNull):
		a.Flags[tag] = true
	case is(v, asn1.TagOctetString):
		a.Bytes[tag] = v.Bytes
	case v.Class == asn1.ClassUniversal && v.Tag == asn1.TagSet && v.IsCompound:
		items, err := elements(v.Bytes, maxSet)
		r.bad = r.bad || err != nil
		set := []int64{}
		for _, i := range items {
			set = append(set, r.number(i, asn1.TagInteger))
		}
		a.Sets[tag] = set
	default:
		a.Unknown[tag] = v.FullBytes
	}
}

func (r *reader) rootOfTrust(v asn1.RawValue) *RootOfTrust {
	seq, err := fields(v.FullBytes, 8)
	if err != nil || len(seq) < 3 || !is(seq[1], asn1.TagBoolean) || len(seq[1].Bytes) != 1 {
		r.bad = true
		return nil
	}
	state := r.number(seq[2], asn1.TagEnum)
	if state < 0 || state > int64(BootFailed) {
		r.bad = true
		return nil
	}
	out := &RootOfTrust{BootKey: r.octets(seq[0]), Locked: seq[1].Bytes[0] != 0, State: BootState(state)}
	if len(seq) > 3 {
		out.BootHash = r.octets(seq[3])
	}
	return out
}

// application reads an AttestationApplicationId: SEQUENCE {SET OF SEQUENCE {name, version}, SET OF digest}.
func (r *reader) application(der []byte) *ApplicationID {
	seq, err := fields(der, 2)
	if err != nil || len(seq) != 2 {
		r.bad = true
		return nil
	}
	packages, err := fields(seq[0].FullBytes, maxPackages)
	signers, err2 := fields(seq[1].FullBytes, maxPackages)
	if err != nil || err2 != nil {
		r.bad = true
		return nil
	}
	out := &ApplicationID{}
	for _, p := range packages {
		pair, err := fields(p.FullBytes, 2)
		if err != nil || len(pair) != 2 {
			r.bad = true
			return nil
		}
		out.Packages = append(out.Packages, Package{string(r.octets(pair[0])), r.number(pair[1], asn1.TagInteger)})
	}
	for _, s := range signers {
		out.Signers = append(out.Signers, r.octets(s))
	}
	return out
}
