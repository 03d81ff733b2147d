package phonetest

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/phone"
)

var lookupFields = []string{"caller_name", "sim_swap", "call_forwarding", "line_status", "line_type_intelligence", "identity_match",
	"reassigned_number", "sms_pumping_risk", "phone_number_quality_score", "pre_fill"}

// swapMagic are numbers of Twilio's documentation whose SIM swap is fixed.
var swapMagic = map[string]string{"+12345678900": "PT48H", "+12345678901": "PT24H", "+12345678904": "PT48H", "+12345678907": "PT24H"}

func (f *Twilio) getLookup(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	var names []string
	if q.Has("Fields") {
		names = strings.Split(q.Get("Fields"), ",")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	body, code := f.lookup(r.PathValue("number"), q.Get("CountryCode"), names, q.Get("LastVerifiedDate"))
	if code != 0 {
		twilioError(w, 400, code)
		return
	}
	body["url"] = "https://lookups.twilio.com/v2/PhoneNumbers/" + r.PathValue("number")
	writeJSON(w, 200, body)
}

// lookup is what is answered about a number, or the code of an error; f.mu is held. A number that is not valid is an
// answer.
func (f *Twilio) lookup(asked, country string, names []string, verified string) (map[string]any, int) {
	body := map[string]any{"calling_country_code": nil, "country_code": nil, "phone_number": asked, "national_format": nil, "valid": false,
		"validation_errors": []string{"NOT_A_NUMBER"}}
	for _, name := range lookupFields {
		body[name] = nil
	}
	if country != "" && (len(country) != 2 || strings.ToUpper(country) != country) {
		return nil, 60200
	}
	n, err := phone.Parse(asked, country)
	if err == nil {
		body["phone_number"], body["country_code"], body["calling_country_code"] = n.E164(), n.Region(), strconv.Itoa(n.CallingCode())
		body["national_format"], body["valid"], body["validation_errors"] = n.E164()[1+len(strconv.Itoa(n.CallingCode())):], true, []string{}
	} else if digits := strings.TrimPrefix(asked, "+"); digits != "" && strings.Trim(digits, "0123456789") == "" {
		body["validation_errors"] = []string{map[bool]string{true: "TOO_SHORT", false: "INVALID_BUT_POSSIBLE"}[len(digits) < 8]}
		if len(digits) > 15 {
			body["validation_errors"] = []string{"TOO_LONG"}
		}
	}
	for _, name := range names {
		if name == "validation" {
			continue
		}
		if !slices.Contains(lookupFields, name) {
			return nil, 60200
		}
		body[name] = f.pack(name, n, verified)
	}
	for name, v := range f.lookups[n.E164()] {
		if _, known := body[name]; known && (name == "valid" || body[name] != nil) {
			body[name] = v
		}
	}
	if o := f.overrides[n.E164()]; o != nil {
		if line, ok := body["line_type_intelligence"].(map[string]any); ok {
			line = maps.Clone(line)
			line["type"], line["error_code"] = o["overridden_line_type"], nil
			body["line_type_intelligence"] = line
		}
	}
	return body, 0
}

// mostBatch is the most numbers of one batch.
const mostBatch = 100

// postBatch looks several numbers up. Each has its answer in the order of the questions; what is wrong with one is in
// its own twilio_error_code.
func (f *Twilio) postBatch(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Numbers []struct {
			ID       *string `json:"correlation_id"`
			Number   string  `json:"phone_number"`
			Fields   []string
			Country  string `json:"country_code"`
			Verified struct {
				Date string `json:"last_verified_date"`
			} `json:"reassigned_number"`
		} `json:"phone_numbers"`
	}
	if json.NewDecoder(r.Body).Decode(&in) != nil || len(in.Numbers) == 0 || len(in.Numbers) > mostBatch {
		twilioError(w, 400, 60200)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	list := []map[string]any{}
	for _, x := range in.Numbers {
		body, code := f.lookup(x.Number, x.Country, x.Fields, x.Verified.Date)
		if body == nil {
			body = map[string]any{"phone_number": x.Number}
		}
		body["correlation_id"], body["twilio_error_code"] = x.ID, nil
		if code != 0 {
			body["twilio_error_code"] = code
		}
		list = append(list, body)
	}
	writeJSON(w, 200, map[string]any{"phone_numbers": list})
}

var overrideTypes = []string{"mobile", "landline", "tollFree", "fixedVoip", "nonFixedVoip", "personal", "premium", "voicemail", "sharedCost", "uan", "pager"}

// override keeps what a customer says of a line type that Twilio is wrong about.
func (f *Twilio) override(w http.ResponseWriter, r *http.Request) {
	n, err := phone.Parse(r.PathValue("number"), "")
	if err != nil || r.PathValue("field") != "line_type_intelligence" {
		twilioError(w, 400, 60200)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	have := f.overrides[n.E164()]
	status := 200
	switch r.Method {
	case http.MethodDelete:
		delete(f.overrides, n.E164())
		w.WriteHeader(http.StatusNoContent)
		return
	case http.MethodGet:
	default:
		var in struct {
			Type   string `json:"line_type"`
			Reason string
		}
		if json.NewDecoder(r.Body).Decode(&in) != nil || !slices.Contains(overrideTypes, in.Type) || in.Reason == "" || r.Method == http.MethodPost && have != nil {
			twilioError(w, 400, 60200)
			return
		}
		if r.Method == http.MethodPut && have == nil {
			break
		}
		was, _ := f.pack("line_type_intelligence", n, "").(map[string]any)
		have = map[string]any{"phone_number": n.E164(), "original_line_type": was["type"], "overridden_line_type": in.Type, "override_reason": in.Reason,
			"override_timestamp": stamp(f.now()), "overridden_by_account_sid": f.account}
		f.overrides[n.E164()] = have
		if r.Method == http.MethodPost {
			status = 201
		}
	}
	if have == nil {
		twilioError(w, 404, 20404)
		return
	}
	writeJSON(w, status, have)
}

// pack is what a package says of a number nobody has set; f.mu is held.
func (f *Twilio) pack(name string, n phone.Number, verified string) any {
	type object = map[string]any
	switch name {
	case "line_type_intelligence":
		if n.Region() == "CA" && !f.canada {
			return object{"type": nil, "carrier_name": nil, "mobile_country_code": nil, "mobile_network_code": nil, "error_code": 60601}
		}
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
		return object{"last_sim_swap": object{"last_sim_swap_date": nil, "swapped_period": cmp.Or(swapMagic[n.E164()], "PT48H"), "swapped_in_period": false},
			"carrier_name": "Fake Mobile", "mobile_country_code": "242", "mobile_network_code": "01", "error_code": nil}
	case "sms_pumping_risk":
		f.scored++ // the score of one number moves
		return object{"carrier_risk_category": "low", "number_blocked": nil, "number_blocked_date": nil, "number_blocked_last_3_months": nil,
			"sms_pumping_risk_score": 5 + f.scored%8, "error_code": nil}
	case "reassigned_number":
		if _, err := time.Parse("20060102", verified); err != nil {
			return object{"last_verified_date": nil, "is_number_reassigned": nil, "error_code": "60617"}
		}
		return object{"last_verified_date": verified, "is_number_reassigned": "no", "error_code": nil}
	case "call_forwarding":
		return object{"call_forwarding_enabled": false, "error_code": nil}
	case "line_status":
		return object{"status": "active", "error_code": nil}
	case "caller_name":
		return object{"caller_name": nil, "caller_type": "UNDETERMINED", "error_code": nil}
	}
	return object{"error_code": 60606}
}
