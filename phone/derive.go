package phone

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/vestibule-go/vestibule/risk/keyed"
)

// Purposes of the tags.
const (
	usePhone   keyed.Purpose = "phone.number"
	useRecord  keyed.Purpose = "phone.record"
	useFlow    keyed.Purpose = "phone.flow"
	useRequest keyed.Purpose = "phone.request"
	useGrant   keyed.Purpose = "phone.grant"
	useCount   keyed.Purpose = "phone.count"
	useRoute   keyed.Purpose = "phone.route"
	useMessage keyed.Purpose = "phone.message"
	useCode    keyed.Purpose = "phone.code"
	useDraw    keyed.Purpose = "phone.draw"
	useSeen    keyed.Purpose = "phone.seen"
)

// join writes texts so that no two lists are the same.
func join(parts ...string) string {
	var b []byte
	for _, p := range parts {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(p))), p...)
	}
	return string(b)
}

func (k Keys) index(use keyed.Purpose, tenant string, parts ...string) Key {
	return k.Index.Sum(use, tenant, join(parts...), time.Time{})
}

// grantKey is where a confirmed number is recorded for a flow.
func (k Keys) grantKey(tenant, flow string, n Number) Key {
	return k.index(useGrant, tenant, flow, n.E164())
}

// binding is what a code is bound to.
type binding struct {
	tenant, purpose, flow string
	n                     Number
}

// draw makes the code of a seed, for each pepper. The seed is random and kept; the code is not: without the pepper the
// one says nothing about the other.
func (v *Verifier) draw(b binding, seed Key) []Code {
	limit := uint64(1)
	for range v.o.Digits {
		limit *= 10
	}
	top := ^uint64(0) - ^uint64(0)%limit
	text := join(b.purpose, b.n.E164(), b.flow, string(seed[:]))
	codes := make([]Code, v.keys.Pepper.Lookups())
	for round := 0; ; round++ {
		sums := v.keys.Pepper.AppendSums(make([]Key, 0, len(codes)), useDraw, b.tenant, text+string(rune(round)), time.Time{})
		missing := false
		codes = codes[:len(sums)]
		for i, sum := range sums {
			if codes[i] != "" {
				continue
			}
			// Rejection keeps all codes equally likely.
			if x := binary.BigEndian.Uint64(sum[:8]); x < top {
				codes[i] = Code(fmt.Sprintf("%0*d", v.o.Digits, x%limit))
			} else {
				missing = true
			}
		}
		if !missing {
			return codes
		}
	}
}

// macs are the MACs of a code under each pepper, the current one first.
func (v *Verifier) macs(b binding, c Code) []Key {
	text := join("otp", "v1", b.purpose, b.n.E164(), b.flow, string(c))
	return v.keys.Pepper.AppendSums(make([]Key, 0, v.keys.Pepper.Lookups()), useCode, b.tenant, text, time.Time{})
}
