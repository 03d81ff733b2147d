package phonetest

import (
	"cmp"
	"encoding/json"
	"encoding/xml"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/vestibule-go/vestibule/phone"
)

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
	if r.PathValue("account") != f.account {
		twilioError(w, 404, 20404)
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
	service := p.Get("MessagingServiceSid")
	code := 0
	switch {
	case from == "" && service == "" && resource == "Calls":
		code = 21213
	case from == "" && service == "":
		code = 21603
	case service != "" && (service != f.messaging || resource == "Calls"):
		code = 21701
	case to == "" && resource == "Calls":
		code = 21201
	case to == "":
		code = 21604
	case p.Get("StatusCallback") != "" && !strings.HasPrefix(p.Get("StatusCallback"), "https://"):
		code = 21609
	case strings.HasPrefix(p.Get("To"), "whatsapp:") != strings.HasPrefix(p.Get("From"), "whatsapp:"):
		code = 63007
	case p.Get("RiskCheck") != "" && p.Get("RiskCheck") != "enable" && p.Get("RiskCheck") != "disable":
		code = 20001
	}
	if code != 0 {
		twilioError(w, 400, code)
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
		twilioError(w, 400, 20001)
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
	} else if m.Text == "" {
		twilioError(w, 400, 21602)
		return
	} else if len(m.Text) > 1600 {
		twilioError(w, 400, 21617)
		return
	}
	if m.Code == "" {
		m.Code = firstDigits(m.Text)
	}
	at := f.now().UTC().Format(time.RFC1123Z)
	writeJSON(w, 201, f.keep("SM", m, map[string]any{
		"account_sid": f.account, "api_version": "2010-04-01", "body": m.Text, "date_created": at, "date_sent": nil, "date_updated": at,
		"direction": "outbound-api", "error_code": nil, "error_message": nil, "from": orNil(p.Get("From")),
		"messaging_service_sid": orNil(p.Get("MessagingServiceSid")), "num_media": "0", "num_segments": strconv.Itoa(segments(m.Text)),
		"price": nil, "price_unit": "USD", "status": map[bool]string{true: "accepted", false: "queued"}[p.Get("From") == ""], "to": p.Get("To"),
	}, "Messages"))
}

// segments is how many messages a text takes (3GPP TS 23.038).
func segments(s string) int {
	n, whole, part := phone.Septets(s), phone.MaxText, 153
	if n < 0 {
		n, whole, part = len(utf16.Encode([]rune(s))), 70, 67
	}
	if n <= whole {
		return 1
	}
	return (n + part - 1) / part
}

func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// keep puts a message or call into the inbox and returns what is answered for it.
func (f *Twilio) keep(prefix string, m phone.Message, body map[string]any, resource string) map[string]any {
	m.ID = randomSID(prefix)
	body["sid"] = m.ID
	body["uri"] = "/2010-04-01/Accounts/" + f.account + "/" + resource + "/" + m.ID + ".json"
	body["subresource_uris"] = map[string]any{}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.messages[m.ID] = body
	f.Inbox.add(m)
	return maps.Clone(body)
}

// Advance says what became of a message or call: what a fetch shows from now on, as Callback reports it.
func (f *Twilio) Advance(ref, status string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.messages[ref]
	if m == nil {
		return
	}
	m["status"] = status
	switch status {
	case "undelivered", "failed":
		m["error_code"], m["error_message"] = 30003, "Unreachable destination handset"
	case "delivered", "sent":
		m["price"] = "-0.00790"
	}
}

// getMessage fetches a message or call.
func (f *Twilio) getMessage(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ref, ok := strings.CutSuffix(r.PathValue("sid"), ".json")
	m := f.messages[ref]
	calls := strings.Contains(r.URL.Path, "/Calls/")
	if !ok || m == nil || r.PathValue("account") != f.account || calls != strings.HasPrefix(ref, "CA") {
		twilioError(w, 404, 20404)
		return
	}
	writeJSON(w, 200, m)
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
	timeout, err := strconv.Atoi(cmp.Or(p.Get("Timeout"), "60"))
	if len(twiml) > 4000 || !ok || err != nil || timeout < 1 || timeout > 600 {
		twilioError(w, 400, 21218)
		return
	}
	code := phone.Code(strings.Join(strings.FieldsFunc(said, func(r rune) bool { return r < '0' || r > '9' }), ""))
	if len(code)%2 != 0 || code == "" || code[:len(code)/2] != code[len(code)/2:] {
		code += code // said once
	}
	body := map[string]any{"account_sid": f.account, "answered_by": nil, "api_version": "2010-04-01", "direction": "outbound-api",
		"from": p.Get("From"), "from_formatted": p.Get("From"), "price": nil, "price_unit": "USD", "status": "queued", "to": p.Get("To"), "to_formatted": p.Get("To")}
	for _, name := range []string{"caller_name", "date_created", "date_updated", "duration", "end_time", "forwarded_from", "group_sid", "parent_call_sid",
		"phone_number_sid", "queue_time", "start_time", "trunk_sid"} {
		body[name] = nil
	}
	writeJSON(w, 201, f.keep("CA", phone.Message{To: to, Channel: phone.Voice, Text: said, Code: code[:len(code)/2]}, body, "Calls"))
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
