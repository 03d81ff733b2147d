package risk

import (
	"encoding"
	"encoding/json"
	"math"
	"strconv"
)

// The bounds of a policy's text.
const (
	mostPolicyBytes = 1 << 20
	mostPolicyDepth = 8
)

// ParsePolicy reads a policy from JSON. It refuses unknown and duplicate members, trailing data, texts over 1 MiB and
// deep nesting. Errors are *PolicyError, joined, with line and column.
func ParsePolicy(data []byte) (*Policy, error) {
	r := &reader{data: data, problems: problems{pos: map[string]position{}}}
	root, err := r.read()
	if err != nil {
		return nil, err
	}
	var spec PolicySpec
	r.policy(root, &spec)
	if err := r.err(); err != nil {
		return nil, err
	}
	return newPolicy(spec, r.pos)
}

// want notes where path stands and checks the node's kind.
func (r *reader) want(n *node, path string, kind byte) bool {
	r.pos[path] = n.at
	if n.kind != kind {
		r.add(path, "want %s, have %s", kindNames[kind], kindNames[n.kind])
		return false
	}
	return true
}

// fields reads an object with known members.
func (r *reader) fields(n *node, path string, known map[string]func(n *node, path string)) {
	if !r.want(n, path, kindObject) {
		return
	}
	for _, m := range n.members {
		p := member(path, m.name)
		read, ok := known[m.name]
		if !ok {
			r.pos[p] = m.at
			r.add(p, "unknown member")
			continue
		}
		read(m.node, p)
	}
}

// each reads an array, every reads an object with free names.
func (r *reader) each(n *node, path string, read func(n *node, path string)) {
	if r.want(n, path, kindArray) {
		for i, v := range n.items {
			if len(r.errs) >= mostProblems {
				return
			}
			read(v, element(path, i))
		}
	}
}

func (r *reader) every(n *node, path string, read func(name string, n *node, path string)) {
	if r.want(n, path, kindObject) {
		for _, m := range n.members {
			read(m.name, m.node, member(path, m.name))
		}
	}
}

func readText[T ~string](r *reader, to *T) func(*node, string) {
	return func(n *node, path string) {
		if r.want(n, path, kindText) {
			*to = T(n.value.(string))
		}
	}
}

func readTexts[T ~string](r *reader, to *[]T) func(*node, string) {
	return func(n *node, path string) {
		*to = []T{}
		r.each(n, path, func(n *node, path string) {
			var v T
			readText(r, &v)(n, path)
			*to = append(*to, v)
		})
	}
}

// name reads a text with an UnmarshalText of its own.
func (r *reader) name(to encoding.TextUnmarshaler) func(*node, string) {
	return func(n *node, path string) {
		if !r.want(n, path, kindText) {
			return
		}
		if err := to.UnmarshalText([]byte(n.value.(string))); err != nil {
			r.add(path, "%v", err)
		}
	}
}

func (r *reader) whole(to *int) func(*node, string) {
	return func(n *node, path string) {
		if !r.want(n, path, kindNumber) {
			return
		}
		v, err := strconv.ParseInt(n.value.(json.Number).String(), 10, 32)
		if err != nil {
			r.add(path, "want a whole number")
			return
		}
		*to = int(v)
	}
}

func (r *reader) number(to *float64) func(*node, string) {
	return func(n *node, path string) {
		if !r.want(n, path, kindNumber) {
			return
		}
		v, err := n.value.(json.Number).Float64()
		if err != nil || math.IsInf(v, 0) {
			r.add(path, "want a number")
			return
		}
		*to = v
	}
}

func (r *reader) policy(n *node, s *PolicySpec) {
	r.fields(n, "", map[string]func(*node, string){
		"name":   readText(r, &s.Name),
		"owner":  readText(r, &s.Owner),
		"review": readText(r, &s.Review),
		"sampling": func(n *node, path string) {
			s.Sampling = new(float64)
			r.number(s.Sampling)(n, path)
		},
		"segments": func(n *node, path string) {
			r.each(n, path, func(n *node, path string) {
				var g Segment
				r.segment(n, path, &g)
				s.Segments = append(s.Segments, g)
			})
		},
		"points":  func(n *node, path string) { s.Points = readMap(r, n, path, r.whole) },
		"weights": func(n *node, path string) { s.Weights = readMap(r, n, path, r.number) },
		"floors": func(n *node, path string) {
			s.Floors = readMap(r, n, path, func(a *Action) func(*node, string) { return r.name(a) })
		},
		"fail": func(n *node, path string) {
			s.Fail = readMap(r, n, path, func(m *FailMode) func(*node, string) { return r.name(m) })
		},
		"lists": func(n *node, path string) {
			s.Lists = readMap(r, n, path, func(l *[]string) func(*node, string) { return readTexts(r, l) })
		},
		"groups": func(n *node, path string) { s.Groups = readMap(r, n, path, r.group) },
		"rules": func(n *node, path string) {
			r.each(n, path, func(n *node, path string) {
				var v Rule
				r.rule(n, path, &v)
				s.Rules = append(s.Rules, v)
			})
		},
	})
}

func readMap[V any](r *reader, n *node, path string, read func(*V) func(*node, string)) map[string]V {
	out := map[string]V{}
	r.every(n, path, func(name string, n *node, path string) {
		var v V
		read(&v)(n, path)
		out[name] = v
	})
	return out
}

func (r *reader) group(g *Group) func(*node, string) {
	g.Lo, g.Hi = defaultLo, defaultHi
	return func(n *node, path string) {
		r.fields(n, path, map[string]func(*node, string){
			"lo": r.whole(&g.Lo), "hi": r.whole(&g.Hi),
			"decay": func(n *node, path string) { g.Decay = new(float64); r.number(g.Decay)(n, path) },
		})
	}
}

func (r *reader) segment(n *node, path string, g *Segment) {
	r.fields(n, path, map[string]func(*node, string){
		"name": readText(r, &g.Name), "event": readTexts(r, &g.Event), "channel": readTexts(r, &g.Channel),
		"tier": readTexts(r, &g.Tier), "tenant": readTexts(r, &g.Tenant), "client": readTexts(r, &g.Client),
		"prior": r.number(&g.Prior), "offers": readTexts(r, &g.Offers), "always": readTexts(r, &g.Always),
		"levels": func(n *node, path string) {
			r.each(n, path, func(n *node, path string) {
				var l Level
				r.level(n, path, &l)
				g.Levels = append(g.Levels, l)
			})
		},
	})
}

func (r *reader) level(n *node, path string, l *Level) {
	r.fields(n, path, map[string]func(*node, string){
		"name": readText(r, &l.Name), "action": r.name(&l.Action), "require": readTexts(r, &l.Require),
		"then": r.name(&l.Then), "else": r.name(&l.Else), "for": r.name(&l.For),
		"range": func(n *node, path string) {
			if !r.want(n, path, kindArray) {
				return
			}
			if len(n.items) != 2 {
				r.add(path, "want two numbers: the first and the last score")
				return
			}
			l.Range = new([2]int)
			for i, v := range n.items {
				r.whole(&l.Range[i])(v, element(path, i))
			}
		},
	})
}

func (r *reader) rule(n *node, path string, v *Rule) {
	r.fields(n, path, map[string]func(*node, string){
		"name": readText(r, &v.Name), "when": readText(r, &v.When), "mode": readText(r, &v.Mode),
		"points": r.whole(&v.Points), "group": readText(r, &v.Group), "floor": readText(r, &v.Floor),
		"ceiling": readText(r, &v.Ceiling), "require": readTexts(r, &v.Require), "needs": readTexts(r, &v.Needs),
	})
}
