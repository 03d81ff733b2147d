// Command passkey is a small site that makes passkeys and signs in by them, with nothing to install and no account
// anywhere. Everything is kept in memory.
//
//	go run ./examples/passkey
//
// Open the address it prints. The log shows what each passkey is worth: none for what telephones and password managers
// make, unknown for a security key as long as no metadata is loaded, and, with
//
//	go run ./examples/passkey -metadata https://mds3.fidoalliance.org/
//
// certified for keys that the FIDO Alliance has certified.
package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"embed"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/passkey"
)

//go:embed static
var static embed.FS

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "passkey:", err)
		os.Exit(1)
	}
}

// run serves until ctx is done.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("passkey", flag.ContinueOnError)
	flags.SetOutput(out)
	addr := flags.String("addr", "127.0.0.1:8080", "address of this machine to listen on")
	metadata := flags.String("metadata", "", "address of a FIDO metadata BLOB; none: no model is vouched for")
	root := flags.String("metadata-root", "", "file with the root of the metadata's signers in PEM; default the FIDO Alliance's")
	every := flags.Duration("metadata-interval", passkey.DefaultMDSInterval, "how often to fetch the metadata again")
	skip := flags.Bool("skip-user-verification", false, "let in who holds a key, without fingerprint or PIN: for U2F keys")
	if err := flags.Parse(args); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(out, nil))
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	// Browsers have passkeys on plain http for the name localhost only.
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return err
	}
	origin := "http://localhost:" + port
	o := &passkey.Options{SkipUserVerification: *skip}
	if *metadata != "" {
		mds, err := loadMetadata(ctx, *metadata, *root, *every)
		if err != nil {
			return err
		}
		go mds.Run(ctx)
		o.Trust = mds
	}
	handler, err := newSite(origin, o, log)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	log.Info("open " + origin + "/")
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return server.Shutdown(ctx)
	}
}

// loadMetadata has the first BLOB before the first visitor comes. A site that shall start without it goes on instead.
func loadMetadata(ctx context.Context, url, rootFile string, every time.Duration) (*passkey.MDS, error) {
	o := &passkey.MDSOptions{URL: url, Interval: every}
	if rootFile != "" {
		text, err := os.ReadFile(rootFile)
		if err != nil {
			return nil, err
		}
		block, _ := pem.Decode(text)
		if block == nil {
			return nil, fmt.Errorf("%s holds no PEM", rootFile)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		o.Roots = []*x509.Certificate{cert}
	}
	mds, err := passkey.NewMDS(o)
	if err != nil {
		return nil, err
	}
	return mds, mds.Refresh(ctx)
}

// account is the one account of this site.
const account = "visitor"

// newSite wires the verifier into handlers.
func newSite(origin string, o *passkey.Options, log *slog.Logger) (http.Handler, error) {
	kept, err := attest.NewMemoryChallenges(&attest.MemoryOptions{Max: 10_000})
	if err != nil {
		return nil, err
	}
	challenges, err := attest.NewChallenges(kept, nil)
	if err != nil {
		return nil, err
	}
	store, err := passkey.NewMemory(&passkey.MemoryOptions{Max: 10_000})
	if err != nil {
		return nil, err
	}
	site := passkey.RelyingParty{ID: "localhost", Name: "Passkey example", Origins: []string{origin}}
	v, err := passkey.New(site, challenges, store, o)
	if err != nil {
		return nil, err
	}
	files, err := fs.Sub(static, "static")
	if err != nil {
		return nil, err
	}
	opts := &passkey.HandlerOptions{
		SkipTicket: true, // this site judges no attempt
		Done: func(_ *http.Request, r *passkey.Result) error {
			log.Info("passkey accepted", "ceremony", r.Ceremony, "trust", r.Judged.Trust, "level", r.Judged.Level, "model", r.Judged.Model,
				"downgraded", r.Downgraded, "type", r.Judged.Type, "format", r.Judged.Format, "verified", r.UserVerified, "synced", r.Credential.Synced,
				"backed_up", r.Credential.BackedUp, "counter_stalled", r.CounterStalled, "key", r.Credential.Hash())
			return nil
		},
		OnError: func(_ *http.Request, err error) { log.Warn("passkeys are out of order", "error", err) },
	}
	mux := http.NewServeMux()
	for _, c := range []passkey.Ceremony{passkey.Registration, passkey.Login} {
		begin, err := v.BeginHandler(c, bind, opts)
		if err != nil {
			return nil, err
		}
		finish, err := v.FinishHandler(c, bind, opts)
		if err != nil {
			return nil, err
		}
		mux.Handle("/"+string(c)+"/begin", begin)
		mux.Handle("/"+string(c)+"/finish", finish)
	}
	mux.Handle("GET /passkey.js", passkey.Script())
	mux.Handle("GET /static/", http.StripPrefix("/static/", http.FileServerFS(files)))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie(cookie); err != nil {
			http.SetCookie(w, &http.Cookie{Name: cookie, Value: rand.Text(), Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
		}
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		http.ServeFileFS(w, r, files, "page.html")
	})
	return mux, nil
}

const cookie = "session"

var errNoSession = errors.New("no session")

// bind ties each ceremony to the browser's session.
func bind(r *http.Request) (passkey.Scope, passkey.User, error) {
	c, err := r.Cookie(cookie)
	if err != nil || len(c.Value) < 16 || len(c.Value) > 64 {
		return passkey.Scope{}, passkey.User{}, errNoSession
	}
	return passkey.Scope{Session: c.Value, Account: account}, passkey.User{Name: "visitor@example.com", Display: "Visitor"}, nil
}
