// Package e2e opens examples/signup in a real browser and signs up: straight through, through the proof of work, and
// into the ban. It is a module of its own so that nobody inherits the browser driver; `make e2e` runs it.
//
// It needs Chromium or Chrome. Screenshots are kept by
//
//	go test -artifacts -outputdir /some/folder ./...
package e2e
