// Package ratelimit answers one question: has this visitor, this phone number, this network, this device had enough?
//
// A [Limiter] decides several limits on several dimensions at once, all or nothing: an attempt is charged to every limit
// that applies, or, when one of them refuses, to none, so that a single exhausted address cannot burn a victim's phone
// quota. Refused attempts count as offences of what the visitor controls; offences grow into slow-downs, challenges and
// bans that double for those who come back, and fade with good behaviour.
//
//	store, err := ratelimit.NewMemory(nil)
//	...
//	limiter, err := ratelimit.New(ratelimit.DefaultPolicy(), store, nil)
//	...
//	d, err := limiter.Decide(ctx, ratelimit.Subject{
//		Event: "signup", IP: ip, Phone: form.Phone, Email: form.Email,
//	})
//	switch {
//	case err != nil: // the store could not tell: the host's fail mode
//	case d.Level == ratelimit.Challenge: // show a CAPTCHA, then ask again with Challenged: true
//	case !d.Allowed():
//		d.Header(w.Header()) // RateLimit, RateLimit-Policy, Retry-After
//		w.WriteHeader(http.StatusTooManyRequests)
//	}
//
// What goes wrong later is told by [Limiter.Report] (a failed CAPTCHA, a wrong code) and taken back by
// [Decision.Refund] (an insert of ours that failed). Under package risk's engine, [Signal] does all of this.
//
// # Limits
//
// Each [Limit] is kept by GCRA in whole microseconds. It is hard (Deny) or soft (Challenge), counts attempts or failures,
// may be for some events and client classes only, and may be overridden for single values ([Limiter.SetOverrides]).
// Dimensions are of class Source, Target or Shared, which says who is hit when they are exceeded.
//
// # Stores
//
// [Memory] is for one process. Stores shared by processes implement [Store]: each of its calls is one atomic step, shaped
// so that one script on one Redis slot can do it. Package ratelimittest proves stores.
//
// # Security considerations
//
//   - Values are canonical before they are counted ([Canonical]) and reach the store only as keyed tags. Memory's tags
//     are seeded hashes; shared stores need a secret key ([NewTagger]).
//   - An address that is missing is an error, never one bucket for all who have none. IPv4-mapped addresses count as
//     IPv4, zones are dropped, IPv6 is counted by prefix.
//   - Soft limits suit what strangers can exhaust for a victim (an e-mail address) and what bystanders share (/24, /48).
//     A hard limit there is a way to lock others out.
//   - A device name that is only claimed never collects offences: see Subject.DeviceVerified.
//   - [Decision.Header], and [Watch] where the engine asks, show limits of class Source only. Decision.Violated is for logs.
//   - A caller who hangs up is charged all the same: cancellation does not reach the store.
//   - Memory is bounded; under a flood of new keys what is used up stays, see [Memory].
//
// # What it does not do
//
// It never sleeps, and it does not find the client's address: package risk/riskhttp walks trusted proxies.
package ratelimit
