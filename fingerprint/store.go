package fingerprint

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"
)

// Windows are the spans everything is counted over, the longest last.
var Windows = [3]time.Duration{time.Hour, 24 * time.Hour, week}

// week is the longest window.
const week = 7 * 24 * time.Hour

// Key names a subject in a store: 128 bits of a keyed hash. It holds nothing that leads back to the subject.
type Key [16]byte

// String is the key in base64url, 22 characters.
func (k Key) String() string { return base64.RawURLEncoding.EncodeToString(k[:]) }

// Bounds of a batch.
const (
	MaxSubjects = 64
	MaxSets     = 4
	// MaxCap bounds a store's cap.
	MaxCap = 127
	// DefaultCap keeps a device below 6.5 KB on Redis.
	DefaultCap = 100
)

// Store keeps sightings. [Sightings] calls it; it must be safe for concurrent use. [Memory] is one; package
// fingerprinttest has the conformance suite for others. An error means that the store could not tell; whether a
// sighting was written is unknown then, and the caller does not send it again.
type Store interface {
	// See writes a batch and fills in its answers: one atomic step for each subject, and one round trip for all.
	See(ctx context.Context, b *Batch) error
	// Undo takes members out again that a See has added: those of the batch's sets that were last seen at Subject.At.
	// What has been seen since stays, and when subjects were first and last seen; what is not known is passed over. It
	// fills in no answers.
	Undo(ctx context.Context, b *Batch) error
	// Forget removes all that is kept of a tenant's subjects themselves; as members of others' sets they stay until
	// these expire.
	Forget(ctx context.Context, tenant string, keys []Key) error
}

// InProcess is an ability of stores that answer from this process's memory, without I/O and without blocking.
type InProcess interface {
	InProcess() bool
}

// Batch is what one visit shows. Times are milliseconds since 1970.
type Batch struct {
	// Tenant is whose subjects these are. Keys depend on it already; a store may use it to choose a slot.
	Tenant string
	// At is the time to go by, below 2^48; 0: the store's own clock, as it must be outside tests.
	At int64
	// Subjects have different keys.
	Subjects []Subject
}

// Subject is something that was seen: a device, an address, a telephone number. One without sets is only looked at.
type Subject struct {
	Key Key
	// Keep is how long the subject is remembered after it was last seen, at least the longest of Windows.
	Keep time.Duration
	// Sets are what it was seen with; N of them are used.
	Sets [MaxSets]Set
	N    int

	// At is the time the store went by for this subject: See fills it in, and Undo goes by it.
	At int64

	// Dated asks for First and Last: when it was seen before this visit; 0: never, or too long ago.
	Dated       bool
	First, Last int64
	// Kin marks the subjects of a batch that are one thing under different keys: together they answer when it was seen.
	// A store may take over into one that is written when others were first seen, to the day where that is over 16 days
	// ago, and need not look at those without sets while all that are written are known.
	Kin bool
}

// Set is what a subject was seen with, of one kind.
type Set struct {
	// Dim tells sets of one subject apart.
	Dim Dim
	// Member is hashed; 0: only count. A member that comes again is counted once, at its latest time.
	Member uint64

	// New: the member was not among those known in the last of Windows.
	New bool
	// Counts are the members seen in the last of Windows[i]: later than Now - Windows[i]. At most the store's cap is
	// known of; then Full is set and the counts say "at least".
	Counts [3]int32
	Full   bool
}

// Dim is a kind of things that are counted.
type Dim uint8

// The dimensions.
const (
	DimAttempts Dim = iota
	DimIPs
	DimAccounts
	DimPhones
	DimDevices
	Dims // how many there are
)

// ErrBatch says that a batch breaks the rules documented at its fields.
var ErrBatch = errors.New("fingerprint: invalid batch")

// Check returns an error that is ErrBatch when the batch breaks the rules. A store calls it first in See.
func (b *Batch) Check() error {
	if len(b.Subjects) > MaxSubjects || b.At < 0 || b.At >= 1<<48 {
		return fmt.Errorf("%w: %d subjects, time %d", ErrBatch, len(b.Subjects), b.At)
	}
	for i := range b.Subjects {
		s := &b.Subjects[i]
		if s.N < 0 || s.N > MaxSets || s.Keep < week || s.Keep > 3660*24*time.Hour {
			return fmt.Errorf("%w: subject %d: %d sets, kept %v", ErrBatch, i, s.N, s.Keep)
		}
		dims := 0
		for j := range s.N {
			bit := 1 << min(s.Sets[j].Dim, Dims)
			if bit == 1<<Dims || dims&bit != 0 {
				return fmt.Errorf("%w: subject %d: dimension %d is unknown or comes twice", ErrBatch, i, s.Sets[j].Dim)
			}
			dims |= bit
		}
		for j := range i {
			if b.Subjects[j].Key == s.Key {
				return fmt.Errorf("%w: subjects %d and %d have the same key", ErrBatch, j, i)
			}
		}
	}
	return nil
}

// CheckUndo is Check for Undo, which needs to know when.
func (b *Batch) CheckUndo() error {
	for i := range b.Subjects {
		if at := b.Subjects[i].At; at <= 0 || at >= 1<<48 {
			return fmt.Errorf("%w: subject %d: seen at %d", ErrBatch, i, at)
		}
	}
	return b.Check()
}
