// Command signup is the whole of Vestibule in one small net/http server: a sign-up page and its JSON API, with nothing
// to install and no account anywhere. Everything is kept in memory.
//
//	go run ./examples/signup
//
// A clean visitor is let in at once. From the sixth sign-up of one address in a minute a proof of work is asked for,
// which the page solves; who goes on without one is banned. Business accounts, and visitors who look worse, confirm a
// phone number: the code stands in the log. Who looks worse still may show a passkey. The log has each assessment with
// its reasons.
//
//	redis-server --port 6380 &
//	go run ./examples/signup -redis 127.0.0.1:6380 -addr 127.0.0.1:8080
//	go run ./examples/signup -redis 127.0.0.1:6380 -addr 127.0.0.1:8081
//
// are two instances that share limits, flows, codes and what was seen: a sign-up begun on one is finished on the other.
//
// Each provider is wired in a file of its own and listed in providers.go; what the site decides for itself is in
// policy.go. README.md has the tour.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/vestibule-go/vestibule/fingerprint/ja4"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "signup:", err)
		os.Exit(1)
	}
}

// run serves until ctx is done.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("signup", flag.ContinueOnError)
	flags.SetOutput(out)
	addr := flags.String("addr", "127.0.0.1:8080", "address to listen on")
	overTLS := flags.Bool("tls", false, "serve https with a certificate made on the spot, which browsers warn of: lets the server see the form of clients' hellos")
	trust := flags.Bool("insecure-trust-forwarded-for", false,
		"believe the X-Forwarded-For of any program on this machine: lets curl pretend to be several visitors, and anybody evade every limit")
	redisAddr := flags.String("redis", "", "`ADDR` of a Redis through which instances share limits, flows, codes and what was seen; none: each keeps its own")
	codes := flags.String("phone", "log", "who sends codes to phones: `log`, or twilio for a stand-in; both show the codes in the log")
	metadata := flags.String("metadata", "", "`URL` of FIDO metadata, https://mds3.fidoalliance.org/: lets passkeys in certified hardware prove a device; none: no passkey does")
	metadataRoot := flags.String("metadata-root", "", "`FILE` with the root of the metadata's signers in PEM; none: the FIDO Alliance's")
	var geo, feeds files
	flags.Var(&geo, "geo", "`FILE` in MaxMind DB format that knows countries, networks or anonymizers; may be given again")
	flags.Var(&feeds, "feed", "`FILE` of addresses that attack, or kind=FILE (tor, vpn, hosting, relay, ...); may be given again")
	var chosen vendorFlags
	chosen.add(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends what runs beside the server

	log := newLog(out)
	o := options{Log: log, Now: time.Now, TLS: *overTLS, InsecureTrustForwardedFor: *trust}
	var err error
	if o.Intel, err = openAddresses(ctx, geo, feeds, o.Now, log); err != nil {
		return err
	}
	if o.Vendor, err = chosen.start(ctx); err != nil {
		return err
	}
	if o.Phone, err = newPhoneService(*codes, log); err != nil {
		return err
	}
	defer o.Phone.stop()
	if o.Trust, err = openMetadata(ctx, *metadata, *metadataRoot, log); err != nil {
		return err
	}
	if *redisAddr != "" {
		if o.Shared, err = openShared(ctx, *redisAddr, log); err != nil {
			return err
		}
		defer o.Shared.client.Close()
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	o.Origin = origin(listener.Addr(), *overTLS)
	handler, err := newServer(o)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      20 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	serve := func() error { return server.Serve(listener) }
	if *overTLS {
		certificate, err := selfMade(time.Now())
		if err != nil {
			return err
		}
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}}
		wrapped := ja4.Wrap(server, listener)
		serve = func() error { return server.ServeTLS(wrapped, "", "") }
	}
	if *trust {
		log.Warn("visitors on this machine choose their own address")
	}
	if o.Origin == "" {
		log.Warn("not on localhost: there are no passkeys, and without -tls no proof of work in browsers, and cookies travel in clear")
		log.Info("listening", "address", listener.Addr().String())
	} else {
		log.Info("open " + o.Origin + "/")
	}
	failed := make(chan error, 1)
	go func() { failed <- serve() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return server.Shutdown(ctx)
	}
}

// origin is what browsers call the page: by the name of this machine for itself, as passkeys want a name. "" where it has
// another one, which the server does not know.
func origin(address net.Addr, overTLS bool) string {
	a, ok := address.(*net.TCPAddr)
	if !ok || !a.IP.Equal(net.IPv4(127, 0, 0, 1)) && !a.IP.Equal(net.IPv6loopback) {
		return ""
	}
	scheme := "http"
	if overTLS {
		scheme = "https"
	}
	return fmt.Sprintf("%s://localhost:%d", scheme, a.Port)
}
