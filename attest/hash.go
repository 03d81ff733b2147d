package attest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"io"
)

// Hash is a SHA-256: of a key id, a challenge, a binding. It is no secret and may be logged. Comparable.
type Hash [sha256.Size]byte

// String is the first 16 bytes in unpadded base64url: enough to tell hashes apart in logs.
func (h Hash) String() string { return base64.RawURLEncoding.EncodeToString(h[:16]) }

// IsZero reports whether the hash is not set.
func (h Hash) IsZero() bool { return h == Hash{} }

// KeyHash is the name of a key in stores and logs: SHA-256 over platform and key id.
func KeyHash(p Platform, keyID []byte) Hash {
	return hashOf("attest.key", string(p), string(keyID))
}

// OwnerHash is how a [Key] names its owner: SHA-256 over tenant and the host's name for the account. An empty account
// gives the zero Hash: no owner.
func OwnerHash(tenant, account string) Hash {
	if account == "" {
		return Hash{}
	}
	return hashOf("attest.owner", tenant, account)
}

// hashOf hashes texts so that no two lists of texts meet: each goes with its length.
func hashOf(parts ...string) Hash {
	d := sha256.New()
	for _, p := range parts {
		addPart(d, p)
	}
	var h Hash
	d.Sum(h[:0])
	return h
}

func addPart(d hash.Hash, s string) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(s)))
	d.Write(n[:])
	_, _ = io.WriteString(d, s)
}
