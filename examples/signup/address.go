package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/fingerprint/ipintel"
	"github.com/vestibule-go/vestibule/risk"
)

// openAddresses loads what is known about addresses: databases in MaxMind DB format, and lists. A list is "FILE", of
// addresses that attack, or "kind=FILE": "tor=exits.txt", "relay=egress.csv". Both are read again when they change, until
// ctx is done. It is nil when nothing is named.
func openAddresses(ctx context.Context, geo, feeds []string, now func() time.Time, log *slog.Logger) (*ipintel.Intel, error) {
	if len(geo) == 0 && len(feeds) == 0 {
		return nil, nil
	}
	var o ipintel.Options
	for _, file := range geo {
		db, err := ipintel.OpenDatabase(ctx, ipintel.Origin{File: file}, &ipintel.DatabaseOptions{
			Now:     now,
			OnError: func(err error) { log.Warn("database", "error", err) },
		})
		if err != nil {
			return nil, fmt.Errorf("-geo: %w", err)
		}
		log.Info("database", "type", db.Status().Type, "built", db.Status().Built.Format(time.DateOnly))
		o.Databases = append(o.Databases, db)
	}
	var sources []ipintel.Source
	for i, feed := range feeds {
		kind, file := ipintel.Threat, feed
		if name, rest, ok := strings.Cut(feed, "="); ok {
			if kind, ok = ipintel.ParseKind(name); !ok {
				return nil, fmt.Errorf("-feed: unknown kind %q", name)
			}
			file = rest
		}
		sources = append(sources, ipintel.Source{
			Name: fmt.Sprintf("%s-%d", kind, i+1), Kind: kind, Origin: ipintel.Origin{File: file},
		})
	}
	var err error
	o.Lists, err = ipintel.NewLists(sources, &ipintel.ListsOptions{
		Now:     now,
		OnError: func(_ string, err error) { log.Warn("list", "error", err) },
	})
	if err != nil {
		return nil, err
	}
	if err := o.Lists.Refresh(ctx); err != nil {
		return nil, fmt.Errorf("-feed: %w", err)
	}
	for _, s := range o.Lists.Status() {
		log.Info("list", "name", s.Name, "entries", s.Entries)
	}
	intel, err := ipintel.New(&o)
	if err != nil {
		return nil, err
	}
	go func() { _ = o.Lists.Run(ctx) }()
	for _, db := range o.Databases {
		go func() { _ = db.Run(ctx) }()
	}
	return intel, nil
}

// newAddress says what the visitor's address is, where the server was given data to know it by.
func newAddress(o *options) (*provider, error) {
	if o.Intel == nil {
		return nil, nil
	}
	signal, err := ipintel.NewSignal(o.Intel, nil)
	if err != nil {
		return nil, err
	}
	return &provider{signals: []risk.Signal{signal}}, nil
}

// files collects a flag that may be given several times.
type files []string

// String joins the values.
func (f *files) String() string { return strings.Join(*f, " ") }

// Set adds a value.
func (f *files) Set(v string) error {
	if v == "" {
		return errors.New("want a file")
	}
	*f = append(*f, v)
	return nil
}
