package ratelimit

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
)

// MaxReceipt bounds a receipt's length in bytes.
const MaxReceipt = 4096

const receiptVersion = 1

// Receipt returns a text that stands for what the decision charged, for a refund by another process or after the
// decision is gone ([Limiter.RefundReceipt]); "" when nothing was charged. It holds store keys and numbers, no personal
// data; keep it on the server, since whoever has it can take its charge back.
func (d *Decision) Receipt() string { return d.receipt(0) }

// receipt adds the offence, in thousandths, to forgive once the visitor is let in.
func (d *Decision) receipt(forgive int64) string {
	if !d.Charged {
		return ""
	}
	list := d.charges()
	b := make([]byte, 0, 4+len(list)*32)
	b = append(b, receiptVersion)
	b = binary.AppendUvarint(b, uint64(forgive))
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, c := range list {
		key := c.key.Bytes()
		b = append(b, key[:]...)
		b = binary.AppendUvarint(b, uint64(c.interval))
		b = binary.AppendUvarint(b, uint64(c.burst))
		b = binary.AppendUvarint(b, uint64(c.cost))
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// parseReceipt reads a receipt strictly: there is one spelling of each.
func parseReceipt(text string) (list []charge, forgive int64, err error) {
	bad := func(why string) ([]charge, int64, error) {
		return nil, 0, fmt.Errorf("%w: %s", ErrReceipt, why)
	}
	if len(text) > MaxReceipt {
		return bad("too long")
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || base64.RawURLEncoding.EncodeToString(b) != text {
		return bad("not base64url")
	}
	if len(b) == 0 || b[0] != receiptVersion {
		return bad("unknown version")
	}
	b = b[1:]
	ok := true
	number := func(most uint64) int64 {
		v, n := binary.Uvarint(b)
		if !ok || n <= 0 || v > most || n > 1 && v>>(7*(n-1)) == 0 {
			ok = false
			return 0
		}
		b = b[n:]
		return int64(v)
	}
	forgive = number(1_000_000)
	n := number(MaxBuckets)
	for range n {
		var c charge
		if !ok || len(b) < 16 {
			return bad("cut short")
		}
		c.key, b = KeyOf([16]byte(b[:16])), b[16:]
		c.interval, c.burst, c.cost = number(maxSpan), number(maxSpan), number(maxSpan)
		if !ok || c.interval < 1 || c.burst < 1 || c.burst > maxSpan/c.interval || c.cost < 1 || c.cost > c.burst {
			return bad("number out of range")
		}
		for _, o := range list {
			if o.key == c.key {
				return bad("a key twice")
			}
		}
		list = append(list, c)
	}
	if !ok || len(b) != 0 {
		return bad("length")
	}
	return list, forgive, nil
}

// RefundReceipt gives back what the receipt's decision charged, of the same tenant. It cannot know whether that was
// done before: the caller makes sure it is done once. A charge that has been regained meanwhile is not given twice
// beyond a full bucket.
func (l *Limiter) RefundReceipt(ctx context.Context, tenant, receipt string) error {
	list, _, err := parseReceipt(receipt)
	if err != nil {
		return err
	}
	return l.refund(ctx, tenant, list)
}
