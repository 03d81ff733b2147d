package ipintel_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint/ipintel"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

// world is an Intel that knows a bit of everything.
func world(t testing.TB) *ipintel.Intel {
	t.Helper()
	city := open(t, "City", map[string]object{
		"20.0.0.0/16": {"country": object{"iso_code": str("NO")}, "location": object{
			"latitude": num(59.9), "longitude": num(10.7), "accuracy_radius": whole(20), "time_zone": str("Europe/Oslo")}},
		"20.1.0.0/16": {"country": object{"iso_code": str("SE")}},
	}, nil)
	systems := open(t, "ASN", map[string]object{
		"20.0.0.0/16": {"autonomous_system_number": whole(64500), "autonomous_system_organization": str("Example")},
	}, nil)
	anonymous := open(t, "Anonymous", map[string]object{
		"20.1.1.0/24": {"is_anonymous": yes(true)}, "20.1.2.0/24": {"is_anonymous": yes(true), "is_anonymous_vpn": yes(true)},
		"20.1.3.0/24": {"is_anonymous": yes(true), "is_anonymous_vpn": yes(true), "is_relay": yes(true), "is_hosting_provider": yes(true)},
		"20.1.4.0/24": {"connection_type": str("Cellular"), "is_residential_proxy": yes(true)},
		"20.1.5.0/24": {"connection_type": str("Corporate")},
		"20.1.6.0/24": {"is_public_proxy": yes(true)}, "20.1.7.0/24": {"is_residential_proxy": yes(true)},
	}, nil)
	l := lists(t, map[ipintel.Kind]string{
		ipintel.Tor: "20.1.9.9\n20.1.3.9\n", ipintel.Hosting: "20.1.8.0/24\n", ipintel.Threat: "20.1.8.8\n20.1.4.8\n", ipintel.Listed: "10.0.0.0/8\n20.1.10.0/24\n",
		ipintel.VPN: "192.168.0.0/16\n",
	})
	i, err := ipintel.New(&ipintel.Options{Databases: []*ipintel.Database{city, systems, anonymous}, Lists: l})
	require.NoError(t, err)
	return i
}

func newSignal(t testing.TB, opts *ipintel.SignalOptions) *ipintel.Signal {
	s, err := ipintel.NewSignal(world(t), opts)
	require.NoError(t, err)
	return s
}

func evaluate(t testing.TB, s risk.Signal, a string) *risktest.Said {
	t.Helper()
	said, err := risktest.Evaluate(s, &risk.Attempt{Event: risk.SignUp, IP: ip(a)})
	require.NoError(t, err)
	return said
}

func TestSignal(t *testing.T) {
	s := newSignal(t, nil)
	for _, row := range []struct {
		ip      string
		codes   []string
		country string
		class   string
	}{
		{"20.0.0.1", nil, "NO", ""},
		{"::ffff:20.0.0.1", nil, "NO", ""},
		{"20.1.1.1", []string{"anonymous"}, "SE", "anonymous"},
		{"20.1.2.1", []string{"vpn"}, "SE", "vpn"},
		{"20.1.3.1", []string{"relay"}, "SE", "relay"},
		{"20.1.3.9", []string{"relay", "tor"}, "SE", "tor"},
		{"20.1.4.1", []string{"carrier"}, "SE", "carrier"},
		{"20.1.4.8", []string{"carrier"}, "SE", "carrier"},
		{"100.64.0.1", []string{"carrier"}, "", "carrier"},
		{"20.1.5.1", []string{"corporate"}, "SE", "corporate"},
		{"20.1.6.1", []string{"proxy"}, "SE", "proxy"},
		{"20.1.7.1", []string{"residential"}, "SE", "residential"},
		{"20.1.8.1", []string{"hosting"}, "SE", "hosting"},
		{"64:ff9b::20.1.8.8", []string{"hosting", "threat"}, "SE", "hosting"},
		{"20.1.9.9", []string{"tor"}, "SE", "tor"},
		{"20.1.10.9", []string{"listed"}, "SE", ""},
		{"10.1.2.3", []string{"listed", "private"}, "", "private"},
		{"192.168.0.1", []string{"private"}, "", "private"},
		{"203.0.113.1", []string{"private"}, "", "reserved"},
		{"2a00::1", nil, "", ""},
	} {
		said := evaluate(t, s, row.ip)
		var got []string
		for code := range said.Codes {
			got = append(got, code)
		}
		slices.Sort(got)
		require.Equal(t, row.codes, got, row.ip)
		require.Equal(t, row.country, said.Texts["country"], row.ip)
		require.Equal(t, row.class, said.Texts["class"], row.ip)
		require.NotContains(t, said.Numbers, "lat")
	}
	said := evaluate(t, s, "20.0.0.1")
	require.Equal(t, 64500.0, said.Numbers["asn"])
	require.ElementsMatch(t, []string{"list.hosting", "list.threat"}, strings.Split(evaluate(t, s, "20.1.8.8").Texts["lists"], ","))
	require.False(t, s.Applies(&risk.Attempt{}))

	said = evaluate(t, newSignal(t, &ipintel.SignalOptions{Location: true}), "20.0.0.1")
	require.Equal(t, []float64{59.9, 10.7, 20}, []float64{said.Numbers["lat"], said.Numbers["lon"], said.Numbers["radius"]})
	require.Equal(t, "Europe/Oslo", said.Texts["zone"])
}

// A relay, carrier NAT and an unlisted address cost nobody a point; what costs is what ENGINE's table says.
func TestSignalPoints(t *testing.T) {
	s := newSignal(t, nil)
	signals := []risk.Signal{s}
	engine, err := risk.NewEngine(risk.DefaultPolicy(signals), signals, nil)
	require.NoError(t, err)
	score := func(a string) int {
		return engine.Assess(t.Context(), &risk.Attempt{Event: risk.SignUp, IP: ip(a)}).Score
	}
	base := score("20.0.0.1")
	for a, more := range map[string]int{
		"20.1.3.1": 0, "20.1.4.1": 0, "20.1.4.8": 0, "100.64.0.1": 0, "20.1.5.1": 0, "10.0.0.1": 0, "20.1.10.1": 0,
		"20.1.2.1": 12, "20.1.8.1": 12, "20.1.9.9": 22, "20.1.8.8": 22,
	} {
		require.Equal(t, base+more, score(a), a)
	}
}

func TestSignalConforms(t *testing.T) {
	require.NoError(t, risktest.Conform(newSignal(t, nil), &risk.Attempt{Event: risk.SignUp, IP: ip("20.1.8.8")}, &risk.Attempt{IP: ip("20.0.0.1")}))
	require.NoError(t, risktest.Conform(newSignal(t, &ipintel.SignalOptions{Location: true}), &risk.Attempt{IP: ip("20.0.0.1")}))
	live, err := ipintel.NewLiveSignal(&fake{answer: ipintel.Reputation{Known: true, Risk: 0.9}}, nil)
	require.NoError(t, err)
	require.NoError(t, risktest.Conform(live, &risk.Attempt{Event: risk.SignUp, IP: ip("8.8.8.8")}))
}

func TestConstructorsRefuse(t *testing.T) {
	_, err := ipintel.New(nil)
	require.ErrorContains(t, err, "OpenDatabase")
	_, err = ipintel.New(&ipintel.Options{Databases: []*ipintel.Database{nil}})
	require.Error(t, err)
	_, err = ipintel.NewSignal(nil, nil)
	require.Error(t, err)
	_, err = ipintel.NewSignal(world(t), &ipintel.SignalOptions{OnError: 99})
	require.Error(t, err)
	_, err = ipintel.NewLiveSignal(nil, nil)
	require.Error(t, err)
	for _, o := range []ipintel.LiveOptions{{MinRisk: -1}, {MinRisk: 1.1}, {Keep: -1}, {Entries: -1}, {Timeout: -1}, {Cost: risk.Local}, {OnError: 9}} {
		_, err := ipintel.NewLiveSignal(&fake{}, &o)
		require.Error(t, err)
	}
	for _, key := range []string{"", "k"} {
		base := ""
		if key != "" {
			base = "http://example.com"
		}
		_, err := ipintel.NewAbuseIPDB(key, &ipintel.ProviderOptions{BaseURL: base})
		require.Error(t, err)
		_, err = ipintel.NewCrowdSec(key, &ipintel.ProviderOptions{BaseURL: base})
		require.Error(t, err)
	}
}

// fake is a provider with one answer.
type fake struct {
	answer ipintel.Reputation
	err    error
	asked  []netip.Addr
}

func (*fake) Name() string { return "fake" }

func (f *fake) Check(_ context.Context, a netip.Addr) (ipintel.Reputation, error) {
	if f.asked != nil {
		f.asked = append(f.asked, a)
	}
	return f.answer, f.err
}

func TestLiveSignal(t *testing.T) {
	for _, row := range []struct {
		name   string
		answer ipintel.Reputation
		codes  map[string]float64
	}{
		{"unknown", ipintel.Reputation{}, map[string]float64{}},
		{"little", ipintel.Reputation{Known: true, Risk: 0.2}, map[string]float64{}},
		{"much", ipintel.Reputation{Known: true, Risk: 0.75}, map[string]float64{"reported": 0.75}},
		{"certain", ipintel.Reputation{Known: true, Risk: 1}, map[string]float64{"reported": 1}},
		{"benign", ipintel.Reputation{Known: true, Risk: 1, Benign: true}, map[string]float64{"benign": 1}},
		{"carrier", ipintel.Reputation{Known: true, Risk: 1, Kinds: ipintel.Carrier}, map[string]float64{"shared": 1}},
		{"Tor", ipintel.Reputation{Kinds: ipintel.Tor}, map[string]float64{"tor": 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, err := ipintel.NewLiveSignal(&fake{answer: row.answer}, nil)
			require.NoError(t, err)
			require.Equal(t, row.codes, evaluate(t, s, "8.8.8.8").Codes)
		})
	}
	for _, answer := range []ipintel.Reputation{{Risk: 1.5}, {Risk: -1}} {
		s, err := ipintel.NewLiveSignal(&fake{answer: answer}, nil)
		require.NoError(t, err)
		_, err = risktest.Evaluate(s, &risk.Attempt{IP: ip("8.8.8.8")})
		require.Error(t, err)
	}
}

func TestLiveSignalAsksNoMoreThanNeeded(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	p := &fake{answer: ipintel.Reputation{Known: true, Risk: 1}, asked: []netip.Addr{}}
	s, err := ipintel.NewLiveSignal(p, &ipintel.LiveOptions{Intel: world(t), Entries: 2, Now: func() time.Time { return now }})
	require.NoError(t, err)
	for _, a := range []string{"10.0.0.1", "100.64.0.1", "203.0.113.1", "::1", "20.1.3.1", "20.1.4.1"} {
		require.False(t, s.Applies(&risk.Attempt{IP: ip(a)}), a)
	}
	require.False(t, s.Applies(&risk.Attempt{}))
	for range 3 {
		evaluate(t, s, "8.8.8.8")
		evaluate(t, s, "::ffff:8.8.8.8")
	}
	require.Equal(t, []netip.Addr{ip("8.8.8.8")}, p.asked, "one question for one address")
	now = now.Add(time.Hour)
	evaluate(t, s, "8.8.8.8")
	require.Len(t, p.asked, 2, "answers grow old")
	for i := range 10 {
		evaluate(t, s, fmt.Sprintf("8.8.4.%d", i))
	}
	require.Len(t, p.asked, 12)

	p.err = &ipintel.LimitError{RetryAfter: time.Hour}
	_, err = risktest.Evaluate(s, &risk.Attempt{IP: ip("9.9.9.9")})
	require.Error(t, err)
	require.Len(t, p.asked, 13)
	p.err = nil
	now = now.Add(30 * time.Minute)
	_, err = risktest.Evaluate(s, &risk.Attempt{IP: ip("9.9.9.9")})
	require.Error(t, err)
	require.Len(t, p.asked, 13, "it is left alone")
	now = now.Add(31 * time.Minute)
	evaluate(t, s, "9.9.9.9")
	require.Len(t, p.asked, 14)
}

// serve is a fake of a provider's API.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

const abuseAnswer = `{"data":{"ipAddress":"8.8.8.8","isPublic":true,"ipVersion":4,"isWhitelisted":%s,"abuseConfidenceScore":%d,
"countryCode":"US","usageType":%q,"isp":"X","domain":"example.com","hostnames":[],"isTor":%v,"totalReports":%d,"numDistinctUsers":1,"lastReportedAt":null}}`

func TestAbuseIPDB(t *testing.T) {
	for _, row := range []struct {
		name   string
		body   string
		status int
		want   ipintel.Reputation
		err    error
		fails  bool
	}{
		{"reported", fmt.Sprintf(abuseAnswer, "false", 87, "Fixed Line ISP", false, 9), 0, ipintel.Reputation{Known: true, Risk: 0.87}, nil, false},
		{"clean", fmt.Sprintf(abuseAnswer, "null", 0, "Fixed Line ISP", false, 0), 0, ipintel.Reputation{}, nil, false},
		{"whitelisted", fmt.Sprintf(abuseAnswer, "true", 0, "Content Delivery Network", false, 120), 0, ipintel.Reputation{Known: true, Benign: true, Kinds: ipintel.Hosting}, nil, false},
		{"Tor", fmt.Sprintf(abuseAnswer, "false", 100, "Data Center/Web Hosting/Transit", true, 3), 0, ipintel.Reputation{Known: true, Risk: 1, Kinds: ipintel.Tor | ipintel.Hosting}, nil, false},
		{"mobile", fmt.Sprintf(abuseAnswer, "false", 50, "Mobile ISP", false, 3), 0, ipintel.Reputation{Known: true, Risk: 0.5, Kinds: ipintel.Carrier}, nil, false},
		{"office", fmt.Sprintf(abuseAnswer, "false", 50, "Commercial", false, 3), 0, ipintel.Reputation{Known: true, Risk: 0.5, Kinds: ipintel.Corporate}, nil, false},
		{"bad key", `{"errors":[{"detail":"x","status":401}]}`, 401, ipintel.Reputation{}, ipintel.ErrKey, true},
		{"quota", `{}`, 429, ipintel.Reputation{}, nil, true},
		{"refused", `{"errors":[]}`, 422, ipintel.Reputation{}, nil, true},
		{"not found", ``, 404, ipintel.Reputation{}, nil, true},
		{"down", ``, 503, ipintel.Reputation{}, nil, true},
		{"HTML", `<html>`, 0, ipintel.Reputation{}, nil, true},
		{"no score", `{"data":{}}`, 0, ipintel.Reputation{}, nil, true},
		{"score as text", `{"data":{"abuseConfidenceScore":"87"}}`, 0, ipintel.Reputation{}, nil, true},
		{"score out of range", `{"data":{"abuseConfidenceScore":101}}`, 0, ipintel.Reputation{}, nil, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			base := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/check" || r.Header.Get("Key") != "hush" || r.URL.Query().Get("ipAddress") != "8.8.8.8" || r.URL.Query().Get("maxAgeInDays") != "90" {
					w.WriteHeader(http.StatusTeapot)
					return
				}
				w.Header().Set("Retry-After", "60")
				if row.status != 0 {
					w.WriteHeader(row.status)
				}
				_, _ = w.Write([]byte(row.body))
			})
			p, err := ipintel.NewAbuseIPDB("hush", &ipintel.ProviderOptions{BaseURL: base})
			require.NoError(t, err)
			require.NotContains(t, fmt.Sprintf("%v %+v %#v", p, p, p), "hush")
			got, err := p.Check(t.Context(), ip("8.8.8.8"))
			require.Equal(t, row.fails, err != nil, "%v", err)
			require.Equal(t, row.want, got)
			if row.err != nil {
				require.ErrorIs(t, err, row.err)
			}
			if row.status == 429 {
				limit, ok := errors.AsType[*ipintel.LimitError](err)
				require.True(t, ok)
				require.Equal(t, time.Minute, limit.RetryAfter)
			}
			if err != nil {
				require.NotContains(t, err.Error(), "hush")
				require.NotContains(t, err.Error(), "8.8.8.8")
			}
		})
	}
}

func TestCrowdSec(t *testing.T) {
	answer := func(total string, excused, classes, reputation string) string {
		return `{"ip":"8.8.8.8","reputation":"` + reputation + `","behaviors":[{"name":"http:scan"}],"scores":{"overall":{"total":` + total + `}},
			"classifications":{"false_positives":[` + excused + `],"classifications":[` + classes + `]}}`
	}
	for _, row := range []struct {
		name   string
		body   string
		status int
		want   ipintel.Reputation
		fails  bool
	}{
		{"known", answer("2", "", "", "suspicious"), 0, ipintel.Reputation{Known: true, Risk: 0.4}, false},
		{"worst", answer("5", "", `{"name":"proxy:vpn"},{"name":"profile:x"}`, "malicious"), 0, ipintel.Reputation{Known: true, Risk: 1, Kinds: ipintel.VPN}, false},
		{"Tor", answer("3", "", `{"name":"proxy:tor"},{"name":"proxy:other"}`, "known"), 0, ipintel.Reputation{Known: true, Risk: 0.6, Kinds: ipintel.Tor | ipintel.Proxy}, false},
		{"false positive", answer("4", `{"name":"cdn:x"}`, "", "known"), 0, ipintel.Reputation{Known: true, Risk: 0.8, Benign: true}, false},
		{"safe", answer("0", "", "", "safe"), 0, ipintel.Reputation{Known: true, Benign: true}, false},
		{"unknown is no error", `{"message":"IP not found"}`, 404, ipintel.Reputation{}, false},
		{"bad key", `{}`, 403, ipintel.Reputation{}, true},
		{"quota", `{}`, 429, ipintel.Reputation{}, true},
		{"no scores", `{"ip":"8.8.8.8"}`, 0, ipintel.Reputation{}, true},
		{"score out of range", answer("6", "", "", ""), 0, ipintel.Reputation{}, true},
		{"cut off", `{"ip":`, 0, ipintel.Reputation{}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			base := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/smoke/8.8.8.8" || r.Header.Get("X-Api-Key") != "hush" {
					w.WriteHeader(http.StatusTeapot)
					return
				}
				if row.status != 0 {
					w.WriteHeader(row.status)
				}
				_, _ = w.Write([]byte(row.body))
			})
			p, err := ipintel.NewCrowdSec("hush", &ipintel.ProviderOptions{BaseURL: base})
			require.NoError(t, err)
			got, err := p.Check(t.Context(), ip("8.8.8.8"))
			require.Equal(t, row.fails, err != nil, "%v", err)
			require.Equal(t, row.want, got)
		})
	}
	p, err := ipintel.NewCrowdSec("hush", &ipintel.ProviderOptions{BaseURL: serve(t, func(http.ResponseWriter, *http.Request) {})})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = p.Check(ctx, ip("8.8.8.8"))
	require.ErrorIs(t, err, context.Canceled)
}
