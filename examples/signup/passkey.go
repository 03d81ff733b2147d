package main

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/url"
	"os"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/passkey"
	"github.com/vestibule-go/vestibule/risk"
)

// openMetadata loads the FIDO metadata that vouches for models of authenticators, and keeps it fresh until ctx is done.
// Without it passkeys can be made, and prove no device. rootFile is for other metadata than the FIDO Alliance's.
func openMetadata(ctx context.Context, address, rootFile string, log *slog.Logger) (passkey.TrustSource, error) {
	if address == "" {
		return nil, nil
	}
	o := &passkey.MDSOptions{URL: address, OnError: func(err error) { log.Warn("metadata", "error", err) }}
	if rootFile != "" {
		text, err := os.ReadFile(rootFile)
		if err != nil {
			return nil, fmt.Errorf("-metadata-root: %w", err)
		}
		block, _ := pem.Decode(text)
		if block == nil {
			return nil, fmt.Errorf("-metadata-root: %s holds no PEM", rootFile)
		}
		root, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("-metadata-root: %w", err)
		}
		o.Roots = []*x509.Certificate{root}
	}
	mds, err := passkey.NewMDS(o)
	if err != nil {
		return nil, fmt.Errorf("-metadata: %w", err)
	}
	if err := mds.Refresh(ctx); err != nil {
		return nil, fmt.Errorf("-metadata: %w", err)
	}
	log.Info("metadata", "number", mds.Status().Number)
	go mds.Run(ctx)
	return mds, nil
}

// newPasskey lets a browser show what device it is on, where the policy asks for that: by a passkey in certified
// hardware. A passkey made on the way goes with the account. Browsers have passkeys where the page has a name, which is
// localhost here.
func newPasskey(o *options) (*provider, error) {
	if o.Origin == "" {
		return nil, nil
	}
	page, err := url.Parse(o.Origin)
	if err != nil {
		return nil, err
	}
	var kept attest.ChallengeStore
	var credentials passkey.CredentialStore
	if o.Shared != nil {
		kept, credentials = o.Shared.challenges, o.Shared.passkeys
	} else {
		if kept, err = attest.NewMemoryChallenges(&attest.MemoryOptions{Now: o.Now, Max: 100_000}); err != nil {
			return nil, err
		}
		if credentials, err = passkey.NewMemory(&passkey.MemoryOptions{Now: o.Now, Max: 100_000}); err != nil {
			return nil, err
		}
	}
	challenges, err := attest.NewChallenges(kept, &attest.ChallengeOptions{Now: o.Now})
	if err != nil {
		return nil, err
	}
	site := passkey.RelyingParty{ID: page.Hostname(), Name: "Vestibule example", Origins: []string{o.Origin}}
	verifier, err := passkey.New(site, challenges, credentials, &passkey.Options{Now: o.Now, Trust: o.Trust})
	if err != nil {
		return nil, err
	}
	signal, err := passkey.NewSignal(verifier, &passkey.SignalOptions{Now: o.Now})
	if err != nil {
		return nil, err
	}
	return &provider{
		signals: []risk.Signal{signal},
		attach: func(f fields, a *risk.Attempt) {
			if f["passkey"] != "" {
				risk.Attach(a, passkey.Response{Credential: json.RawMessage(f["passkey"])})
			}
		},
		script: "/passkey.js",
		serve:  passkey.Script(),
		// Only who has made a passkey knows its id while it belongs to nobody, so that the client's word for it will do.
		kept: func(ctx context.Context, f fields, account string) error {
			id, err := base64.RawURLEncoding.DecodeString(f["passkey_id"])
			if err != nil || len(id) == 0 {
				return nil
			}
			bound, err := verifier.Bind(ctx, "", id, account)
			if err == nil {
				o.Log.Info("passkey", "account", account, "bound", bound)
			}
			return err
		},
	}, nil
}
