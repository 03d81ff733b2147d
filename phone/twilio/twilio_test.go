package twilio_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/phone/phonetest"
	"github.com/vestibule-go/vestibule/phone/twilio"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const everything = phone.FieldValid | phone.FieldLine | phone.FieldCarrier | phone.FieldSIMSwap | phone.FieldPumping | phone.FieldForwarding | phone.FieldActive | phone.FieldRecycled

func number(t testing.TB, s string) phone.Number {
	t.Helper()
	n, err := phone.Parse(s, "")
	require.NoError(t, err)
	return n
}

func vector(t testing.TB, name string, into any) {
	t.Helper()
	dir := os.Getenv("VESTIBULE_VECTORS")
	if dir == "" {
		t.Skip("VESTIBULE_VECTORS is not set: it names the folder of the vectors")
	}
	b, err := os.ReadFile(filepath.Join(dir, "phone", "twilio", name))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, into))
}

func fake(t testing.TB) *phonetest.Twilio {
	f := phonetest.NewTwilio(&phonetest.TwilioOptions{Now: func() time.Time { return now }})
	t.Cleanup(f.Close)
	return f
}

func newLookup(t testing.TB, f *phonetest.Twilio) *twilio.Lookup {
	l, err := twilio.NewLookup(f.Credentials(), &twilio.LookupOptions{HTTP: f.HTTP(), Now: func() time.Time { return now }})
	require.NoError(t, err)
	return l
}

func newSender(t testing.TB, f *phonetest.Twilio, from string) *twilio.Sender {
	s, err := twilio.NewSender(f.Credentials(), from, &twilio.SenderOptions{HTTP: f.HTTP()})
	require.NoError(t, err)
	return s
}

func newVerify(t testing.TB, f *phonetest.Twilio) *twilio.Verify {
	v, err := twilio.NewVerify(f.Credentials(), f.Service(), &twilio.VerifyOptions{HTTP: f.HTTP()})
	require.NoError(t, err)
	return v
}

func message(t testing.TB, to string, ch phone.Channel) phone.Message {
	return phone.Message{ID: "m1", To: number(t, to), Channel: ch, Code: "012345", Text: "012345 is your code.\n\n@example.com #012345", Brand: "Example", Locale: "en", TTL: 5 * time.Minute}
}

// Published bodies: what is null is unknown, what has a value is read.
func TestVectorsLookupExamples(t *testing.T) {
	var file map[string]json.RawMessage
	vector(t, "lookups_v2_fetch_examples.json", &file)
	for name, body := range file {
		t.Run("lookups_v2_fetch_examples.json/"+name, func(t *testing.T) {
			var raw map[string]any
			require.NoError(t, json.Unmarshal(body, &raw))
			got, _ := twilio.ParseLookup(body, phone.Query{Fields: everything}, now)
			require.Equal(t, phone.TriOf(raw["valid"] == true), got.Valid)
			known := got.Known()
			for pack, field := range map[string]phone.Fields{"line_type_intelligence": phone.FieldLine | phone.FieldCarrier, "sim_swap": phone.FieldSIMSwap,
				"sms_pumping_risk": phone.FieldPumping, "call_forwarding": phone.FieldForwarding, "line_status": phone.FieldActive, "reassigned_number": phone.FieldRecycled} {
				object, there := raw[pack].(map[string]any)
				if !there || object["error_code"] != nil {
					require.Zero(t, known&field, "%s is null or an error", pack)
				}
				if pack == "sms_pumping_risk" && there && object["error_code"] == nil {
					require.Equal(t, object["sms_pumping_risk_score"] != nil, got.HasPumping)
				}
				if pack == "call_forwarding" && there && object["error_code"] == nil {
					require.Equal(t, phone.TriOf(object["call_forwarding_enabled"] == true), got.Forwarding)
				}
			}
		})
	}
}

func TestVectorsLookupObservations(t *testing.T) {
	var file struct{ Rows []map[string]any }
	vector(t, "lookup_v2_live_observations.json", &file)
	for i, row := range file.Rows {
		t.Run(fmt.Sprintf("lookup_v2_live_observations.json/%d", i), func(t *testing.T) {
			body := map[string]any{"phone_number": row["input"], "valid": true, "validation_errors": nil}
			for _, k := range []string{"valid", "validation_errors", "phone_number"} {
				if row[k] != nil {
					body[k] = row[k]
				}
			}
			fields, _ := row["fields"].([]any)
			for _, f := range fields {
				pack := map[string]any{"error_code": row["error_code"]}
				for _, k := range []string{"type", "carrier_name", "sms_pumping_risk_score", "carrier_risk_category"} {
					if row[k] != nil {
						pack[k] = row[k]
					}
				}
				body[f.(string)] = pack
			}
			raw, err := json.Marshal(body)
			require.NoError(t, err)
			got, _ := twilio.ParseLookup(raw, phone.Query{Fields: everything}, now)
			rest := got.Known() &^ phone.FieldValid
			switch outcome := row["expected"].(map[string]any)["outcome"]; outcome {
			case "value":
				require.Equal(t, phone.Yes, got.Valid)
				require.Equal(t, len(fields) > 0, rest != 0)
				if row["type"] == "nonFixedVoip" {
					require.Equal(t, phone.NonFixedVoIP, got.Line)
				}
			case "unknown":
				require.Zero(t, rest)
				require.Equal(t, phone.Unknown, got.Line)
			case "invalid-number":
				require.Equal(t, phone.No, got.Valid)
			case "error":
				require.GreaterOrEqual(t, row["http"], 400.0)
			default:
				t.Fatalf("unknown outcome %v", outcome)
			}
		})
	}
}

// example serves one published answer and says what the clients make of it.
type example struct {
	Method, Path string
	Status       int
	Form         map[string]any `json:"request_form"`
	Response     json.RawMessage
}

func TestVectorsVerifyAndMessages(t *testing.T) {
	for _, name := range []string{"verify_v2_examples.json", "api_2010_messages_calls_examples.json"} {
		var file map[string]example
		vector(t, name, &file)
		for title, e := range file {
			t.Run(name+"/"+title, func(t *testing.T) {
				require.True(t, json.Valid(e.Response))
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(e.Status)
					_, _ = w.Write(e.Response)
				}))
				defer server.Close()
				cred := twilio.Credentials{AccountSID: "AC" + strings.Repeat("a", 32), Secret: "x"}
				http := twilio.HTTPOptions{BaseURL: server.URL}
				var body struct {
					To, Status, Sid string
					Valid           bool
				}
				_ = json.Unmarshal(e.Response, &body)
				switch {
				case strings.HasSuffix(e.Path, "/Messages.json") && e.Method == "POST", strings.HasSuffix(e.Path, "/Calls.json") && e.Method == "POST":
					s, err := twilio.NewSender(cred, "+14155552345", &twilio.SenderOptions{HTTP: http})
					require.NoError(t, err)
					got, err := s.Send(t.Context(), message(t, "+4740000000", phone.SMS))
					require.Equal(t, e.Status < 400, err == nil)
					if err == nil {
						require.Equal(t, body.Sid, got.Ref)
					}
				case strings.HasSuffix(e.Path, "/Verifications") && e.Method == "POST":
					v, err := twilio.NewVerify(cred, "VA"+strings.Repeat("a", 32), &twilio.VerifyOptions{HTTP: http})
					require.NoError(t, err)
					to, perr := phone.Parse(body.To, "")
					if perr != nil {
						to = number(t, "+4740000000")
					}
					got, err := v.Start(t.Context(), phone.Message{To: to, Channel: phone.SMS})
					if e.Status >= 400 {
						require.True(t, phone.Refused(err))
					} else if perr == nil && body.Status == "pending" {
						require.NoError(t, err)
						require.Equal(t, body.Sid, got.Ref)
					} else {
						require.Error(t, err, "an answer about something else")
					}
				case strings.HasSuffix(e.Path, "/VerificationCheck"):
					v, err := twilio.NewVerify(cred, "VA"+strings.Repeat("a", 32), &twilio.VerifyOptions{HTTP: http})
					require.NoError(t, err)
					to, perr := phone.Parse(body.To, "")
					if perr != nil {
						to = number(t, "+4740000000")
					}
					got, err := v.Check(t.Context(), "VE", to, "123456")
					require.Equal(t, body.Status == "approved" && body.Valid && perr == nil, err == nil && got == phone.HostedApproved)
				}
			})
		}
	}
}

func TestLookup(t *testing.T) {
	f := fake(t)
	l := newLookup(t, f)
	type object = map[string]any
	type row struct {
		name, pack string
		set        any
		fields     phone.Fields
		want       phone.Intel
		fails      bool
	}
	lti := func(kind any) object {
		return object{"type": kind, "carrier_name": nil, "mobile_country_code": nil, "mobile_network_code": nil, "error_code": nil}
	}
	swap := func(date any, period string, in any) object {
		return object{"last_sim_swap": object{"last_sim_swap_date": date, "swapped_period": period, "swapped_in_period": in}, "error_code": nil}
	}
	var rows []row
	for kind, want := range map[string]phone.LineType{"mobile": phone.Mobile, "landline": phone.Landline, "tollFree": phone.TollFree, "fixedVoip": phone.FixedVoIP,
		"nonFixedVoip": phone.NonFixedVoIP, "personal": phone.Personal, "premium": phone.Premium, "voicemail": phone.Voicemail,
		"sharedCost": phone.SharedCost, "uan": phone.UAN, "pager": phone.Pager, "unknown": phone.Unknown, "hologram": phone.Unknown, "": phone.Unknown} {
		rows = append(rows, row{name: "type " + kind, pack: "line_type_intelligence", set: lti(kind), fields: phone.FieldLine, want: phone.Intel{Line: want}})
	}
	rows = append(rows,
		row{"type null", "line_type_intelligence", lti(nil), phone.FieldLine, phone.Intel{}, false},
		row{"type of another kind", "line_type_intelligence", lti(7), phone.FieldLine, phone.Intel{}, false},
		row{"no coverage", "line_type_intelligence", object{"type": "mobile", "error_code": 60600}, phone.FieldLine, phone.Intel{}, false},
		row{"not enabled", "line_type_intelligence", object{"type": "mobile", "error_code": 60606}, phone.FieldLine, phone.Intel{}, true},
		row{"error as text", "line_type_intelligence", object{"type": "mobile", "error_code": "60600"}, phone.FieldLine, phone.Intel{}, false},
		row{"error of odd text", "line_type_intelligence", object{"type": "mobile", "error_code": "odd"}, phone.FieldLine, phone.Intel{}, true},
		row{"incomplete carrier", "sim_swap", object{"error_code": 60620}, phone.FieldSIMSwap, phone.Intel{}, false},
		row{"null date, swapped", "sim_swap", swap(nil, "PT24H", true), phone.FieldSIMSwap, phone.Intel{SIMSwap: phone.Yes}, false},
		row{"null date, not within a day", "sim_swap", swap(nil, "PT24H", false), phone.FieldSIMSwap, phone.Intel{}, false},
		row{"null date, not within a month", "sim_swap", swap(nil, "P30D", false), phone.FieldSIMSwap, phone.Intel{SIMSwap: phone.No}, false},
		row{"within a month", "sim_swap", swap(nil, "P30D", true), phone.FieldSIMSwap, phone.Intel{}, false},
		row{"all null", "sim_swap", swap(nil, "", nil), phone.FieldSIMSwap, phone.Intel{}, false},
		row{"a date", "sim_swap", swap("2026-02-25T12:00:00Z", "PT24H", false), phone.FieldSIMSwap,
			phone.Intel{SIMSwap: phone.Yes, SIMSwapAt: time.Date(2026, 2, 25, 12, 0, 0, 0, time.UTC)}, false},
		row{"an old date", "sim_swap", swap("2025-02-25T12:00:00Z", "PT24H", false), phone.FieldSIMSwap,
			phone.Intel{SIMSwap: phone.No, SIMSwapAt: time.Date(2025, 2, 25, 12, 0, 0, 0, time.UTC)}, false},
		row{"score", "sms_pumping_risk", object{"sms_pumping_risk_score": 34, "number_blocked": nil, "error_code": nil}, phone.FieldPumping, phone.Intel{Pumping: 0.34, HasPumping: true}, false},
		row{"score later", "sms_pumping_risk", object{"sms_pumping_risk_score": 41, "number_blocked": false, "error_code": nil}, phone.FieldPumping, phone.Intel{Pumping: 0.41, HasPumping: true, Blocked: phone.No}, false},
		row{"score out of range", "sms_pumping_risk", object{"sms_pumping_risk_score": 101, "number_blocked": true, "error_code": nil}, phone.FieldPumping, phone.Intel{Blocked: phone.Yes}, false},
		row{"score null", "sms_pumping_risk", object{"sms_pumping_risk_score": nil, "number_blocked": nil, "error_code": nil}, phone.FieldPumping, phone.Intel{}, false},
		row{"forwarded", "call_forwarding", object{"call_forwarding_enabled": true, "error_code": nil}, phone.FieldForwarding, phone.Intel{Forwarding: phone.Yes}, false},
		row{"unreachable", "line_status", object{"status": "unreachable", "error_code": nil}, phone.FieldActive, phone.Intel{}, false},
		row{"inactive", "line_status", object{"status": "inactive", "error_code": nil}, phone.FieldActive, phone.Intel{Active: phone.No}, false},
		row{"recycled", "reassigned_number", object{"is_number_reassigned": "yes", "error_code": nil}, phone.FieldRecycled, phone.Intel{Recycled: phone.Yes}, false},
		row{"no data", "reassigned_number", object{"is_number_reassigned": "no_data_available", "error_code": nil}, phone.FieldRecycled, phone.Intel{}, false},
		row{"date missing", "reassigned_number", object{"is_number_reassigned": nil, "error_code": "60617"}, phone.FieldRecycled, phone.Intel{}, true},
		row{"package null", "reassigned_number", nil, phone.FieldRecycled, phone.Intel{}, false},
		row{"package of another kind", "reassigned_number", "yes", phone.FieldRecycled, phone.Intel{}, false},
		row{"not valid", "valid", false, phone.FieldValid, phone.Intel{Valid: phone.No}, false},
	)
	for i, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			n := number(t, fmt.Sprintf("+47400%05d", i))
			f.SetLookup(n.E164(), row.pack, row.set)
			got, err := l.Lookup(t.Context(), n, phone.Query{Fields: row.fields, Since: now.AddDate(0, -6, 0)})
			require.Equal(t, row.fails, err != nil, "%v", err)
			if row.pack != "valid" {
				require.Equal(t, phone.Yes, got.Valid)
				got.Valid = 0
			}
			require.Equal(t, row.want, got)
			if err != nil {
				require.NotContains(t, err.Error(), n.E164()[3:])
			}
		})
	}
	t.Run("nothing asked", func(t *testing.T) {
		before := f.Requests()
		got, err := l.Lookup(t.Context(), number(t, "+4740000000"), phone.Query{Fields: phone.FieldRecycled})
		require.NoError(t, err)
		require.Zero(t, got)
		require.Equal(t, before, f.Requests())
	})
}

func TestFaults(t *testing.T) {
	faults := phonetest.Faults()
	for _, status := range []int{400, 401, 403, 404, 408, 409, 429, 500, 502, 503, 302, 204} {
		faults = append(faults, phonetest.FaultStatus(status))
	}
	for _, fault := range faults {
		t.Run(string(fault), func(t *testing.T) {
			f := fake(t)
			http := f.HTTP()
			if http.Timeout = 10 * time.Second; fault == phonetest.FaultHang || fault == phonetest.FaultSlowBody {
				http.Timeout = 500 * time.Millisecond
			}
			l, err := twilio.NewLookup(f.Credentials(), &twilio.LookupOptions{HTTP: http})
			require.NoError(t, err)
			s, err := twilio.NewSender(f.Credentials(), f.From(), &twilio.SenderOptions{HTTP: http})
			require.NoError(t, err)
			v, err := twilio.NewVerify(f.Credentials(), f.Service(), &twilio.VerifyOptions{HTTP: http})
			require.NoError(t, err)
			f.Fail(fault)
			n := number(t, "+4740000000")
			got, err := l.Lookup(t.Context(), n, phone.Query{Fields: everything})
			require.Error(t, err)
			require.Zero(t, got)
			require.NotContains(t, err.Error(), "40000000")
			_, err = s.Send(t.Context(), message(t, "+4740000000", phone.SMS))
			require.Error(t, err)
			require.NotContains(t, err.Error(), "40000000")
			require.NotContains(t, err.Error(), "012345")
			sure := strings.HasPrefix(string(fault), "status:4") && fault != "status:408" && fault != "status:409"
			require.Equal(t, sure, phone.Refused(err), "%v", err)
			_, err = v.Start(t.Context(), message(t, "+4740000000", phone.SMS))
			require.Error(t, err)
			require.Equal(t, sure, phone.Refused(err))
			verdict, err := v.Check(t.Context(), "VE1", n, "123456")
			require.Error(t, err)
			require.Zero(t, verdict)
			require.Equal(t, 4, f.Requests(), "nothing is sent again")
		})
	}
	f := fake(t)
	s := newSender(t, f, f.From())
	f.Close()
	_, err := s.Send(t.Context(), message(t, "+4740000000", phone.SMS))
	require.True(t, phone.Refused(err), "no connection: surely not sent")
}

func TestSend(t *testing.T) {
	f := fake(t)
	s := newSender(t, f, f.From())
	for _, ch := range []phone.Channel{phone.SMS, phone.Voice} {
		got, err := s.Send(t.Context(), message(t, "+4740000000", ch))
		require.NoError(t, err)
		require.Len(t, got.Ref, 34)
		code, ok := f.Inbox.Code(number(t, "+4740000000"))
		require.True(t, ok)
		require.Equal(t, "012345", string(code))
	}
	require.Equal(t, 5*time.Minute, f.Inbox.Messages()[0].TTL, "delivered no later than the code lives")
	service := newSender(t, f, f.Messaging())
	got, err := service.Send(t.Context(), message(t, "+4740000000", phone.SMS))
	require.NoError(t, err)
	require.Len(t, got.Ref, 34, "accepted by a messaging service")
	_, err = service.Send(t.Context(), message(t, "+4740000000", phone.Voice))
	require.True(t, phone.Refused(err), "a messaging service does not call")
	_, err = s.Send(t.Context(), message(t, "+4740000000", phone.WhatsApp))
	require.True(t, phone.Refused(err))
	w, err := twilio.NewSender(f.Credentials(), f.From(), &twilio.SenderOptions{HTTP: f.HTTP(), WhatsAppFrom: f.From(), WhatsAppTemplate: "HX" + strings.Repeat("a", 32)})
	require.NoError(t, err)
	_, err = w.Send(t.Context(), message(t, "+4740000001", phone.WhatsApp))
	require.NoError(t, err)
	code, _ := f.Inbox.Code(number(t, "+4740000001"))
	require.Equal(t, "012345", string(code))
	bad := message(t, "+4740000000", phone.WhatsApp)
	bad.Code = `1","2":"x`
	_, err = w.Send(t.Context(), bad)
	require.True(t, phone.Refused(err))
}

func TestMagicNumbers(t *testing.T) {
	f := fake(t)
	for _, row := range []struct {
		ch       phone.Channel
		from, to string
		code     int
		reason   string
	}{
		{phone.SMS, "+15005550001", "+4740000000", 21212, phone.SendConfig},
		{phone.SMS, "+15005550007", "+4740000000", 21606, phone.SendConfig},
		{phone.SMS, "+15005550008", "+4740000000", 21611, phone.SendBusy},
		{phone.SMS, "+15005550006", "+15005550001", 21211, phone.SendInvalidNumber},
		{phone.SMS, "+15005550006", "+15005550002", 21612, phone.SendUnreachable},
		{phone.SMS, "+15005550006", "+15005550003", 21408, phone.SendNoPermission},
		{phone.SMS, "+15005550006", "+15005550004", 21610, phone.SendBlocked},
		{phone.SMS, "+15005550006", "+15005550009", 21614, phone.SendUnreachable},
		{phone.Voice, "+15005550006", "+15005550001", 21217, phone.SendInvalidNumber},
		{phone.Voice, "+15005550006", "+15005550002", 21214, phone.SendUnreachable},
		{phone.Voice, "+15005550006", "+15005550003", 21215, phone.SendNoPermission},
		{phone.Voice, "+15005550006", "+15005550004", 21216, phone.SendBlocked},
		{phone.Voice, "+15005559999", "+4740000000", 21210, phone.SendConfig},
		{phone.SMS, "+15005550006", "+15005550006", 0, ""},
	} {
		_, err := newSender(t, f, row.from).Send(t.Context(), message(t, row.to, row.ch))
		if row.code == 0 {
			require.NoError(t, err)
			continue
		}
		var e *phone.SendError
		require.ErrorAs(t, err, &e)
		require.True(t, e.Refused)
		require.Equal(t, row.code, e.Code)
		require.Equal(t, row.reason, e.Reason)
	}
	f.Block("+4741")
	_, err := newSender(t, f, f.From()).Send(t.Context(), message(t, "+4741000000", phone.SMS))
	var e *phone.SendError
	require.ErrorAs(t, err, &e)
	require.Equal(t, phone.SendBlocked, e.Reason)
}

func TestVerify(t *testing.T) {
	f := fake(t)
	v := newVerify(t, f)
	n := number(t, "+4740000000")
	got, err := v.Start(t.Context(), phone.Message{To: n, Channel: phone.SMS, Locale: "nb"})
	require.NoError(t, err)
	code, _ := f.Inbox.Code(n)
	for range 2 {
		again, err := v.Start(t.Context(), phone.Message{To: n, Channel: phone.Voice})
		require.NoError(t, err)
		require.Equal(t, got, again)
		same, _ := f.Inbox.Code(n)
		require.Equal(t, code, same)
	}
	check := func(ref string, n phone.Number, c phone.Code) phone.HostedVerdict {
		verdict, err := v.Check(t.Context(), ref, n, c)
		require.NoError(t, err)
		return verdict
	}
	require.Equal(t, phone.HostedWrong, check(got.Ref, n, "000000"))
	_, err = v.Check(t.Context(), got.Ref, number(t, "+4740000001"), code)
	require.Error(t, err, "a verification of another number")
	require.Equal(t, phone.HostedGone, check(got.Ref, n, code), "that used it up")
	require.Equal(t, phone.HostedGone, check("VE-unknown", n, code))
	got, err = v.Start(t.Context(), phone.Message{To: n, Channel: phone.SMS})
	require.NoError(t, err)
	for range 5 {
		require.Equal(t, phone.HostedWrong, check(got.Ref, n, "000000"))
	}
	require.Equal(t, phone.HostedTooMany, check(got.Ref, n, "000000"))
	for range 4 {
		_, err = v.Start(t.Context(), phone.Message{To: n, Channel: phone.SMS})
		require.NoError(t, err)
	}
	_, err = v.Start(t.Context(), phone.Message{To: n, Channel: phone.SMS})
	require.True(t, phone.Refused(err), "five sends")
	f.Block("+4741")
	_, err = v.Start(t.Context(), phone.Message{To: number(t, "+4741000000"), Channel: phone.SMS})
	var e *phone.SendError
	require.ErrorAs(t, err, &e)
	require.Equal(t, 60410, e.Code)
	require.Equal(t, phone.SendBlocked, e.Reason)
}

func TestTwiML(t *testing.T) {
	for _, row := range []struct{ brand, locale string }{
		{"Example", "en"}, {"Example", "nb-NO"}, {"Example", "de_DE"}, {`</Say><Dial>+19005551234</Dial><Say>`, "en"}, {`"><Redirect>https://evil.example</Redirect>`, `en"/><Dial>1</Dial>`},
		{"&amp;<![CDATA[", "xx"}, {"\x00\x01\ufffe", ""}, {strings.Repeat("<", 10000), strings.Repeat("e", 10000)}, {"%s%d%!", "en"}, {"Ørsted & Co", "da"},
	} {
		doc := twilio.TwiML("012345", row.brand, row.locale)
		require.Less(t, len(doc), 4000)
		d := xml.NewDecoder(strings.NewReader(doc))
		var names, said string
		for {
			tok, err := d.Token()
			if err == io.EOF {
				break
			}
			require.NoError(t, err, doc)
			switch tok := tok.(type) {
			case xml.StartElement:
				names += tok.Name.Local + " "
			case xml.CharData:
				said += string(tok)
			}
		}
		require.Equal(t, "Response Pause Say Pause Say Pause ", names)
		require.Equal(t, 2, strings.Count(said, "0, 1, 2, 3, 4, 5."))
	}
}

func FuzzTwiML(f *testing.F) {
	f.Add("Example", "en", "012345")
	f.Add("</Say><Dial>", "\"/>", "1<2")
	f.Fuzz(func(t *testing.T, brand, locale, code string) {
		doc := twilio.TwiML(phone.Code(code), brand, locale)
		d := xml.NewDecoder(strings.NewReader(doc))
		n := 0
		for {
			tok, err := d.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%q: %v", doc, err)
			}
			if _, ok := tok.(xml.StartElement); ok {
				n++
			}
		}
		if n != 6 {
			t.Fatalf("%d elements in %q", n, doc)
		}
	})
}

func FuzzParseLookup(f *testing.F) {
	f.Add([]byte(`{"valid":true,"line_type_intelligence":{"type":"mobile","error_code":null}}`))
	f.Add([]byte(`{"reassigned_number":{"error_code":"60617"},"sim_swap":{"last_sim_swap":{"swapped_period":"PT48H","swapped_in_period":true}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := twilio.ParseLookup(body, phone.Query{Fields: everything}, now)
		if got.HasPumping && !(got.Pumping >= 0 && got.Pumping <= 1) {
			t.Fatal("risk out of range")
		}
		if err != nil && len(err.Error()) > 2000 {
			t.Fatal("the error repeats the body")
		}
	})
}

func TestRefusedOptions(t *testing.T) {
	good := twilio.Credentials{AccountSID: "AC" + strings.Repeat("a", 32), Secret: "s3cret-value"}
	for _, c := range []twilio.Credentials{{}, {AccountSID: "AC1", Secret: "x"}, {AccountSID: good.AccountSID}, {AccountSID: good.AccountSID, KeySID: "x", Secret: "x"}} {
		_, err := twilio.NewLookup(c, nil)
		require.Error(t, err)
	}
	for _, from := range []string{"", "12345678", "+0123456789", "MG1"} {
		_, err := twilio.NewSender(good, from, nil)
		require.Error(t, err)
	}
	_, err := twilio.NewSender(good, "+15005550006", &twilio.SenderOptions{StatusCallback: "http://example.com"})
	require.Error(t, err)
	_, err = twilio.NewSender(good, "+15005550006", &twilio.SenderOptions{RingFor: time.Minute})
	require.Error(t, err)
	_, err = twilio.NewVerify(good, "VA1", nil)
	require.Error(t, err)
	_, err = twilio.NewLookup(good, &twilio.LookupOptions{HTTP: twilio.HTTPOptions{BaseURL: "http://example.com"}})
	require.Error(t, err, "plain HTTP")
	_, err = twilio.Callback("", public, "", nil)
	require.Error(t, err)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v %s", good, good, good, good), "s3cret")
}
