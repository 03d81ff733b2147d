// Package attestredis keeps the challenges and keys of package attest on Redis, for services of more than one process.
//
//	client := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
//	store, err := attestredis.New(client, nil)
//	...
//	challenges, err := attest.NewChallenges(store.Challenges(), nil)
//	...
//	devices, err := appattest.NewDevices(verifier, store.Keys())
//
// Every decision is one script on one key, so all kinds of clients will do: single, Sentinel, Cluster, Ring. Redis's own
// clock counts. Every key expires.
//
// # Security considerations
//
//   - Redeeming a challenge and advancing a counter are atomic; a script is sent once and never again after a timeout. Where
//     the answer does not come, the error says that nobody can tell, and the challenge may be spent.
//   - Redis replicates asynchronously: a failover may forget the last moments, and a challenge redeemed then may be redeemed
//     once more within its lifetime. Ask Redis for WAIT or accept it; counters of keys stop replayed assertions after the
//     next one.
//   - Names of keys are hashes that contain the tenant. What is stored is hashes, public keys, and receipts.
//
// # What it does not do
//
// It has no fail mode: an outage is an error, and the signal's fail mode decides.
package attestredis
