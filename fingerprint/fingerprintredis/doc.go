// Package fingerprintredis keeps what package fingerprint has seen on Redis, for several processes: [Store] is a
// fingerprint.Store, [Once] remembers used events for package fingerprint/fpjs.
//
//	client := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
//	store, err := fingerprintredis.New(client, nil)
//	sightings, err := fingerprint.NewSightings(store, &fingerprint.SightingsOptions{Ring: ring})
//
// A visit is one script and one round trip; on Redis Cluster with [Options].Spread one script for each thing it shows,
// all at once. What a thing was seen with is one string: each visit adds a few bytes to it, which the process counts
// that reads them; members beyond the cap, and what is older than a week, go when the string is packed. A sorted set for
// each dimension would be the obvious form, and takes three times as long for a visit (BenchmarkForms). A thing costs at
// most 6.5 KB with the default cap, however many accounts a farm opens on it, 8.4 KB with the greatest, and everything
// expires.
//
// A visit of three things takes the store 1.9 times as long as one INCR, and 2.1 times with its keyed hashes; 1.8 times
// is what a script takes that makes the same calls on as many keys and nothing else (BenchmarkSightings).
//
// A thing is kept for as long as it is asked for after its last visit, and up to an hour longer: only the first visit in
// an hour moves its expiry.
//
// Redis 6.0 or later, or Valkey, is needed.
//
// # Security considerations
//
// Redis holds keyed hashes and times only; who has the ring's key can test guesses against them, so keep it apart from
// Redis. A call has its own deadline, does not end with its context's cancellation and is never sent again: after a
// timeout a visit may or may not have been counted, which the signal reports as an error. Redis's clock counts, not those
// of the processes; where one server holds everything, a process that has asked for its time goes by that for 100 ms.
package fingerprintredis
