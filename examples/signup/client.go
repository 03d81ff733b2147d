package main

import (
	"github.com/vestibule-go/vestibule/fingerprint/ja4"
	"github.com/vestibule-go/vestibule/fingerprint/useragent"
)

// newHeaders tells browsers from programs by their headers.
func newHeaders(settings) (*provider, error) {
	checker, err := useragent.New(nil)
	if err != nil {
		return nil, err
	}
	signal, err := useragent.NewSignal(checker)
	if err != nil {
		return nil, err
	}
	return &provider{signal: signal}, nil
}

// newHello tells them by the beginning of TLS, where the server speaks it (-tls).
func newHello(settings) (*provider, error) {
	signal, err := ja4.NewSignal(nil)
	if err != nil {
		return nil, err
	}
	return &provider{signal: signal, collect: ja4.Collector(nil)}, nil
}

// toyPoints make programs that say what they are cost little here: this example is there to be played with by curl and
// browsers without a window. A real site leaves them as they are.
func toyPoints() map[string]int { return map[string]int{"ua.tool": 2, "ua.automation": 2} }
