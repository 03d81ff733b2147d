// Package phoneredis keeps codes, counters, budgets, routes and grants of package phone in Redis, so that several
// instances share them.
//
//	store, err := phoneredis.New(client, nil)
//	...
//	verifier, err := phone.NewVerifier(store, policy, senders, keys, opts)
//
// Every decision is one script and one round trip; checking a code is exactly one. Scripts are sent by name, and in full
// once when Redis does not know them. No command is sent twice: after a timeout nobody knows whether it was carried out.
// Times are the server's. All keys of a tenant lie in one slot, so Redis Cluster works; every key expires.
//
// # Security considerations
//
// Redis holds no number, no code and no device: names are keyed hashes, and of a code there is a MAC and the random seed
// it was drawn from, of which neither says anything without the pepper. The last three digits of numbers seen in the
// past minutes stand under a keyed hash of the others. A lost write (failover before replication) may make a counter
// forget its last events, or a consumed code good once more for as long as it lives: min-replicas-to-write bounds how much
// can be lost. A command whose answer did not come may have been carried out: a code may then be used up, or a message be
// charged that was not sent, never the other way round. While Redis cannot tell, nothing is sent and nobody passes.
// Whoever can write to this Redis can grant himself every verification.
package phoneredis
