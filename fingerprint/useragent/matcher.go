package useragent

import (
	"fmt"
	"strings"
)

// pattern is a literal to find in a User-Agent without regard to case, and where it must stand.
type pattern struct {
	text       string // lower case
	start, end bool   // of the whole text
	wordStart  bool   // no letter or digit before it
	wordEnd    bool   // no letter or digit behind it
	not        string // what must not stand right before it
	kind       Kind
}

// parsePattern reads "^text", "text$", `\btext`, `text\b`, and a backslash before any other punctuation.
func parsePattern(s string, kind Kind) (pattern, error) {
	p := pattern{kind: kind}
	if rest, ok := strings.CutPrefix(s, "^"); ok {
		p.start, s = true, rest
	}
	if rest, ok := strings.CutPrefix(s, `\b`); ok {
		p.wordStart, s = true, rest
	}
	if rest, ok := strings.CutSuffix(s, `\b`); ok {
		p.wordEnd, s = true, rest
	}
	if rest, ok := strings.CutSuffix(s, "$"); ok && !strings.HasSuffix(rest, `\`) {
		p.end, s = true, rest
	}
	var text strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' {
			i++
			if i == len(s) || letterOrDigit(s[i]) {
				return p, fmt.Errorf("useragent: pattern %.60q: a backslash stands before punctuation, or before a b at an end", s)
			}
			c = s[i]
		} else if strings.IndexByte("*+?()[]{}|", c) >= 0 {
			return p, fmt.Errorf("useragent: pattern %.60q: patterns are plain texts; put a backslash before %q", s, c)
		}
		if c >= 0x80 || c < ' ' {
			return p, fmt.Errorf("useragent: pattern %.60q: want printable ASCII", s)
		}
		text.WriteByte(lower(c))
	}
	p.text = text.String()
	if len(p.text) < 3 {
		return p, fmt.Errorf("useragent: pattern %.60q: fewer than three characters would match nearly everybody", s)
	}
	return p, nil
}

// matcher finds all patterns in one pass over a text (Aho and Corasick, 1975). Immutable.
type matcher struct {
	patterns []pattern
	class    [256]uint8 // of a byte; 0: in no pattern
	classes  int
	next     []uint16 // state*classes + class
	ends     []int32  // of each state: first pattern that ends there + 1
	more     []int32  // of each pattern: next one that ends in the same state + 1
	link     []uint16 // of each state: the longest shorter one at which a pattern ends
}

const mostStates = 1<<16 - 1

func newMatcher(patterns []pattern) (*matcher, error) {
	m := &matcher{patterns: patterns, classes: 1, more: make([]int32, len(patterns))}
	states := 1
	for i := range patterns {
		states += len(patterns[i].text)
		for _, c := range []byte(patterns[i].text) {
			if m.class[c] == 0 {
				m.class[c] = uint8(m.classes)
				m.classes++
			}
		}
	}
	if states > mostStates {
		return nil, fmt.Errorf("useragent: the patterns have %d characters together, at most %d", states, mostStates)
	}
	for c := 'a'; c <= 'z'; c++ {
		m.class[c-0x20] = m.class[c]
	}
	m.next = make([]uint16, m.classes, states*m.classes)
	m.ends = make([]int32, 1, states)
	for i := range patterns {
		s := 0
		for _, c := range []byte(patterns[i].text) {
			at := s*m.classes + int(m.class[c])
			if m.next[at] == 0 {
				m.next[at] = uint16(len(m.ends))
				m.ends = append(m.ends, 0)
				m.next = append(m.next, make([]uint16, m.classes)...)
			}
			s = int(m.next[at])
		}
		m.more[i], m.ends[s] = m.ends[s], int32(i+1)
	}
	m.connect()
	return m, nil
}

// connect turns the trie into an automaton, breadth first.
func (m *matcher) connect() {
	fail := make([]uint16, len(m.ends))
	m.link = make([]uint16, len(m.ends))
	queue := make([]uint16, 0, len(m.ends))
	for c := range m.classes {
		if s := m.next[c]; s != 0 {
			queue = append(queue, s)
		}
	}
	for i := 0; i < len(queue); i++ {
		s := queue[i]
		f := fail[s]
		m.link[s] = f
		if m.ends[f] == 0 {
			m.link[s] = m.link[f]
		}
		for c := range m.classes {
			at, below := int(s)*m.classes+c, m.next[int(f)*m.classes+c]
			if to := m.next[at]; to != 0 {
				fail[to] = below
				queue = append(queue, to)
			} else {
				m.next[at] = below
			}
		}
	}
}

// find returns the strongest kind among the patterns in text, or Unknown.
func (m *matcher) find(text string) Kind {
	found := Unknown
	s := uint16(0)
	for i := range len(text) {
		s = m.next[int(s)*m.classes+int(m.class[text[i]])]
		at := s
		if m.ends[at] == 0 {
			at = m.link[at]
		}
		for ; at != 0; at = m.link[at] {
			for p := m.ends[at]; p != 0; p = m.more[p-1] {
				if k := m.patterns[p-1].kind; k > found && m.patterns[p-1].stands(text, i+1) {
					found = k
				}
			}
		}
	}
	return found
}

// stands reports whether the pattern that ends before text[end] stands where it must.
func (p *pattern) stands(text string, end int) bool {
	begin := end - len(p.text)
	switch {
	case p.start && begin != 0, p.end && end != len(text):
		return false
	case p.wordStart && begin > 0 && letterOrDigit(text[begin-1]):
		return false
	case p.wordEnd && end < len(text) && letterOrDigit(text[end]):
		return false
	case p.not != "" && begin >= len(p.not) && strings.EqualFold(text[begin-len(p.not):begin], p.not):
		return false
	}
	return true
}

func letterOrDigit(c byte) bool { return c-'0' < 10 || c|0x20-'a' < 26 }

func lower(c byte) byte {
	if c-'A' < 26 {
		return c | 0x20
	}
	return c
}
