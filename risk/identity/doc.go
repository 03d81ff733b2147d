// Package identity answers one question about what a visitor says of himself: is it what it claims to be, and has it been
// used before in another spelling or by somebody else? It knows e-mail addresses, business identifiers, and the
// emergency lists that deny or allow them by name.
//
//	email, err := identity.NewEmailSignal(&identity.EmailOptions{Reuse: sightings})       // "email"
//	business, err := identity.NewBusinessSignal(&identity.BusinessOptions{Reuse: sightings}) // "business"
//	store, err := identity.NewMemoryLists(nil) // or riskredis.NewLists
//	lists, err := identity.NewLists(store, ring, nil)
//	denied, err := identity.NewListSignal(lists, nil) // "lists"
//	engine, err := risk.NewEngine(policy, []risk.Signal{email, business, denied}, nil)
//
//	// in an emergency, at run time
//	id, err := lists.Put(ctx, identity.Entry{
//		Effect: identity.Deny, Kind: identity.EntryDomain, Value: "example.com",
//		By: "ann", Reason: "INC-1234", Expires: time.Now().Add(24 * time.Hour),
//	})
//
//	// without the engine
//	e, err := identity.ParseEmail("A.nn+news@Googlemail.com")
//	e.Original()  // to write to
//	e.Canonical() // "ann@gmail.com", to count by
//	dot, err := identity.ParseUSDOT("USDOT 01234567") // "1234567"
//
// sightings is a *fingerprint.Sightings, or whatever else satisfies [Reuse].
//
// # E-mail
//
// [Email.Canonical] follows the rules MaxMind publishes for minFraud, but for the top-level domain "cam", which exists.
// [Classify] tells disposable mailboxes, relays and free providers apart. The embedded list of disposable domains is a
// compact form of https://github.com/disposable-email-domains/disposable-email-domains (CC0 1.0); [ParseDomains] reads a
// newer one, or another publisher's, and [EmailSignal.SetDisposable] puts it in place. A relay (iCloud Hide My Email,
// Firefox Relay, SimpleLogin, DuckDuckGo, addy.io) is not disposable: its users have a mailbox and keep it, and it costs
// them nothing; neither does a free provider.
//
// # Business identifiers
//
// [ParseID] knows USDOT, MC, EIN and European VAT numbers: normal forms, and check digits where they exist. Reuse of an
// identifier by another telephone or device is evidence that grows with their number.
//
// # Emergency lists
//
// [Lists] deny and allow addresses, prefixes, mailboxes, domains, devices and telephone numbers, each entry with an
// author and an end. Denied means blocked, by the floor of the code lists.deny. lists.allow has no effect until a policy
// gives it one with a ceiling rule, which never goes below a floor.
//
// # Security considerations
//
// Canonical forms are for counting: two people can share one, where a provider gives dots or "+" a meaning of their own,
// and mail written to it may reach somebody else. [Email] prints redacted; errors never repeat what was parsed.
//
// Everything here is text from outside. Lengths are checked before anything is done with it, and parsing is linear.
// Unicode domains become ASCII (UTS 46), so that a domain has one form; look-alikes of other scripts stay different
// domains.
//
// A list of disposable domains is as good as its publisher. ParseDomains refuses public suffixes, so that a bad line
// cannot accuse everybody below "com"; it cannot notice that a large provider was added. Points alone never block.
//
// Values of emergency lists are kept as keyed hashes (package keyed); By and Reason are kept in clear. Whoever can write
// to the store can block or, with a ceiling rule, let in whom he likes. By default an outage of the store answers like
// the strictest level (risk.FailClosed), or taking it down would be a way in.
//
// A good form proves nothing: a USDOT number has no check digit, and a VAT number with right check digits may be
// anybody's.
//
// # What it does not do
//
// It asks no registry (FMCSA, VIES, DNS) and sends no mail. It keeps no counts: that is the affair of whoever satisfies
// Reuse.
package identity
