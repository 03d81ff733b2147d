// Package riskredis keeps on Redis what package risk keeps, so that many machines share it: [Flows] is a risk.FlowStore
// with which a flow begun on one instance is continued, and spent exactly once, on any other.
//
//	client := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
//	flows, err := riskredis.NewFlows(client, nil)
//	...
//	engine, err := risk.NewEngine(policy, signals, &risk.Options{Flows: flows, OnFlowError: risk.FailReview})
//
// Each call is one round trip: creating is one SET NX, reading one GET, updating and spending one script each. Every key
// expires with its flow and lies in a slot of its own; clients may be single, Sentinel, Cluster, Ring or AutoPipeliner.
// Redis 6.0 or later, or Valkey, is needed.
//
// # Running Redis for flows
//
// A flow takes about 100 bytes beside its state, for its time to live: 100,000 challenged visitors in 15 minutes with
// states of 1 KB take about 110 MB. Set maxmemory-policy to noeviction or volatile-ttl: an evicted flow is a visitor who
// has to start over. An ACL user needs
//
//	~vrf:* +get +set +evalsha +eval, on a cluster also +cluster|slots +cluster|shards +asking +readonly
//
// and on any Redis +hello +client, with which go-redis opens connections.
//
// # When Redis fails
//
// Every call ends within Options.Timeout with an error: the engine answers by its OnFlowError. A write whose answer did
// not come is never sent again, since it may have been carried out: a flow that was to be spent may then be spent, and
// nobody was told that he spent it, so nobody passes twice. A Redis that comes back empty has forgotten all flows, and
// their visitors start over. A failover can lose the last writes, for replication is asynchronous: a flow spent in the
// last moments of a primary may be there, unspent, on its successor. Set min-replicas-to-write where that matters.
//
// # Security considerations
//
//   - Redis holds the flows' states as the engine writes them, under hashed keys. Whoever can write there can reopen
//     flows: use TLS, a password and an ACL, and do not share the instance with strangers.
//   - Errors name neither keys nor states.
//   - A record that is no flow of this version is an error, never an open flow.
package riskredis
