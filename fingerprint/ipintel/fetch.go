package ipintel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/internal/jsonhttp"
)

// Origin says where a list or database comes from. Exactly one of File and URL is set.
type Origin struct {
	// File is a path. Replace it by renaming a complete new file over it.
	File string
	// URL is https, or plain http on loopback. It is asked with the validators of the last accepted answer, so that an
	// unchanged file costs its publisher nothing. Redirects are not followed: name the final address. It and Header may
	// carry keys; neither is ever repeated in an error.
	URL    string
	Header http.Header
	// Transport sends the requests; default a clone of http.DefaultTransport.
	Transport http.RoundTripper
	// Timeout bounds one download; default 60 s.
	Timeout time.Duration
	// InsecureHTTP allows plain http beyond loopback: anybody on the way can then list whom he likes.
	InsecureHTTP bool
}

// fetcher gets the bytes of an origin when they have changed.
type fetcher struct {
	file   string
	client *jsonhttp.Client
	query  url.Values
	header http.Header
	most   int64

	// What the last accepted bytes were known by.
	seen mark
}

// mark is what tells one version of an origin from another.
type mark struct {
	etag, modified string    // of an URL
	size           int64     // of a file
	at             time.Time // of a file
}

// StatusError is an answer that is neither 200 nor 304.
type StatusError struct {
	Status int
	// RetryAfter is when to ask again at the earliest, as the server says; 0: it does not.
	RetryAfter time.Duration
}

// Error names the status.
func (e *StatusError) Error() string { return fmt.Sprintf("ipintel: the server answered %d", e.Status) }

func newFetcher(o Origin, most int64) (*fetcher, error) {
	f := &fetcher{file: o.File, header: o.Header.Clone(), most: most}
	if (o.File == "") == (o.URL == "") {
		return nil, errors.New("want exactly one of File and URL")
	}
	if o.Timeout < 0 {
		return nil, errors.New("the Timeout must not be negative")
	}
	if o.File != "" {
		return f, nil
	}
	base, query, _ := strings.Cut(o.URL, "?")
	var err error
	if f.query, err = url.ParseQuery(query); err != nil {
		return nil, errors.New("the URL's query is malformed")
	}
	timeout := o.Timeout
	if timeout == 0 {
		timeout = time.Minute
	}
	f.client, err = jsonhttp.New(base, &jsonhttp.Options{
		Transport: o.Transport, Timeout: timeout, MaxBody: most, InsecureHTTP: o.InsecureHTTP,
	})
	if err != nil {
		return nil, err
	}
	if f.header == nil {
		f.header = http.Header{}
	}
	if f.header.Get("Accept") == "" {
		f.header.Set("Accept", "*/*")
	}
	return f, nil
}

// fetch returns the bytes and what they are known by, or nil bytes when they are those last accepted. The caller keeps
// the mark once it has accepted the bytes: a refused update is asked for again.
func (f *fetcher) fetch(ctx context.Context) ([]byte, mark, error) {
	if f.file != "" {
		return f.read()
	}
	header := f.header.Clone()
	if f.seen.etag != "" {
		header.Set("If-None-Match", f.seen.etag)
	}
	if f.seen.modified != "" {
		header.Set("If-Modified-Since", f.seen.modified)
	}
	resp, err := f.client.Do(ctx, jsonhttp.Request{Query: f.query, Header: header})
	switch {
	case err != nil:
		return nil, mark{}, fmt.Errorf("ipintel: downloading: %w", err)
	case resp.Status == http.StatusNotModified && f.seen != mark{}:
		return nil, f.seen, nil
	case resp.Status != http.StatusOK:
		return nil, mark{}, &StatusError{resp.Status, jsonhttp.RetryAfter(resp.Header, time.Now())}
	}
	body := resp.Body
	if body == nil {
		body = []byte{}
	}
	return body, mark{etag: resp.Header.Get("ETag"), modified: resp.Header.Get("Last-Modified")}, nil
}

func (f *fetcher) read() ([]byte, mark, error) {
	file, err := os.Open(f.file)
	if err != nil {
		return nil, mark{}, fmt.Errorf("ipintel: %w", err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, mark{}, fmt.Errorf("ipintel: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, mark{}, errors.New("ipintel: not a regular file")
	}
	m := mark{size: info.Size(), at: info.ModTime()}
	if m == f.seen {
		return nil, m, nil
	}
	if m.size > f.most {
		return nil, mark{}, &FeedError{Err: ErrTooLarge}
	}
	body := make([]byte, 0, m.size+1)
	for {
		n, err := file.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, mark{}, fmt.Errorf("ipintel: %w", err)
		}
		if int64(len(body)) > m.size {
			return nil, mark{}, errors.New("ipintel: the file grows while it is read; rename a complete file over it")
		}
	}
	if int64(len(body)) < m.size {
		return nil, mark{}, errors.New("ipintel: the file shrinks while it is read; rename a complete file over it")
	}
	return body, m, nil
}
