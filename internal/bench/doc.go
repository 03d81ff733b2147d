// Package bench measures package ratelimit beside other Go rate limiters, in memory and on one Redis, and prints a table.
// It is a module of its own, so that nobody inherits the peers.
//
//	make bench BENCH=Peers
//
// All contenders decide the same five dimensions of a sign-up, address, network, device, phone and e-mail; this module's
// limiter keeps three offence scores besides, and its time includes making the keyed tags. They take turns, round by
// round, so that whatever else the machine does hits all of them; figures are medians over the rounds, and ratios are
// medians of the rounds' ratios to the floor measured in the same round: one INCR through the same client for times, one
// EVALSHA of a trivial script with five keys for throughput.
//
// Peers check one dimension a call. "Holds": 64 goroutines ask for a fresh key with room for 100; how many get in.
// "Leaks": when the fifth dimension refuses, how many of the other four have lost quota.
package bench
