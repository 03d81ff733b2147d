package captcha

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"time"
)

// Provider verifies one answer of a visitor. It is called by [Signal] and by handlers directly, and must be safe for
// concurrent use.
//
// A refused answer is a [Result] with outcome Failed. An error, usually an *[Error], means that the provider could not
// find out; the result then has outcome Unverified and must not count as passed. Neither may hold the token or a
// secret.
type Provider interface {
	// Name is the provider's name, lower-case ASCII, constant: "pow", "turnstile". It labels metrics and separates
	// replay keys.
	Name() string
	// Verify judges in.Token. It does its own bounding of the token's size and keeps ctx's deadline.
	Verify(ctx context.Context, in Request) (Result, error)
}

// Challenger is the ability to say what a client has to do to get an answer for Verify. It is safe for concurrent use
// and spends no money.
type Challenger interface {
	// Challenge makes a task bound to what r names. An error means that no task could be made.
	Challenge(ctx context.Context, r ChallengeRequest) (Task, error)
}

// Offline is the ability of providers that verify without the network. [NewSignal] asks such a provider earlier than
// remote ones.
type Offline interface {
	// Offline reports whether Verify does no I/O beyond its replay guard.
	Offline() bool
}

// Response is what the visitor's client sent: the evidence a handler attaches to an attempt. It is untrusted, and it
// prints and logs redacted. The zero value means that nothing was sent.
type Response struct {
	// Token is the value of the form field.
	Token string
	// Fields holds the parts of an answer that has several (GeeTest); nil for the others.
	Fields map[string]string
}

// Empty reports whether nothing was sent.
func (r Response) Empty() bool { return r.Token == "" && len(r.Fields) == 0 }

// size is the number of bytes of names and values.
func (r Response) size() int {
	n := len(r.Token)
	for k, v := range r.Fields {
		n += len(k) + len(v)
	}
	return n
}

// Format prints the size only, for every verb.
func (r Response) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, r.String()) }

// String gives the size only.
func (r Response) String() string { return fmt.Sprintf("captcha response of %d bytes", r.size()) }

// LogValue logs the size only.
func (r Response) LogValue() slog.Value { return slog.StringValue(r.String()) }

// MarshalText marshals the size only, so that an answer reaches no JSON log.
func (r Response) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Request asks a Provider about one answer. It prints and logs redacted.
type Request struct {
	// Token and Fields are as in Response: untrusted.
	Token  string
	Fields map[string]string
	// RemoteIP is the visitor's address, behind trusted proxies already resolved. The zero value is not sent.
	RemoteIP netip.Addr
	// Expect is what the answer must have been made for.
	Expect Expect
	// IdempotencyKey makes a second verification of the same token repeat the verdict where the provider supports it
	// (Turnstile, a UUID). Empty: none.
	IdempotencyKey string
	// UserAgent is the visitor's header of that name, for providers that score it; empty: not sent.
	UserAgent string
	// Visitor is as in ChallengeRequest. It is never sent anywhere.
	Visitor string
}

// Expect says what an answer must have been made for. Session, Flow and Tenant are the host's own values: providers
// compare keyed tags of them and never send them anywhere.
type Expect struct {
	// Hostnames lists the host names a remote provider may report; empty: what the provider was built with.
	Hostnames []string
	// Action is the event the answer was asked for: "signup".
	Action string
	// Tenant separates tenants that share keys.
	Tenant string
	// Session and Flow bind the answer to a visitor's session and to one challenged attempt.
	Session, Flow string
	// CData is the opaque value a remote widget was given.
	CData string
	// Data lists members the challenge must carry in clear, with these values; others are not looked at. It is for
	// challenges made by Issue with Data, or by another ALTCHA server that shares the key.
	Data map[string]string
}

// Format prints no values, for every verb.
func (r Request) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, r.String()) }

// String names the sizes only.
func (r Request) String() string {
	return Response{Token: r.Token, Fields: r.Fields}.String()
}

// LogValue logs the sizes only.
func (r Request) LogValue() slog.Value { return slog.StringValue(r.String()) }

// MarshalText marshals the sizes only.
func (r Request) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Format prints no values, for every verb.
func (e Expect) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "captcha expectation") }

// LogValue logs no values.
func (e Expect) LogValue() slog.Value { return slog.StringValue("captcha expectation") }

// MarshalText marshals no values.
func (e Expect) MarshalText() ([]byte, error) { return []byte("captcha expectation"), nil }

// ChallengeRequest asks a Challenger for a task. It prints and logs redacted.
type ChallengeRequest struct {
	// Action, Tenant, Session and Flow must be repeated in Expect when the answer is verified. Empty ones do not bind.
	Action, Tenant, Session, Flow string
	// Score (0 to 100) and Failures (answers refused so far) raise the difficulty.
	Score, Failures int
	// Visitor names the visitor where there is no session: a network, a device tag. The Orchestrator assigns by Session,
	// else by Visitor.
	Visitor string
	// Data is carried in clear inside the challenge and protected by its signature: at most 8 members, names of lower
	// case letters, values of at most 128 printable ASCII bytes.
	Data map[string]string
}

// Format prints score and failures only, for every verb.
func (r ChallengeRequest) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, r.String()) }

// String names score and failures only.
func (r ChallengeRequest) String() string {
	return fmt.Sprintf("captcha challenge request: score %d, failures %d", r.Score, r.Failures)
}

// LogValue logs score and failures only.
func (r ChallengeRequest) LogValue() slog.Value { return slog.StringValue(r.String()) }

// MarshalText marshals score and failures only.
func (r ChallengeRequest) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Task tells a client what to do. It is sent as JSON and holds no secrets.
type Task struct {
	// Provider is the name of the provider that will verify the answer.
	Provider string `json:"provider"`
	// SiteKey and Action are for remote widgets.
	SiteKey string `json:"siteKey,omitempty"`
	Action  string `json:"action,omitempty"`
	// Script is the address of the vendor's script where it is not the usual one.
	Script string `json:"script,omitempty"`
	// CData is for widgets that return it (Turnstile).
	CData string `json:"cdata,omitempty"`
	// Invisible: the widget is to run without showing itself, as far as it can.
	Invisible bool `json:"invisible,omitempty"`
	// Instance is the address of a self-hosted service (Cap, mCaptcha).
	Instance string `json:"instance,omitempty"`
	// Challenge is a proof of work.
	Challenge *Challenge `json:"challenge,omitempty"`
	// Ticket is the Orchestrator's signed assignment, which comes back with the answer: see [Join].
	Ticket string `json:"ticket,omitempty"`
	// Second is another task to be done beside this one.
	Second *Task `json:"second,omitempty"`
}

// Outcome says what became of an answer. The zero value is Unverified, which never counts as passed.
type Outcome uint8

// The outcomes.
const (
	Unverified Outcome = iota // it could not be found out
	Passed                    // verified: right, fresh, for us and not used before
	Failed                    // refused
)

// String names the outcome.
func (o Outcome) String() string {
	switch o {
	case Passed:
		return "passed"
	case Failed:
		return "failed"
	}
	return "unverified"
}

// Fault says whose fault a refusal or an error is. FaultNone is the zero value.
type Fault uint8

// The faults. Only FaultVisitor and FaultBinding count against the visitor; FaultCaller wants an alert, FaultProvider a
// fail-over.
const (
	FaultNone     Fault = iota
	FaultVisitor        // bad, old or used answer
	FaultBinding        // genuine, but not for us, this session or this action: an attack's sign
	FaultCaller         // our keys or settings
	FaultProvider       // outage, time-out, overload
)

// String names the fault.
func (f Fault) String() string {
	switch f {
	case FaultVisitor:
		return "visitor"
	case FaultBinding:
		return "binding"
	case FaultCaller:
		return "caller"
	case FaultProvider:
		return "provider"
	}
	return "none"
}

// Reason says why an answer was judged as it was, in words common to all providers.
type Reason string

// The reasons. Providers may add words of their own.
const (
	ReasonOK        Reason = "ok"
	ReasonMissing   Reason = "missing"               // nothing was sent
	ReasonMalformed Reason = "malformed"             // oversize, wrong encoding, unknown or missing members
	ReasonSignature Reason = "invalid_signature"     // not issued by us, or changed since
	ReasonSolution  Reason = "invalid_solution"      // the work was not done
	ReasonExpired   Reason = "expired"               // too late
	ReasonLifetime  Reason = "lifetime"              // no expiry, or one further away than this verifier allows
	ReasonReplayed  Reason = "replayed"              // used before
	ReasonAttempts  Reason = "too_many_attempts"     // too many wrong answers to one challenge
	ReasonAction    Reason = "action_mismatch"       // made for another action or tenant
	ReasonSession   Reason = "session_mismatch"      // made for another session
	ReasonFlow      Reason = "flow_mismatch"         // made for another flow
	ReasonData      Reason = "data_mismatch"         // Expect.Data differs
	ReasonWork      Reason = "unsupported_work"      // easier or heavier than this verifier accepts
	ReasonAlgorithm Reason = "unsupported_algorithm" // signed, but not offered by this verifier
)

// Further reasons of remote providers and of the Orchestrator.
const (
	ReasonToken       Reason = "invalid_token"       // the provider does not know it, or says no more than no
	ReasonUnsolved    Reason = "challenge_failed"    // the visitor did not solve the challenge
	ReasonSpent       Reason = "expired_or_replayed" // the provider does not tell the two apart
	ReasonHostname    Reason = "hostname_mismatch"   // solved on a page of another host, or of none
	ReasonCData       Reason = "cdata_mismatch"      // Expect.CData differs
	ReasonSiteKey     Reason = "sitekey_mismatch"    // made for another site key
	ReasonTicket      Reason = "ticket_mismatch"     // no ticket, or a ticket of another assignment
	ReasonCredentials Reason = "bad_credentials"     // our secret or key is refused
	ReasonRequest     Reason = "bad_request"         // the provider does not understand the request
	ReasonTestKey     Reason = "test_key"            // a test key answered, which production must not believe
	ReasonProvider    Reason = "provider_error"      // outage, maintenance
	ReasonLimited     Reason = "rate_limited"        // the provider wants to be left alone
	ReasonTimeout     Reason = "timeout"             // no answer in time
	ReasonNetwork     Reason = "network"             // no connection, or it broke
	ReasonResponse    Reason = "malformed_response"  // an answer that breaks the provider's contract
	ReasonUnsettled   Reason = "unsettled"           // sent before without an answer; sending again could burn it
	ReasonOpen        Reason = "circuit_open"        // not asked: the provider has been failing
	ReasonCanceled    Reason = "canceled"            // the visitor hung up
)

// fault says whom a reason blames.
func (r Reason) fault() Fault {
	switch r {
	case ReasonOK, ReasonCanceled:
		return FaultNone
	case ReasonCredentials, ReasonRequest, ReasonTestKey:
		return FaultCaller
	case ReasonProvider, ReasonLimited, ReasonTimeout, ReasonNetwork, ReasonResponse, ReasonUnsettled, ReasonOpen:
		return FaultProvider
	case ReasonHostname, ReasonCData, ReasonSiteKey, ReasonTicket, ReasonAction, ReasonSession, ReasonFlow, ReasonData, ReasonWork, ReasonAlgorithm, ReasonLifetime:
		return FaultBinding
	}
	return FaultVisitor
}

// Result is a provider's verdict on one answer. The zero value is Unverified. It holds nothing secret.
type Result struct {
	Provider string
	Outcome  Outcome
	Reason   Reason
	Fault    Fault
	// Codes are the provider's own words, as they came.
	Codes []string
	// Risk is 0 (none) to 1 (certain abuse), whatever direction the provider counts in; it means something only when
	// HasRisk is true. RawScore is the provider's own number.
	Risk     float64
	HasRisk  bool
	RawScore float64
	// Hostname, Action and CData are what the answer was made for, as far as the provider tells.
	Hostname, Action, CData string
	// ChallengeTime is when the challenge was issued or solved; zero: unknown.
	ChallengeTime time.Time
	// Reference is the provider's name of this verification, for its support or for [Annotator]; empty: none.
	Reference string
	// VisitorID is the provider's short-lived name of the visitor's device (Turnstile's ephemeral id); empty: none.
	VisitorID string
	// Band is the provider's own class of risk (Arkose: LOW, MEDIUM, HIGH); empty: none.
	Band string
	// Second is the verdict of the behavioural provider that an Orchestrator asked beside this one; nil: none.
	Second *Result
	// Anomaly: the share of answers this provider accepts has lately fallen far below its usual, so that its refusals
	// say less. The Orchestrator sets it.
	Anomaly bool
	// Policy is what an Orchestrator wants done with an outcome of Unverified.
	Policy UnverifiedPolicy
	// ReplayKey names the answer (remote providers) or its challenge (proof of work) in a [ReplayGuard]. The zero key
	// means that there is none.
	ReplayKey ReplayKey
}
