// Package ratelimitredis keeps the limits, offence scores and bans of package ratelimit on Redis, so that many machines
// share them. All limits of one sign-up are decided in one script, on one slot, in one round trip: all are charged or
// none is. While Redis is slow, dead, empty or failing over, decisions still come, within a deadline, by a fail mode.
//
//	client := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
//	store, err := ratelimitredis.New(client, key, &ratelimitredis.Options{
//		Instances: 8, // processes that share the limits while Redis is away
//		Hooks: &ratelimitredis.Hooks{
//			Down: func(cause error) { slog.Error("limits are local", "cause", cause) },
//			Up:   func(after time.Duration) { slog.Info("limits are shared again", "after", after) },
//		},
//	})
//	...
//	limiter, err := ratelimit.New(ratelimit.DefaultPolicy(), store, nil)
//
// The client may be single, Sentinel, Cluster, Ring or AutoPipeliner, and speak RESP2 or RESP3; go-redis's own timeouts and
// retries do not matter (see [New]). Redis 6.0 or later, or Valkey, is needed: this package and the others whose names end
// in redis were tested with Redis 6.0, 7.0 and 8.0, and with Valkey 8.0, 8.1 and 9.1.
//
// # What is stored
//
// A bucket is one key with one integer: when, in microseconds of Redis's clock, it will be full again. An offence record
// is 12 bytes, 21 after a ban. A key is {prefix} and a tag of 9 bytes, the beginning of HMAC-SHA-256 over tenant,
// dimension and value: no address, number or name reaches Redis, not even as a plain hash. Tags are binary; redis-cli
// shows them escaped. Every key expires by itself: a bucket's within 257 seconds after it is full again, so that most
// charges of a busy one need not move its expiry, a record's ten half-lives after the last offence or ban.
//
// # Sizing
//
// A bucket takes about 100 bytes of Redis's memory as Redis is built by default, 117 where its allocator knows only
// multiples of 16 bytes, as in Debian's package, and 75 with Valkey 8.1; a prefix of more than two letters costs 8 to 16
// more, a record takes 16 to 32 more. A sign-up with five limits and three scores keeps five buckets, and records only for
// offenders: a million visitors within the longest window take 500 to 600 MB. One decision costs Redis 20 to 35
// microseconds of its one core, so that one slot decides about 30,000 sign-ups a second. A process that has more than four
// decisions on their way to a single server sends the next ones together, when one of the four is back: under load Redis
// has less to read and write, and few connections serve many callers.
//
// Set maxmemory-policy to noeviction (decisions that would charge then fail, and the fail mode answers) or volatile-ttl
// (what is nearest to full goes first). Never set an LRU or LFU policy: a flood of new keys would evict the limit of
// whoever is being limited. Persistence is not needed; without it a restart makes all limits start full.
//
// # Access
//
// An ACL user needs, for the prefix vl,
//
//	~{vl* ~vl:* +evalsha +eval +mget +set +incrby +del +time
//
// on a cluster also +cluster|slots +cluster|shards +asking +readonly, and on any Redis +hello +client, with which
// go-redis opens connections.
//
// # Cluster
//
// A sign-up's keys have no common owner: the same phone comes from any address. So all keys of a tenant carry one hash
// tag and lie in one slot: {vl} without a tenant, and one of 255 tags such as {vlQ} with one. Tenants spread over the
// nodes; one tenant's limits are decided by one. Options.PerKeySlots gives that up for flows above what one core
// decides: every key then has its own slot, a decision reserves on all nodes at once and gives back when one refuses. It
// never admits more than the limits allow, but an attempt may be refused while another one, refused in the end, holds what
// it needs.
//
// # When Redis fails
//
// Every call ends within Options.Timeout. A script whose answer did not come is never sent again, since it may have been
// carried out: nobody is charged twice. After Options.Failures in a row a breaker opens, one for every sixteenth of the
// tenants; from then on decisions take microseconds, and one probe at a time, on a goroutine of its own, writes an
// expiring key until that succeeds. Each decision made meanwhile carries Degraded with an [*OutageError].
//
//   - Not listening, not answering, killed: the fail mode, as said.
//   - Answering late: the fail mode; a charge that arrives late counts once.
//   - Restarted empty: limits start full, offenders are forgotten by Redis. With fail mode Local, the decisions between
//     are made by what this process knows.
//   - Scripts lost (SCRIPT FLUSH, restart, failover): sent once more in full, in the same call.
//   - Failover: what was not replicated is lost, a few milliseconds of charges. A successor whose clock is behind makes no
//     one wait longer than one full bucket or one longest ban, and what it finds out of bounds it cuts.
//   - READONLY, LOADING, MASTERDOWN, BUSY, OOM, NOPERM, CLUSTERDOWN, TRYAGAIN while a slot moves, no free connection: the
//     fail mode.
//   - Values of another type or no sense under our keys: as if nothing were there, at most as if the bucket were empty;
//     the next charge replaces them.
//
// With [Local] the store in this process is charged along with Redis all the time and knows who is banned, as far as this
// process has met them: an outage does not begin with full buckets. Set Options.Instances, or every process allows the
// whole limit. A refund or report is applied where it can be: a charge made locally and refunded after Redis has come
// back is given back there, beyond what Redis had charged for it, but never beyond a full bucket.
//
// # Security considerations
//
//   - Keep the tag key secret and the same everywhere. Whoever has it and reads Redis can find out whether an address or
//     number was seen; whoever can write there can lift limits and bans: use TLS, a password and an ACL.
//   - Fail mode [Open] lets an attacker who can slow Redis down in for free. [Closed] lets him shut everybody out.
//   - Options.InsecureNow, and Batch.At, make the caller's clock decide. They are for tests.
//   - Errors and hooks carry what Redis and the network said: addresses of servers, never tags or values.
package ratelimitredis
