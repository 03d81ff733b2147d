package appattest

import (
	"encoding/binary"

	"github.com/fxamacker/cbor/v2"

	"github.com/vestibule-go/vestibule/attest"
)

// Lengths and places in authenticator data, as WebAuthn lays them out (Level 3, section 6.1).
const (
	rpIDLen      = 32
	flagsAt      = 32
	counterAt    = 33
	headLen      = 37
	aaguidAt     = 37
	idLenAt      = 53
	idAt         = 55
	credentialID = 32
	coseAt       = idAt + credentialID
	flagAttested = 0x40
)

// decMode decodes strictly: no duplicate keys, no indefinite lengths, no tags, little nesting, small containers.
func newDecMode(unknown cbor.ExtraDecErrorCond) cbor.DecMode {
	mode, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		MaxNestedLevels:   4,
		MaxArrayElements:  16,
		MaxMapPairs:       16,
		ExtraReturnErrors: unknown,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		UTF8:              cbor.UTF8RejectInvalid,
		IntDec:            cbor.IntDecConvertNone,
	}.DecMode()
	if err != nil {
		panic("appattest: options of the CBOR decoder: " + err.Error()) // constants
	}
	return mode
}

var (
	strict = newDecMode(cbor.ExtraDecErrorUnknownField)
	loose  = newDecMode(cbor.ExtraDecErrorNone)
)

// attestationObject is Apple's attestation object.
type attestationObject struct {
	Format    string `cbor:"fmt"`
	Statement struct {
		X5C     [][]byte `cbor:"x5c"`
		Receipt []byte   `cbor:"receipt"`
	} `cbor:"attStmt"`
	AuthData []byte `cbor:"authData"`
}

// assertionObject is Apple's assertion.
type assertionObject struct {
	Signature []byte `cbor:"signature"`
	AuthData  []byte `cbor:"authenticatorData"`
}

// coseKey is an EC2 key (RFC 9053, section 7.1.1).
type coseKey struct {
	Kty int64  `cbor:"1,keyasint"`
	Alg int64  `cbor:"3,keyasint"`
	Crv int64  `cbor:"-1,keyasint"`
	X   []byte `cbor:"-2,keyasint"`
	Y   []byte `cbor:"-3,keyasint"`
}

// isP256 reports whether the key is the P-256 point (04 || X || Y) for ES256.
func (k *coseKey) isP256(point []byte) bool {
	return k.Kty == 2 && k.Alg == -7 && k.Crv == 1 && len(k.X) == 32 && len(k.Y) == 32 &&
		string(k.X) == string(point[1:33]) && string(k.Y) == string(point[33:])
}

// extensions are what iOS 27 and macOS 27 add to authenticator data.
type extensions struct {
	present       bool
	category      *Category
	bundleVersion *string
	cdHash        []byte
	cdHashType    []byte
}

const (
	extCategory      = "apple_validation_category_01"
	extBundleVersion = "apple_bundle_version_01"
	extCDHash        = "apple_cd_hash_hash_01"
	extCDHashType    = "apple_cd_hash_type_01"
)

// readExtensions reads what follows the last fixed part of authenticator data: nothing, or exactly one CBOR map. Whether
// the flags announce it says nothing: of Apple's own objects some with extensions have the ED flag, and some have not.
func readExtensions(rest []byte) (extensions, error) {
	var x extensions
	if len(rest) == 0 {
		return x, nil
	}
	if rest[0]>>5 != 5 { // major type 5: a map
		return x, attest.ErrMalformed
	}
	var all map[string]cbor.RawMessage
	if err := loose.Unmarshal(rest, &all); err != nil {
		return x, attest.ErrMalformed
	}
	x.present = true
	if raw, ok := all[extCategory]; ok {
		c, err := readCategory(raw)
		if err != nil {
			return x, err
		}
		x.category = &c
	}
	if raw, ok := all[extBundleVersion]; ok {
		var s string
		if raw[0]>>5 != 3 || loose.Unmarshal(raw, &s) != nil || len(s) > 256 {
			return x, attest.ErrMalformed
		}
		x.bundleVersion = &s
	}
	for name, to := range map[string]*[]byte{extCDHash: &x.cdHash, extCDHashType: &x.cdHashType} {
		if raw, ok := all[name]; ok {
			// Undocumented: kept when it has the form seen, ignored otherwise.
			var b []byte
			if raw[0]>>5 == 2 && loose.Unmarshal(raw, &b) == nil && len(b) <= 64 {
				*to = b
			}
		}
	}
	return x, nil
}

// readCategory reads the documented form, an unsigned integer of 32 bits, and the one devices send, 4 bytes little endian.
func readCategory(raw cbor.RawMessage) (Category, error) {
	switch raw[0] >> 5 {
	case 0:
		var n uint32
		if loose.Unmarshal(raw, &n) != nil {
			return 0, attest.ErrMalformed
		}
		return Category(n), nil
	case 2:
		var b []byte
		if loose.Unmarshal(raw, &b) != nil || len(b) != 4 {
			return 0, attest.ErrMalformed
		}
		return Category(binary.LittleEndian.Uint32(b)), nil
	}
	return 0, attest.ErrMalformed
}

// judge holds the extensions against the app's policy. The step is empty when they pass.
func (x *extensions) judge(a *App) (step string, err error) {
	if !a.Categories.accepts(x.category) {
		return "category", attest.ErrCategory
	}
	if len(a.BundleVersions) == 0 || x.bundleVersion == nil && x.category == nil {
		return "", nil
	}
	if x.bundleVersion != nil {
		for _, v := range a.BundleVersions {
			if v == *x.bundleVersion {
				return "", nil
			}
		}
	}
	return "bundle_version", attest.ErrCategory
}
