package ratelimit

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Override replaces the numbers of one limit for one value: a partner's range, a load test, a customer's office.
type Override struct {
	// Limit is the limit's name; it says the dimension, events and client classes.
	Limit string
	// Tenant is the tenant it is for.
	Tenant string
	// Key is the value, in canonical form (see Canonical): "192.0.2.0/24", "a@example.com". Any other form is an
	// error, since it would never match.
	Key string
	// Unlimited lifts the limit. Else Count, Per and Burst are as in Limit.
	Unlimited bool
	Count     int64
	Per       time.Duration
	Burst     int64
}

// maxOverrides bounds a set of overrides.
const maxOverrides = 100_000

type overrides map[Key]*rate

// SetOverrides replaces all overrides at once; decisions under way keep the old ones. At most 100,000. On error
// nothing changes. It may be called at any time, by one goroutine or many.
func (l *Limiter) SetOverrides(list []Override) error {
	if len(list) > maxOverrides {
		return fmt.Errorf("ratelimit: %d overrides, at most %d are allowed", len(list), maxOverrides)
	}
	set := make(overrides, len(list))
	var text []byte
	for i := range list {
		o := &list[i]
		lim := l.policy.byName[o.Limit]
		if lim == nil {
			return fmt.Errorf("ratelimit: override %d: the policy has no limit %q", i, clip(o.Limit))
		}
		if len(o.Tenant) > maxTenant {
			return fmt.Errorf("ratelimit: override %d: Tenant is longer than %d bytes", i, maxTenant)
		}
		var r rate
		if !o.Unlimited {
			var err error
			if r, err = newRate(o.Count, o.Per, o.Burst); err != nil {
				return fmt.Errorf("ratelimit: override %d: %w", i, err)
			}
		} else if o.Count != 0 || o.Per != 0 || o.Burst != 0 {
			return fmt.Errorf("ratelimit: override %d: Unlimited with Count, Per or Burst", i)
		}
		canonical, err := Canonical(lim.Dim, o.Key)
		if err != nil {
			return fmt.Errorf("ratelimit: override %d of %q: %w", i, lim.Name, err)
		}
		if canonical != o.Key {
			return fmt.Errorf("ratelimit: override %d of %q: Key is not in canonical form", i, lim.Name)
		}
		text = appendTenant(append(text[:0], head(lim.Dim)...), o.Tenant)
		switch {
		case lim.Dim == IP || lim.Dim == IPv4:
			text = appendAddr(text, lim.Dim, netip.MustParseAddr(o.Key))
		case lim.Dim.address():
			text = appendAddr(text, lim.Dim, netip.MustParsePrefix(o.Key).Addr())
		case lim.Dim == Business:
			name, id, _ := strings.Cut(o.Key, ":")
			text = appendID(text, name, id)
		default:
			text = append(text, o.Key...)
		}
		tag := l.store.Tag(text)
		key := tag.xor(lim.salt)
		if _, twice := set[key]; twice {
			return fmt.Errorf("ratelimit: override %d of %q: its key is overridden twice", i, lim.Name)
		}
		set[key] = &r
	}
	l.overrides.Store(&set)
	return nil
}
