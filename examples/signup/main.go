// Command signup is the whole of Vestibule in one small net/http server: a sign-up page and its JSON API, with nothing
// to install and no account anywhere. Everything is kept in memory.
//
//	go run ./examples/signup
//
// A clean visitor is let in at once. From the sixth sign-up of one address in a minute a proof of work is asked for,
// which the page solves; who goes on without one is banned. The log shows each assessment with its reasons.
//
// Each provider is wired in a file of its own (limits.go, captcha.go, form.go, address.go, email.go) and listed in providers.go.
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
	trust := flags.Bool("insecure-trust-forwarded-for", false,
		"believe the X-Forwarded-For of any program on this machine: lets curl pretend to be several visitors, and anybody evade every limit")
	redisAddr := flags.String("redis", "", "`ADDR` of a Redis through which instances share limits, flows and answers; default none")
	var geo, feeds files
	flags.Var(&geo, "geo", "`FILE` in MaxMind DB format that knows countries, networks or anonymizers; may be given again")
	flags.Var(&feeds, "feed", "`FILE` of addresses that attack, or kind=FILE (tor, vpn, hosting, relay, ...); may be given again")
	var chosen vendorFlags
	chosen.add(flags)
	overTLS := flags.Bool("tls", false, "serve https with a certificate made on the spot, which browsers warn of: lets the server see the form of clients' hellos")
	codes := flags.String("phone", "off", "verify phone numbers where a challenge asks for it; codes go to the `log`, or to a stand-in for twilio; or off")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	log := newLog(out)
	intel, err := openAddresses(ctx, geo, feeds, time.Now, log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the vendor's stand-in
	whose, err := chosen.start(ctx)
	if err != nil {
		return err
	}
	phones, err := newPhoneCodes(*codes, log)
	if err != nil {
		return err
	}
	if phones != nil {
		defer phones.stop()
	}
	var together *shared
	if *redisAddr != "" {
		if together, err = openShared(ctx, *redisAddr, log); err != nil {
			return err
		}
		defer together.client.Close()
	}
	handler, err := newServer(options{Shared: together, Log: log, Intel: intel, Vendor: whose, Phone: phones, TLS: *overTLS, InsecureTrustForwardedFor: *trust})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	if a, ok := listener.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() && !*overTLS {
		log.Warn("not on loopback: browsers run the proof of work over https or on loopback only, and cookies travel in clear")
	}
	if *trust {
		log.Warn("visitors on this machine choose their own address")
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	serve, scheme := func() error { return server.Serve(listener) }, "http://"
	if *overTLS {
		certificate, err := selfMade(time.Now())
		if err != nil {
			return err
		}
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}}
		wrapped := ja4.Wrap(server, listener)
		serve, scheme = func() error { return server.ServeTLS(wrapped, "", "") }, "https://"
	}
	log.Info("open " + scheme + listener.Addr().String() + "/")
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
