package captcha

import (
	"context"
	"net/http"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
)

// Friendly is Friendly Captcha v2 (https://developer.friendlycaptcha.com/docs/v2/api/siteverify). With Risk
// Intelligence its score is 1 to 5: risk is (overall - 1) / 4. Its documentation advises to accept everybody during an
// outage; this package leaves that to the fail mode. Build it with NewFriendly. It is safe for concurrent use.
type Friendly struct {
	*remote
	apiKey Secret
}

var (
	_ Provider   = (*Friendly)(nil)
	_ Challenger = (*Friendly)(nil)
)

// FriendlyEU is the endpoint that stays in the European Union.
const FriendlyEU = "https://eu.frcapi.com/api/v2/captcha"

var friendlyCodes = map[string]Reason{
	"auth_required":      ReasonCredentials,
	"auth_invalid":       ReasonCredentials,
	"sitekey_invalid":    ReasonCredentials,
	"bad_request":        ReasonRequest,
	"response_missing":   ReasonMissing,
	"response_invalid":   ReasonToken,
	"response_timeout":   ReasonExpired,
	"response_duplicate": ReasonReplayed,
}

// NewFriendly makes a Friendly. hostnames are those that forms are served from; pages without an origin are refused.
func NewFriendly(apiKey Secret, hostnames []string, opts *RemoteOptions) (*Friendly, error) {
	if err := checkSecret("friendly", "API key", apiKey); err != nil {
		return nil, err
	}
	r, err := newRemote(contract{"friendly", "https://global.frcapi.com/api/v2/captcha", 0, 16 << 10, true}, hostnames, opts)
	if err != nil {
		return nil, err
	}
	return &Friendly{r, apiKey}, nil
}

// Verify implements Provider. The result's Reference is the event id.
func (p *Friendly) Verify(ctx context.Context, in Request) (Result, error) {
	if res, ok := p.begin(in.Token); !ok {
		return res, nil
	}
	return p.ask(ctx, &in, exchange{token: in.Token, read: p.read, send: jsonhttp.Request{
		Path: "/siteverify", Header: http.Header{"X-Api-Key": {string(p.apiKey)}},
		JSON: struct {
			Response string `json:"response"`
			SiteKey  string `json:"sitekey,omitempty"`
		}{in.Token, p.opts.SiteKey},
	}})
}

func (p *Friendly) read(resp *jsonhttp.Response) Result {
	if readFault(resp.Status) {
		res, _ := byStatus(resp.Status)
		return res
	}
	v, ok := parse(resp.Body)
	code, isText := text(v, "error", "error_code")
	success, is := v.At("success").Bool()
	if why := friendlyCodes[code]; ok && why != "" && is && !success {
		return refusal(why, code)
	}
	if resp.Status != http.StatusOK {
		res, _ := byStatus(resp.Status)
		return res
	}
	if !ok || !is || !isText || success && v.At("error").There() && !v.At("error").IsNull() {
		return refusal(ReasonResponse)
	}
	if !success {
		if code == "" {
			return refusal(ReasonResponse)
		}
		return refusal(ReasonToken, code)
	}
	data := v.At("data")
	res := passed()
	origin, ok1 := text(data, "challenge", "origin")
	var ok2, ok3 bool
	res.Reference, ok2 = text(data, "event_id")
	res.ChallengeTime, ok3 = when(data, "challenge", "timestamp")
	overall := data.At("risk_intelligence", "risk_scores", "overall")
	n, there, ok4 := score(overall, 1, 5)
	if _, whole := overall.Int(); there && !whole {
		ok4 = false
	}
	if !data.IsObject() || !ok1 || !ok2 || !ok3 || !ok4 {
		return refusal(ReasonResponse)
	}
	res.Hostname = originHost(origin)
	if there {
		res.Risk, res.RawScore, res.HasRisk = (n-1)/4, n, true
	}
	return res
}

// Challenge implements Challenger with the site key.
func (p *Friendly) Challenge(context.Context, ChallengeRequest) (Task, error) { return p.task() }
