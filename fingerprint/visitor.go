package fingerprint

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math/bits"
	"slices"
)

// VisitorID computes the visitorId of FingerprintJS from the JSON object of its components, as JSON.stringify wrote it.
// Errors are ErrReport.
func VisitorID(components []byte) (string, error) {
	list, err := members(components)
	if err != nil {
		return "", err
	}
	return visitorID(list)
}

// visitorID computes the visitorId of FingerprintJS 3 to 5 from the raw components: MurmurHash3 x64 128 (seed 0) of the
// sorted names and values, see hashComponents in its source.
func visitorID(components []member) (string, error) {
	sorted := slices.Clone(components)
	slices.SortFunc(sorted, byUTF16)
	var b bytes.Buffer
	for i, c := range sorted {
		if i > 0 {
			b.WriteByte('|')
		}
		for j := range len(c.name) {
			if x := c.name[j]; x == ':' || x == '|' || x == '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(c.name[j])
		}
		b.WriteByte(':')
		parts, err := members(c.raw)
		if err != nil {
			return "", err
		}
		value, failed := get(parts, "value"), get(parts, "error")
		switch {
		case failed != nil:
			b.WriteString("error")
		case value == nil: // JSON.stringify leaves an undefined member out
			b.WriteString("undefined")
		default:
			if err := json.Compact(&b, value); err != nil {
				return "", ErrReport
			}
		}
	}
	sum := murmur3(b.Bytes())
	return hex.EncodeToString(sum[:]), nil
}

// murmur3 is MurmurHash3_x64_128 by Austin Appleby (public domain) with seed 0. It is no cryptographic hash.
func murmur3(data []byte) (out [16]byte) {
	const c1, c2 = 0x87c37b91114253d5, 0x4cf5ad432745937f
	var h1, h2 uint64
	n := len(data)
	for ; len(data) >= 16; data = data[16:] {
		k1, k2 := binary.LittleEndian.Uint64(data), binary.LittleEndian.Uint64(data[8:])
		h1 ^= bits.RotateLeft64(k1*c1, 31) * c2
		h1 = (bits.RotateLeft64(h1, 27)+h2)*5 + 0x52dce729
		h2 ^= bits.RotateLeft64(k2*c2, 33) * c1
		h2 = (bits.RotateLeft64(h2, 31)+h1)*5 + 0x38495ab5
	}
	var tail [16]byte
	copy(tail[:], data)
	k1, k2 := binary.LittleEndian.Uint64(tail[:]), binary.LittleEndian.Uint64(tail[8:])
	h2 ^= bits.RotateLeft64(k2*c2, 33) * c1
	h1 ^= bits.RotateLeft64(k1*c1, 31) * c2
	h1 ^= uint64(n)
	h2 ^= uint64(n)
	h1 += h2
	h2 += h1
	h1, h2 = mix(h1), mix(h2)
	h1 += h2
	h2 += h1
	binary.BigEndian.PutUint64(out[:], h1)
	binary.BigEndian.PutUint64(out[8:], h2)
	return out
}

func mix(k uint64) uint64 {
	k = (k ^ k>>33) * 0xff51afd7ed558ccd
	k = (k ^ k>>33) * 0xc4ceb9fe1a85ec53
	return k ^ k>>33
}
