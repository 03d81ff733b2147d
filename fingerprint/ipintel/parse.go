package ipintel

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"
)

// mostLine is the most bytes of a line of text.
const mostLine = 64 << 10

// parser reads lines of fields.
type parser struct {
	opts   ParseOptions
	in     *bounded
	buf    *bufio.Reader
	scan   *bufio.Scanner // nil until the first line is wanted
	line   int            // of the file
	data   int            // lines or members that should be entries
	bad    int            // of them, those that are not
	fields []string
	err    error
}

// bounded ends with ErrTooLarge where io.LimitedReader would end quietly.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		var one [1]byte
		if n, err := b.r.Read(one[:]); n == 0 {
			return 0, err
		}
		return 0, ErrTooLarge
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	return n, err
}

func newParser(r io.Reader, opts *ParseOptions) (*parser, error) {
	p := &parser{}
	if opts != nil {
		p.opts = *opts
	}
	if p.opts.MaxBytes == 0 {
		p.opts.MaxBytes = 64 << 20
	}
	if p.opts.MaxEntries == 0 {
		p.opts.MaxEntries = 2_000_000
	}
	if p.opts.MaxBytes < 0 || p.opts.MaxEntries < 0 {
		return nil, errors.New("ipintel: MaxBytes and MaxEntries must be positive, or 0 for the default")
	}
	switch p.opts.Format {
	case FormatAuto, FormatText, FormatJSON, FormatASN:
	default:
		return nil, fmt.Errorf("ipintel: unknown feed format %q", p.opts.Format)
	}
	p.in = &bounded{r, p.opts.MaxBytes}
	p.buf = bufio.NewReader(p.in)
	if err := p.begin(); err != nil {
		return nil, err
	}
	return p, nil
}

// begin skips a byte order mark and white space, refuses web pages and finds the format.
func (p *parser) begin() error {
	if mark, _ := p.buf.Peek(3); bytes.Equal(mark, []byte("\ufeff")) {
		_, _ = p.buf.Discard(3)
	}
	for {
		c, err := p.buf.ReadByte()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return p.fail(err)
		}
		switch c {
		case '\n':
			p.line++
			continue
		case ' ', '\t', '\r':
			continue
		case '<':
			return p.fail(ErrHTML)
		case '{', '[':
			if p.opts.Format == FormatAuto {
				p.opts.Format = FormatJSON
			}
		}
		return p.buf.UnreadByte()
	}
}

// fail names the line of a reason. Errors of the reader stay as they are.
func (p *parser) fail(err error) error {
	if errors.Is(err, ErrTooLarge) || errors.Is(err, ErrHTML) || errors.Is(err, ErrTooBroad) {
		return &FeedError{Line: p.line, Err: err}
	}
	if errors.Is(err, bufio.ErrTooLong) {
		return &FeedError{Line: p.line + 1, Err: ErrTooLarge}
	}
	return fmt.Errorf("ipintel: reading a feed: %w", err)
}

// next reads the next line that holds something, and splits it into fields. What follows "#" or ";" outside of quotes
// is a comment where a feed lists addresses.
func (p *parser) next() bool {
	if p.scan == nil {
		p.scan = bufio.NewScanner(p.buf)
		p.scan.Buffer(make([]byte, 0, 4<<10), mostLine)
	}
	for p.scan.Scan() {
		p.line++
		if p.fields = split(p.fields[:0], p.scan.Text()); len(p.fields) > 0 {
			p.data++
			return true
		}
	}
	p.err = p.scan.Err()
	return false
}

// split cuts a line at commas outside of quotes and removes comments, white space and quotes.
func split(dst []string, line string) []string {
	quoted, start := false, 0
	end := len(line)
scan:
	for i := range len(line) {
		switch c := line[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == ',':
			dst = append(dst, unquote(line[start:i]))
			start = i + 1
		case c == '#' || c == ';':
			end = i
			break scan
		}
	}
	if rest := unquote(line[start:end]); rest != "" || len(dst) > 0 {
		dst = append(dst, rest)
	}
	return dst
}

func unquote(s string) string {
	s = strings.TrimSpace(s)
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = strings.ReplaceAll(s[1:len(s)-1], `""`, `"`)
	}
	return s
}

func (p *parser) field(i int) string {
	if i < len(p.fields) {
		return p.fields[i]
	}
	return ""
}

// rangeFields reads the first two fields as the ends of a range.
func (p *parser) rangeFields() (first, last netip.Addr, ok bool) {
	first, err := netip.ParseAddr(p.field(0))
	if err != nil {
		return first, last, false
	}
	last, err = netip.ParseAddr(p.field(1))
	return Normal(first), Normal(last), err == nil
}

func (p *parser) malformed() { p.bad++ }

// finish refuses what was cut off, is mostly malformed, or is empty.
func (p *parser) finish(entries int) error {
	switch {
	case p.err != nil:
		return p.fail(p.err)
	case p.bad > 5 && p.bad*20 > p.data:
		return &FeedError{Err: ErrMalformed}
	case entries == 0 && (!p.opts.AllowEmpty || p.bad > 0):
		return &FeedError{Err: ErrEmpty}
	}
	return nil
}

// text reads FormatText.
func (p *parser) text(f *Feed) error {
	for p.next() {
		s := p.fields[0]
		if word, rest, ok := strings.Cut(s, " "); ok {
			switch word {
			case "ExitNode", "Published", "LastStatus":
				continue
			case "ExitAddress": // address, then date and time
				s, _, _ = strings.Cut(rest, " ")
			}
		}
		if len(p.fields) > 1 {
			if first, last, ok := p.rangeFields(); ok {
				if err := p.addRange(f, first, last); err != nil {
					return err
				}
				continue
			}
		}
		if i := strings.IndexAny(s, " \t"); i > 0 && !strings.Contains(s, "-") {
			s = s[:i] // columns separated by space
		}
		if err := p.addText(f, s); err != nil {
			return err
		}
	}
	return nil
}

// asns reads FormatASN.
func (p *parser) asns(f *Feed) error {
	for p.next() {
		s, _, _ := strings.Cut(p.fields[0], " ")
		if err := p.addSystem(f, s); err != nil {
			return err
		}
	}
	return nil
}

// parsePrefix reads an address or a prefix; host bits are masked away by normalPrefix.
func parsePrefix(s string) (netip.Prefix, bool) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		return p, err == nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, false
	}
	a = Normal(a)
	return netip.PrefixFrom(a, a.BitLen()), true
}

// cutRange reads "first-last".
func cutRange(s string) (first, last netip.Addr, ok bool) {
	a, b, ok := strings.Cut(s, "-")
	if !ok {
		return first, last, false
	}
	first, err := netip.ParseAddr(strings.TrimSpace(a))
	if err != nil {
		return first, last, false
	}
	last, err = netip.ParseAddr(strings.TrimSpace(b))
	return Normal(first), Normal(last), err == nil
}

// parseASN reads "64500" or "AS64500". 0 is reserved (RFC 7607) and no system.
func parseASN(s string) (uint32, bool) {
	if len(s) > 2 && (s[0] == 'A' || s[0] == 'a') && (s[1] == 'S' || s[1] == 's') {
		s = s[2:]
	}
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil && n > 0
}

// clip bounds a text taken from a database or feed, at the beginning of a character.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return strings.Clone(s[:most])
}
