package captcha

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
)

// GeeTest is GeeTest CAPTCHA v4 (https://docs.geetest.com/BehaviorVerification/deploy/server/). An answer has four
// parts: lot_number, captcha_output, pass_token and gen_time, in Request.Fields or as a JSON object in Token. It has no
// score and reports no host name. Its own samples let everybody through when a call fails; this package does not.
// Build it with NewGeeTest. It is safe for concurrent use.
type GeeTest struct {
	*remote
	id  string
	key Secret
}

var (
	_ Provider   = (*GeeTest)(nil)
	_ Challenger = (*GeeTest)(nil)
)

var geetestCodes = map[string]Reason{
	"-50000": ReasonProvider,
	"-50001": ReasonRequest,
	"-50002": ReasonToken, // parameters cannot be decrypted
	"-50003": ReasonReplayed,
	"-50004": ReasonToken,
	"-50005": ReasonToken, // gen_time comes from the client
	"-50101": ReasonCredentials,
	"-50102": ReasonCredentials,
	"-50103": ReasonCredentials,
	"-50104": ReasonCredentials,
	"-50105": ReasonCredentials,
	"-50301": ReasonExpired,
	"-50302": ReasonToken,
	"-50303": ReasonToken,
	"-50304": ReasonToken,
	"-50305": ReasonExpired,
	"-50306": ReasonToken,
	"-50307": ReasonToken,
	"-50308": ReasonReplayed,
}

// NewGeeTest makes a GeeTest from the id and the key of a CAPTCHA.
func NewGeeTest(captchaID string, key Secret, opts *RemoteOptions) (*GeeTest, error) {
	if err := checkSecret("geetest", "key", key); err != nil {
		return nil, err
	}
	if err := checkSecret("geetest", "captcha id", Secret(captchaID)); err != nil {
		return nil, err
	}
	var o RemoteOptions
	if opts != nil {
		o = *opts
	}
	o.SiteKey = captchaID
	r, err := newRemote(contract{"geetest", "https://gcaptcha4.geetest.com", 0, MaxToken, false}, nil, &o)
	if err != nil {
		return nil, err
	}
	return &GeeTest{r, captchaID, key}, nil
}

var geetestParts = [...]string{"lot_number", "captcha_output", "pass_token", "gen_time"}

// Verify implements Provider.
func (p *GeeTest) Verify(ctx context.Context, in Request) (Result, error) {
	res := Result{Provider: p.name}
	fields := in.Fields
	if len(fields) == 0 {
		if in.Token == "" {
			return res.refused(ReasonMissing), nil
		}
		if len(in.Token) > p.maxToken {
			return res.refused(ReasonMalformed), nil
		}
		v, ok := parse([]byte(in.Token))
		if !ok {
			return res.refused(ReasonMalformed), nil
		}
		fields = make(map[string]string, len(geetestParts))
		for _, name := range geetestParts {
			fields[name] = v.At(name).String()
		}
	}
	form := make(url.Values, 5)
	size := 0
	for _, name := range geetestParts {
		part := fields[name]
		if size += len(part); !printable(part, p.maxToken) || size > p.maxToken {
			return res.refused(ReasonMalformed), nil
		}
		form.Set(name, part)
	}
	if strings.Trim(fields["gen_time"], "0123456789") != "" {
		return res.refused(ReasonMalformed), nil
	}
	form.Set("sign_token", p.sign(fields["lot_number"]))
	return p.ask(ctx, &in, exchange{
		token: fields["lot_number"] + "\x00" + fields["pass_token"], read: p.read,
		send: jsonhttp.Request{Path: "/validate", Query: url.Values{"captcha_id": {p.id}}, Form: form},
	})
}

// sign is GeeTest's proof that the question is ours.
func (p *GeeTest) sign(lot string) string {
	h := hmac.New(sha256.New, p.key)
	h.Write([]byte(lot))
	return hex.EncodeToString(h.Sum(nil))
}

func (p *GeeTest) read(resp *jsonhttp.Response) Result {
	if res, ok := byStatus(resp.Status); !ok {
		return res
	}
	v, ok := parse(resp.Body)
	status, ok1 := text(v, "status")
	result, ok2 := text(v, "result")
	why, ok3 := text(v, "reason")
	if !ok || !ok1 || !ok2 || !ok3 {
		return refusal(ReasonResponse)
	}
	switch {
	case status == "success" && result == "success":
		return passed()
	case status == "success" && result == "fail":
		reason := ReasonToken
		switch {
		case strings.Contains(why, "expire"):
			reason = ReasonExpired
		case strings.Contains(why, "repeat") || strings.Contains(why, "used") || strings.Contains(why, "duplicate"):
			reason = ReasonReplayed
		}
		res := refusal(reason)
		if why != "" {
			res.Codes = []string{why}
		}
		return res
	case status == "error":
		code, ok := text(v, "code")
		if !ok {
			return refusal(ReasonResponse)
		}
		reason := geetestCodes[code]
		if reason == "" {
			reason = ReasonToken
		}
		return refusal(reason, code)
	}
	return refusal(ReasonResponse)
}

// Challenge implements Challenger with the captcha id.
func (p *GeeTest) Challenge(context.Context, ChallengeRequest) (Task, error) { return p.task() }
