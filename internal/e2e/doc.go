// Package e2e opens examples/signup in a real browser and signs up: straight through, through the proof of work, and
// into the ban. It is a module of its own so that nobody inherits the browser driver; `make e2e` runs it.
//
// It also runs official clients as judges of package captcha: the ALTCHA widget and library, which npm installs here as
// package-lock.json says, and our own script with the stand-ins of every vendor's widget.
//
// It needs Chromium or Chrome, Node 20 or later and npm. Screenshots are kept by
//
//	go test -artifacts -outputdir /some/folder ./...
package e2e
