package twilio_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/phone/twilio"
)

// The numbers of Twilio's test credentials: the fake answers as documented, and the sender says what it means.
func TestVectorsMagicNumbers(t *testing.T) {
	var file struct {
		Rows []struct {
			Resource, Param, Number string
			Code                    *int `json:"error_code"`
		}
	}
	vector(t, "test_credentials_magic_numbers.json", &file)
	f := fake(t)
	channels := map[string]phone.Channel{"Messages": phone.SMS, "Calls": phone.Voice}
	for i, row := range file.Rows {
		t.Run(fmt.Sprintf("test_credentials_magic_numbers.json/%d", i), func(t *testing.T) {
			ch, known := channels[row.Resource]
			if !known {
				t.Skipf("%s are not offered", row.Resource)
			}
			from, to := f.From(), "+4740000000"
			switch {
			case row.Param == "From" && row.Number == "*":
				from = "+15005551234"
			case row.Param == "From":
				from = row.Number
			case row.Param == "To" && row.Number != "*":
				to = row.Number
			}
			_, err := newSender(t, f, from).Send(t.Context(), message(t, to, ch))
			if row.Code == nil {
				require.NoError(t, err)
				return
			}
			var e *phone.SendError
			require.ErrorAs(t, err, &e)
			require.True(t, e.Refused)
			require.Equal(t, *row.Code, e.Code)
			require.NotEqual(t, phone.SendUnknown, e.Reason)
			require.NotContains(t, err.Error(), to[1:])
		})
	}
}

// The magic numbers of SIM swap: the date is null, and the period decides what is known.
func TestVectorsSwapMagicNumbers(t *testing.T) {
	var file struct {
		Rows []struct {
			Number string `json:"phone_number"`
			Date   any    `json:"last_sim_swap_date"`
			Period string `json:"swapped_period"`
			In     bool   `json:"swapped_in_period"`
		}
	}
	vector(t, "lookup_sim_swap_magic_numbers.partial.json", &file)
	f := fake(t)
	for _, row := range file.Rows {
		t.Run("lookup_sim_swap_magic_numbers.partial.json/"+row.Number, func(t *testing.T) {
			n := number(t, row.Number)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.URL()+"/v2/PhoneNumbers/"+row.Number+"?Fields=sim_swap", nil)
			require.NoError(t, err)
			r.SetBasicAuth(f.Credentials().KeySID, string(f.Credentials().Secret))
			resp, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			var got struct {
				Swap struct {
					Last map[string]any `json:"last_sim_swap"`
				} `json:"sim_swap"`
			}
			require.NoError(t, json.Unmarshal(body, &got))
			require.Equal(t, map[string]any{"last_sim_swap_date": row.Date, "swapped_period": row.Period, "swapped_in_period": row.In}, got.Swap.Last)
			l := newLookup(t, f)
			intel, err := l.Lookup(t.Context(), n, phone.Query{Fields: phone.FieldSIMSwap})
			require.NoError(t, err)
			require.Equal(t, phone.NotKnown, intel.SIMSwap, "not within two days says nothing about ten")
		})
	}
}

// Whatever the fake answers has the names that Twilio's own specification has, all of them and no others.
func TestVectorsSchemas(t *testing.T) {
	type schema struct {
		Properties map[string]any
	}
	read := func(t *testing.T, name string) map[string]schema {
		var file struct {
			Components struct{ Schemas map[string]schema }
		}
		vector(t, name, &file)
		return file.Components.Schemas
	}
	names := func(s schema) []string {
		require.NotEmpty(t, s.Properties)
		return slices.Sorted(maps.Keys(s.Properties))
	}
	f := fake(t)
	get := func(path string) map[string]any {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.URL()+path, nil)
		require.NoError(t, err)
		r.SetBasicAuth(f.Credentials().KeySID, string(f.Credentials().Secret))
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer func() { require.NoError(t, resp.Body.Close()) }()
		var v map[string]any
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&v))
		return v
	}
	keys := func(v any) []string { return slices.Sorted(maps.Keys(v.(map[string]any))) }
	t.Run("twilio_lookups_v2.openapi.json", func(t *testing.T) {
		schemas := read(t, "twilio_lookups_v2.openapi.json")
		v := get("/v2/PhoneNumbers/+4740000000?LastVerifiedDate=20260101&Fields=line_type_intelligence,sim_swap,sms_pumping_risk,call_forwarding,line_status,reassigned_number,caller_name")
		require.Equal(t, names(schemas["LookupResponse"]), keys(v))
		for pack, name := range map[string]string{"line_type_intelligence": "LineTypeIntelligenceInfo", "sim_swap": "SimSwapInfo", "sms_pumping_risk": "SmsPumpingRiskInfo",
			"call_forwarding": "CallForwardingInfo", "line_status": "LineStatusInfo", "reassigned_number": "ReassignedNumberInfo", "caller_name": "CallerNameInfo"} {
			require.Equal(t, names(schemas[name]), keys(v[pack]), pack)
		}
	})
	t.Run("twilio_verify_v2.subset.openapi.json", func(t *testing.T) {
		schemas := read(t, "twilio_verify_v2.subset.openapi.json")
		v := newVerify(t, f)
		n := number(t, "+4740000000")
		got, err := v.Start(t.Context(), message(t, n.E164(), phone.SMS))
		require.NoError(t, err)
		require.Equal(t, names(schemas["verify.v2.service.verification"]), keys(get("/v2/Services/"+f.Service()+"/Verifications/"+got.Ref)))
		attempts := get("/v2/Attempts")["attempts"].([]any)
		require.Equal(t, names(schemas["verify.v2.verification_attempt"]), keys(attempts[0]))
		require.Equal(t, names(schemas["verify.v2.verification_attempts_summary"]), keys(get("/v2/Attempts/Summary")))
	})
}

// Too many requests are an error of that call, which says when to come back.
func TestTooManyRequests(t *testing.T) {
	f := fake(t)
	f.Limit(0)
	_, err := newLookup(t, f).Lookup(t.Context(), number(t, "+4740000000"), phone.Query{Fields: phone.FieldLine})
	var e *twilio.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, 20429, e.Code)
	require.EqualValues(t, 7, e.Retry.Seconds())
	_, err = newSender(t, f, f.From()).Send(t.Context(), message(t, "+4740000000", phone.SMS))
	var s *phone.SendError
	require.ErrorAs(t, err, &s)
	require.True(t, s.Refused)
	require.Equal(t, phone.SendBusy, s.Reason)
	verdict, err := newVerify(t, f).Check(t.Context(), "VE1", number(t, "+4740000000"), "123456")
	require.Error(t, err, "busy is no verdict")
	require.Zero(t, verdict)
	require.Equal(t, 3, f.Requests())
}
