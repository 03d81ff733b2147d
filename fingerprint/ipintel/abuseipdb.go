package ipintel

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
)

// AbuseIPDB asks https://www.abuseipdb.com (API v2, GET /check, reports of the last 90 days). Safe for concurrent use.
type AbuseIPDB struct{ api api }

var _ Provider = (*AbuseIPDB)(nil)

// NewAbuseIPDB makes a client with an API key. Risk is abuseConfidenceScore / 100; a whitelisted address is Benign.
func NewAbuseIPDB(key string, opts *ProviderOptions) (*AbuseIPDB, error) {
	a, err := newAPI("AbuseIPDB", "https://api.abuseipdb.com/api/v2", "Key", key, opts)
	if err != nil {
		return nil, err
	}
	return &AbuseIPDB{a}, nil
}

// Name is "abuseipdb".
func (*AbuseIPDB) Name() string { return "abuseipdb" }

// reportDays is how old reports may be.
const reportDays = 90

// Check implements Provider.
func (p *AbuseIPDB) Check(ctx context.Context, ip netip.Addr) (Reputation, error) {
	v, found, err := p.api.get(ctx, jsonhttp.Request{Path: "/check", Query: url.Values{
		"ipAddress": {ip.String()}, "maxAgeInDays": {strconv.Itoa(reportDays)},
	}})
	if err != nil {
		return Reputation{}, err
	}
	if !found { // this API has an answer for every address
		return Reputation{}, &StatusError{Status: http.StatusNotFound}
	}
	data := v.At("data")
	score, ok := data.At("abuseConfidenceScore").Number()
	if !ok || score < 0 || score > 100 {
		return Reputation{}, errAnswer
	}
	r := Reputation{Risk: score / 100}
	reports, _ := data.At("totalReports").Int()
	r.Known = reports > 0 || score > 0
	r.Benign, _ = data.At("isWhitelisted").Bool()
	if tor, _ := data.At("isTor").Bool(); tor {
		r.Kinds |= Tor
	}
	switch data.At("usageType").String() {
	case "Data Center/Web Hosting/Transit", "Content Delivery Network":
		r.Kinds |= Hosting
	case "Mobile ISP":
		r.Kinds |= Carrier
	case "Commercial", "Organization", "Government", "Military", "University/College/School", "Library":
		r.Kinds |= Corporate
	}
	return r, nil
}
