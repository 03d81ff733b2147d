package ipintel

import (
	"context"
	"net/netip"
	"net/url"
	"strings"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
)

// CrowdSec asks CrowdSec's threat intelligence (CTI API v2, GET /smoke/{ip}). Safe for concurrent use.
type CrowdSec struct{ api api }

var _ Provider = (*CrowdSec)(nil)

// NewCrowdSec makes a client with an API key. Risk is scores.overall.total / 5. An address is Benign when CrowdSec lists
// it among the false positives or calls its reputation "safe".
func NewCrowdSec(key string, opts *ProviderOptions) (*CrowdSec, error) {
	a, err := newAPI("CrowdSec", "https://cti.api.crowdsec.net/v2", "X-Api-Key", key, opts)
	if err != nil {
		return nil, err
	}
	return &CrowdSec{a}, nil
}

// Name is "crowdsec".
func (*CrowdSec) Name() string { return "crowdsec" }

// Check implements Provider. An unknown address (404) is no error.
func (p *CrowdSec) Check(ctx context.Context, ip netip.Addr) (Reputation, error) {
	v, found, err := p.api.get(ctx, jsonhttp.Request{Path: "/smoke/" + url.PathEscape(ip.String())})
	if err != nil || !found {
		return Reputation{}, err
	}
	total, ok := v.At("scores", "overall", "total").Number()
	if !ok || total < 0 || total > 5 {
		return Reputation{}, errAnswer
	}
	r := Reputation{Known: true, Risk: total / 5}
	excused, _ := v.At("classifications", "false_positives").List()
	r.Benign = len(excused) > 0 || v.At("reputation").String() == "safe"
	classes, _ := v.At("classifications", "classifications").List()
	for _, c := range classes {
		switch name := c.At("name").String(); {
		case strings.HasPrefix(name, "proxy:tor"):
			r.Kinds |= Tor
		case strings.HasPrefix(name, "proxy:vpn"):
			r.Kinds |= VPN
		case strings.HasPrefix(name, "proxy:"):
			r.Kinds |= Proxy
		}
	}
	return r, nil
}
