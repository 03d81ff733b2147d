package redistest

import (
	"testing"

	"github.com/redis/go-redis/v9"
)

// Ready gives a client's pool so many connections on which a command can be sent at once: ones that were only dialed, as
// MinIdleConns are, wait for the server to greet them first, and so send nothing to a paused server.
func Ready(t testing.TB, client *redis.Client, n int) {
	t.Helper()
	conns := make([]*redis.Conn, n)
	for i := range conns {
		conns[i] = client.Conn()
		if err := conns[i].Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range conns {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
