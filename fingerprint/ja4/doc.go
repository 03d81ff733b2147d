// Package ja4 answers which TLS library is behind a connection: it computes JA4 fingerprints of client hellos, carries
// them to HTTP handlers, and tells when the library is not the one the User-Agent claims.
//
//	server := &http.Server{Handler: handler, TLSConfig: config}
//	listener, err := net.Listen("tcp", ":443")
//	...
//	err = server.ServeTLS(ja4.Wrap(server, listener), "", "") // keeps the hooks server has already
//
//	// in the guard's options: reads what Wrap left in the request's context
//	riskhttp.Options{Collectors: []riskhttp.Collector{ja4.Collector(nil)}}
//	// among the engine's signals
//	signal, err := ja4.NewSignal(nil)
//
// Behind a proxy that ends TLS, the fingerprint is the edge's to compute: [NewEdge] reads it from a header, of
// trusted peers only.
//
// The algorithm is that of JA4.md in github.com/FoxIO-LLC/ja4 (BSD 3-Clause), taken from tls.ClientHelloInfo: no bytes
// are captured. Only the first hello of a connection counts; a hello that follows a HelloRetryRequest has another JA4.
//
// # Security considerations
//
// A JA4 names a library, not a device: millions share each. It must never be counted as a device, and says nothing
// against a visitor whose value is not in the [Table]. Programs exist that send a browser's hello, so a matching value
// proves nothing; a value that contradicts the User-Agent is hard to explain otherwise, except by software on the way
// that ends TLS (antivirus, corporate proxies), whose values are unknown and cost nothing.
//
// A header that carries a fingerprint is as true as the peer that sends it: without a list of trusted peers anybody
// could choose one. JA4 is personal data only together with something else; nothing here keeps it.
package ja4
