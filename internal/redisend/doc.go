// Package redisend sends commands and scripts to Redis once each, within a deadline of its own. All *redis packages of
// this module talk through it:
//
//	sender, err := redisend.New(client, redisend.Options{Timeout: 50 * time.Millisecond, MaxPending: 1024})
//	...
//	var spend = redisend.NewScript(`return redis.call('DEL',KEYS[1])`)
//	...
//	v, err := sender.Run(ctx, spend, append(spend.Append(nil, 1), key))
//
// go-redis by itself ignores the deadlines of contexts unless ContextTimeoutEnabled is set, and sends a command up to
// three times more when its answer does not come, carried out or not. A [Sender] waits no longer than its timeout on any
// client, bounds how many calls wait, and never sends again what may have been carried out: only a script of which Redis
// has said that it does not know it, and so has done nothing, is sent a second time, in full.
//
// On a *redis.Client that keeps deadlines, scripts of concurrent calls share trips: up to four are on their way at once,
// and what comes meanwhile waits for one of them to end and then goes together. Each call has its own answer and its own
// deadline; who gives up while he waits is never sent; and where trips take more than a quarter of the timeout nobody waits
// for another's. Hooks of the client see such a trip as a pipeline that belongs to no
// caller's context.
//
// # Security considerations
//
// Errors are those of go-redis and the network: they name servers, never keys or arguments. A call that failed may have
// been carried out.
package redisend
