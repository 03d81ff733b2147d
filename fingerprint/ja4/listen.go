package ja4

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
)

// Wrap makes server remember the JA4 of each connection accepted from l: it returns a listener to serve on, and puts
// its own hooks in front of server's TLSConfig.GetConfigForClient and ConnContext, which still run. Call it once,
// before serving, and give the result to ServeTLS:
//
//	server.ServeTLS(ja4.Wrap(server, listener), cert, key)
//
// server.TLSConfig is replaced by a copy. A listener that wraps connections, such as one of a connection limit or of
// the PROXY protocol, goes below: Wrap(server, limited).
func Wrap(server *http.Server, l net.Listener) net.Listener {
	server.TLSConfig = Config(server.TLSConfig)
	server.ConnContext = ConnContext(server.ConnContext)
	return Listener(l)
}

// Listener wraps l so that its connections can hold the fingerprint of their hello. It is one third of [Wrap].
func Listener(l net.Listener) net.Listener { return &listener{l} }

type listener struct{ net.Listener }

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c}, nil
}

// conn is a connection and the JA4 of its first hello, once that has come.
type conn struct {
	net.Conn
	value atomic.Pointer[string]
}

// NetConn returns the connection below.
func (c *conn) NetConn() net.Conn { return c.Conn }

// Config returns a copy of base (nil: an empty one) whose GetConfigForClient computes the fingerprint and then does
// what base's does. It is one third of [Wrap].
func Config(base *tls.Config) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if base != nil {
		config = base.Clone()
	}
	next := config.GetConfigForClient
	config.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if c := find(h.Conn); c != nil {
			value := Of(h)
			c.value.CompareAndSwap(nil, &value)
		}
		if next == nil {
			return nil, nil
		}
		return next(h)
	}
	return config
}

// ConnContext returns a hook for http.Server.ConnContext that makes the fingerprint available to [FromContext], after
// next (nil: none) has run. It is one third of [Wrap].
func ConnContext(next func(ctx context.Context, c net.Conn) context.Context) func(context.Context, net.Conn) context.Context {
	return func(ctx context.Context, c net.Conn) context.Context {
		if next != nil {
			ctx = next(ctx, c)
		}
		// The handshake has not begun yet: what is kept is where the value will be.
		if own := find(c); own != nil {
			ctx = context.WithValue(ctx, key{}, own)
		}
		return ctx
	}
}

type key struct{}

// FromContext returns the JA4 of the connection a request came over: hand it r.Context(). It is false for connections
// without TLS and for servers that were not prepared with [Wrap].
func FromContext(ctx context.Context) (string, bool) {
	c, ok := ctx.Value(key{}).(*conn)
	if !ok {
		return "", false
	}
	value := c.value.Load()
	if value == nil {
		return "", false
	}
	return *value, true
}

// find looks for the connection of Listener below others, such as a *tls.Conn.
func find(c net.Conn) *conn {
	for range 8 {
		if own, ok := c.(*conn); ok {
			return own
		}
		below, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		c = below.NetConn()
	}
	return nil
}
