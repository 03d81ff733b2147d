package captcha

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// ticket is a signed assignment: which provider's answer counts, for whom and until when. What it is bound to (action,
// tenant, session, flow) is in the signature only.
type ticket struct {
	expires       int64 // Unix seconds
	first, second string
	step          int
	nonce         string // 16 hex digits; the cdata of widgets that return it
	work          string // beginning of the replay key of the challenge handed out with it, in hex; "" for other tasks
}

const (
	ticketVersion = "1"
	mostTicket    = 256
	workTag       = 8 // bytes
)

// payload is the signed text: fields of [a-z0-9_] with dots between.
func (t *ticket) payload() string {
	b := make([]byte, 0, mostTicket)
	b = append(b, ticketVersion+"."...)
	b = strconv.AppendInt(b, t.expires, 36)
	for _, s := range [...]string{t.first, t.second, strconv.Itoa(t.step), t.nonce, t.work} {
		b = append(b, '.')
		b = append(b, s...)
	}
	return string(b)
}

// seal signs t for what r names.
func (t *ticket) seal(s *signer, action, tenant, who, flow string) string {
	p := t.payload()
	return p + "." + ticketMAC(s, p, action, tenant, who, flow)
}

func ticketMAC(s *signer, payload, action, tenant, who, flow string) string {
	var buf [32]byte
	return base64.RawURLEncoding.EncodeToString(s.tagKey.append(buf[:0], true, "ticket", payload, action, tenant, who, flow)[:16])
}

// openTicket checks the signature, the binding and the expiry.
func openTicket(signers []*signer, text string, e *Expect, who string, now time.Time) (*ticket, Reason) {
	if len(text) > mostTicket {
		return nil, ReasonMalformed
	}
	cut := strings.LastIndexByte(text, '.')
	if cut < 0 {
		return nil, ReasonMalformed
	}
	payload, mac := text[:cut], text[cut+1:]
	var f [7]string
	rest := payload
	for i := range f {
		var more bool
		f[i], rest, more = strings.Cut(rest, ".")
		if more != (i < len(f)-1) {
			return nil, ReasonMalformed
		}
	}
	if f[0] != ticketVersion {
		return nil, ReasonMalformed
	}
	expires, err1 := strconv.ParseInt(f[1], 36, 64)
	step, err2 := strconv.ParseUint(f[4], 10, 8)
	if err1 != nil || err2 != nil {
		return nil, ReasonMalformed
	}
	for _, s := range signers {
		if !same(ticketMAC(s, payload, e.Action, e.Tenant, who, e.Flow), mac) {
			continue
		}
		if s.until != 0 && expires > s.until {
			break
		}
		if now.Unix() > expires {
			return nil, ReasonExpired
		}
		return &ticket{expires: expires, first: f[2], second: f[3], step: int(step), nonce: f[5], work: f[6]}, ReasonOK
	}
	return nil, ReasonTicket
}

// newNonce makes the nonce of a ticket.
func newNonce() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// Join makes the one value a form sends: a ticket and the answers it was handed out for, with spaces between. The script
// does the same in the page.
func Join(ticket string, tokens ...string) string {
	return strings.Join(append([]string{ticket}, tokens...), " ")
}

// FieldTicket is the name in Response.Fields of a ticket that comes apart from the answer, from pages that use vendors'
// own widgets.
const FieldTicket = "ticket"

// split takes a response apart.
func split(in *Request) (ticket string, tokens []string, fields map[string]string) {
	if t, apart := in.Fields[FieldTicket]; apart {
		rest := make(map[string]string, len(in.Fields))
		for k, v := range in.Fields {
			if k != FieldTicket {
				rest[k] = v
			}
		}
		if in.Token != "" {
			tokens = []string{in.Token}
		}
		return t, tokens, rest
	}
	parts := strings.SplitN(in.Token, " ", 4)
	return parts[0], parts[1:], nil
}
