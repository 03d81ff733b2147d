package twilio

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
	"github.com/vestibule-go/vestibule/phone"
)

// SenderOptions of a [Sender]. The zero value and nil mean the defaults.
type SenderOptions struct {
	HTTP HTTPOptions
	// CallFrom is the number that calls; default the number that sends messages.
	CallFrom string
	// WhatsAppFrom and WhatsAppTemplate ("HX...") are needed for WhatsApp, whose messages are approved templates; the
	// code is their variable 1.
	WhatsAppFrom, WhatsAppTemplate string
	// StatusCallback is the public https URL of [Callback].
	StatusCallback string
	// RiskCheck lets Twilio's own fraud guard refuse messages; default on.
	SkipRiskCheck bool
	// RingFor is how long a call rings; default 25 s, at most 30: longer reaches the voicemail.
	RingFor time.Duration
}

// Sender sends messages and calls through Twilio. It is safe for concurrent use.
type Sender struct {
	c       *client
	account string
	from    string
	o       SenderOptions
}

var _ phone.Sender = (*Sender)(nil)

// NewSender makes a sender. from is a number in E.164 or a messaging service ("MG...").
func NewSender(cred Credentials, from string, opts *SenderOptions) (*Sender, error) {
	s := &Sender{account: cred.AccountSID, from: from}
	if opts != nil {
		s.o = *opts
	}
	if !sid(from, "MG") && !isE164(from) {
		return nil, errors.New("twilio: from must be a number in E.164 or a messaging service (MG and 32 hexadecimal digits)")
	}
	if s.o.CallFrom == "" && isE164(from) {
		s.o.CallFrom = from
	}
	for _, n := range []string{s.o.CallFrom, s.o.WhatsAppFrom} {
		if n != "" && !isE164(n) {
			return nil, errors.New("twilio: CallFrom and WhatsAppFrom must be numbers in E.164")
		}
	}
	if (s.o.WhatsAppFrom == "") != (s.o.WhatsAppTemplate == "") || s.o.WhatsAppTemplate != "" && !sid(s.o.WhatsAppTemplate, "HX") {
		return nil, errors.New("twilio: WhatsApp wants both a number and a template (HX and 32 hexadecimal digits)")
	}
	if s.o.StatusCallback != "" && !strings.HasPrefix(s.o.StatusCallback, "https://") {
		return nil, errors.New("twilio: StatusCallback must be an https URL")
	}
	if s.o.RingFor == 0 {
		s.o.RingFor = 25 * time.Second
	}
	if s.o.RingFor < 5*time.Second || s.o.RingFor > 30*time.Second {
		return nil, errors.New("twilio: RingFor is 5 to 30 s")
	}
	var err error
	s.c, err = newClient(cred, s.o.HTTP, "https://api.twilio.com", 5*time.Second)
	return s, err
}

func isE164(s string) bool {
	return len(s) >= 8 && len(s) <= 16 && s[0] == '+' && s[1] != '0' && strings.Trim(s[1:], "0123456789") == ""
}

// Send implements [phone.Sender].
func (s *Sender) Send(ctx context.Context, m phone.Message) (phone.Receipt, error) {
	form := url.Values{"To": {m.To.E164()}}
	resource := "Messages"
	if s.o.StatusCallback != "" {
		form.Set("StatusCallback", s.o.StatusCallback)
	}
	switch m.Channel {
	case phone.SMS:
		if sid(s.from, "MG") {
			form.Set("MessagingServiceSid", s.from)
		} else {
			form.Set("From", s.from)
		}
		form.Set("Body", m.Text)
		form.Set("ValidityPeriod", strconv.Itoa(min(max(int(m.TTL/time.Second), 1), 36000)))
		if s.o.SkipRiskCheck {
			form.Set("RiskCheck", "disable")
		}
	case phone.WhatsApp:
		if s.o.WhatsAppTemplate == "" {
			return phone.Receipt{}, refusedConfig("no WhatsApp number")
		}
		form.Set("To", "whatsapp:"+m.To.E164())
		form.Set("From", "whatsapp:"+s.o.WhatsAppFrom)
		form.Set("ContentSid", s.o.WhatsAppTemplate)
		form.Set("ContentVariables", `{"1":"`+string(m.Code)+`"}`)
	case phone.Voice:
		if s.o.CallFrom == "" {
			return phone.Receipt{}, refusedConfig("no number to call from")
		}
		resource = "Calls"
		form.Set("From", s.o.CallFrom)
		form.Set("Twiml", TwiML(m.Code, m.Brand, m.Locale))
		form.Set("Timeout", strconv.Itoa(int(s.o.RingFor/time.Second)))
	default:
		return phone.Receipt{}, refusedConfig("unknown channel")
	}
	if strings.Trim(string(m.Code), "0123456789") != "" {
		return phone.Receipt{}, refusedConfig("a code must be digits")
	}
	v, err := s.c.call(ctx, jsonhttp.Request{Path: "/2010-04-01/Accounts/" + s.account + "/" + resource + ".json", Form: form})
	if err != nil {
		return phone.Receipt{}, sendError(err)
	}
	return readReceipt(v)
}

func refusedConfig(what string) error {
	return &phone.SendError{Refused: true, Reason: phone.SendConfig, Err: errors.New("twilio: " + what)}
}

// readReceipt reads a message or call that was accepted.
func readReceipt(v jsonhttp.Value) (phone.Receipt, error) {
	out := phone.Receipt{Ref: v.At("sid").String()}
	switch status := v.At("status").String(); {
	case out.Ref == "" || status == "":
		return phone.Receipt{}, &phone.SendError{Reason: phone.SendUnknown, Status: 201, Err: errors.New("twilio: an answer of another form")}
	case status == "failed" || status == "undelivered" || status == "canceled":
		code, _ := v.At("error_code").Int()
		return phone.Receipt{Ref: out.Ref}, &phone.SendError{Reason: phone.SendUnreachable, Status: 201, Code: int(code)}
	}
	// The price comes later, mostly, and is negative.
	if text, ok := v.At("price").Text(); ok {
		if p, err := strconv.ParseFloat(text, 64); err == nil && p <= 0 && p > -1e6 {
			out.Price, out.HasPrice = int64(-p*phone.Unit+0.5), true
		}
	}
	return out, nil
}

// spoken are the words before the code, by language.
var spoken = map[string]string{
	"en": "Your %s code is:", "da": "Din kode til %s er:", "de": "Ihr Code für %s lautet:", "es": "Su código de %s es:",
	"fr": "Votre code %s est:", "nb": "Koden din til %s er:", "sv": "Din kod till %s är:",
}

// voices are the languages Twilio speaks them in.
var voices = map[string]string{
	"en": "en-US", "da": "da-DK", "de": "de-DE", "es": "es-ES", "fr": "fr-FR", "nb": "nb-NO", "sv": "sv-SE",
}

// TwiML is what a call says: the code digit by digit, twice. Whatever brand and locale hold, it is one well-formed
// document that speaks.
func TwiML(code phone.Code, brand, locale string) string {
	lang, _, _ := strings.Cut(strings.ReplaceAll(locale, "_", "-"), "-")
	if _, ok := spoken[lang]; !ok {
		lang = "en"
	}
	digits := strings.Join(strings.Split(string(phone.Code(strings.Trim(string(code), " "))), ""), ", ")
	say := escape(fmt.Sprintf(spoken[lang], phone.Brand(brand)))
	var b strings.Builder
	b.WriteString("<Response><Pause length=\"1\"/>")
	for range 2 {
		b.WriteString(`<Say language="` + voices[lang] + `">` + say + " " + escape(digits) + `.</Say><Pause length="1"/>`)
	}
	b.WriteString("</Response>")
	return b.String()
}

// escape makes a text safe in XML, character by character: what XML cannot hold is dropped.
func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '&':
			b.WriteString("&amp;")
		case r == '"':
			b.WriteString("&quot;")
		case r == '\'':
			b.WriteString("&apos;")
		case r < ' ' || r == 0xFFFD || r == 0xFFFE || r == 0xFFFF:
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
