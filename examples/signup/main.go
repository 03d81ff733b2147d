// Command signup is the whole of Vestibule in one small net/http server: a sign-up page and its JSON API, with nothing
// to install and no account anywhere. Everything is kept in memory.
//
//	go run ./examples/signup
//
// A clean visitor is let in at once. From the sixth sign-up of one address in a minute a proof of work is asked for,
// which the page solves; who goes on without one is banned. The log shows each assessment with its reasons.
//
// Each provider is wired in a file of its own (limits.go, captcha.go, form.go) and listed in providers.go.
package main

import (
	"context"
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
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	log := newLog(out)
	handler, err := newServer(options{Log: log, InsecureTrustForwardedFor: *trust})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	if a, ok := listener.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() {
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
	log.Info("open http://" + listener.Addr().String() + "/")
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
