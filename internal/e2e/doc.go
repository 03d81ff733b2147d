// Package e2e opens examples/signup in a real browser and signs up: straight through, through the proof of work, a code by
// phone and a passkey, and into the ban. It is a module of its own so that nobody inherits the browser driver; `make e2e` runs it.
//
// It also runs official clients as judges of package captcha: the ALTCHA widget and library, which npm installs here as
// package-lock.json says, and our own script with the stand-ins of every vendor's widget.
//
// And it registers and signs in with passkeys on examples/passkey, by the browser's virtual authenticators: CTAP2 and U2F,
// with and without metadata that vouches for them, a synced one, and what must be refused.
//
// It needs Chromium or Chrome, Node 20 or later and npm. Screenshots are kept by
//
//	go test -artifacts -outputdir /some/folder ./...
package e2e
