package riskhttp

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// writer notes the status a handler writes.
type writer struct {
	http.ResponseWriter
	code int
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// status is the final status; none written is what net/http writes then.
func (w *writer) status() int {
	if w.code == 0 {
		return http.StatusOK
	}
	return w.code
}

// note keeps the first final status: 1xx ones but 101 precede it.
func (w *writer) note(code int) {
	if w.code == 0 && (code >= 200 || code == http.StatusSwitchingProtocols) {
		w.code = code
	}
}

func (w *writer) WriteHeader(code int) {
	w.note(code)
	w.ResponseWriter.WriteHeader(code)
}

func (w *writer) Write(b []byte) (int, error) {
	w.note(http.StatusOK)
	return w.ResponseWriter.Write(b)
}

// ReadFrom keeps sendfile working where the writer below has it.
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	w.note(http.StatusOK)
	return io.Copy(w.ResponseWriter, r)
}

// Flush serves handlers that look for an http.Flusher.
func (w *writer) Flush() { _ = w.FlushError() }

// FlushError serves http.ResponseController.
func (w *writer) FlushError() error {
	w.note(http.StatusOK)
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack serves handlers that look for an http.Hijacker.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

var (
	_ http.Flusher  = (*writer)(nil)
	_ http.Hijacker = (*writer)(nil)
	_ io.ReaderFrom = (*writer)(nil)
)
