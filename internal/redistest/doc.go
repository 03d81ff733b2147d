// Package redistest starts real Redis servers for tests: one alone, a cluster of three masters with a replica, or a
// primary and its replica watched by Sentinel. They are child processes on free loopback ports, keep nothing on disk
// beyond a temporary folder, and exactly those processes are ended with the test, or with the test binary, however that
// ends.
//
// A [Group] shares servers among the tests of one package, each test getting them empty:
//
//	var servers redistest.Group
//
//	func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }
//
//	func TestStore(t *testing.T) {
//		server := servers.Single(t)
//		store, err := ratelimitredis.New(server.Client(t, nil), key, nil)
//		...
//	}
//
// Tests that break a server start their own, so that no other test meets the damage:
//
//	server := redistest.Start(t, nil)
//	server.Pause(t)   // accepts, never answers
//	server.Resume(t)
//	server.Kill(t)    // refuses connections
//	server.Restart(t) // empty, on the same port
//
// redis-server is found on PATH: of Redis 6.0 or later, or of Valkey, by that name. To test with another version put it
// first on PATH. Without it tests skip and say so, unless VESTIBULE_REQUIRE_REDIS=1 is set, when they fail.
//
// # Security considerations
//
// The servers have no password and allow DEBUG. They listen on 127.0.0.1 only, where other users of the machine can
// reach them: for tests only.
package redistest
