package captcha

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"time"
)

// Verify judges the token of an ALTCHA v2 client. Everything cheap comes first: size, base64, JSON, signature, expiry,
// binding, the solution's form, the replay mark; only then is a key derived, and the challenge spent. Of all answers to
// one challenge, concurrent ones included, exactly one passes.
//
// in.Expect must repeat what the challenge was bound to, and nothing else: a challenge bound to a session does not pass
// without one. in.RemoteIP is not used. Errors are of type *[Error]: the guard failed, the derivation slots stayed busy
// until ctx's end, or the clock went back. A guard that fails never lets an answer pass.
func (p *PoW) Verify(ctx context.Context, in Request) (Result, error) {
	res := Result{Provider: p.Name()}
	now, err := p.clock()
	if err != nil {
		return res, err
	}
	a, why := p.check(in, now)
	if a == nil {
		return res.refused(why), nil
	}
	res.ReplayKey, res.ChallengeTime = a.key, a.issued
	used, err := p.guard.Spent(ctx, a.key)
	if err != nil {
		return res, p.fail(FaultProvider, fmt.Errorf("reading the replay guard: %w", err))
	}
	if used {
		return res.refused(ReasonReplayed), nil
	}
	why, err = p.work(ctx, a)
	if err != nil {
		return res, err
	}
	if why != ReasonOK {
		return res.refused(why), nil
	}
	first, err := p.guard.Spend(ctx, a.key, a.expires.Sub(now)+p.skew+time.Second)
	if err != nil {
		return res, p.fail(FaultProvider, fmt.Errorf("spending at the replay guard: %w", err))
	}
	if !first {
		return res.refused(ReasonReplayed), nil
	}
	res.Outcome, res.Reason, res.Action = Passed, ReasonOK, in.Expect.Action
	return res, nil
}

func (r Result) refused(why Reason) Result {
	r.Outcome, r.Reason, r.Fault = Failed, why, why.fault()
	return r
}

// answer is a token whose challenge is ours, alive and bound to the expected values, and whose solution is well formed.
type answer struct {
	kdf              KDF
	work             Work
	signer           *signer
	nonce, salt      []byte
	prefix           string
	keySignature     string
	claimed          []byte // the key the client claims
	claimedHex       string
	counter          uint32
	expires, issued  time.Time
	key              ReplayKey
	params, solution *jsonValue
}

// check does all that needs neither I/O nor a derivation. A nil answer is refused for the reason given.
func (p *PoW) check(in Request, now time.Time) (*answer, Reason) {
	a, signature, why := decodeToken(in.Token)
	if a == nil {
		return nil, why
	}
	if a.signer, why = p.signedBy(a, signature); a.signer == nil {
		return nil, why
	}
	if why := p.readParameters(a, now); why != ReasonOK {
		return nil, why
	}
	if why := a.bound(in.Expect); why != ReasonOK {
		return nil, why
	}
	if !a.readSolution() {
		return nil, ReasonSolution
	}
	return a, ReasonOK
}

// decodeToken takes the token apart: {"challenge":{"parameters","signature"},"solution":{"counter","derivedKey","time"}}
// in standard base64. Members the signature does not cover and nobody reads are refused.
func decodeToken(token string) (*answer, string, Reason) {
	if token == "" {
		return nil, "", ReasonMissing
	}
	if len(token) > MaxToken || strings.IndexByte(token, '\n') >= 0 || strings.IndexByte(token, '\r') >= 0 { // the decoder skips line ends
		return nil, "", ReasonMalformed
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(token)
	if err != nil {
		return nil, "", ReasonMalformed
	}
	root, err := parseJSON(string(raw))
	if err != nil || !root.only("challenge", "solution") {
		return nil, "", ReasonMalformed
	}
	challenge, _ := root.get("challenge")
	solution, _ := root.get("solution")
	if challenge == nil || solution == nil || !challenge.only("parameters", "signature") || !solution.only("counter", "derivedKey", "time") {
		return nil, "", ReasonMalformed
	}
	parameters, _ := challenge.get("parameters")
	if parameters == nil || parameters.kind != jsonObject {
		return nil, "", ReasonMalformed
	}
	a := &answer{params: parameters, solution: solution}
	signature, _ := challenge.get("signature")
	if signature == nil || signature.kind != jsonString {
		return nil, "", ReasonSignature
	}
	return a, signature.str, ReasonOK
}

// signedBy finds the key that made the signature.
func (p *PoW) signedBy(a *answer, signature string) (*signer, Reason) {
	canonical, ok := appendCanonical(make([]byte, 0, 512), a.params)
	if !ok {
		return nil, ReasonMalformed
	}
	signers := *p.signers.Load()
	for i := range signers {
		s := signers[i]
		if !same(s.sign(string(canonical)), signature) {
			continue
		}
		if expires, _ := a.params.get("expiresAt"); s.until != 0 && (expires == nil || expires.kind != jsonInt || expires.num > s.until) {
			break
		}
		return s, ReasonOK
	}
	return nil, ReasonSignature
}

// readParameters reads signed parameters. The bounds hold whoever signed them.
func (p *PoW) readParameters(a *answer, now time.Time) Reason {
	if !a.params.only("algorithm", "cost", "data", "expiresAt", "keyLength", "keyPrefix", "keySignature", "memoryCost",
		"nonce", "parallelism", "salt") {
		return ReasonMalformed
	}
	expires, ok := a.params.number("expiresAt", 0)
	if !ok || expires < 0 {
		return ReasonMalformed
	}
	if expires > now.Add(p.ttl+p.skew).Unix() || expires == 0 {
		return ReasonLifetime
	}
	if a.expires = time.Unix(expires, 0); now.After(a.expires) {
		return ReasonExpired
	}
	algorithm, _ := a.params.text("algorithm")
	if a.kdf = p.kdfs[algorithm]; a.kdf == nil {
		return ReasonAlgorithm
	}
	cost, ok1 := a.params.number("cost", 0)
	memory, ok2 := a.params.number("memoryCost", 0)
	parallel, ok3 := a.params.number("parallelism", 0)
	length, ok4 := a.params.number("keyLength", keyLength)
	if !ok1 || !ok2 || !ok3 || !ok4 || min(cost, memory, parallel) < 0 || max(cost, memory, parallel) > math.MaxInt32 {
		return ReasonMalformed
	}
	a.work = Work{Cost: int(cost), MemoryCost: int(memory), Parallelism: int(parallel)}
	if a.kdf.Check(a.work) != nil || length < 16 || length > 64 {
		return ReasonWork
	}
	nonce, _ := a.params.text("nonce")
	salt, _ := a.params.text("salt")
	var err1, err2 error
	a.nonce, err1 = hex.DecodeString(nonce)
	a.salt, err2 = hex.DecodeString(salt)
	if err1 != nil || err2 != nil || len(a.nonce) < 8 || len(a.nonce) > 64 || len(a.salt) < 8 || len(a.salt) > 64 {
		return ReasonMalformed
	}
	a.prefix, _ = a.params.text("keyPrefix")
	a.prefix = strings.ToLower(a.prefix)
	if !isHex(a.prefix) || len(a.prefix) > 2*int(length) {
		return ReasonMalformed
	}
	if _, signed := a.params.get("keySignature"); signed {
		if a.keySignature, ok = a.params.text("keySignature"); !ok || a.keySignature == "" {
			return ReasonMalformed
		}
		if len(a.prefix) > int(length) { // more than half of the key: nothing would be left to find
			return ReasonWork
		}
	}
	a.claimed = make([]byte, length)
	if issued, ok := a.data(dataIssued); ok && issued.kind == jsonInt {
		a.issued = time.Unix(issued.num, 0)
		if a.issued.After(now.Add(p.skew)) {
			return ReasonLifetime
		}
	}
	a.key = workKey(a.nonce)
	return ReasonOK
}

// workKey is the replay key of a challenge with that nonce.
func workKey(nonce []byte) (k ReplayKey) {
	h := sha256.New()
	h.Write([]byte("pow\x00"))
	h.Write(nonce)
	h.Sum(k[:0])
	return k
}

// bound compares what the challenge was made for. Both must be bound to the same: a challenge for no session is not
// one for this session.
func (a *answer) bound(e Expect) Reason {
	nonce, _ := a.params.text("nonce")
	for _, b := range a.signer.bindings(nonce, e.Action, e.Tenant, e.Session, e.Flow) {
		got, ok := a.data(b.name)
		if !ok && b.tag == "" {
			continue
		}
		if !ok || got.kind != jsonString || !same(got.str, b.tag) {
			return b.why
		}
	}
	for name, want := range e.Data {
		if got, ok := a.data(name); !ok || got.kind != jsonString || !same(got.str, want) {
			return ReasonData
		}
	}
	return ReasonOK
}

// readSolution reads the untrusted half. The claimed key must already fit the prefix.
func (a *answer) readSolution() bool {
	counter, ok := a.solution.get("counter")
	if !ok || counter.kind != jsonInt || counter.num < 0 || counter.num > math.MaxUint32 {
		return false
	}
	a.counter = uint32(counter.num)
	claimed, ok := a.solution.text("derivedKey")
	if !ok || len(claimed) != 2*len(a.claimed) || !isHex(claimed) || !strings.HasPrefix(claimed, a.prefix) {
		return false
	}
	if t, ok := a.solution.get("time"); ok && t.kind != jsonInt && t.kind != jsonOther {
		return false
	}
	_, err := hex.Decode(a.claimed, []byte(claimed))
	a.claimedHex = claimed
	return err == nil
}

// work finds out whether the claimed key is the counter's.
func (p *PoW) work(ctx context.Context, a *answer) (Reason, error) {
	if a.keySignature != "" { // deterministic: we know the key by its signature
		if !same(a.signer.signKey(a.claimed), a.keySignature) {
			return ReasonSolution, nil
		}
		return ReasonOK, nil
	}
	if err := p.acquire(ctx); err != nil {
		return "", err
	}
	defer p.release()
	if !p.attempts.begin(a.key) {
		return ReasonAttempts, nil
	}
	key, err := a.kdf.Derive(a.work, password(a.nonce, a.counter), a.salt, len(a.claimed))
	if err != nil {
		return "", p.fail(FaultProvider, fmt.Errorf("deriving a key: %w", err))
	}
	if !same(hex.EncodeToString(key), a.claimedHex) {
		return ReasonSolution, nil
	}
	return ReasonOK, nil
}

// data returns a member of the challenge's data.
func (a *answer) data(name string) (*jsonValue, bool) {
	d, ok := a.params.get("data")
	if !ok {
		return nil, false
	}
	return d.get(name)
}

// number returns an integer member, or def when it is absent.
func (v *jsonValue) number(name string, def int64) (int64, bool) {
	m, ok := v.get(name)
	if !ok {
		return def, true
	}
	return m.num, m.kind == jsonInt
}

// text returns a string member.
func (v *jsonValue) text(name string) (string, bool) {
	m, ok := v.get(name)
	if !ok || m.kind != jsonString {
		return "", false
	}
	return m.str, true
}

// isHex reports whether s is lower-case hex of any length but 0.
func isHex(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdef") == ""
}
