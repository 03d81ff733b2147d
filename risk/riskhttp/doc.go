// Package riskhttp answers one question: how does a net/http server hand a request to the risk engine, and tell the
// visitor what came of it, without being lied to and without giving anything away?
//
// A [Guard] makes a [risk.Attempt] of a request (client address behind trusted proxies, headers, session, flow), and
// writes the answer to one that may not go on as an RFC 9457 problem document:
//
//	guard, err := riskhttp.New(engine, &riskhttp.Options{
//		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
//	})
//	...
//	attempt := guard.Attempt(r, risk.SignUp)
//	attempt.Email, attempt.Phone = form.Email, form.Phone
//	risk.Attach(attempt, captcha.Response{Token: form.Captcha})
//	if s := engine.Assess(r.Context(), attempt); !s.Allowed() {
//		guard.Answer(w, r, s)
//		return
//	}
//
// or, around a handler that reads the assessment with [From] and is settled by the status it answers with:
//
//	mux.Handle("POST /signup", guard.Middleware(risk.SignUp, nil)(handler))
//	mux.Handle("POST /flow/open", guard.OpenHandler(risk.SignUp, risk.ProofDevice))
//	mux.Handle("POST /flow/tasks", guard.TasksHandler(risk.SignUp))
//
// # Answers
//
// Every answer is uncacheable, and a small HTML page instead of JSON where the client prefers that. Types are tag URIs
// (RFC 4151) that never change: [ProblemTypes] followed by the name in the first column.
//
//	challenge    403  require, tasks, flow; texts the policy made public
//	review       202  received, a person decides; texts the policy made public
//	delay        202  accepted, takes effect at until
//	lock         423  a lock without an end
//	block        403  nothing but a reference to quote
//	wait         429  every wait, and every lock or block with an end: Retry-After
//	flow         404  the flow of a task request is unknown, expired, spent or somebody else's: they look alike
//	request      400  the body could not be read (413: it is too large)
//	cross-origin 403  a browser sent the request from another site
//	unavailable  503  there is no assessment
//
// 202 promises something: that the host keeps what was asked. A host that uses review or delay keeps it before it calls
// [Guard.Answer], in a hook ([Options].OnReview, OnDelay), or by letting such attempts through to its handler
// ([MiddlewareOptions].Through).
//
// Nothing here sleeps. Who has to wait is told so, with Retry-After in whole seconds, rounded up, and up to 3 % more at
// random so that everybody held back by the same limit does not return at the same moment.
//
// # Client address
//
// Without trusted proxies the address is the connection's and headers are ignored. With them, one header is read
// ([Options].Forwarding), from the right, as long as each hop is a trusted proxy: see [Guard.ClientIP] for every case.
// An address that cannot be told is the zero [netip.Addr], never a made-up one that unrelated visitors would share;
// signals must not count attempts without an address together.
//
// # Security considerations
//
// A trusted proxy must append to (X-Forwarded-For, Forwarded) or replace (X-Real-IP) the header it is trusted for. One
// that passes a visitor's header on untouched lets visitors choose their address: nobody behind it can tell. Trust the
// proxies' own addresses, not ranges that visitors share.
//
// Sessions, flows and the list of proofs a client cannot give come from the client. They are untrusted until the engine
// or the host has checked them, and are cut to a bounded size. The session cookie of [Guard.Session] carries no
// signature: it ties the steps of one flow together and proves nothing about who holds it.
//
// The values of headers that hold secrets or addresses (Cookie, Authorization, X-Forwarded-For and others, see
// [Options].DropHeaders) do not reach the attempt; their names do, without values.
//
// A blocked visitor gets the same bytes whatever the reason, except for the reference. Scores, levels, codes and rules
// are never sent. A challenge says which proofs are asked for; it cannot hide that.
//
// The endpoints refuse POST from other sites ([Options].CrossOrigin, by Sec-Fetch-Site and Origin). The guarded handler
// needs the same protection of its own: [http.CrossOriginProtection] around it does. GET on the tasks endpoint changes
// nothing, and other sites cannot read its answer unless the host allows them by CORS. Opening a flow takes memory in
// the flow store before anything was judged: limit it with [Options].Admit.
//
// A status of 5xx refunds the visitor. A handler whose 5xx a visitor can cause at will hands out refunds, which is why
// one written after the client hung up does not count (see [OutcomeOf]).
//
// What Enrich reads from the body must be what the handler reads: use the same decoder and the same fields, for
// duplicate keys mean the last to one decoder and the first to another.
//
// The package imports the standard library and package risk only. It sets no CORS headers and keeps nothing.
package riskhttp
