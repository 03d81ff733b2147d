// Package captcharedis keeps the marks of package captcha in Redis, so that an answer counts once on all instances.
//
//	guard, err := captcharedis.New(client, nil) // client: *redis.Client, *redis.ClusterClient or *redis.Ring
//	pow, err := captcha.NewPoW(keys, guard, nil)
//	orchestrator, err := captcha.NewOrchestrator(members, keys, guard, nil)
//	references, err := captcharedis.NewReferences(client, nil) // for reCAPTCHA Enterprise
//	signal, err := captcha.NewSignal(orchestrator, &captcha.SignalOptions{References: references})
//
// A mark is one SET with NX and PX, so that of any number of concurrent posts exactly one is the first. Commands are sent
// once: one whose answer is lost is an error, never a second try that would find its own mark and call the visitor's
// only answer a replay. Every call has a deadline of its own, and every key expires.
//
// Redis 6.0 or later, or Valkey, is needed.
//
// # Security considerations
//
// Keys hold a hash of the challenge or token, values nothing. Whoever can delete keys makes used answers fresh, so the
// Redis must not be one that visitors' input can reach, and its eviction policy must be noeviction or volatile-ttl with
// memory to spare: an evicted mark is forgotten. A failover may lose the marks of the last moments, as replication is
// asynchronous; remote providers still take each token once, a proof of work could then pass twice. When Redis cannot
// be asked, Spend and Spent are errors: a proof of work does not pass, remote providers go by their own single use.
package captcharedis
