// Package fingerprinttest helps to test sites that use package fingerprint: browsers' headers, hellos and reports as
// values ([Browsers]), a fake of the Fingerprint server ([Server]), and the conformance suite that stores pass
// ([TestStore]).
//
//	chrome := fingerprinttest.Chrome()
//	attempt := &risk.Attempt{Event: risk.SignUp, Channel: risk.ChannelWeb, Header: chrome.Header}
//	risk.Attach(attempt, ja4.Hello{JA4: chrome.JA4})
//
// # Security considerations
//
// For tests only: the fake server gives anybody any event, and the values are public.
package fingerprinttest
