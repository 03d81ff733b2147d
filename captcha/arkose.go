package captcha

import (
	"bytes"
	"context"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
)

// Arkose is Arkose Labs Verify API v4 (https://developer.arkoselabs.com/docs/calling-verify-v4-api). The range of its
// score is not published: risk is 0.1, 0.5 or 0.9 by band LOW, MEDIUM or HIGH, and the score is kept raw. Telltales are
// in Codes. It reports no host name. Build it with NewArkose. It is safe for concurrent use.
type Arkose struct {
	*remote
	key    Secret
	simple bool
}

var (
	_ Provider   = (*Arkose)(nil)
	_ Challenger = (*Arkose)(nil)
)

// ArkoseOptions of an Arkose. The zero value and nil mean the defaults.
type ArkoseOptions struct {
	RemoteOptions
	// SimpleMode asks for 1 or 0 only. Whether a token was used before is then not told: use a replay guard.
	SimpleMode bool
}

// NewArkose makes an Arkose. company is the first part of the host name Arkose gave you
// ({company}-verify.arkoselabs.com); it may be empty when Endpoint is set, whose path then ends in /api/v4.
func NewArkose(company string, privateKey Secret, opts *ArkoseOptions) (*Arkose, error) {
	if err := checkSecret("arkose", "private key", privateKey); err != nil {
		return nil, err
	}
	var o ArkoseOptions
	if opts != nil {
		o = *opts
	}
	base := ""
	if company != "" {
		if _, err := hostSet([]string{company}); err != nil {
			return nil, err
		}
		base = "https://" + company + "-verify.arkoselabs.com/api/v4"
	}
	r, err := newRemote(contract{"arkose", base, 0, MaxToken, false}, nil, &o.RemoteOptions)
	if err != nil {
		return nil, err
	}
	return &Arkose{r, privateKey, o.SimpleMode}, nil
}

// Verify implements Provider.
func (p *Arkose) Verify(ctx context.Context, in Request) (Result, error) {
	if res, ok := p.begin(in.Token); !ok {
		return res, nil
	}
	return p.ask(ctx, &in, exchange{token: in.Token, read: p.read, send: jsonhttp.Request{
		Path: "/verify/",
		JSON: struct {
			PrivateKey   string `json:"private_key"`
			SessionToken string `json:"session_token"`
			SimpleMode   bool   `json:"simple_mode,omitempty"`
		}{string(p.key), in.Token, p.simple},
	}})
}

var arkoseRisk = map[string]float64{"LOW": 0.1, "MEDIUM": 0.5, "HIGH": 0.9}

func (p *Arkose) read(resp *jsonhttp.Response) Result {
	if res, ok := byStatus(resp.Status); !ok {
		return res
	}
	if p.simple {
		switch string(bytes.TrimSpace(resp.Body)) {
		case "1":
			return passed()
		case "0":
			return refusal(ReasonUnsolved)
		}
	}
	v, ok := parse(resp.Body)
	if !ok {
		return refusal(ReasonResponse)
	}
	if v.At("error").There() && !v.At("error").IsNull() {
		// DENIED ACCESS is answered to made-up tokens and to wrong private keys alike: what every visitor can cause is
		// the visitor's. Wrong keys refuse everybody, which the first test shows.
		code, _ := text(v, "error")
		return refusal(ReasonToken, code)
	}
	d := v.At("session_details")
	solved, ok1 := d.At("solved").Bool()
	late, ok2 := flag(d, "session_timed_out")
	again, ok3 := flag(d, "previously_verified")
	band, ok4 := text(v, "session_risk", "risk_band")
	category, ok5 := text(v, "session_risk", "risk_category")
	n, there, ok6 := score(v.At("session_risk", "global", "score"), -1e9, 1e9)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || !ok6 {
		return refusal(ReasonResponse)
	}
	var res Result
	switch {
	case again:
		res = refusal(ReasonReplayed)
	case late:
		res = refusal(ReasonExpired)
	case !solved:
		res = refusal(ReasonUnsolved)
	default:
		res = passed()
	}
	var ok7 bool
	if res.ChallengeTime, ok7 = when(d, "check_answer"); res.ChallengeTime.IsZero() && ok7 {
		res.ChallengeTime, ok7 = when(d, "session_created")
	}
	if !ok7 {
		return refusal(ReasonResponse)
	}
	res.Reference, _ = text(d, "session")
	res.Band = band
	res.Risk, res.HasRisk = arkoseRisk[band]
	if there {
		res.RawScore = n
	}
	if category != "" {
		res.Codes = append(res.Codes, category)
	}
	for _, list := range []jsonhttp.Value{
		d.At("telltale_list"), v.At("session_risk", "global", "telltales"), v.At("session_risk", "custom", "telltales"),
	} {
		res.Codes = append(res.Codes, telltales(list)...)
	}
	return res
}

// telltales are texts, or objects with a name.
func telltales(list jsonhttp.Value) []string {
	all, _ := list.List()
	var out []string
	for _, t := range all {
		if s, ok := t.Text(); ok {
			out = append(out, s)
		} else if s := t.At("name").String(); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// flag reads an optional boolean.
func flag(v jsonhttp.Value, name string) (value, ok bool) {
	m := v.At(name)
	if !m.There() || m.IsNull() {
		return false, true
	}
	return m.Bool()
}

// Challenge implements Challenger with the site key.
func (p *Arkose) Challenge(context.Context, ChallengeRequest) (Task, error) { return p.task() }
