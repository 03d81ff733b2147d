// Package ratelimittest helps to test with package ratelimit: [Run] is the conformance suite of ratelimit.Store, which
// every store of this module passes, and [Scripted] a store with fixed answers, for tests of handlers.
//
//	func TestMyStore(t *testing.T) {
//		ratelimittest.Run(t, func(t *testing.T) ratelimit.Store { return newMyStore(t) })
//	}
//
//	func TestHandlerTurnsAway(t *testing.T) {
//		store := ratelimittest.NewScripted(ratelimittest.Answer{Level: ratelimit.Deny, Wait: time.Minute})
//		limiter, _ := ratelimit.New(ratelimit.DefaultPolicy(), store, nil)
//		...
//	}
//
// # Security considerations
//
// A Scripted store limits nothing and its tags are not secret: it is for tests only.
package ratelimittest
