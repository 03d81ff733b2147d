package riskhttp

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"

	"github.com/vestibule-go/vestibule/risk"
)

// DefaultBodyLimit is how much of a body JSON and Form read when their limit is not positive: 64 KiB.
const DefaultBodyLimit = 64 << 10

// Enricher adds to an attempt what stands in the request's body. An error means that the request cannot be read: the
// answer is 400, or 413 for a [*http.MaxBytesError], and neither engine nor handler sees it. The error's text goes to
// Options.OnError only.
type Enricher func(r *http.Request, a *risk.Attempt) error

// JSON makes an [Enricher] that decodes the body into a T and calls fill with it. It reads at most limit bytes and puts
// the body back, so that the handler can read it too. It looks at no Content-Type, for handlers that decode JSON rarely
// do, and a body this one skips would be one the engine never saw; empty bodies, other formats and trailing data are
// errors.
func JSON[T any](limit int64, fill func(v *T, a *risk.Attempt)) Enricher {
	return func(r *http.Request, a *risk.Attempt) error {
		body, err := ReadBody(r, limit)
		v := new(T)
		if err == nil {
			err = json.Unmarshal(body, v)
		}
		if err != nil {
			return &BodyError{err}
		}
		fill(v, a)
		return nil
	}
}

// Form makes an [Enricher] that parses the body as a form, URL-encoded or multipart, of at most limit bytes, and calls
// fill with r.Form, which has the URL's values after the body's: what r.FormValue of the handler sees. The handler finds
// the form parsed. Files of a multipart form stay in memory. Errors are [*BodyError].
func Form(limit int64, fill func(form url.Values, a *risk.Attempt)) Enricher {
	if limit <= 0 {
		limit = DefaultBodyLimit
	}
	return func(r *http.Request, a *risk.Attempt) error {
		if r.Body != nil && r.PostForm == nil {
			r.Body = http.MaxBytesReader(nil, r.Body, limit)
		}
		kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		var err error
		if kind == "multipart/form-data" {
			err = r.ParseMultipartForm(limit)
		} else {
			err = r.ParseForm()
		}
		if err != nil {
			return &BodyError{err}
		}
		fill(r.Form, a)
		return nil
	}
}

// ReadBody reads the body, at most limit bytes (64 KiB if limit is not positive), and puts it back: r.Body then yields
// the same bytes again, and what stood beyond the limit after them. A longer body is a [*http.MaxBytesError].
func ReadBody(r *http.Request, limit int64) ([]byte, error) {
	if limit <= 0 {
		limit = DefaultBodyLimit
	}
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	limit = min(limit, math.MaxInt64-1)
	rest := r.Body
	body, err := io.ReadAll(io.LimitReader(rest, limit+1))
	tail := io.Reader(rest)
	if err != nil {
		tail = failed{err}
	}
	r.Body = restored{io.MultiReader(bytes.NewReader(body), tail), rest}
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, &http.MaxBytesError{Limit: limit}
	}
	return body, nil
}

// restored is a body put back together: the bytes read, then the rest.
type restored struct {
	io.Reader
	io.Closer
}

// failed fails the way the body failed.
type failed struct{ err error }

func (f failed) Read([]byte) (int, error) { return 0, f.err }

// tooLarge reports whether an Enricher failed on the size of the body.
func tooLarge(err error) bool {
	_, ok := errors.AsType[*http.MaxBytesError](err)
	return ok
}
