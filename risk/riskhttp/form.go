package riskhttp

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"html"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/risk"
)

// The codes of a [FormSignal], all in group "human". None has a public text: a program that learns what gave it away
// avoids it next time. What cannot be read is worth at least what is missing, so that sending rubbish never beats
// sending nothing.
const (
	FormHoneypot = "honeypot" // 40: the field people do not see was filled in
	FormFast     = "fast"     // 12: sent sooner after it was shown than a person types
	FormForged   = "forged"   // 8: the stamp is not one of ours, or from the future
	FormStale    = "stale"    // 4: the stamp is ours and too old; forgotten tabs do this too
	FormAbsent   = "absent"   // 4: no stamp, where FormOptions.Always says that there must be one
)

// FormAge is the fact of a [FormSignal]: the seconds between the showing of the form and its arrival, where the stamp
// is ours.
const FormAge = "age"

// FormEvidence is what a form carried beside what the visitor typed. It is attached by [FormSignal.Collect], or by the
// host where the form arrives as JSON. It is untrusted.
type FormEvidence struct {
	// Trapped: the hidden field was not empty. Its content is not kept: a browser may have filled in something
	// personal.
	Trapped bool
	// Stamp is the value of the stamp field.
	Stamp string
}

// String tells nothing of the stamp.
func (e FormEvidence) String() string { return "form evidence" }

// GoString is String.
func (e FormEvidence) GoString() string { return e.String() }

// FormOptions of a [FormSignal]. The zero value and nil mean the defaults.
type FormOptions struct {
	// Secret signs stamps: at least 32 random bytes, the same on all instances. Default: random bytes of this process,
	// so that forms shown before a restart, or by another instance, count as forged.
	Secret []byte
	// Previous are secrets that sign no more and are still accepted; at most 8. Drop them after MaxAge.
	Previous [][]byte
	// MinAge is how long a person needs at least to fill in the form; default 2 s, at most 1 minute.
	MinAge time.Duration
	// MaxAge is how old a stamp may be; default 12 hours, at least 1 minute and more than MinAge. Until then one stamp
	// serves any number of submissions.
	MaxAge time.Duration
	// Skew is how far a stamp may lie in the future before it counts as forged, for instances whose clocks differ;
	// default 1 minute, at most 1 hour.
	Skew time.Duration
	// Always reports that an attempt comes from a page that carries the stamp, so that its absence is evidence: by
	// event, channel, client class. It must not block. Default: none does, and an attempt without a stamp says nothing.
	Always func(a *risk.Attempt) bool
	// TrapField and StampField are the names of the two fields; default "website" and "form_stamp". The trap wants a
	// name that programs like to fill in and browsers do not know: not "email2", "phone" or "address".
	TrapField, StampField string
	// TrapLabel is what people are told who see the trap all the same, with styles switched off; default "Leave this
	// field empty".
	TrapLabel string
	// TrapClass is a class of the host's style sheet that moves the trap out of sight. It fools more programs than the
	// default, the attribute hidden, which needs no style sheet.
	TrapClass string
	// Now is the clock of stamps; default time.Now. It must be the engine's, which gives attempts their time.
	Now func() time.Time
}

// FormSignal is a [risk.Signal] named "form" that catches what fills in forms blindly (a honeypot: a field people do not
// see) or at once (a signed time of showing). Both are cheap to get past for whoever looks at the page, which is why
// they are worth points and prove nothing. Make it with [NewFormSignal]; it is safe for concurrent use.
type FormSignal struct {
	o    FormOptions
	keys [][]byte // the first signs
}

var (
	_ risk.Signal  = (*FormSignal)(nil)
	_ risk.Applier = (*FormSignal)(nil)
)

// leastSecret is the least length of a signing secret: the output of SHA-256.
const leastSecret = 32

// NewFormSignal makes the signal of a page's form.
func NewFormSignal(opts *FormOptions) (*FormSignal, error) {
	s := &FormSignal{}
	if opts != nil {
		s.o = *opts
	}
	o := &s.o
	if o.Secret == nil {
		o.Secret = make([]byte, leastSecret)
		_, _ = rand.Read(o.Secret) // never fails
	}
	const mostPrevious = 8
	if len(o.Previous) > mostPrevious {
		return nil, fmt.Errorf("riskhttp: %d previous form secrets; keep at most %d", len(o.Previous), mostPrevious)
	}
	for i, secret := range append([][]byte{o.Secret}, o.Previous...) {
		if len(secret) < leastSecret {
			return nil, fmt.Errorf("riskhttp: form secret %d has %d bytes; give at least %d random ones, or no Secret at all for one of this process", i, len(secret), leastSecret)
		}
		s.keys = append(s.keys, slices.Clone(secret))
	}
	o.Secret, o.Previous = nil, nil
	for _, d := range []struct {
		name            string
		value           *time.Duration
		def, min, limit time.Duration
	}{
		{"MinAge", &o.MinAge, 2 * time.Second, 0, time.Minute},
		{"MaxAge", &o.MaxAge, 12 * time.Hour, time.Minute, 366 * 24 * time.Hour},
		{"Skew", &o.Skew, time.Minute, 0, time.Hour},
	} {
		if *d.value == 0 {
			*d.value = d.def
		}
		if *d.value < d.min || *d.value > d.limit {
			return nil, fmt.Errorf("riskhttp: form %s is %v; it must be %v to %v, or 0 for %v", d.name, *d.value, d.min, d.limit, d.def)
		}
	}
	if o.MaxAge <= o.MinAge {
		return nil, fmt.Errorf("riskhttp: form MaxAge %v must be more than MinAge %v", o.MaxAge, o.MinAge)
	}
	defaultTo(&o.TrapField, "website")
	defaultTo(&o.StampField, "form_stamp")
	defaultTo(&o.TrapLabel, "Leave this field empty")
	if o.TrapField == o.StampField {
		return nil, errors.New("riskhttp: the form's TrapField and StampField must differ")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return s, nil
}

// Describe implements [risk.Signal]. The signal is Local, and fails open though it never fails.
func (s *FormSignal) Describe() risk.Description {
	const group = "human"
	return risk.Description{
		Name: "form", Cost: risk.Local, OnError: risk.FailOpen,
		Codes: []risk.Code{
			{Name: FormHoneypot, Points: 40, Group: group},
			{Name: FormFast, Points: 12, Group: group},
			{Name: FormForged, State: risk.Invalid, Points: 8, Group: group},
			{Name: FormStale, State: risk.Invalid, Points: 4, Group: group},
			{Name: FormAbsent, State: risk.Absent, Points: 4, Group: group},
		},
		Facts: []risk.FactType{{Name: FormAge, Kind: risk.Number}},
		Collects: []risk.Datum{{
			What: "time between showing and sending a form, and whether a hidden field was filled in",
			Why:  "to tell people from programs", Form: "not stored",
		}},
	}
}

// Applies implements [risk.Applier]: there is evidence, or there should be.
func (s *FormSignal) Applies(a *risk.Attempt) bool {
	_, ok := risk.Evidence[FormEvidence](a)
	return ok || s.always(a)
}

func (s *FormSignal) always(a *risk.Attempt) bool { return s.o.Always != nil && s.o.Always(a) }

// Evaluate implements [risk.Signal].
func (s *FormSignal) Evaluate(_ context.Context, a *risk.Attempt, f *risk.Finding) error {
	e, _ := risk.Evidence[FormEvidence](a)
	if e.Trapped {
		f.Observe(FormHoneypot)
	}
	if e.Stamp == "" {
		if s.always(a) {
			f.Observe(FormAbsent)
		}
		return nil
	}
	now := a.Time
	if now.IsZero() {
		now = s.o.Now()
	}
	shown, ok := s.open(e.Stamp)
	age := now.Sub(shown)
	switch {
	case !ok || age < -s.o.Skew:
		f.Observe(FormForged)
		return nil
	case age > s.o.MaxAge:
		f.Observe(FormStale)
	case age < s.o.MinAge:
		f.Observe(FormFast)
	}
	f.Number(FormAge, max(age, 0).Seconds())
	return nil
}

// Collect is a [Collector] that attaches the evidence of a form that has been parsed already. In the middleware, where
// the form is parsed after collectors have run, wrap the enricher with [FormSignal.Enrich] instead. A host that takes
// JSON attaches a [FormEvidence] itself.
func (s *FormSignal) Collect(r *http.Request, a *risk.Attempt) {
	if r.PostForm == nil && r.MultipartForm == nil {
		return
	}
	risk.Attach(a, FormEvidence{Trapped: formValue(r, s.o.TrapField) != "", Stamp: formValue(r, s.o.StampField)})
}

// Enrich makes an [Enricher] that calls next, which parses the form ([Form]), and then [FormSignal.Collect].
func (s *FormSignal) Enrich(next Enricher) Enricher {
	return func(r *http.Request, a *risk.Attempt) error {
		if err := next(r, a); err != nil {
			return err
		}
		s.Collect(r, a)
		return nil
	}
}

// Fields returns the HTML of the two fields, to be put inside the form; in html/template as template.HTML. It holds the
// time, so the page must not be cached. It needs no script and no inline style.
func (s *FormSignal) Fields() string {
	hide := "hidden"
	if s.o.TrapClass != "" {
		hide = `class="` + html.EscapeString(s.o.TrapClass) + `"`
	}
	trap := html.EscapeString(s.o.TrapField)
	return `<div ` + hide + ` aria-hidden="true"><label>` + html.EscapeString(s.o.TrapLabel) +
		` <input type="text" name="` + trap + `" value="" tabindex="-1" autocomplete="off"></label></div>` +
		`<input type="hidden" name="` + html.EscapeString(s.o.StampField) + `" value="` + s.Stamp() + `">`
}

// FieldNames are the names of the trap and of the stamp, for hosts that read the form themselves.
func (s *FormSignal) FieldNames() (trap, stamp string) { return s.o.TrapField, s.o.StampField }

// Stamp returns the signed time, for clients that are handed no HTML: 30 characters of A-Z a-z 0-9 _ -. It holds
// milliseconds since 1970 and a MAC, and nothing about the visitor.
func (s *FormSignal) Stamp() string {
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(s.o.Now().UnixMilli()))
	return stampEncoding.EncodeToString(stampMAC(s.keys[0], ms[8-stampTimeBytes:]))
}

// A stamp is a time in milliseconds and the beginning of an HMAC-SHA-256 over it.
const (
	stampTimeBytes = 6
	stampMACBytes  = 16
)

var stampEncoding = base64.RawURLEncoding.Strict()

// stampMAC appends the MAC to a time.
func stampMAC(key, ms []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("vestibule form stamp v1\x00"))
	mac.Write(ms)
	return append(slices.Clone(ms), mac.Sum(nil)[:stampMACBytes]...)
}

// open returns the time of a stamp that one of our keys has signed.
func (s *FormSignal) open(stamp string) (time.Time, bool) {
	const size = stampTimeBytes + stampMACBytes
	// The decoder skips line breaks, and two spellings of one stamp are one too many.
	if len(stamp) != stampEncoding.EncodedLen(size) || strings.ContainsAny(stamp, "\r\n") {
		return time.Time{}, false
	}
	raw, err := stampEncoding.DecodeString(stamp)
	if err != nil || len(raw) != size {
		return time.Time{}, false
	}
	for _, key := range s.keys {
		if hmac.Equal(raw, stampMAC(key, raw[:stampTimeBytes])) {
			var ms [8]byte
			copy(ms[8-stampTimeBytes:], raw)
			return time.UnixMilli(int64(binary.BigEndian.Uint64(ms[:]))), true
		}
	}
	return time.Time{}, false
}
