package phonetest

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
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
	messaging, token              string
	canada                        bool // approved for line types there
	scored                        int
	blocked                       []string
	safe                          map[string]string // number -> sid of the safe list
	lookups                       map[string]map[string]any
	overrides                     map[string]map[string]any
	verifications                 map[string]*verification // by sid
	messages                      map[string]map[string]any
}

// TwilioOptions of a [Twilio]. The zero value and nil mean the defaults.
type TwilioOptions struct {
	Now func() time.Time
}

// NewTwilio starts a fake Twilio. Close ends it.
func NewTwilio(opts *TwilioOptions) *Twilio {
	f := &Twilio{Inbox: NewInbox(), now: time.Now, account: randomSID("AC"), key: randomSID("SK"), secret: randomSID("xx"), service: randomSID("VA"),
		messaging: randomSID("MG"), token: randomSID("")[:32], safe: map[string]string{}, lookups: map[string]map[string]any{},
		overrides: map[string]map[string]any{}, verifications: map[string]*verification{}, messages: map[string]map[string]any{}}
	if opts != nil && opts.Now != nil {
		f.now = opts.Now
	}
	mux := http.NewServeMux()
	for pattern, h := range map[string]http.HandlerFunc{
		"POST /2010-04-01/Accounts/{account}/Messages.json": f.postMessage,
		"POST /2010-04-01/Accounts/{account}/Calls.json":    f.postCall,
		"GET /2010-04-01/Accounts/{account}/Messages/{sid}": f.getMessage,
		"GET /2010-04-01/Accounts/{account}/Calls/{sid}":    f.getMessage,
		"POST /v2/Services/{service}/Verifications":         f.postVerification,
		"GET /v2/Services/{service}/Verifications/{sid}":    f.getVerification,
		"POST /v2/Services/{service}/Verifications/{sid}":   f.updateVerification,
		"POST /v2/Services/{service}/VerificationCheck":     f.postCheck,
		"GET /v2/Attempts":                                   f.getAttempts,
		"GET /v2/Attempts/Summary":                           f.getSummary,
		"GET /v2/Attempts/{sid}":                             f.getAttempt,
		"POST /v2/SafeList/Numbers":                          f.postSafe,
		"GET /v2/SafeList/Numbers/{number}":                  f.getSafe,
		"DELETE /v2/SafeList/Numbers/{number}":               f.deleteSafe,
		"GET /v2/PhoneNumbers/{number}":                      f.getLookup,
		"POST /v2/batch/query":                               f.postBatch,
		"GET /v2/PhoneNumbers/{number}/Overrides/{field}":    f.override,
		"POST /v2/PhoneNumbers/{number}/Overrides/{field}":   f.override,
		"PUT /v2/PhoneNumbers/{number}/Overrides/{field}":    f.override,
		"DELETE /v2/PhoneNumbers/{number}/Overrides/{field}": f.override,
		"/": func(w http.ResponseWriter, _ *http.Request) { twilioError(w, 404, 20404) },
	} {
		mux.HandleFunc(pattern, h)
	}
	f.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, pass, ok := r.BasicAuth(); !ok || (user != f.key || pass != f.secret) && (user != f.account || pass != f.token) {
			twilioError(w, 401, 20003)
			return
		}
		if f.readable(w, r) {
			mux.ServeHTTP(w, r)
		}
	}), func(w http.ResponseWriter) { twilioError(w, 429, 20429) })
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

// AuthToken is the account's own secret, which callbacks are signed with. The API takes it with the account's SID as well.
func (f *Twilio) AuthToken() phone.Token { return phone.Token(f.token) }

// Messaging is a messaging service that may send.
func (f *Twilio) Messaging() string { return f.messaging }

// ApproveCanada lets line types of Canadian numbers be looked up; before, they are error 60601.
func (f *Twilio) ApproveCanada() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.canada = true
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

// SetLookup sets a package of a number's look-up: "line_type_intelligence" and so on, or "valid".
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

// readable refuses bodies of another type than the API's. It answers what it refuses.
func (f *Twilio) readable(w http.ResponseWriter, r *http.Request) bool {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if r.Method != http.MethodPost && r.Method != http.MethodPut {
		return true
	}
	want := "application/x-www-form-urlencoded"
	if strings.HasPrefix(r.URL.Path, "/v2/batch/") || strings.Contains(r.URL.Path, "/Overrides/") {
		want = "application/json"
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != want {
		twilioError(w, 415, 20415)
		return false
	}
	if want != "application/json" && r.ParseForm() != nil {
		twilioError(w, 400, 20001)
		return false
	}
	return true
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
