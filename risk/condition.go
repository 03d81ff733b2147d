package risk

import (
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
)

// A condition is a Go boolean expression over codes, facts and the attempt's segment. It is parsed here to a tree in
// negation normal form, whose leaves are tests, and compiled in program.go.

// leafOp is what a leaf tests.
type leafOp uint8

const (
	leafCode    leafOp = iota // a code was observed
	leafKnown                 // a fact was given
	leafNumber                // a number fact compares with a constant
	leafText                  // a text fact is one of a set
	leafBuiltin               // event, channel, tier, tenant, client is one of a set
	leafScore                 // the score compares with a constant
)

// leaf is one test. A negated leafNumber or leafScore has its comparison turned around instead of neg.
type leaf struct {
	op     leafOp
	neg    bool
	cmp    token.Token // leafNumber, leafScore
	signal int         // index in the catalog; -1 for built-ins and the score
	code   int         // leafCode: index in the catalog; later the item in the scorecard
	fact   int
	field  int // leafBuiltin
	number float64
	set    map[string]struct{}
	name   string // as written, for errors
}

// tree is a condition in negation normal form.
type tree struct {
	op   token.Token // LAND, LOR; else a leaf
	a, b *tree
	leaf leaf
}

// builtins are the names every condition may use.
var builtins = []string{"event", "channel", "tier", "tenant", "client"}

const mostConditionNodes = 256

// conditionReader turns Go syntax into a tree.
type conditionReader struct {
	catalog *catalog
	lists   map[string][]string
	nodes   int
}

// parseCondition parses and type-checks one condition.
func parseCondition(text string, c *catalog, lists map[string][]string) (*tree, error) {
	expr, err := parseSyntax(text)
	if err != nil {
		return nil, err
	}
	r := &conditionReader{catalog: c, lists: lists}
	return r.bool(expr, false)
}

// parseSyntax bounds and parses a condition without looking at its names.
func parseSyntax(text string) (ast.Expr, error) {
	if text == "" {
		return nil, errors.New("missing")
	}
	if len(text) > mostConditions {
		return nil, fmt.Errorf("%d bytes, at most %d", len(text), mostConditions)
	}
	expr, err := parser.ParseExprFrom(token.NewFileSet(), "", text, parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("not a Go expression: %s", clip(err.Error()))
	}
	return expr, nil
}

func at(n ast.Node, format string, args ...any) error {
	return fmt.Errorf("at byte %d: %s", n.Pos(), fmt.Sprintf(format, args...))
}

// bool reads an expression that is true or false, negated when neg is set.
func (r *conditionReader) bool(e ast.Expr, neg bool) (*tree, error) {
	if r.nodes++; r.nodes > mostConditionNodes {
		return nil, fmt.Errorf("more than %d parts", mostConditionNodes)
	}
	switch e := e.(type) {
	case *ast.ParenExpr:
		return r.bool(e.X, neg)
	case *ast.UnaryExpr:
		if e.Op != token.NOT {
			return nil, at(e, "operator %s has no place here", e.Op)
		}
		return r.bool(e.X, !neg)
	case *ast.BinaryExpr:
		if e.Op == token.LAND || e.Op == token.LOR {
			return r.join(e, neg)
		}
		return r.comparison(e, neg)
	case *ast.SelectorExpr:
		return r.code(e, neg)
	case *ast.CallExpr:
		return r.call(e, neg)
	}
	return nil, at(e, "want a code, a comparison, oneof or known")
}

func (r *conditionReader) join(e *ast.BinaryExpr, neg bool) (*tree, error) {
	a, err := r.bool(e.X, neg)
	if err != nil {
		return nil, err
	}
	b, err := r.bool(e.Y, neg)
	if err != nil {
		return nil, err
	}
	op := e.Op
	if neg {
		op = token.LAND + token.LOR - op
	}
	return &tree{op: op, a: a, b: b}, nil
}

// selector splits signal.name.
func selector(e ast.Expr) (signal, name string, ok bool) {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return "", "", false
	}
	x, ok := s.X.(*ast.Ident)
	if !ok {
		return "", "", false
	}
	return x.Name, s.Sel.Name, true
}

func (r *conditionReader) code(e *ast.SelectorExpr, neg bool) (*tree, error) {
	signal, name, ok := selector(e)
	if !ok {
		return nil, at(e, "want signal.name")
	}
	full := signal + "." + name
	if i, ok := r.catalog.codeIndex[full]; ok {
		return &tree{leaf: leaf{op: leafCode, neg: neg, signal: r.catalog.codes[i].signal, code: i, name: full}}, nil
	}
	if _, ok := r.catalog.factIndex[full]; ok {
		return nil, at(e, "%s is a fact: compare it, or ask known(%s)", full, full)
	}
	return nil, at(e, "%s", r.unknown(signal, full))
}

func (r *conditionReader) unknown(signal, full string) string {
	if _, ok := r.catalog.signalIndex[signal]; !ok {
		return fmt.Sprintf("no signal %q is registered (list it in needs to switch the rule off without it)", clip(signal))
	}
	return fmt.Sprintf("signal %s declares no %q", signal, clip(full))
}

// operand is one side of a comparison.
type operand struct {
	fact    int // -1: none
	builtin int // -1: none
	score   bool
	value   constant.Value
	name    string
}

func (r *conditionReader) operand(e ast.Expr) (operand, error) {
	o := operand{fact: -1, builtin: -1}
	switch e := e.(type) {
	case *ast.ParenExpr:
		return r.operand(e.X)
	case *ast.BasicLit:
		if e.Kind == token.INT || e.Kind == token.FLOAT || e.Kind == token.STRING {
			o.value = constant.MakeFromLiteral(e.Value, e.Kind, 0)
			return o, nil
		}
	case *ast.UnaryExpr:
		if lit, ok := e.X.(*ast.BasicLit); ok && e.Op == token.SUB && lit.Kind != token.STRING && lit.Kind != token.CHAR && lit.Kind != token.IMAG {
			o.value = constant.UnaryOp(token.SUB, constant.MakeFromLiteral(lit.Value, lit.Kind, 0), 0)
			return o, nil
		}
	case *ast.Ident:
		if e.Name == "score" {
			o.score, o.name = true, "score"
			return o, nil
		}
		for i, b := range builtins {
			if b == e.Name {
				o.builtin, o.name = i, b
				return o, nil
			}
		}
		return o, at(e, "unknown name %q", clip(e.Name))
	case *ast.SelectorExpr:
		signal, name, ok := selector(e)
		if !ok {
			return o, at(e, "want signal.name")
		}
		o.name = signal + "." + name
		if _, ok := r.catalog.codeIndex[o.name]; ok {
			return o, at(e, "%s is a code: it is true or false by itself", o.name)
		}
		i, ok := r.catalog.factIndex[o.name]
		if !ok {
			return o, at(e, "%s", r.unknown(signal, o.name))
		}
		o.fact = i
		return o, nil
	}
	return o, at(e, "want a fact, score, a built-in name or a constant")
}

// comparison reads fact op constant, in either order.
func (r *conditionReader) comparison(e *ast.BinaryExpr, neg bool) (*tree, error) {
	cmp, ok := map[token.Token]bool{token.EQL: true, token.NEQ: true, token.LSS: true, token.LEQ: true, token.GTR: true, token.GEQ: true}[e.Op]
	if !ok || !cmp {
		return nil, at(e, "operator %s has no place here", e.Op)
	}
	x, err := r.operand(e.X)
	if err != nil {
		return nil, err
	}
	y, err := r.operand(e.Y)
	if err != nil {
		return nil, err
	}
	op := e.Op
	if x.value != nil {
		x, y, op = y, x, mirrored(op)
	}
	if x.value != nil || y.value == nil {
		return nil, at(e, "want a comparison with a constant")
	}
	if neg {
		op = inverse(op)
	}
	if x.score || (x.fact >= 0 && r.catalog.facts[x.fact].kind == Number) {
		return r.numeric(e, x, op, y.value)
	}
	return r.textual(e, x, op, y.value)
}

func (r *conditionReader) numeric(e ast.Expr, x operand, op token.Token, v constant.Value) (*tree, error) {
	if v.Kind() != constant.Int && v.Kind() != constant.Float {
		return nil, at(e, "%s is a number", x.name)
	}
	number, _ := constant.Float64Val(v)
	if !isFinite(number) {
		return nil, at(e, "the constant is out of range")
	}
	l := leaf{op: leafScore, cmp: op, signal: -1, number: number, name: x.name}
	if !x.score {
		l.op, l.fact, l.signal = leafNumber, x.fact, r.catalog.facts[x.fact].signal
	}
	return &tree{leaf: l}, nil
}

func (r *conditionReader) textual(e ast.Expr, x operand, op token.Token, v constant.Value) (*tree, error) {
	if v.Kind() != constant.String {
		return nil, at(e, "%s is a text", x.name)
	}
	if op != token.EQL && op != token.NEQ {
		return nil, at(e, "texts compare with == and != only")
	}
	return r.member(x, op == token.NEQ, []string{constant.StringVal(v)}), nil
}

// member tests whether a text fact or built-in is in a set.
func (r *conditionReader) member(x operand, neg bool, values []string) *tree {
	set := make(map[string]struct{}, len(values))
	for _, v := range values {
		set[v] = struct{}{}
	}
	l := leaf{op: leafBuiltin, neg: neg, signal: -1, field: x.builtin, set: set, name: x.name}
	if x.fact >= 0 {
		l.op, l.fact, l.signal = leafText, x.fact, r.catalog.facts[x.fact].signal
	}
	return &tree{leaf: l}
}

func (r *conditionReader) call(e *ast.CallExpr, neg bool) (*tree, error) {
	f, ok := e.Fun.(*ast.Ident)
	if !ok || e.Ellipsis.IsValid() || (f.Name != "known" && f.Name != "oneof") {
		return nil, at(e, "only known and oneof can be called")
	}
	if len(e.Args) == 0 {
		return nil, at(e, "%s wants arguments", f.Name)
	}
	x, err := r.operand(e.Args[0])
	if err != nil {
		return nil, err
	}
	if f.Name == "known" {
		if len(e.Args) != 1 || x.fact < 0 {
			return nil, at(e, "known wants one fact")
		}
		return &tree{leaf: leaf{op: leafKnown, neg: neg, fact: x.fact, signal: r.catalog.facts[x.fact].signal, name: x.name}}, nil
	}
	if x.builtin < 0 && (x.fact < 0 || r.catalog.facts[x.fact].kind != Text) {
		return nil, at(e, "oneof wants a text first")
	}
	values, err := r.values(e.Args[1:])
	if err != nil {
		return nil, err
	}
	if len(values) == 0 {
		return nil, at(e, "oneof wants texts or a list to look in")
	}
	return r.member(x, neg, values), nil
}

// values reads the constants and list names of a oneof.
func (r *conditionReader) values(args []ast.Expr) ([]string, error) {
	var values []string
	for _, a := range args {
		if id, ok := a.(*ast.Ident); ok {
			list, ok := r.lists[id.Name]
			if !ok {
				return nil, at(a, "no list %q", clip(id.Name))
			}
			values = append(values, list...)
			continue
		}
		o, err := r.operand(a)
		if err != nil {
			return nil, err
		}
		if o.value == nil || o.value.Kind() != constant.String {
			return nil, at(a, "oneof wants texts or the name of a list")
		}
		values = append(values, constant.StringVal(o.value))
	}
	return values, nil
}

// mirrored is the operator with its sides exchanged, inverse its negation.
func mirrored(op token.Token) token.Token {
	switch op {
	case token.LSS:
		return token.GTR
	case token.GTR:
		return token.LSS
	case token.LEQ:
		return token.GEQ
	case token.GEQ:
		return token.LEQ
	}
	return op
}

func inverse(op token.Token) token.Token {
	switch op {
	case token.LSS:
		return token.GEQ
	case token.GTR:
		return token.LEQ
	case token.LEQ:
		return token.GTR
	case token.GEQ:
		return token.LSS
	case token.EQL:
		return token.NEQ
	}
	return token.EQL
}
