package fingerprint

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrReceipt says that a text is no receipt of this version.
var ErrReceipt = errors.New("fingerprint: not a receipt of sightings")

const (
	receiptVersion = 1
	// mostReceipt is the length of the longest receipt: all subjects with new members in all sets.
	mostReceipt = 1 + MaxSubjects*(1+subjectLen+MaxSets*9)
	subjectLen  = 16 + 6
)

// receipt names what the batch has added: the version, and for each subject with a new member one byte with the number
// of them and whether the subject is kept as long as devices are, its key, the time, and for each member dimension and
// hash.
func (b *visitBatch) receipt() string {
	out := make([]byte, 0, 512)
	out = append(out, receiptVersion)
	for i := range b.batch.Subjects {
		sub := &b.batch.Subjects[i]
		head := len(out)
		out = append(append(append(out, 0), sub.Key[:]...), millis(sub.At)...)
		for j := range sub.N {
			if set := &sub.Sets[j]; set.New {
				out[head]++
				out = binary.BigEndian.AppendUint64(append(out, byte(set.Dim)), set.Member)
			}
		}
		if out[head] == 0 {
			out = out[:head]
			continue
		}
		if sub.Dated {
			out[head] |= receiptDated
		}
	}
	return base64.RawURLEncoding.EncodeToString(out)
}

const receiptDated = 0x80

func millis(t int64) []byte {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(t))
	return b[2:]
}

// read makes the batch that a receipt names.
func (b *visitBatch) read(s *Sightings, tenant, text string) error {
	if len(text) > base64.RawURLEncoding.EncodedLen(mostReceipt) {
		return ErrReceipt
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) < 1 || raw[0] != receiptVersion {
		return ErrReceipt
	}
	b.batch = Batch{Tenant: tenant, Subjects: b.subjects[:0]}
	for raw = raw[1:]; len(raw) > 0; {
		n := len(b.batch.Subjects)
		members := int(raw[0] &^ receiptDated)
		if n == MaxSubjects || members > MaxSets || len(raw) < 1+subjectLen+9*members {
			return ErrReceipt
		}
		b.batch.Subjects = b.batch.Subjects[:n+1]
		sub := &b.batch.Subjects[n]
		*sub = Subject{Key: Key(raw[1:17]), Keep: week, Dated: raw[0]&receiptDated != 0, N: members}
		if sub.Dated {
			sub.Keep = s.o.Keep
		}
		var at [8]byte
		copy(at[2:], raw[17:23])
		sub.At = int64(binary.BigEndian.Uint64(at[:]))
		b.batch.At = max(b.batch.At, sub.At)
		for raw = raw[1+subjectLen:]; members > 0; members-- {
			set := &sub.Sets[sub.N-members]
			set.Dim, set.Member = Dim(raw[0]), binary.BigEndian.Uint64(raw[1:9])
			raw = raw[9:]
		}
	}
	if b.batch.CheckUndo() != nil {
		return ErrReceipt
	}
	return nil
}

// Undo takes back what the visit of a receipt has added to the counts: an attempt that the host's own failure undid is
// none, and an account that was not opened does not count as one. What has been seen again since stays counted. That
// its things were seen at all is still known, and members that had to make room in a full set do not come back. The
// tenant is the visit's.
func (s *Sightings) Undo(ctx context.Context, tenant, receipt string) error {
	b, _ := batchPool.Get().(*visitBatch)
	defer b.release()
	if err := b.read(s, tenant, receipt); err != nil {
		return err
	}
	if len(b.batch.Subjects) == 0 {
		return nil
	}
	if err := s.send(ctx, s.store.Undo, &b.batch); err != nil {
		return fmt.Errorf("fingerprint: taking back: %w", err)
	}
	return nil
}
