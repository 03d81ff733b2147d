package useragent

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// Bounds of a feed.
const (
	MaxPatterns = 5000
	maxFeed     = 1 << 20
)

// ParseFeed reads a list of patterns of unwanted User-Agents, one a line: a plain text, found anywhere without regard
// to case; "^" before it and "$" behind it tie it to the ends, `\b` at an end to the end of a word, and a backslash
// takes the meaning of punctuation away, so that common lists of bad bots can be used as they are. Empty lines, lines
// that begin with "#", and "\r" are passed over. It fails, naming the line, on patterns of other kinds, on ones of fewer
// than three characters, and on more than [MaxPatterns] or 1 MiB: better to keep the former list than to use half a one.
func ParseFeed(r io.Reader) ([]string, error) {
	limited := &io.LimitedReader{R: r, N: maxFeed + 1}
	lines := bufio.NewScanner(limited)
	var out []string
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if line == "" || line[0] == '#' {
			continue
		}
		if _, err := parsePattern(line, Listed); err != nil {
			return nil, fmt.Errorf("useragent: line %d: %w", n, err)
		}
		if len(out) == MaxPatterns {
			return nil, fmt.Errorf("%w: more than %d patterns", ErrFeed, MaxPatterns)
		}
		out = append(out, line)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("useragent: reading the feed: %w", err)
	}
	if limited.N == 0 {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrFeed, maxFeed)
	}
	return out, nil
}
