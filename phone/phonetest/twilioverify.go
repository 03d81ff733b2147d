package phonetest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/phone"
)

// What Verify allows.
const (
	verifyTTL    = 10 * time.Minute
	verifySends  = 5
	verifyChecks = 5
)

type verification struct {
	sid, to, channel, status string
	country, code            string
	checks                   int
	at, updated              time.Time
	attempts                 []attempt
}

// attempt is one message of a verification.
type attempt struct {
	sid, channel string
	at           time.Time
}

var verifyChannels = []string{"sms", "call", "whatsapp", "email", "sna", "auto"}

func (f *Twilio) postVerification(w http.ResponseWriter, r *http.Request) {
	p := r.PostForm
	if r.PathValue("service") != f.service {
		twilioError(w, 404, 20404)
		return
	}
	to, channel := p.Get("To"), p.Get("Channel")
	n, err := phone.Parse(to, "")
	hash, custom := p.Get("AppHash"), p.Get("CustomCode")
	tags := map[string]string{}
	switch {
	case err != nil || n.E164() != to || !slices.Contains(verifyChannels, channel),
		hash != "" && len(hash) != 11,
		p.Get("RiskCheck") != "" && p.Get("RiskCheck") != "enable" && p.Get("RiskCheck") != "disable",
		p.Get("Tags") != "" && json.Unmarshal([]byte(p.Get("Tags")), &tags) != nil,
		custom != "" && (len(custom) < 4 || len(custom) > 10):
		twilioError(w, 400, 60200)
		return
	case channel == "email" || channel == "sna" || custom != "":
		twilioError(w, 403, 60204) // not enabled for the service
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.safe[to] == "" && p.Get("RiskCheck") != "disable" && slices.ContainsFunc(f.blocked, func(s string) bool { return strings.HasPrefix(to, s) }) {
		twilioError(w, 403, 60410)
		return
	}
	v := f.pending(to)
	if v == nil {
		v = &verification{sid: randomSID("VE"), to: to, status: "pending", country: n.Region(), at: f.now(), code: randomDigits(6)}
		f.verifications[v.sid] = v
	}
	if len(v.attempts) == verifySends {
		twilioError(w, 429, 60203)
		return
	}
	v.channel, v.updated = channel, f.now()
	v.attempts = append(v.attempts, attempt{randomSID("VL"), channel, f.now()})
	ch := map[string]phone.Channel{"call": phone.Voice, "whatsapp": phone.WhatsApp}[channel]
	if ch == 0 {
		ch = phone.SMS
	}
	f.Inbox.add(phone.Message{ID: v.sid, To: n, Channel: ch, Code: phone.Code(v.code), Text: "Your code is " + v.code, Locale: p.Get("Locale")})
	writeJSON(w, 201, f.verification(v))
}

// randomDigits makes n digits.
func randomDigits(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	for i := range b {
		b[i] = '0' + b[i]%10 // near enough to uniform for a fake
	}
	return string(b)
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
	attempts := []map[string]any{}
	for _, a := range v.attempts {
		attempts = append(attempts, map[string]any{"time": stamp(a.at), "channel": strings.ToUpper(a.channel), "attempt_sid": a.sid})
	}
	return map[string]any{"sid": v.sid, "service_sid": f.service, "account_sid": f.account, "to": v.to, "channel": v.channel, "status": v.status,
		"valid": v.status == "approved", "lookup": map[string]any{}, "amount": nil, "payee": nil, "date_created": stamp(v.at), "date_updated": stamp(v.updated),
		"sna": nil, "send_code_attempts": attempts, "url": "https://verify.twilio.com/v2/Services/" + f.service + "/Verifications/" + v.sid}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// find answers for a verification that is not known or over.
func (f *Twilio) find(w http.ResponseWriter, r *http.Request) *verification {
	v := f.verifications[r.PathValue("sid")]
	if v == nil || r.PathValue("service") != f.service || v.status != "pending" || f.now().Sub(v.at) >= verifyTTL {
		twilioError(w, 404, 20404)
		return nil
	}
	return v
}

func (f *Twilio) getVerification(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if v := f.find(w, r); v != nil {
		writeJSON(w, 200, f.verification(v))
	}
}

// updateVerification takes what was found out elsewhere: approved or canceled.
func (f *Twilio) updateVerification(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.find(w, r)
	if v == nil {
		return
	}
	status := r.PostForm.Get("Status")
	if status != "approved" && status != "canceled" {
		twilioError(w, 400, 60200)
		return
	}
	v.status, v.updated = status, f.now()
	writeJSON(w, 200, f.verification(v))
}

// postCheck compares. A wrong code is 200 with valid=false, a right one 201: the specification has both.
func (f *Twilio) postCheck(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("service") != f.service {
		twilioError(w, 404, 20404)
		return
	}
	code, sid, to := r.PostForm.Get("Code"), r.PostForm.Get("VerificationSid"), r.PostForm.Get("To")
	if len(code) < 4 || len(code) > 10 || sid == "" && to == "" {
		twilioError(w, 400, 60200)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.verifications[sid]
	if sid == "" {
		v = f.pending(to)
	}
	switch {
	case v == nil || v.status != "pending" || f.now().Sub(v.at) >= verifyTTL || to != "" && v.to != to:
		twilioError(w, 404, 20404)
		return
	case v.checks == verifyChecks:
		twilioError(w, 429, 60202)
		return
	}
	v.checks++
	v.updated = f.now()
	status := 200
	if v.code == code {
		v.status, status = "approved", 201
	}
	writeJSON(w, status, map[string]any{"sid": v.sid, "service_sid": f.service, "account_sid": f.account, "to": v.to, "channel": v.channel, "status": v.status,
		"valid": v.status == "approved", "amount": nil, "payee": nil, "date_created": stamp(v.at), "date_updated": stamp(v.updated), "sna_attempts_error_codes": []any{}})
}

// attempts are all messages that a query asks for, oldest first; f.mu is held.
func (f *Twilio) attempts(q url.Values) []map[string]any {
	out := []map[string]any{}
	for _, v := range f.verifications {
		for _, a := range v.attempts {
			if x := f.attempt(v, a); asked(q, v, a, x["conversion_status"]) && (q.Get("VerifyServiceSid") == "" || q.Get("VerifyServiceSid") == f.service) {
				out = append(out, x)
			}
		}
	}
	slices.SortFunc(out, func(a, b map[string]any) int {
		return strings.Compare(fmt.Sprint(a["date_created"], a["sid"]), fmt.Sprint(b["date_created"], b["sid"]))
	})
	return out
}

// asked reports whether an attempt is one that a query asks for.
func asked(q url.Values, v *verification, a attempt, status any) bool {
	for name, is := range map[string]any{"VerificationSid": v.sid, "Status": status, "Channel": a.channel, "ChannelData.To": v.to, "Country": v.country} {
		if want := q.Get(name); want != "" && want != is {
			return false
		}
	}
	after, _ := time.Parse(time.RFC3339, q.Get("DateCreatedAfter"))
	before, _ := time.Parse(time.RFC3339, q.Get("DateCreatedBefore"))
	return strings.HasPrefix(v.to, q.Get("DestinationPrefix")) && !a.at.Before(after) && (before.IsZero() || !a.at.After(before))
}

func (f *Twilio) attempt(v *verification, a attempt) map[string]any {
	return map[string]any{"sid": a.sid, "account_sid": f.account, "service_sid": f.service, "verification_sid": v.sid,
		"date_created": stamp(a.at), "date_updated": stamp(v.updated), "channel": a.channel, "url": "https://verify.twilio.com/v2/Attempts/" + a.sid,
		"conversion_status": map[bool]string{true: "converted", false: "unconverted"}[v.status == "approved"],
		"price":             map[string]string{"value": "0.005", "currency": "usd"},
		"channel_data": map[string]any{"verification_sid": v.sid, "to": v.to, "status": "unconfirmed", "message_status": "delivered", "error_code": nil,
			"country": v.country, "code_length": len(v.code), "locale": "en", "mcc": "242", "mnc": "01", "carrier": "Fake Mobile"}}
}

func (f *Twilio) getAttempts(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	size, err := strconv.Atoi(r.URL.Query().Get("PageSize"))
	if r.URL.Query().Get("PageSize") == "" {
		size = 50
	} else if err != nil || size < 1 || size > 1000 {
		twilioError(w, 400, 60200)
		return
	}
	list := f.attempts(r.URL.Query())
	page, _ := strconv.Atoi(r.URL.Query().Get("Page"))
	at := min(max(page, 0)*size, len(list))
	link := func(page int) string {
		return fmt.Sprintf("https://verify.twilio.com/v2/Attempts?PageSize=%d&Page=%d", size, page)
	}
	meta := map[string]any{"key": "attempts", "page": page, "page_size": size, "first_page_url": link(0), "previous_page_url": nil, "url": link(page), "next_page_url": nil}
	if at+size < len(list) {
		meta["next_page_url"] = link(page + 1)
	}
	writeJSON(w, 200, map[string]any{"attempts": list[at:min(at+size, len(list))], "meta": meta})
}

func (f *Twilio) getAttempt(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.attempts(r.URL.Query()) {
		if a["sid"] == r.PathValue("sid") {
			writeJSON(w, 200, a)
			return
		}
	}
	twilioError(w, 404, 20404)
}

// getSummary says how many were converted. The rate is a text.
func (f *Twilio) getSummary(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	total, converted := 0, 0
	for _, a := range f.attempts(r.URL.Query()) {
		total++
		if a["conversion_status"] == "converted" {
			converted++
		}
	}
	rate := "0.0"
	if total > 0 {
		rate = strconv.FormatFloat(100*float64(converted)/float64(total), 'f', 9, 64)
	}
	writeJSON(w, 200, map[string]any{"total_attempts": total, "total_converted": converted, "total_unconverted": total - converted,
		"conversion_rate_percentage": rate, "url": "https://verify.twilio.com/v2/Attempts/Summary"})
}

func (f *Twilio) safeNumber(number string) map[string]any {
	return map[string]any{"sid": f.safe[number], "phone_number": number, "url": "https://verify.twilio.com/v2/SafeList/Numbers/" + number}
}

// postSafe puts a number on the list that Fraud Guard does not look at.
func (f *Twilio) postSafe(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	number := r.PostForm.Get("PhoneNumber")
	if n, err := phone.Parse(number, ""); err != nil || n.E164() != number {
		twilioError(w, 400, 60200)
		return
	}
	if f.safe[number] == "" {
		f.safe[number] = randomSID("GN")
	}
	writeJSON(w, 201, f.safeNumber(number))
}

func (f *Twilio) getSafe(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.safe[r.PathValue("number")] == "" {
		twilioError(w, 404, 20404)
		return
	}
	writeJSON(w, 200, f.safeNumber(r.PathValue("number")))
}

func (f *Twilio) deleteSafe(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.safe[r.PathValue("number")] == "" {
		twilioError(w, 404, 20404)
		return
	}
	delete(f.safe, r.PathValue("number"))
	w.WriteHeader(http.StatusNoContent)
}
