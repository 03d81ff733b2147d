package main

import (
	"github.com/vestibule-go/vestibule/fingerprint/ja4"
	"github.com/vestibule-go/vestibule/fingerprint/useragent"
	"github.com/vestibule-go/vestibule/risk"
)

// newHeaders tells browsers from programs by their headers.
func newHeaders(*options) (*provider, error) {
	checker, err := useragent.New(nil)
	if err != nil {
		return nil, err
	}
	signal, err := useragent.NewSignal(checker)
	if err != nil {
		return nil, err
	}
	return &provider{signals: []risk.Signal{signal}}, nil
}

// newHello tells them by the beginning of TLS, where the server speaks it (-tls).
func newHello(*options) (*provider, error) {
	signal, err := ja4.NewSignal(nil)
	if err != nil {
		return nil, err
	}
	return &provider{signals: []risk.Signal{signal}, collect: ja4.Collector(nil)}, nil
}
