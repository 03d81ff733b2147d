package ratelimitredis

import "github.com/vestibule-go/vestibule/ratelimit"

// KeyName is the name of a key without a tenant.
func (s *Store) KeyName(k ratelimit.Key) string { return s.name.key("", k) }
