// Package fingerprintredis keeps what package fingerprint has seen on Redis, for several processes: [Store] is a
// fingerprint.Store, [Once] remembers used events for package fingerprint/fpjs.
//
//	client := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
//	store, err := fingerprintredis.New(client, nil)
//	sightings, err := fingerprint.NewSightings(store, &fingerprint.SightingsOptions{Ring: ring})
//
// A visit is one script and one round trip; on Redis Cluster with [Options].Spread one script for each thing it shows,
// all at once. What a thing was seen with is kept in sets sorted by time, one for each dimension, packed into one string:
// Redis's own sorted sets would take six calls each, and three times the time of all of it. No set exceeds its cap, so
// one device costs at most 6.5 KB however many accounts a farm opens on it, and everything expires.
//
// # Security considerations
//
// Redis holds keyed hashes and times only; who has the ring's key can test guesses against them, so keep it apart from
// Redis. A call has its own deadline and is never sent again: after a timeout a visit may or may not have been counted,
// which the signal reports as an error. Redis's clock counts, not those of the processes.
package fingerprintredis
