package phonetest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/vestibule-go/vestibule/phone"
)

// Vonage is a fake Vonage: Identity Insights and Verify v2 on one loopback server, with tokens checked. It is safe for
// concurrent use.
type Vonage struct {
	server
	// Inbox holds the codes that were sent.
	Inbox *Inbox
	now   func() time.Time

	key       *rsa.PrivateKey
	insights  map[string]map[string]any
	verifying map[string]*vonageRequest
}

type vonageRequest struct {
	id, to, code string
	wrong        int
	at           time.Time
	length       time.Duration
	done         bool
}

var vonageKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return key
})

// VonageOptions of a [Vonage]. The zero value and nil mean the defaults.
type VonageOptions struct {
	Now func() time.Time
}

// VonageApplication is the id of the application the fake knows.
const VonageApplication = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"

// NewVonage starts a fake Vonage. Close ends it.
func NewVonage(opts *VonageOptions) *Vonage {
	f := &Vonage{Inbox: NewInbox(), now: time.Now, key: vonageKey(), insights: map[string]map[string]any{}, verifying: map[string]*vonageRequest{}}
	if opts != nil && opts.Now != nil {
		f.now = opts.Now
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /identity-insights/v1/requests", f.postInsights)
	mux.HandleFunc("POST /v2/verify", f.postVerify)
	mux.HandleFunc("POST /v2/verify/{id}", f.postCode)
	f.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !f.authorized(r) {
			vonageError(w, 401, "Unauthorized")
			return
		}
		mux.ServeHTTP(w, r)
	}))
	return f
}

// PrivateKey is the application's key in PEM.
func (f *Vonage) PrivateKey() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(f.key)
	if err != nil {
		panic(err) // an RSA key can be marshalled
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// authorized checks the token: RS256, application, times.
func (f *Vonage) authorized(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	parts := strings.Split(token, ".")
	if !ok || len(parts) != 3 {
		return false
	}
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err != nil || rsa.VerifyPKCS1v15(&f.key.PublicKey, crypto.SHA256, sum[:], sig) != nil {
		return false
	}
	var head struct{ Alg string }
	var claims struct {
		Application string `json:"application_id"`
		Iat, Exp    int64
		Jti         string
	}
	for i, v := range []any{&head, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(raw, v) != nil {
			return false
		}
	}
	now := f.now().Unix()
	return head.Alg == "RS256" && claims.Application == VonageApplication && claims.Jti != "" && claims.Iat <= now+5 && now < claims.Exp
}

func vonageError(w http.ResponseWriter, status int, title string) {
	writeJSON(w, status, map[string]any{"type": "https://developer.vonage.com/api-errors", "title": title, "detail": "The request failed", "instance": randomSID("")})
}

// SetInsight sets an insight of a number: "current_carrier", "sim_swap" and so on, with its "status".
func (f *Vonage) SetInsight(number, name string, v any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.insights[number] == nil {
		f.insights[number] = map[string]any{}
	}
	f.insights[number][name] = v
}

func (f *Vonage) postInsights(w http.ResponseWriter, r *http.Request) {
	type object = map[string]any
	var in struct {
		Number   string `json:"phone_number"`
		Purpose  string
		Insights map[string]struct{ Period *int }
	}
	if json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&in) != nil || len(in.Insights) == 0 {
		vonageError(w, 400, "Bad Request")
		return
	}
	ok := object{"code": "OK", "message": "Success"}
	out := object{}
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, o := range in.Insights {
		switch {
		case o.Period != nil && (*o.Period < 1 || *o.Period > 2400):
			vonageError(w, 422, "Invalid period")
			return
		case f.insights[in.Number][name] != nil:
			out[name] = f.insights[in.Number][name]
		case name == "format":
			_, err := phone.Parse(in.Number, "")
			out[name] = object{"is_format_valid": err == nil, "number_international": in.Number, "status": ok}
		case name == "current_carrier":
			out[name] = object{"name": "Fake Mobile", "network_type": "MOBILE", "country_code": "NO", "network_code": "24201", "status": ok}
		case name == "sim_swap", name == "device_swap":
			out[name] = object{"is_swapped": false, "status": ok}
		case name == "reachability":
			out[name] = object{"is_reachable": true, "status": ok}
		default:
			out[name] = object{"status": object{"code": "UNAUTHORIZED", "message": "Not enabled"}}
		}
	}
	writeJSON(w, 200, object{"request_id": randomSID(""), "insights": out})
}

func (f *Vonage) postVerify(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Brand    string
		Workflow []struct{ Channel, To string }
		Timeout  int `json:"channel_timeout"`
		Length   int `json:"code_length"`
	}
	if json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&in) != nil || len(in.Workflow) != 1 || in.Brand == "" || len(in.Brand) > 16 ||
		in.Timeout < 15 || in.Timeout > 900 || in.Length < 4 || in.Length > 10 {
		vonageError(w, 422, "Invalid params")
		return
	}
	to := "+" + in.Workflow[0].To
	n, err := phone.Parse(to, "")
	if err != nil {
		vonageError(w, 422, "Invalid params")
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, v := range f.verifying {
		if v.to == to && !v.done && f.now().Sub(v.at) < v.length {
			writeJSON(w, 409, map[string]any{"title": "Conflict", "detail": "Concurrent verifications to the same number are not allowed", "request_id": v.id})
			return
		}
	}
	v := &vonageRequest{id: randomSID(""), to: to, at: f.now(), length: time.Duration(in.Timeout) * time.Second}
	b := make([]byte, in.Length)
	_, _ = rand.Read(b)
	for _, x := range b {
		v.code += string(rune('0' + x%10))
	}
	f.verifying[v.id] = v
	ch := phone.SMS
	if in.Workflow[0].Channel == "voice" {
		ch = phone.Voice
	}
	f.Inbox.mu.Lock()
	f.Inbox.put(phone.Message{ID: v.id, To: n, Channel: ch, Code: phone.Code(v.code), Text: "Your code is " + v.code})
	f.Inbox.mu.Unlock()
	writeJSON(w, 202, map[string]any{"request_id": v.id})
}

func (f *Vonage) postCode(w http.ResponseWriter, r *http.Request) {
	var in struct{ Code string }
	bad := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&in) != nil
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.verifying[r.PathValue("id")]
	switch {
	case v == nil || v.done || f.now().Sub(v.at) >= v.length:
		vonageError(w, 404, "Not Found")
	case bad:
		vonageError(w, 422, "Invalid params")
	case v.wrong >= 3:
		vonageError(w, 410, "Invalid Code")
	case v.code != in.Code:
		v.wrong++
		vonageError(w, 400, "Invalid Code")
	default:
		v.done = true
		writeJSON(w, 200, map[string]any{"request_id": v.id, "status": "completed"})
	}
}
