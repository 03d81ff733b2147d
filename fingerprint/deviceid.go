package fingerprint

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/vestibule-go/vestibule/risk/keyed"
)

// purposeID separates the signatures of device ids from other uses of a ring.
const purposeID keyed.Purpose = "fingerprint.id"

const (
	idPrefix  = "v1."
	idPayload = 16 + 5 // random bytes, seconds since 1970
	idLen     = len(idPrefix) + 28 + 1 + 22
)

// idState says what a text that should be a device id is.
type idState uint8

const (
	idNone    idState = iota
	idValid           // signed by us for this tenant, and not too old
	idExpired         // the same, too old
	idForged          // anything else
)

// newID makes a device id: random bytes and the time, signed for the tenant. It says nothing about the device.
func newID(r *keyed.Ring, tenant string, now time.Time) string {
	var payload [idPayload]byte
	_, _ = rand.Read(payload[:16]) // never fails
	putSeconds(payload[16:], now.Unix())
	return signID(r, tenant, payload)
}

func signID(r *keyed.Ring, tenant string, payload [idPayload]byte) string {
	sum := r.SumBytes(purposeID, tenant, payload[:], time.Unix(seconds(payload[16:]), 0))
	b := make([]byte, 0, idLen)
	b = append(b, idPrefix...)
	b = base64.RawURLEncoding.AppendEncode(b, payload[:])
	b = append(b, '.')
	return string(base64.RawURLEncoding.AppendEncode(b, sum[:]))
}

// readID judges a device id. Only the one form that newID writes is valid.
func readID(r *keyed.Ring, tenant, id string, now time.Time, most time.Duration) idState {
	if id == "" {
		return idNone
	}
	if len(id) != idLen || id[:len(idPrefix)] != idPrefix || id[len(idPrefix)+28] != '.' {
		return idForged
	}
	var payload [idPayload]byte
	if n, err := base64.RawURLEncoding.Strict().Decode(payload[:], []byte(id[len(idPrefix):len(idPrefix)+28])); err != nil || n != idPayload {
		return idForged
	}
	var sum keyed.Sum
	if n, err := base64.RawURLEncoding.Strict().Decode(sum[:], []byte(id[len(idPrefix)+29:])); err != nil || n != len(sum) {
		return idForged
	}
	issued := time.Unix(seconds(payload[16:]), 0)
	ok := 0
	var room [2 * keyed.MaxKeys]keyed.Sum
	// The salt epoch is that of the day it was made on: a signature does not end with an epoch.
	for _, want := range r.AppendSumsBytes(room[:0], purposeID, tenant, payload[:], issued) {
		ok |= subtle.ConstantTimeCompare(want[:], sum[:])
	}
	switch {
	case ok == 0, issued.After(now.Add(margin)):
		return idForged
	case now.Sub(issued) > most:
		return idExpired
	}
	return idValid
}

func putSeconds(b []byte, s int64) {
	var full [8]byte
	binary.BigEndian.PutUint64(full[:], uint64(s))
	copy(b, full[3:])
}

func seconds(b []byte) int64 {
	var full [8]byte
	copy(full[3:], b)
	return int64(binary.BigEndian.Uint64(full[:]))
}
