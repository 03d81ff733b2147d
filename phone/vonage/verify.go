package vonage

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
	"github.com/vestibule-go/vestibule/phone"
)

// VerifyOptions of [Verify]. The zero value and nil mean the defaults.
type VerifyOptions struct {
	HTTP HTTPOptions
	// Digits of a code, 4 to 10; default 6.
	Digits int
	// SkipFraudCheck turns Vonage's anti-fraud off.
	SkipFraudCheck bool
}

// Verify is Verify v2 as a [phone.Hosted]. It is safe for concurrent use.
type Verify struct {
	c     *client
	brand string
	o     VerifyOptions
}

var _ phone.Hosted = (*Verify)(nil)

// NewVerify makes a client of https://api.nexmo.com. brand stands in the messages, 1 to 16 characters.
func NewVerify(app *Application, brand string, opts *VerifyOptions) (*Verify, error) {
	v := &Verify{brand: phone.Brand(brand)}
	if opts != nil {
		v.o = *opts
	}
	if v.o.Digits == 0 {
		v.o.Digits = phone.DefaultDigits
	}
	if v.brand == "" || len([]rune(v.brand)) > 16 || v.o.Digits < 4 || v.o.Digits > 10 {
		return nil, errors.New("vonage: want a brand of 1 to 16 letters and 4 to 10 digits")
	}
	var err error
	v.c, err = newClient(app, v.o.HTTP, "https://api.nexmo.com", 5*time.Second)
	return v, err
}

var verifyChannels = map[phone.Channel]string{phone.SMS: "sms", phone.Voice: "voice", phone.WhatsApp: "whatsapp"}

// Start implements [phone.Hosted]. A 409 says that a verification of the number is open: no second one is begun.
func (v *Verify) Start(ctx context.Context, m phone.Message) (phone.Receipt, error) {
	type object = map[string]any
	channel, ok := verifyChannels[m.Channel]
	if !ok {
		return phone.Receipt{}, &phone.SendError{Refused: true, Reason: phone.SendConfig, Err: errors.New("vonage: unknown channel")}
	}
	body := object{"brand": v.brand, "code_length": v.o.Digits, "channel_timeout": min(max(int(m.TTL/time.Second), 15), 900),
		"client_ref": clientRef(m.ID), "workflow": []object{{"channel": channel, "to": m.To.E164()[1:]}}}
	if v.o.SkipFraudCheck {
		body["fraud_check"] = false
	}
	got, status, err := v.c.call(ctx, jsonhttp.Request{Path: "/v2/verify", JSON: body})
	if err != nil {
		return phone.Receipt{}, sendError(err)
	}
	ref := got.At("request_id").String()
	if status != http.StatusAccepted || ref == "" || len(ref) > 128 {
		return phone.Receipt{}, &phone.SendError{Reason: phone.SendUnknown, Status: status, Err: &Error{Status: status}}
	}
	return phone.Receipt{Ref: ref}, nil
}

// clientRef shortens a message's name to the 16 characters that are taken: what callbacks repeat, for logs.
func clientRef(id string) string {
	if len(id) <= 16 {
		return id
	}
	end := id[max(strings.LastIndexByte(id, '-'), len(id)-4):]
	return id[:16-len(end)] + end
}

// Check implements [phone.Hosted].
func (v *Verify) Check(ctx context.Context, ref string, _ phone.Number, code phone.Code) (phone.HostedVerdict, error) {
	got, status, err := v.c.call(ctx, jsonhttp.Request{Path: "/v2/verify/" + url.PathEscape(ref), JSON: map[string]string{"code": string(code)}})
	switch status {
	case http.StatusBadRequest:
		return phone.HostedWrong, nil
	case http.StatusNotFound:
		return phone.HostedGone, nil
	case http.StatusGone:
		return phone.HostedTooMany, nil
	case http.StatusConflict: // the workflow waits for something else than a code
		return phone.HostedWrong, nil
	}
	if err != nil {
		return 0, err
	}
	if status != http.StatusOK || got.At("status").String() != "completed" || got.At("request_id").String() != ref {
		return 0, &Error{Status: status}
	}
	return phone.HostedApproved, nil
}
