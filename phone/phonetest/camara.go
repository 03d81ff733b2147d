package phonetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/phone"
)

// CAMARA is a fake operator: Number Verification, SIM Swap, Device Swap and Number Recycling on one loopback server. It
// is safe for concurrent use.
type CAMARA struct {
	server
	now func() time.Time

	devices   map[string]string    // user token -> number; "" on Wi-Fi
	swaps     map[string]time.Time // api and number -> when
	refused   map[string]string    // number -> code
	recycled  map[string]time.Time
	monitored int
	token     string // of two-legged access
}

// CAMARAOptions of a [CAMARA]. The zero value and nil mean the defaults.
type CAMARAOptions struct {
	Now func() time.Time
}

// NewCAMARA starts a fake operator. Close ends it.
func NewCAMARA(opts *CAMARAOptions) *CAMARA {
	f := &CAMARA{now: time.Now, devices: map[string]string{}, swaps: map[string]time.Time{}, refused: map[string]string{}, recycled: map[string]time.Time{},
		monitored: 120, token: randomSID("token")}
	if opts != nil && opts.Now != nil {
		f.now = opts.Now
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /number-verification/v2/verify", f.postVerify)
	mux.HandleFunc("GET /number-verification/v2/device-phone-number", f.getNumber)
	mux.HandleFunc("POST /sim-swap/v2/check", f.postCheck("sim"))
	mux.HandleFunc("POST /sim-swap/v2/retrieve-date", f.postDate("sim", "latestSimChange"))
	mux.HandleFunc("POST /device-swap/v1/check", f.postCheck("device"))
	mux.HandleFunc("POST /device-swap/v1/retrieve-date", f.postDate("device", "latestDeviceChange"))
	mux.HandleFunc("POST /number-recycling/v0.2/check", f.postRecycling)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { camaraError(w, 404, "NOT_FOUND") })
	f.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := r.Header.Get("X-Correlator"); c != "" {
			w.Header().Set("X-Correlator", c)
		}
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); r.Method == http.MethodPost && (err != nil || kind != "application/json") {
			camaraError(w, 400, "INVALID_ARGUMENT")
			return
		}
		mux.ServeHTTP(w, r)
	}), func(w http.ResponseWriter) { camaraError(w, 429, "TOO_MANY_REQUESTS") })
	return f
}

// Device gives a user token to a device with a number; "" is a device on Wi-Fi.
func (f *CAMARA) Device(number string) phone.Token {
	f.mu.Lock()
	defer f.mu.Unlock()
	token := randomSID("user")
	f.devices[token] = number
	return phone.Token(token)
}

// Swap says when a number's SIM ("sim") or device ("device") changed.
func (f *CAMARA) Swap(what, number string, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.swaps[what+number] = at
}

// Recycle says when a number was given to somebody else.
func (f *CAMARA) Recycle(number string, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.recycled[number] = at
}

// camaraStatus are the codes that a number can be refused with.
var camaraStatus = map[string]int{"INVALID_ARGUMENT": 400, "OUT_OF_RANGE": 400, "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "IDENTIFIER_NOT_FOUND": 404,
	"SERVICE_NOT_APPLICABLE": 422, "MISSING_IDENTIFIER": 422, "UNNECESSARY_IDENTIFIER": 422, "QUOTA_EXCEEDED": 429, "TOO_MANY_REQUESTS": 429,
	"INTERNAL": 500, "NOT_IMPLEMENTED": 501, "UNAVAILABLE": 503, "TIMEOUT": 504}

// Refuse makes every question about a number fail with one of CAMARA's codes; "" ends that. It panics for a code that
// there is not.
func (f *CAMARA) Refuse(number, code string) {
	if code != "" && camaraStatus[code] == 0 {
		panic("phonetest: CAMARA has no code " + code)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refused[number] = code
}

// Forget makes a number one of another operator.
func (f *CAMARA) Forget(number string) { f.Refuse(number, "IDENTIFIER_NOT_FOUND") }

// Expire makes the token of two-legged access invalid; Token with fresh gives a new one.
func (f *CAMARA) Expire() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.token = randomSID("token")
}

// Tokens gives tokens of two-legged access: the one it gave last unless a fresh one is asked for.
func (f *CAMARA) Tokens() func(ctx context.Context, n phone.Number, scope string, fresh bool) (phone.Token, error) {
	kept := f.token
	return func(_ context.Context, _ phone.Number, _ string, fresh bool) (phone.Token, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if fresh {
			kept = f.token
		}
		return phone.Token(kept), nil
	}
}

func camaraError(w http.ResponseWriter, status int, code string) {
	writeJSON(w, status, map[string]any{"status": status, "code": code, "message": "The request failed"})
}

var (
	camaraNumber = regexp.MustCompile(`^\+[1-9][0-9]{4,14}$`)
	camaraHash   = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)
)

func bearer(r *http.Request) string {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return "no bearer token"
	}
	return token
}

func (f *CAMARA) postVerify(w http.ResponseWriter, r *http.Request) {
	var in struct{ PhoneNumber, HashedPhoneNumber *string }
	bad := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&in) != nil
	f.mu.Lock()
	defer f.mu.Unlock()
	number, known := f.devices[bearer(r)]
	switch {
	case !known:
		camaraError(w, 401, "UNAUTHENTICATED")
	case bad || (in.PhoneNumber == nil) == (in.HashedPhoneNumber == nil) || in.PhoneNumber != nil && !camaraNumber.MatchString(*in.PhoneNumber) ||
		in.HashedPhoneNumber != nil && !camaraHash.MatchString(*in.HashedPhoneNumber):
		camaraError(w, 400, "INVALID_ARGUMENT")
	case number == "":
		camaraError(w, 403, "NUMBER_VERIFICATION.USER_NOT_AUTHENTICATED_BY_MOBILE_NETWORK")
	case f.refused[number] != "":
		camaraError(w, camaraStatus[f.refused[number]], f.refused[number])
	case in.PhoneNumber != nil:
		writeJSON(w, 200, map[string]any{"devicePhoneNumberVerified": *in.PhoneNumber == number})
	default:
		sum := sha256.Sum256([]byte(number))
		writeJSON(w, 200, map[string]any{"devicePhoneNumberVerified": strings.EqualFold(*in.HashedPhoneNumber, hex.EncodeToString(sum[:]))})
	}
}

// getNumber tells the number of the device.
func (f *CAMARA) getNumber(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch number, known := f.devices[bearer(r)]; {
	case !known:
		camaraError(w, 401, "UNAUTHENTICATED")
	case number == "":
		camaraError(w, 403, "NUMBER_VERIFICATION.USER_NOT_AUTHENTICATED_BY_MOBILE_NETWORK")
	default:
		writeJSON(w, 200, map[string]any{"devicePhoneNumber": number})
	}
}

// enter checks what the two-legged APIs have in common; f.mu is held.
func (f *CAMARA) enter(w http.ResponseWriter, r *http.Request, number *string) bool {
	switch _, threeLegged := f.devices[bearer(r)]; {
	case threeLegged && number != nil:
		camaraError(w, 422, "UNNECESSARY_IDENTIFIER")
	case !threeLegged && bearer(r) != f.token:
		camaraError(w, 401, "UNAUTHENTICATED")
	case number == nil:
		camaraError(w, 422, "MISSING_IDENTIFIER")
	case !camaraNumber.MatchString(*number):
		camaraError(w, 400, "INVALID_ARGUMENT")
	case f.refused[*number] != "":
		camaraError(w, camaraStatus[f.refused[*number]], f.refused[*number])
	default:
		return true
	}
	return false
}

func (f *CAMARA) postCheck(what string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			PhoneNumber *string
			MaxAge      *int
		}
		if json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&in) != nil {
			camaraError(w, 400, "INVALID_ARGUMENT")
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if !f.enter(w, r, in.PhoneNumber) {
			return
		}
		age := 240
		if in.MaxAge != nil {
			age = *in.MaxAge
		}
		if age < 1 || age > 2400 {
			camaraError(w, 400, "OUT_OF_RANGE")
			return
		}
		at, ok := f.swaps[what+*in.PhoneNumber]
		writeJSON(w, 200, map[string]any{"swapped": ok && f.now().Sub(at) <= time.Duration(age)*time.Hour})
	}
}

func (f *CAMARA) postDate(what, field string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in struct{ PhoneNumber *string }
		if json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&in) != nil {
			camaraError(w, 400, "INVALID_ARGUMENT")
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if !f.enter(w, r, in.PhoneNumber) {
			return
		}
		at, ok := f.swaps[what+*in.PhoneNumber]
		if !ok || f.now().Sub(at) > time.Duration(f.monitored)*24*time.Hour {
			writeJSON(w, 200, map[string]any{field: nil, "monitoredPeriod": f.monitored})
			return
		}
		writeJSON(w, 200, map[string]any{field: at.UTC().Format(time.RFC3339)})
	}
}

func (f *CAMARA) postRecycling(w http.ResponseWriter, r *http.Request) {
	var in struct {
		PhoneNumber   *string
		SpecifiedDate string
	}
	if json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&in) != nil {
		camaraError(w, 400, "INVALID_ARGUMENT")
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.enter(w, r, in.PhoneNumber) {
		return
	}
	date, err := time.Parse(time.DateOnly, in.SpecifiedDate)
	switch {
	case err != nil:
		camaraError(w, 400, "INVALID_ARGUMENT")
	case date.After(f.now()) || f.now().Sub(date) > 5*365*24*time.Hour:
		camaraError(w, 400, "OUT_OF_RANGE")
	default:
		at, ok := f.recycled[*in.PhoneNumber]
		writeJSON(w, 200, map[string]any{"phoneNumberRecycled": ok && at.After(date)})
	}
}
