// Package attestredis keeps the challenges and keys of package attest, and the passkeys of attest/passkey, on Redis, for
// services of more than one process.
//
//	client := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
//	store, err := attestredis.New(client, nil)
//	...
//	challenges, err := attest.NewChallenges(store.Challenges(), nil)
//	...
//	devices, err := appattest.NewDevices(verifier, store.Keys())
//	...
//	passkeys, err := passkey.NewCredentials(store.Records(), nil)
//	...
//	verifier, err := passkey.New(site, challenges, passkeys, nil)
//
// Every decision is one script on one key, so all kinds of clients will do: single, Sentinel, Cluster, Ring. Redis's own
// clock counts. Every key expires. Redis 6.0 or later, or Valkey, is needed.
//
// # Security considerations
//
//   - Redeeming a challenge and advancing a counter are atomic; a script is sent once and never again after a timeout. Where
//     the answer does not come, the error says that nobody can tell, and the challenge may be spent.
//   - Redis replicates asynchronously: a failover may forget the last moments, and no more. A challenge redeemed then may be
//     redeemed once more within its lifetime, a counter advanced then be advanced to the same value again, a new key or
//     passkey be gone. What a replica had confirmed stays. Redis's min-replicas-to-write bounds how long a primary that has
//     lost its replicas goes on; there is no store of this kind without that gap but one that writes by quorum.
//   - A Redis that evicts (maxmemory-policy other than noeviction) forgets spent challenges before their time: they are
//     unknown then, and never fresh.
//   - Names of keys are hashes that contain the tenant. What is stored is hashes, public keys, receipts, and, of a passkey,
//     the host's name for the account.
//
// # What it does not do
//
// It has no fail mode: an outage is an error, and the signal's fail mode decides.
package attestredis
