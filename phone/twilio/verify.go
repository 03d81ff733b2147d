package twilio

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
	"github.com/vestibule-go/vestibule/phone"
)

// VerifyOptions of a [Verify]. The zero value and nil mean the defaults.
type VerifyOptions struct {
	HTTP HTTPOptions
	// AppHash is for Android's SMS Retriever.
	AppHash string
	// SkipRiskCheck turns Twilio's Fraud Guard off for the messages.
	SkipRiskCheck bool
}

// Verify is Twilio Verify v2 as a [phone.Hosted]. It is safe for concurrent use.
type Verify struct {
	c       *client
	service string
	o       VerifyOptions
}

var _ phone.Hosted = (*Verify)(nil)

// NewVerify makes a client of a Verify service ("VA...").
func NewVerify(cred Credentials, service string, opts *VerifyOptions) (*Verify, error) {
	v := &Verify{service: service}
	if opts != nil {
		v.o = *opts
	}
	if !sid(service, "VA") {
		return nil, errors.New("twilio: the service must be VA and 32 hexadecimal digits")
	}
	var err error
	v.c, err = newClient(cred, v.o.HTTP, "https://verify.twilio.com", 5*time.Second)
	return v, err
}

var verifyChannels = map[phone.Channel]string{phone.SMS: "sms", phone.Voice: "call", phone.WhatsApp: "whatsapp"}

// Start implements [phone.Hosted].
func (v *Verify) Start(ctx context.Context, m phone.Message) (phone.Receipt, error) {
	channel, ok := verifyChannels[m.Channel]
	if !ok {
		return phone.Receipt{}, refusedConfig("unknown channel")
	}
	form := url.Values{"To": {m.To.E164()}, "Channel": {channel}}
	if len(m.Locale) >= 2 && len(m.Locale) <= 5 {
		form.Set("Locale", m.Locale)
	}
	if v.o.AppHash != "" {
		form.Set("AppHash", v.o.AppHash)
	}
	if v.o.SkipRiskCheck {
		form.Set("RiskCheck", "disable")
	}
	got, err := v.c.call(ctx, jsonhttp.Request{Path: "/v2/Services/" + v.service + "/Verifications", Form: form})
	if err != nil {
		return phone.Receipt{}, sendError(err)
	}
	ref := got.At("sid").String()
	if ref == "" || got.At("status").String() != "pending" || got.At("to").String() != m.To.E164() {
		return phone.Receipt{}, &phone.SendError{Reason: phone.SendUnknown, Status: 201, Err: errors.New("twilio: an answer of another form")}
	}
	return phone.Receipt{Ref: ref}, nil
}

// Check implements [phone.Hosted]. A wrong code is a 2xx with status=pending; only approved and valid together are right.
func (v *Verify) Check(ctx context.Context, ref string, n phone.Number, code phone.Code) (phone.HostedVerdict, error) {
	form := url.Values{"VerificationSid": {ref}, "Code": {string(code)}}
	got, err := v.c.call(ctx, jsonhttp.Request{Path: "/v2/Services/" + v.service + "/VerificationCheck", Form: form})
	if err != nil {
		e, ok := errors.AsType[*Error](err)
		switch {
		case ok && e.Status == http.StatusNotFound && e.Code == 20404:
			return phone.HostedGone, nil
		case ok && e.Status == http.StatusTooManyRequests && e.Code == 60202:
			return phone.HostedTooMany, nil
		case ok && e.Status == http.StatusBadRequest && e.Code == 60200:
			return phone.HostedWrong, nil // a code no code looks like
		}
		return 0, err
	}
	if to := got.At("to").String(); to != n.E164() {
		return 0, &Error{Status: 200} // a verification of another number
	}
	valid, known := got.At("valid").Bool()
	switch got.At("status").String() {
	case "approved":
		if known && valid {
			return phone.HostedApproved, nil
		}
	case "pending":
		if known && !valid {
			return phone.HostedWrong, nil
		}
	case "max_attempts_reached":
		return phone.HostedTooMany, nil
	case "canceled", "deleted", "failed", "expired":
		return phone.HostedGone, nil
	}
	return 0, &Error{Status: 200}
}
