package passkey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/vestibule-go/vestibule/attest"
)

// Response is what a browser sends with an attempt: the evidence attached to a risk.Attempt. It comes from outside and is
// not verified. One of the two is set. It prints without its content.
type Response struct {
	// Credential is PublicKeyCredential.toJSON(), of a task that the signal handed out.
	Credential json.RawMessage `json:"credential,omitempty"`
	// Ticket is what the finish handler answered, or [Verifier.Ticket] made.
	Ticket string `json:"ticket,omitempty"`
}

// Empty reports whether nothing was sent.
func (r Response) Empty() bool { return len(r.Credential) == 0 && r.Ticket == "" }

// String says nothing of the content.
func (r Response) String() string { return "passkey.Response" }

// LogValue implements slog.LogValuer with String: structured logs hold none of the evidence either.
func (r Response) LogValue() slog.Value { return slog.StringValue(r.String()) }

// Format writes String for every verb, so that no verb prints the evidence.
func (r Response) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// ceremony tells what a response answers.
func ceremonyOf(body []byte) Ceremony {
	var in struct {
		Response struct {
			AttestationObject json.RawMessage `json:"attestationObject"`
		} `json:"response"`
	}
	if json.Unmarshal(body, &in) == nil && len(in.Response.AttestationObject) > 0 {
		return Registration
	}
	return Login
}

// ticketPurpose keeps tickets apart from ceremonies.
const ticketPurpose = "passkey.ticket"

// ticket is what is kept of a ceremony that was finished outside an assessment.
type ticket struct {
	Ceremony       Ceremony       `json:"c"`
	Account        string         `json:"a,omitempty"`
	ID             []byte         `json:"i"`
	Verdict        attest.Verdict `json:"v"`
	UserVerified   bool           `json:"u,omitempty"`
	CounterStalled bool           `json:"s,omitempty"`
	BackupChanged  bool           `json:"b,omitempty"`
	Downgraded     bool           `json:"d,omitempty"`
	Judged         Attestation    `json:"j"`
	Created        int64          `json:"t"`
}

// Ticket makes a one-time text that stands for a ceremony that has passed: the signal redeems it in the next assessment of
// the same tenant, flow and session. It lives as long as a challenge.
func (v *Verifier) Ticket(ctx context.Context, s Scope, r *Result) (string, error) {
	if !r.Passed() || r.Credential == nil {
		return "", errors.New("passkey: there are tickets only for what has passed")
	}
	c := r.Credential
	data, err := json.Marshal(ticket{
		r.Ceremony, c.Account, c.ID, r.Verdict, r.UserVerified, r.CounterStalled, r.BackupChanged, r.Downgraded, r.Judged, c.Created.Unix(),
	})
	if err != nil {
		return "", fmt.Errorf("passkey: making a ticket: %w", err)
	}
	b := s.binding(r.Ceremony)
	b.Purpose, b.Subject = ticketPurpose, ""
	ch, err := v.challenges.Issue(ctx, b, data)
	if err != nil {
		return "", fmt.Errorf("passkey: making a ticket: %w", err)
	}
	return ch.Text, nil
}

// redeemTicket spends a ticket. The outcome is Passed with a ticket, or why not.
func (v *Verifier) redeemTicket(ctx context.Context, s Scope, text string) (*ticket, attest.Outcome, error) {
	b := s.binding(Login)
	b.Purpose, b.Subject = ticketPurpose, ""
	data, out, err := v.spend(ctx, text, b)
	if err != nil || out != attest.Passed {
		return nil, out, err
	}
	t := &ticket{}
	if err := json.Unmarshal(data, t); err != nil {
		return nil, 0, errors.New("passkey: a ticket was kept in a form that cannot be read")
	}
	return t, attest.Passed, nil
}
