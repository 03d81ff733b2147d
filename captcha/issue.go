package captcha

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// Challenge is an ALTCHA v2 challenge. Its JSON form is what widgets read.
type Challenge struct {
	Parameters Parameters `json:"parameters"`
	// Signature is the lower-case hex HMAC-SHA-256 of the canonical parameters.
	Signature string `json:"signature"`
}

// Parameters of a Challenge. A client looks for a counter, a big-endian uint32, for which the key derived from
// password nonce || counter and the salt begins with KeyPrefix.
type Parameters struct {
	Algorithm   string         `json:"algorithm"`
	Cost        int            `json:"cost"`
	Data        map[string]any `json:"data,omitempty"`      // strings and integers
	ExpiresAt   int64          `json:"expiresAt,omitempty"` // Unix seconds
	KeyLength   int            `json:"keyLength"`           // bytes
	KeyPrefix   string         `json:"keyPrefix"`           // hex, possibly of odd length
	MemoryCost  int            `json:"memoryCost,omitempty"`
	Nonce       string         `json:"nonce"` // hex
	Parallelism int            `json:"parallelism,omitempty"`
	Salt        string         `json:"salt"` // hex
	// KeySignature marks deterministic mode: the HMAC-SHA-256 of the key looked for, hex.
	KeySignature string `json:"keySignature,omitempty"`
}

// Expires is when the challenge can no longer be answered.
func (c *Challenge) Expires() time.Time { return time.Unix(c.Parameters.ExpiresAt, 0) }

// Members of data that are ours.
const (
	dataIssued  = "iat" // Unix seconds
	dataAction  = "act" // tags of what the challenge is bound to
	dataSession = "ses"
	dataFlow    = "flw"

	keyLength = 32
)

// ErrData means that ChallengeRequest.Data has a name or value that some client would change on its way back.
var ErrData = errors.New("captcha: data takes at most 8 members, names of 1 to 16 lower-case letters other than act, flw, iat and ses, values of at most 128 printable ASCII bytes")

// Issue makes a challenge bound to what r names. An error is ErrData, the context's, or an *Error.
func (p *PoW) Issue(ctx context.Context, r ChallengeRequest) (*Challenge, error) {
	now, err := p.clock()
	if err != nil {
		return nil, err
	}
	if !validData(r.Data) {
		return nil, ErrData
	}
	step := ChooseStep(p.steps, r.Score, r.Failures)
	s := (*p.signers.Load())[0]
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails: crypto/rand ends the program instead
	q := Parameters{
		Algorithm: p.algorithm, Cost: step.Work.Cost, MemoryCost: step.Work.MemoryCost, Parallelism: step.Work.Parallelism,
		KeyLength: keyLength, KeyPrefix: strings.Repeat("0", step.Digits),
		Nonce: hex.EncodeToString(random[:16]), Salt: hex.EncodeToString(random[16:]),
		ExpiresAt: now.Add(p.ttl).Unix(),
		Data:      map[string]any{dataIssued: now.Unix()},
	}
	for k, v := range r.Data {
		q.Data[k] = v
	}
	for _, b := range s.bindings(q.Nonce, r.Action, r.Tenant, r.Session, r.Flow) {
		if b.tag != "" {
			q.Data[b.name] = b.tag
		}
	}
	if p.deterministic {
		if err := p.predetermine(ctx, &q, s, step, random[:16], random[16:]); err != nil {
			return nil, err
		}
	}
	v := q.value()
	canonical, ok := appendCanonical(nil, &v)
	if !ok {
		return nil, ErrData
	}
	return &Challenge{Parameters: q, Signature: s.sign(string(canonical))}, nil
}

// Challenge implements Challenger with Issue.
func (p *PoW) Challenge(ctx context.Context, r ChallengeRequest) (Task, error) {
	c, err := p.Issue(ctx, r)
	if err != nil {
		return Task{}, err
	}
	return Task{Provider: p.Name(), Challenge: c}, nil
}

// predetermine derives the key of a random counter and publishes half of it.
func (p *PoW) predetermine(ctx context.Context, q *Parameters, s *signer, step Step, nonce, salt []byte) error {
	most := int64(2) << (4 * step.Digits)
	n, err := rand.Int(rand.Reader, big.NewInt(most))
	if err != nil {
		return p.fail(FaultProvider, err)
	}
	if err := p.acquire(ctx); err != nil {
		return err
	}
	defer p.release()
	key, err := p.kdfs[q.Algorithm].Derive(step.Work, password(nonce, uint32(n.Int64()+1)), salt, keyLength)
	if err != nil {
		return p.fail(FaultProvider, fmt.Errorf("deriving the key of a challenge: %w", err))
	}
	q.KeyPrefix = hex.EncodeToString(key[:keyLength/2])
	q.KeySignature = s.signKey(key)
	return nil
}

// binding is one thing a challenge can be bound to.
type binding struct {
	name, tag string // tag is "" for what it is not bound to
	why       Reason // what a difference is
}

// bindings returns the tags of what is to be bound.
func (s *signer) bindings(nonce, action, tenant, session, flow string) [3]binding {
	b := [...]binding{{name: dataAction, why: ReasonAction}, {name: dataSession, why: ReasonSession}, {name: dataFlow, why: ReasonFlow}}
	if action != "" || tenant != "" {
		b[0].tag = s.tag(dataAction, nonce, action, tenant)
	}
	if session != "" {
		b[1].tag = s.tag(dataSession, nonce, session, "")
	}
	if flow != "" {
		b[2].tag = s.tag(dataFlow, nonce, flow, "")
	}
	return b
}

// password is what the key is derived from.
func password(nonce []byte, counter uint32) []byte {
	return binary.BigEndian.AppendUint32(append(make([]byte, 0, len(nonce)+4), nonce...), counter)
}

// acquire takes a derivation slot; release gives it back.
func (p *PoW) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return p.fail(FaultProvider, err)
	}
	select {
	case p.slots <- struct{}{}:
		return nil
	default:
	}
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return p.fail(FaultProvider, fmt.Errorf("%w: %w", ErrBusy, ctx.Err()))
	}
}

func (p *PoW) release() { <-p.slots }

// value is q as JSON that can be signed.
func (q *Parameters) value() jsonValue {
	text := func(s string) jsonValue { return jsonValue{kind: jsonString, str: s} }
	number := func(n int64) jsonValue { return jsonValue{kind: jsonInt, num: n} }
	v := jsonValue{kind: jsonObject, members: []jsonMember{
		{"algorithm", text(q.Algorithm)}, {"cost", number(int64(q.Cost))}, {"expiresAt", number(q.ExpiresAt)},
		{"keyLength", number(int64(q.KeyLength))}, {"keyPrefix", text(q.KeyPrefix)},
		{"nonce", text(q.Nonce)}, {"salt", text(q.Salt)},
	}}
	add := func(name string, m jsonValue) { v.members = append(v.members, jsonMember{name, m}) }
	if q.KeySignature != "" {
		add("keySignature", text(q.KeySignature))
	}
	if q.MemoryCost != 0 {
		add("memoryCost", number(int64(q.MemoryCost)))
	}
	if q.Parallelism != 0 {
		add("parallelism", number(int64(q.Parallelism)))
	}
	data := jsonValue{kind: jsonObject}
	for name, d := range q.Data {
		switch d := d.(type) {
		case string:
			data.members = append(data.members, jsonMember{name, text(d)})
		case int64:
			data.members = append(data.members, jsonMember{name, number(d)})
		default:
			data.members = append(data.members, jsonMember{name, jsonValue{kind: jsonOther}})
		}
	}
	add("data", data)
	return v
}

// validData reports whether every client returns data as it was sent: widgets parse and print it again, and pass it
// through btoa.
func validData(data map[string]string) bool {
	if len(data) > 8 {
		return false
	}
	for k, v := range data {
		if k == "" || len(k) > 16 || len(v) > 128 {
			return false
		}
		for i := range len(k) {
			if k[i] < 'a' || k[i] > 'z' {
				return false
			}
		}
		for i := range len(v) {
			if v[i] < 0x20 || v[i] > 0x7e {
				return false
			}
		}
		switch k {
		case dataIssued, dataAction, dataSession, dataFlow:
			return false
		}
	}
	return true
}
