package phone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Message is what a [Sender] sends. It holds a secret: senders must not log it.
type Message struct {
	// ID names this message: the same for a repeated attempt to send it. Senders whose service can, pass it on.
	ID      string
	To      Number
	Channel Channel
	// Code is the one-time code, for channels that speak it or fill in a template.
	Code Code
	// Text is the whole message for SMS: GSM-7, one segment, bound to the origin by its last line.
	Text string
	// Brand is who sends, fit for display. Locale is a language tag such as "en" or "nb-NO".
	Brand, Locale string
	// TTL is how long the code lives: nothing should be delivered later.
	TTL time.Duration
}

// String names channel and masked number only.
func (m Message) String() string { return m.Channel.String() + " to " + m.To.String() }

// GoString is String.
func (m Message) GoString() string { return m.String() }

// LogValue logs channel and masked number only.
func (m Message) LogValue() slog.Value { return slog.StringValue(m.String()) }

// Receipt is what a sender got for a message.
type Receipt struct {
	// Ref is the service's name for the message, as its callbacks repeat it.
	Ref string
	// Price is what it cost in millionths of the budget's currency, when HasPrice. Most services tell later or never.
	Price    int64
	HasPrice bool
}

// Sender sends messages. [Verifier] calls it, concurrently, with a deadline. An error that is a [*SendError] with
// Refused says that surely nothing was or will be sent; with any other error a message may be on its way.
type Sender interface {
	Send(ctx context.Context, m Message) (Receipt, error)
}

// SenderFunc makes a sender of a function.
type SenderFunc func(ctx context.Context, m Message) (Receipt, error)

// Send calls f.
func (f SenderFunc) Send(ctx context.Context, m Message) (Receipt, error) { return f(ctx, m) }

// SendError says why a message was not sent. It holds neither number nor code.
type SendError struct {
	// Refused: surely not sent. Else it may have been.
	Refused bool
	// Reason is one of the Send constants.
	Reason string
	// Code is the service's own number for it; 0: none. Status is the HTTP status; 0: no answer.
	Code, Status int
	Err          error // may be nil; without secrets
}

// Reasons of a [SendError].
const (
	SendInvalidNumber = "invalid number"
	SendUnreachable   = "unreachable"   // cannot receive on this channel, or no route to it
	SendBlocked       = "blocked"       // by the service's own fraud guard, or the number has opted out
	SendNoPermission  = "no permission" // the account may not send there
	SendBusy          = "busy"          // rate limit or full queue of the service
	SendConfig        = "configuration" // credentials, sender number
	SendUnknown       = "unknown"
)

// Error names reason, status and the service's number for it.
func (e *SendError) Error() string {
	what := "may not have been sent"
	if e.Refused {
		what = "refused"
	}
	return fmt.Sprintf("phone: message %s: %s (status %d, code %d)", what, e.Reason, e.Status, e.Code)
}

// Unwrap returns the cause.
func (e *SendError) Unwrap() error { return e.Err }

// Refused reports whether an error says that surely nothing was sent.
func Refused(err error) bool {
	e, ok := errors.AsType[*SendError](err)
	return ok && e.Refused
}

// LogSender writes messages, code and masked number, to a log instead of sending them: for development. Whoever reads
// the log can pass every verification.
type LogSender struct{ log *slog.Logger }

var _ Sender = (*LogSender)(nil)

// NewInsecureLogSender makes a sender that sends nothing and logs the codes.
func NewInsecureLogSender(log *slog.Logger) (*LogSender, error) {
	if log == nil {
		return nil, errors.New("phone: the log sender wants a log")
	}
	return &LogSender{log}, nil
}

// Send implements [Sender].
func (s *LogSender) Send(ctx context.Context, m Message) (Receipt, error) {
	s.log.InfoContext(ctx, "development: a code that would be sent", "channel", m.Channel.String(), "to", m.To.String(), "code", string(m.Code))
	return Receipt{HasPrice: true}, nil
}
