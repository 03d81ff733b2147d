package ipintel

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// DatabaseOptions of [OpenDatabase]. The zero value and nil mean the defaults.
type DatabaseOptions struct {
	// Every is how often [Database.Run] asks for a new one; default a minute for a file and a day for a URL.
	Every time.Duration
	// MaxBytes is the largest database; default 1 GiB. It is held in memory.
	MaxBytes int64
	// Kind is what any address found in the database is, beside what its record says: for databases that only list, such
	// as of residential proxies.
	Kind Kind
	// Now is the clock; default time.Now.
	Now func() time.Time
	// OnError hears of each failed or refused reload of Run. It must not block.
	OnError func(err error)
}

// Database answers from one file in MaxMind DB format, of whatever schema: country, city, ASN, connection type,
// anonymous IP, residential proxy, of MaxMind, IPinfo, DB-IP or ip-location-db. It is held in memory; a reload verifies
// the new one as a whole before it takes the place of the old, and a look-up under way goes on with the old one, which
// the garbage collector frees. Safe for concurrent use.
type Database struct {
	opts    DatabaseOptions
	fetch   *fetcher // guarded by loading
	loading sync.Mutex
	reader  atomic.Pointer[maxminddb.Reader]
	mu      sync.Mutex
	status  DatabaseStatus // guarded by mu
}

// DatabaseStatus is what is known of a database.
type DatabaseStatus struct {
	// Type is what the database calls itself: "GeoLite2-City".
	Type string
	// Built is when its publisher made it, Age the time since then: databases grow wrong quietly.
	Built time.Time
	Age   time.Duration
	// Bytes and Nodes are its size.
	Bytes, Nodes int
	// Loaded is when it was taken, Checked when it was last found current.
	Loaded, Checked time.Time
	// Err is why the last reload failed or was refused; nil: it did not.
	Err error
}

// ErrDatabase is what every refusal of a database is.
var ErrDatabase = errors.New("ipintel: database refused")

// OpenDatabase loads and verifies a database, which takes a second or two for a large one.
func OpenDatabase(ctx context.Context, origin Origin, opts *DatabaseOptions) (*Database, error) {
	d := &Database{}
	if opts != nil {
		d.opts = *opts
	}
	if d.opts.MaxBytes == 0 {
		d.opts.MaxBytes = 1 << 30
	}
	if d.opts.Every == 0 {
		d.opts.Every = 24 * time.Hour
		if origin.File != "" {
			d.opts.Every = time.Minute
		}
	}
	if d.opts.MaxBytes < 0 || d.opts.Every < 0 {
		return nil, errors.New("ipintel: MaxBytes and Every must be positive, or 0 for the default")
	}
	if d.opts.Kind&^allKinds != 0 {
		return nil, errors.New("ipintel: DatabaseOptions.Kind has unknown kinds")
	}
	if d.opts.Now == nil {
		d.opts.Now = time.Now
	}
	var err error
	if d.fetch, err = newFetcher(origin, d.opts.MaxBytes); err != nil {
		return nil, fmt.Errorf("ipintel: database: %w", err)
	}
	if err := d.Reload(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

// Reload takes a new version if there is one. A database that does not verify, is of another type, or has less than half
// the nodes of the current one is refused, and the current one stays.
func (d *Database) Reload(ctx context.Context) error {
	d.loading.Lock()
	defer d.loading.Unlock()
	body, seen, err := d.fetch.fetch(ctx)
	if err == nil && body != nil {
		err = d.accept(body)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.status.Err = err; err != nil {
		return err
	}
	d.fetch.seen = seen
	d.status.Checked = d.opts.Now()
	if body != nil {
		m := d.reader.Load().Metadata
		d.status.Loaded, d.status.Bytes = d.status.Checked, len(body)
		d.status.Type, d.status.Nodes, d.status.Built = clip(m.DatabaseType, mostText), int(m.NodeCount), m.BuildTime()
	}
	return nil
}

// accept verifies a database and swaps it in.
func (d *Database) accept(body []byte) error {
	next, err := verified(body)
	if err != nil {
		return err
	}
	if now := d.reader.Load(); now != nil {
		switch {
		case now.Metadata.DatabaseType != next.Metadata.DatabaseType:
			return fmt.Errorf("%w: it is of another type than the current one", ErrDatabase)
		case next.Metadata.NodeCount < now.Metadata.NodeCount/2:
			return fmt.Errorf("%w: it has less than half the nodes of the current one", ErrDatabase)
		}
	}
	d.reader.Store(next)
	return nil
}

// verified opens a database and walks all of it: opening alone accepts files whose tree is corrupt.
func verified(body []byte) (r *maxminddb.Reader, err error) {
	defer func() {
		if recover() != nil { // a fault of the reader must not end the program
			r, err = nil, fmt.Errorf("%w: it cannot be read", ErrDatabase)
		}
	}()
	if r, err = maxminddb.OpenBytes(body); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDatabase, err)
	}
	// Verify wants these of the metadata; publishers other than MaxMind leave them out.
	if len(r.Metadata.Description) == 0 {
		r.Metadata.Description = map[string]string{"en": "none"}
	}
	if r.Metadata.DatabaseType == "" {
		r.Metadata.DatabaseType = "unnamed"
	}
	if err = r.Verify(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDatabase, err)
	}
	return r, nil
}

// Run reloads the database when it has changed, until ctx is done, and returns its error. Start it in a goroutine.
func (d *Database) Run(ctx context.Context) error {
	for {
		next := time.NewTimer(d.opts.Every)
		select {
		case <-ctx.Done():
			next.Stop()
			return ctx.Err()
		case <-next.C:
		}
		if err := d.Reload(ctx); err != nil && d.opts.OnError != nil && ctx.Err() == nil {
			d.opts.OnError(err)
		}
	}
}

// Status tells how old and how large the database is.
func (d *Database) Status() DatabaseStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.status
	if !s.Built.IsZero() {
		s.Age = d.opts.Now().Sub(s.Built)
	}
	return s
}

// Lookup returns the record of an address, and false when there is none. It normalizes the address. An error means that
// the record cannot be decoded.
func (d *Database) Lookup(ip netip.Addr) (Record, bool, error) {
	ip = Normal(ip)
	if !ip.IsValid() {
		return Record{}, false, nil
	}
	r := d.reader.Load()
	if r.Metadata.IPVersion == 4 && !ip.Is4() {
		return Record{}, false, nil
	}
	result := r.Lookup(ip)
	if !result.Found() {
		if err := result.Err(); err != nil {
			return Record{}, false, fmt.Errorf("ipintel: looking up an address: %w", err)
		}
		return Record{}, false, nil
	}
	var u unmarshaler
	if err := result.Decode(&u); err != nil {
		return Record{}, false, fmt.Errorf("ipintel: decoding a record: %w", err)
	}
	u.Kinds |= d.opts.Kind
	return u.Record, true, nil
}
