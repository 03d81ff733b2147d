//go:build ignore

// Command gen makes disposable.bin of a list of disposable domains:
//
//	go run gen.go disposable_email_blocklist.conf
//
// The list is disposable_email_blocklist.conf of https://github.com/disposable-email-domains/disposable-email-domains.
package main

import (
	"fmt"
	"os"

	"github.com/vestibule-go/vestibule/risk/identity"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("want the list's file name")
	}
	f, err := os.Open(os.Args[1])
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	domains, err := identity.ParseDomains(f)
	if err != nil {
		return err
	}
	b, err := domains.MarshalBinary()
	if err != nil {
		return err
	}
	fmt.Println(domains.Len(), "domains,", len(b), "bytes")
	return os.WriteFile("disposable.bin", b, 0o644)
}
