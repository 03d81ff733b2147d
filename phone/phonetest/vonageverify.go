package phonetest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/phone"
)

type vonageRequest struct {
	id, to, code string
	channels     []string
	step         int // index of channels that is under way
	wrong        int
	at           time.Time
	length       time.Duration
	done         bool
	blocked      bool
}

// mostWrong is how many wrong codes end a verification.
const mostWrong = 3

// Block makes the anti-fraud of Verify block numbers with a prefix. As there, the request is accepted, no code is sent, and
// only the webhook says so: see [Vonage.Event].
func (f *Vonage) Block(prefix string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.blocked = append(f.blocked, prefix)
}

// Secret is the account's signature secret, which webhooks are signed with.
func (f *Vonage) Secret() phone.Token { return phone.Token(f.secret) }

// Event is the signed status webhook of a verification: its body and Authorization header.
func (f *Vonage) Event(ref, status string) (body []byte, authorization string) {
	f.mu.Lock()
	v := f.verifying[ref]
	f.mu.Unlock()
	event := map[string]any{"request_id": ref, "triggered_at": stamp(f.now()), "type": "summary", "channel_timeout": 300, "status": status,
		"finalized_at": stamp(f.now()), "client_ref": "ref", "price": "0.05"}
	if v != nil && v.blocked && status == "blocked" {
		event["reason"] = "Fraudulent traffic detected on network [ 24201 ]"
	}
	body, _ = json.Marshal(event) // texts and numbers
	return body, f.SignWebhook(body)
}

// SignWebhook is the Authorization header of a webhook with a body.
func (f *Vonage) SignWebhook(body []byte) string {
	sum := sha256.Sum256(body)
	claims, _ := json.Marshal(map[string]any{"iss": "Vonage", "iat": f.now().Unix(), "jti": randomSID(""), "api_key": "abcd1234",
		"application_id": VonageApplication, "payload_hash": hex.EncodeToString(sum[:])})
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	m := hmac.New(sha256.New, []byte(f.secret))
	m.Write([]byte(text))
	return "Bearer " + text + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

var vonageChannels = []string{"silent_auth", "sms", "whatsapp", "whatsapp_interactive", "voice", "email", "rcs"}

func (f *Vonage) postVerify(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Brand    string
		Workflow []struct{ Channel, To string }
		Timeout  *int    `json:"channel_timeout"`
		Length   *int    `json:"code_length"`
		Code     *string `json:"code"`
		Ref      string  `json:"client_ref"`
	}
	bad := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&in) != nil
	timeout, length := 300, 4 // the defaults
	if in.Timeout != nil {
		timeout = *in.Timeout
	}
	if in.Length != nil {
		length = *in.Length
	}
	switch {
	case bad, in.Brand == "", len([]rune(in.Brand)) > 16, len(in.Workflow) == 0, len(in.Workflow) > 3, timeout < 15 || timeout > 900, length < 4 || length > 10,
		in.Code != nil && (in.Length != nil || len(*in.Code) < 4 || len(*in.Code) > 10), len(in.Ref) > 16:
		vonageError(w, 422, "Invalid params")
		return
	}
	v := &vonageRequest{id: randomSID(""), to: "+" + in.Workflow[0].To, at: f.now(), length: time.Duration(timeout) * time.Second, code: randomDigits(length)}
	if in.Code != nil {
		v.code = *in.Code
	}
	n, err := phone.Parse(v.to, "")
	for _, x := range in.Workflow {
		if !slices.Contains(vonageChannels, x.Channel) || x.To != in.Workflow[0].To || err != nil || n.E164() != v.to {
			vonageError(w, 422, "Invalid params")
			return
		}
		v.channels = append(v.channels, x.Channel)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, o := range f.verifying {
		if o.to == v.to && f.open(o) {
			writeJSON(w, 409, map[string]any{"type": "https://developer.vonage.com/api-errors#conflict", "title": "Conflict", "instance": randomSID(""),
				"detail": "Concurrent verifications to the same number are not allowed", "request_id": o.id})
			return
		}
	}
	f.verifying[v.id] = v
	v.blocked = slices.ContainsFunc(f.blocked, func(s string) bool { return strings.HasPrefix(v.to, s) })
	out := map[string]any{"request_id": v.id}
	if v.channels[0] == "silent_auth" {
		out["check_url"] = "https://api-eu-3.vonage.com/v2/verify/" + v.id + "/silent-auth/redirect"
	}
	f.deliver(v)
	writeJSON(w, 202, out)
}

// open reports whether a verification is under way; f.mu is held.
func (f *Vonage) open(v *vonageRequest) bool {
	return v != nil && !v.done && !v.blocked && f.now().Sub(v.at) < v.length*time.Duration(len(v.channels))
}

// deliver sends the code on the channel of the step; f.mu is held.
func (f *Vonage) deliver(v *vonageRequest) {
	ch := map[string]phone.Channel{"sms": phone.SMS, "rcs": phone.SMS, "voice": phone.Voice, "whatsapp": phone.WhatsApp}[v.channels[v.step]]
	n, err := phone.Parse(v.to, "")
	if ch == 0 || v.blocked || err != nil {
		return
	}
	f.Inbox.add(phone.Message{ID: v.id, To: n, Channel: ch, Code: phone.Code(v.code), Text: "Your code is " + v.code})
}

func (f *Vonage) postCode(w http.ResponseWriter, r *http.Request) {
	var in struct{ Code string }
	bad := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&in) != nil
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.verifying[r.PathValue("id")]
	switch {
	case !f.open(v):
		vonageError(w, 404, "Not Found")
	case bad || len(in.Code) < 4 || len(in.Code) > 10:
		vonageError(w, 422, "Invalid params")
	case v.channels[v.step] == "silent_auth":
		vonageError(w, 409, "Invalid state")
	case v.wrong >= mostWrong:
		vonageError(w, 410, "Invalid Code")
	case v.code != in.Code:
		v.wrong++
		vonageError(w, 400, "Invalid Code")
	default:
		v.done = true
		writeJSON(w, 200, map[string]any{"request_id": v.id, "status": "completed"})
	}
}

// postNext goes on to the next channel, where there is one.
func (f *Vonage) postNext(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.verifying[r.PathValue("id")]
	switch {
	case !f.open(v):
		vonageError(w, 404, "Not Found")
	case v.step+1 == len(v.channels):
		vonageError(w, 409, "Conflict")
	default:
		v.step++
		f.deliver(v)
		w.WriteHeader(http.StatusOK)
	}
}

func (f *Vonage) deleteVerify(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.verifying[r.PathValue("id")]
	if !f.open(v) {
		vonageError(w, 404, "Not Found")
		return
	}
	v.done = true
	w.WriteHeader(http.StatusNoContent)
}

// postUnblock ends all blocks: the fake has one network.
func (f *Vonage) postUnblock(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Network  string
		Duration int `json:"unblock_duration"`
	}
	if json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&in) != nil || in.Network == "" || in.Duration < 0 {
		vonageError(w, 422, "Invalid params")
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.blocked) == 0 {
		vonageError(w, 404, "Not Found")
		return
	}
	f.blocked = nil
	writeJSON(w, 202, map[string]any{"network": in.Network, "unblocked_until": stamp(f.now().Add(time.Duration(in.Duration) * time.Second))})
}
