package captcha

import (
	"net/url"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
)

// siteverify reads the answers of the siteverify family: success, error-codes, challenge_ts, hostname.
type siteverify struct {
	codes map[string]Reason
}

// read judges an answer. more reads what only one provider has; it returns false for what breaks the contract.
func (s siteverify) read(resp *jsonhttp.Response, more func(v jsonhttp.Value, res *Result) bool) Result {
	if readFault(resp.Status) {
		res, _ := byStatus(resp.Status)
		return res
	}
	v, ok := parse(resp.Body)
	codes := v.At("error-codes")
	list := codes.Texts()
	all, isList := codes.List()
	if ok && codes.There() && !codes.IsNull() && (!isList || len(list) != len(all)) {
		ok = false
	}
	if resp.Status != 200 {
		if why := s.reason(list); ok && len(list) > 0 && s.codes[list[0]] != "" {
			return refusal(why, list...)
		}
		res, _ := byStatus(resp.Status)
		res.Codes = list
		return res
	}
	success, is := v.At("success").Bool()
	if !ok || !is || success && len(list) > 0 {
		return refusal(ReasonResponse, list...)
	}
	res := passed()
	if !success {
		res = refusal(s.reason(list), list...)
	}
	var ok1, ok2 bool
	res.Hostname, ok1 = text(v, "hostname")
	res.ChallengeTime, ok2 = when(v, "challenge_ts")
	if success && (!ok1 || !ok2 || more != nil && !more(v, &res)) {
		return refusal(ReasonResponse)
	}
	return res
}

// reason picks one of several codes. Refused credentials come first, because nothing else then means anything; what the
// visitor can cause comes before what could be our mistake, so that no token makes itself look like an outage. Codes
// nobody has documented are the visitor's.
func (s siteverify) reason(codes []string) Reason {
	best, rank := ReasonToken, 0
	for _, c := range codes {
		why := s.codes[c]
		n := 0
		switch {
		case why == "":
			continue
		case why == ReasonCredentials:
			n = 4
		case why.fault() == FaultVisitor || why.fault() == FaultBinding:
			n = 3
		case why.fault() == FaultCaller:
			n = 2
		default:
			n = 1
		}
		if n > rank {
			best, rank = why, n
		}
	}
	return best
}

// form is the body of the family's requests.
func (r *remote) form(secret Secret, in *Request) url.Values {
	f := url.Values{"secret": {string(secret)}, "response": {in.Token}}
	if ip := address(in.RemoteIP); ip != "" {
		f.Set("remoteip", ip)
	}
	return f
}
