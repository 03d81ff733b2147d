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
	"mime"
	"net/http"
	"strconv"
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
	secret    string // of webhooks
	insights  map[string]map[string]any
	verifying map[string]*vonageRequest
	blocked   []string
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
	f := &Vonage{Inbox: NewInbox(), now: time.Now, key: vonageKey(), secret: randomSID(""), insights: map[string]map[string]any{}, verifying: map[string]*vonageRequest{}}
	if opts != nil && opts.Now != nil {
		f.now = opts.Now
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /identity-insights/v1/requests", f.postInsights)
	mux.HandleFunc("POST /v2/verify", f.postVerify)
	mux.HandleFunc("POST /v2/verify/{id}", f.postCode)
	mux.HandleFunc("POST /v2/verify/{id}/next-workflow", f.postNext)
	mux.HandleFunc("DELETE /v2/verify/{id}", f.deleteVerify)
	mux.HandleFunc("POST /v2/verify/network-unblock", f.postUnblock)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { vonageError(w, 404, "Not Found") })
	f.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !f.authorized(r) {
			vonageError(w, 401, "Unauthorized")
			return
		}
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); r.Method == http.MethodPost && r.ContentLength != 0 && (err != nil || kind != "application/json") {
			vonageError(w, 415, "Unsupported Media Type")
			return
		}
		mux.ServeHTTP(w, r)
	}), func(w http.ResponseWriter) { vonageError(w, 429, "Rate Limit Hit") })
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

// vonageInsights are the insights there are, and which of them take a period.
var vonageInsights = map[string]bool{"format": false, "original_carrier": false, "current_carrier": false, "sim_swap": true, "device_swap": true,
	"subscriber_match": false, "location_verification": false, "roaming": false, "reachability": false}

func (f *Vonage) postInsights(w http.ResponseWriter, r *http.Request) {
	type object = map[string]any
	var in struct {
		Number   string `json:"phone_number"`
		Purpose  string
		Insights map[string]struct{ Period *int }
	}
	if json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&in) != nil || len(in.Insights) == 0 || in.Number == "" {
		vonageError(w, 400, "Bad Request")
		return
	}
	ok := object{"code": "OK", "message": "Success"}
	n, err := phone.Parse(in.Number, "")
	out := object{}
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, o := range in.Insights {
		period, known := vonageInsights[name]
		switch {
		case !known || o.Period != nil && !period:
			vonageError(w, 400, "Bad Request")
			return
		case o.Period != nil && (*o.Period < 1 || *o.Period > 2400):
			vonageError(w, 422, "Invalid period")
			return
		case f.insights[in.Number][name] != nil:
			out[name] = f.insights[in.Number][name]
		case name == "format" && err != nil:
			out[name] = object{"is_format_valid": false, "status": ok}
		case err != nil:
			out[name] = object{"status": object{"code": "INVALID_NUMBER_FORMAT", "message": "The number is not valid"}}
		case name == "format":
			out[name] = object{"is_format_valid": true, "number_international": n.E164(), "country_code": n.Region(), "country_prefix": strconv.Itoa(n.CallingCode()), "status": ok}
		case name == "current_carrier", name == "original_carrier":
			out[name] = object{"name": "Fake Mobile", "network_type": "MOBILE", "country_code": "NO", "network_code": "24201", "status": ok}
		case in.Purpose != "FraudPreventionAndDetection":
			out[name] = object{"status": object{"code": "INVALID_PURPOSE", "message": "The purpose is not approved"}}
		case period:
			out[name] = object{"is_swapped": false, "status": ok}
		case name == "reachability":
			out[name] = object{"is_reachable": true, "status": ok}
		default:
			out[name] = object{"status": object{"code": "UNAUTHORIZED", "message": "Not enabled"}}
		}
	}
	writeJSON(w, 200, object{"request_id": randomSID(""), "insights": out})
}
