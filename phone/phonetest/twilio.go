package phonetest

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/phone/twilio"
)

// Twilio is a fake Twilio: Messages, Calls, Verify v2 and Lookup v2 on one loopback server. Messages and calls land in
// Inbox. It is safe for concurrent use.
//
// Numbers of Twilio's test credentials behave as documented there: +15005550001 and so on, as sender and as recipient.
type Twilio struct {
	server
	// Inbox holds what was sent, by whichever API.
	Inbox *Inbox
	now   func() time.Time

	account, key, secret, service string
	blocked                       []string
	lookups                       map[string]map[string]any
	verifications                 map[string]*verification // by sid
	messages                      map[string]url.Values
}

type verification struct {
	sid, to, channel, status string
	code                     string
	sends, checks            int
	at                       time.Time
}

// TwilioOptions of a [Twilio]. The zero value and nil mean the defaults.
type TwilioOptions struct {
	Now func() time.Time
}

// NewTwilio starts a fake Twilio. Close ends it.
func NewTwilio(opts *TwilioOptions) *Twilio {
	f := &Twilio{Inbox: NewInbox(), now: time.Now, account: randomSID("AC"), key: randomSID("SK"), secret: randomSID("xx"), service: randomSID("VA"),
		lookups: map[string]map[string]any{}, verifications: map[string]*verification{}, messages: map[string]url.Values{}}
	if opts != nil && opts.Now != nil {
		f.now = opts.Now
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2010-04-01/Accounts/{account}/Messages.json", f.postMessage)
	mux.HandleFunc("POST /2010-04-01/Accounts/{account}/Calls.json", f.postCall)
	mux.HandleFunc("POST /v2/Services/{service}/Verifications", f.postVerification)
	mux.HandleFunc("POST /v2/Services/{service}/VerificationCheck", f.postCheck)
	mux.HandleFunc("GET /v2/PhoneNumbers/{number}", f.getLookup)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { twilioError(w, 404, 20404) })
	f.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, pass, ok := r.BasicAuth(); !ok || pass != f.secret || user != f.account && user != f.key {
			twilioError(w, 401, 20003)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	return f
}

func randomSID(prefix string) string {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	return prefix + hex.EncodeToString(b)
}

// Credentials are those the fake accepts.
func (f *Twilio) Credentials() twilio.Credentials {
	return twilio.Credentials{AccountSID: f.account, KeySID: f.key, Secret: phone.Token(f.secret)}
}

// Service is the Verify service.
func (f *Twilio) Service() string { return f.service }

// HTTP are the options that lead clients to the fake.
func (f *Twilio) HTTP() twilio.HTTPOptions { return twilio.HTTPOptions{BaseURL: f.URL()} }

// From is a number that may send.
func (f *Twilio) From() string { return "+15005550006" }

// Block makes messages and verifications to numbers with a prefix fail as pumped: 30450, and 60410 of Fraud Guard.
func (f *Twilio) Block(prefix string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.blocked = append(f.blocked, prefix)
}

// SetLookup sets a package of a number's look-up: "line_type_intelligence" and so on, or "valid". It is also how an
// override of the line type shows.
func (f *Twilio) SetLookup(number, pack string, v any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lookups[number] == nil {
		f.lookups[number] = map[string]any{}
	}
	f.lookups[number][pack] = v
}

// Callback is the signed status callback of a message or call: the form and its X-Twilio-Signature, made with the
// account's auth token.
func (f *Twilio) Callback(ref, status, publicURL string, authToken phone.Token) (url.Values, string) {
	form := url.Values{"AccountSid": {f.account}, "MessageSid": {ref}, "SmsSid": {ref}, "MessageStatus": {status}, "ApiVersion": {"2010-04-01"}}
	if strings.HasPrefix(ref, "CA") {
		form = url.Values{"AccountSid": {f.account}, "CallSid": {ref}, "CallStatus": {status}}
	}
	if status == "undelivered" || status == "failed" {
		form.Set("ErrorCode", "30003")
	}
	return form, twilio.Sign(authToken, publicURL, form)
}

func twilioError(w http.ResponseWriter, status, code int) {
	writeJSON(w, status, map[string]any{"code": code, "message": "The request failed", "more_info": fmt.Sprintf("https://www.twilio.com/docs/errors/%d", code), "status": status})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// magic are the answers to the numbers of Twilio's test credentials.
var (
	magicFrom = map[string]map[string]int{
		"Messages": {"+15005550001": 21212, "+15005550007": 21606, "+15005550008": 21611, "+15005550006": 0, "*": 21606},
		"Calls":    {"+15005550001": 21212, "+15005550006": 0, "*": 21210},
	}
	magicTo = map[string]map[string]int{
		"Messages": {"+15005550001": 21211, "+15005550002": 21612, "+15005550003": 21408, "+15005550004": 21610, "+15005550009": 21614},
		"Calls":    {"+15005550001": 21217, "+15005550002": 21214, "+15005550003": 21215, "+15005550004": 21216},
	}
)

// form reads and checks what messages and calls have in common. It answers and returns nil when something is wrong.
func (f *Twilio) form(w http.ResponseWriter, r *http.Request, resource string) (url.Values, phone.Number) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil || r.PathValue("account") != f.account {
		twilioError(w, 400, 20001)
		return nil, phone.Number{}
	}
	p := r.PostForm
	from, to := strings.TrimPrefix(p.Get("From"), "whatsapp:"), strings.TrimPrefix(p.Get("To"), "whatsapp:")
	if code, ok := magicTo[resource][to]; ok {
		twilioError(w, 400, code)
		return nil, phone.Number{}
	}
	if from != "" {
		code, ok := magicFrom[resource][from]
		if !ok {
			code = magicFrom[resource]["*"]
		}
		if code != 0 {
			twilioError(w, 400, code)
			return nil, phone.Number{}
		}
	}
	if (from == "") == (p.Get("MessagingServiceSid") == "") {
		twilioError(w, 400, 21603)
		return nil, phone.Number{}
	}
	n, err := phone.Parse(to, "")
	if err != nil || n.E164() != to {
		twilioError(w, 400, magicTo[resource]["+15005550001"])
		return nil, phone.Number{}
	}
	f.mu.Lock()
	blocked := slices.ContainsFunc(f.blocked, func(s string) bool { return strings.HasPrefix(to, s) })
	f.mu.Unlock()
	if blocked && p.Get("RiskCheck") != "disable" {
		twilioError(w, 400, 30450)
		return nil, phone.Number{}
	}
	return p, n
}

func (f *Twilio) postMessage(w http.ResponseWriter, r *http.Request) {
	p, to := f.form(w, r, "Messages")
	if p == nil {
		return
	}
	validity, err := strconv.Atoi(p.Get("ValidityPeriod"))
	if p.Get("ValidityPeriod") != "" && (err != nil || validity < 1 || validity > 36000) {
		twilioError(w, 400, 21617)
		return
	}
	m := phone.Message{To: to, Channel: phone.SMS, Text: p.Get("Body"), TTL: time.Duration(validity) * time.Second}
	if strings.HasPrefix(p.Get("To"), "whatsapp:") {
		var vars map[string]string
		if p.Get("ContentSid") == "" || json.Unmarshal([]byte(p.Get("ContentVariables")), &vars) != nil {
			twilioError(w, 400, 63016)
			return
		}
		m.Channel, m.Code = phone.WhatsApp, phone.Code(vars["1"])
	} else if m.Text == "" || len(m.Text) > 1600 {
		twilioError(w, 400, 21602)
		return
	}
	segments := 1
	if n := phone.Septets(m.Text); n < 0 || n > phone.MaxText {
		segments = 2
	}
	if m.Code == "" {
		m.Code = firstDigits(m.Text)
	}
	ref := f.keep("SM", p, m)
	writeJSON(w, 201, map[string]any{
		"account_sid": f.account, "api_version": "2010-04-01", "body": m.Text, "date_created": f.now().UTC().Format(time.RFC1123Z), "date_sent": nil,
		"date_updated": f.now().UTC().Format(time.RFC1123Z), "direction": "outbound-api", "error_code": nil, "error_message": nil,
		"from": p.Get("From"), "messaging_service_sid": nil, "num_media": "0", "num_segments": strconv.Itoa(segments), "price": nil,
		"price_unit": "USD", "sid": ref, "status": "queued", "to": p.Get("To"), "uri": "/2010-04-01/Accounts/" + f.account + "/Messages/" + ref + ".json",
	})
}

func (f *Twilio) keep(prefix string, p url.Values, m phone.Message) string {
	m.ID = randomSID(prefix)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.messages[m.ID] = p
	f.Inbox.mu.Lock()
	f.Inbox.put(m)
	f.Inbox.mu.Unlock()
	return m.ID
}

// firstDigits is the first run of four digits and more.
func firstDigits(s string) phone.Code {
	for i := 0; i < len(s); i++ {
		j := i
		for j < len(s) && s[j] >= '0' && s[j] <= '9' {
			j++
		}
		if j-i >= 4 {
			return phone.Code(s[i:j])
		}
		i = j
	}
	return ""
}

func (f *Twilio) postCall(w http.ResponseWriter, r *http.Request) {
	p, to := f.form(w, r, "Calls")
	if p == nil {
		return
	}
	twiml := p.Get("Twiml")
	said, ok := listen(twiml)
	timeout, err := strconv.Atoi(p.Get("Timeout"))
	if len(twiml) > 4000 || !ok || err != nil || timeout < 1 || timeout > 600 {
		twilioError(w, 400, 21218)
		return
	}
	code := phone.Code(strings.Join(strings.FieldsFunc(said, func(r rune) bool { return r < '0' || r > '9' }), ""))
	ref := f.keep("CA", p, phone.Message{To: to, Channel: phone.Voice, Text: said, Code: code[:len(code)/2]}) // said twice
	writeJSON(w, 201, map[string]any{"account_sid": f.account, "answered_by": nil, "api_version": "2010-04-01", "direction": "outbound-api",
		"from": p.Get("From"), "price": nil, "price_unit": "USD", "sid": ref, "status": "queued", "to": p.Get("To")})
}

// listen is what a TwiML document says, and whether it is well-formed and has nothing but verbs that speak.
func listen(doc string) (string, bool) {
	d := xml.NewDecoder(strings.NewReader(doc))
	var said strings.Builder
	depth, elements := 0, 0
	for {
		t, err := d.Token()
		if err == io.EOF {
			return said.String(), depth == 0 && elements > 0
		}
		if err != nil {
			return "", false
		}
		switch t := t.(type) {
		case xml.StartElement:
			if !slices.Contains([]string{"Response", "Say", "Pause"}, t.Name.Local) || (depth == 0) != (t.Name.Local == "Response") {
				return "", false
			}
			depth++
			elements++
		case xml.EndElement:
			depth--
		case xml.CharData:
			said.Write(t)
		default:
			return "", false
		}
	}
}

const (
	verifyTTL    = 10 * time.Minute
	verifySends  = 5
	verifyChecks = 5
)

func (f *Twilio) postVerification(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if r.ParseForm() != nil || r.PathValue("service") != f.service {
		twilioError(w, 404, 20404)
		return
	}
	to, channel := r.PostForm.Get("To"), r.PostForm.Get("Channel")
	n, err := phone.Parse(to, "")
	if err != nil || n.E164() != to || !slices.Contains([]string{"sms", "call", "whatsapp", "auto"}, channel) {
		twilioError(w, 400, 60200)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.ContainsFunc(f.blocked, func(s string) bool { return strings.HasPrefix(to, s) }) && r.PostForm.Get("RiskCheck") != "disable" {
		twilioError(w, 403, 60410)
		return
	}
	v := f.pending(to)
	if v == nil {
		v = &verification{sid: randomSID("VE"), to: to, status: "pending", at: f.now(), code: "1"}
		b := make([]byte, 5)
		_, _ = rand.Read(b)
		for _, x := range b {
			v.code += string(rune('0' + x%10))
		}
		f.verifications[v.sid] = v
	}
	if v.sends == verifySends {
		twilioError(w, 429, 60203)
		return
	}
	v.sends++
	v.channel = channel
	f.Inbox.mu.Lock()
	ch := map[string]phone.Channel{"call": phone.Voice, "whatsapp": phone.WhatsApp}[channel]
	if ch == 0 {
		ch = phone.SMS
	}
	f.Inbox.put(phone.Message{ID: v.sid, To: n, Channel: ch, Code: phone.Code(v.code), Text: "Your code is " + v.code})
	f.Inbox.mu.Unlock()
	writeJSON(w, 201, f.verification(v))
}

// pending is the open verification of a number; f.mu is held.
func (f *Twilio) pending(to string) *verification {
	for _, v := range f.verifications {
		if v.to == to && v.status == "pending" && f.now().Sub(v.at) < verifyTTL {
			return v
		}
	}
	return nil
}

func (f *Twilio) verification(v *verification) map[string]any {
	at := v.at.UTC().Format(time.RFC3339)
	return map[string]any{"sid": v.sid, "service_sid": f.service, "account_sid": f.account, "to": v.to, "channel": v.channel, "status": v.status,
		"valid": v.status == "approved", "lookup": map[string]any{}, "amount": nil, "payee": nil, "date_created": at, "date_updated": at, "sna": nil,
		"send_code_attempts": []map[string]any{{"time": at, "channel": strings.ToUpper(v.channel), "attempt_sid": randomSID("VL")}}}
}

func (f *Twilio) postCheck(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if r.ParseForm() != nil || r.PathValue("service") != f.service {
		twilioError(w, 404, 20404)
		return
	}
	code := r.PostForm.Get("Code")
	if len(code) < 4 || len(code) > 10 {
		twilioError(w, 400, 60200)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.verifications[r.PostForm.Get("VerificationSid")]
	if v == nil && r.PostForm.Get("To") != "" {
		v = f.pending(r.PostForm.Get("To"))
	}
	switch {
	case v == nil || v.status != "pending" || f.now().Sub(v.at) >= verifyTTL:
		twilioError(w, 404, 20404)
		return
	case v.checks == verifyChecks:
		twilioError(w, 429, 60202)
		return
	}
	v.checks++
	if v.code == code {
		v.status = "approved"
	}
	writeJSON(w, 200, f.verification(v))
}

var lookupFields = []string{"caller_name", "sim_swap", "call_forwarding", "line_status", "line_type_intelligence", "identity_match",
	"reassigned_number", "sms_pumping_risk", "phone_number_quality_score", "pre_fill"}

func (f *Twilio) getLookup(w http.ResponseWriter, r *http.Request) {
	asked := r.PathValue("number")
	body := map[string]any{"calling_country_code": nil, "country_code": nil, "phone_number": asked, "national_format": nil, "valid": false,
		"validation_errors": []string{"NOT_A_NUMBER"}, "url": "https://lookups.twilio.com/v2/PhoneNumbers/" + asked}
	for _, name := range lookupFields {
		body[name] = nil
	}
	n, err := phone.Parse(asked, r.URL.Query().Get("CountryCode"))
	if err == nil {
		body["phone_number"], body["country_code"], body["calling_country_code"] = n.E164(), n.Region(), strconv.Itoa(n.CallingCode())
		body["valid"], body["validation_errors"] = true, []string{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range strings.FieldsFunc(r.URL.Query().Get("Fields"), func(c rune) bool { return c == ',' }) {
		if name == "validation" {
			continue
		}
		if !slices.Contains(lookupFields, name) {
			twilioError(w, 400, 60200)
			return
		}
		body[name] = f.pack(name, n, r.URL.Query())
	}
	for name, v := range f.lookups[n.E164()] {
		if _, asked := body[name]; asked && (name == "valid" || body[name] != nil) {
			body[name] = v
		}
	}
	writeJSON(w, 200, body)
}

// pack is what a package says of a number nobody has set; f.mu is held.
func (f *Twilio) pack(name string, n phone.Number, q url.Values) any {
	type object = map[string]any
	switch name {
	case "line_type_intelligence":
		kind := map[phone.LineType]string{phone.Mobile: "mobile", phone.FixedOrMobile: "mobile", phone.Landline: "landline",
			phone.NonFixedVoIP: "nonFixedVoip", phone.TollFree: "tollFree", phone.Premium: "premium", phone.Personal: "personal"}[n.Line()]
		if kind == "" {
			kind = "unknown"
		}
		if kind != "mobile" && kind != "landline" && kind != "nonFixedVoip" {
			return object{"type": kind, "carrier_name": nil, "mobile_country_code": nil, "mobile_network_code": nil, "error_code": nil}
		}
		return object{"type": kind, "carrier_name": "Fake Mobile", "mobile_country_code": "242", "mobile_network_code": "01", "error_code": nil}
	case "sim_swap":
		return object{"last_sim_swap": object{"last_sim_swap_date": nil, "swapped_period": "PT48H", "swapped_in_period": false},
			"carrier_name": "Fake Mobile", "mobile_country_code": "242", "mobile_network_code": "01", "error_code": nil}
	case "sms_pumping_risk":
		f.requests++ // the score of one number moves
		return object{"carrier_risk_category": "low", "number_blocked": nil, "number_blocked_date": nil, "number_blocked_last_3_months": nil,
			"sms_pumping_risk_score": 5 + f.requests%8, "error_code": nil}
	case "reassigned_number":
		if q.Get("LastVerifiedDate") == "" {
			return object{"last_verified_date": nil, "is_number_reassigned": nil, "error_code": "60617"}
		}
		return object{"last_verified_date": q.Get("LastVerifiedDate"), "is_number_reassigned": "no", "error_code": nil}
	case "call_forwarding":
		return object{"call_forwarding_enabled": false, "error_code": nil}
	}
	return object{"error_code": 60606}
}
