package deps

import (
	"cmp"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Breach is one broken rule.
type Breach struct {
	File   string // relative to the module's root
	Line   int
	Import string // what it is about
	Why    string
}

// String is "file:line: import: why".
func (b Breach) String() string { return fmt.Sprintf("%s:%d: %s: %s", b.File, b.Line, b.Import, b.Why) }

// file is one source file's part in the matter.
type file struct {
	name, dir string
	test      bool // _test.go
	imports   []spec
}

type spec struct {
	path string
	line int
}

// Check reads all .go files and the go.mod of the module whose root is the root of fsys, and returns the breaches in the
// order of files and lines. Nested modules, folders named testdata or vendor and those whose names begin with '.' or '_'
// are not part of the module. The error says that a file could not be read or parsed, or that there was nothing to read.
func Check(fsys fs.FS, r Rules) ([]Breach, error) {
	files, err := read(fsys)
	if err != nil {
		return nil, err
	}
	mod, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return nil, fmt.Errorf("deps: read the module file: %w", err)
	}
	out := checkModFile(string(mod), r)
	c := newChecker(files, r)
	for _, f := range files {
		out = append(out, c.file(f)...)
	}
	slices.SortStableFunc(out, func(a, b Breach) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return out, nil
}

func read(fsys fs.FS) ([]file, error) {
	var files []file
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skipDir(fsys, name)
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		tree, err := parser.ParseFile(set, name, src, parser.ImportsOnly)
		if err != nil {
			return err
		}
		f := file{name: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go")}
		for _, i := range tree.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return fmt.Errorf("%s: %w", set.Position(i.Pos()), err)
			}
			f.imports = append(f.imports, spec{p, set.Position(i.Pos()).Line})
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("deps: read the sources: %w", err)
	}
	if len(files) == 0 {
		return nil, errors.New("deps: no .go files: is this the root of the module?")
	}
	return files, nil
}

func skipDir(fsys fs.FS, name string) error {
	if name == "." {
		return nil
	}
	if base := path.Base(name); base == "testdata" || base == "vendor" || base[0] == '.' || base[0] == '_' {
		return fs.SkipDir
	}
	switch _, err := fs.Stat(fsys, name+"/go.mod"); {
	case err == nil:
		return fs.SkipDir
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return nil
}

type checker struct {
	r        Rules
	carriers map[string]string // packages that bring third-party modules to whoever imports them, and what they import
}

func newChecker(files []file, r Rules) checker {
	c := checker{r: r, carriers: map[string]string{}}
	for _, f := range files {
		if f.test {
			continue
		}
		for _, i := range f.imports {
			own, isOwn := r.own(i.path)
			// A module that must not be there is a breach there, and not one of every importer.
			if isOwn && matchAny(r.Conduits, own) || !isOwn && !isStd(i.path) && c.module(f, i.path) == "" {
				c.carriers[f.dir] = i.path
			}
		}
	}
	return c
}

func (c checker) file(f file) []Breach {
	var out []Breach
	room := slices.IndexFunc(c.r.Rooms, func(r Room) bool { return match(r.Path, f.dir) })
	if room < 0 {
		out = append(out, Breach{f.name, 1, "package in " + f.dir, "no room for it in the layout of the module"})
	}
	for _, i := range f.imports {
		why := ""
		if own, ok := c.r.own(i.path); ok {
			if room >= 0 {
				why = c.own(f, c.r.Rooms[room], own)
			}
		} else if isStd(i.path) {
			why = c.std(f, i.path)
		} else {
			why = c.module(f, i.path)
		}
		if why != "" {
			out = append(out, Breach{f.name, i.line, "imports " + strconv.Quote(i.path), why})
		}
	}
	return out
}

// own judges the import of a package of this module.
func (c checker) own(f file, room Room, to string) string {
	fake := slices.Contains(c.r.TestOnly, f.dir)
	example := match(c.r.Examples+"/...", f.dir)
	if match(c.r.Examples+"/...", to) {
		if example && top(c.r.Examples, to) == top(c.r.Examples, f.dir) {
			return ""
		}
		return "nothing imports examples"
	}
	// A test outside the package imports the package itself.
	if f.test && to == f.dir {
		return ""
	}
	if !(f.test && matchAny(room.Tests, to)) {
		for _, n := range c.r.Never {
			if match(n.From, f.dir) && match(n.To, to) {
				return n.Why
			}
		}
	}
	if slices.Contains(c.r.TestOnly, to) && !f.test && !fake && !example {
		return "only tests, packages of fakes and examples import a package of fakes"
	}
	inFile := path.Base(f.name) == c.r.Private
	switch {
	case matchAny(room.Imports, to):
	case f.test && matchAny(room.Tests, to):
	case matchAny(room.InFile, to) && (inFile || f.test):
	case matchAny(room.InFile, to):
		return "only " + c.r.Private + " imports it"
	default:
		return fmt.Sprintf("packages in %s may not import it", room.Path)
	}
	carried, carrier := c.carriers[to]
	if carrier && !f.test && !fake && !example && !match(to+"/*", f.dir) && !matchAny(c.r.PassOn, to) &&
		!strings.Contains("/"+to+"/", "/internal/") {
		return fmt.Sprintf("it imports %q, and packages with third-party modules are leaves", carried)
	}
	return ""
}

// std judges the import of a package of the standard library.
func (c checker) std(f file, to string) string {
	for _, s := range c.r.Std {
		if !match(s.Path+"/...", to) || s.In != nil && !matchAny(s.In, f.dir) {
			continue
		}
		if s.Tests && f.test || s.Fakes && slices.Contains(c.r.TestOnly, f.dir) {
			continue
		}
		return s.Why
	}
	return ""
}

// module judges the import of a third-party package.
func (c checker) module(f file, to string) string {
	for _, m := range c.r.Modules {
		if !match(m.Path+"/...", to) {
			continue
		}
		if m.Tests {
			if !f.test && !slices.Contains(c.r.TestOnly, f.dir) {
				return "only tests and packages of fakes import it"
			}
			if to != m.Only {
				return "of this module only " + m.Only + " is used"
			}
			return ""
		}
		if matchAny(m.In, f.dir) {
			return ""
		}
		return "this module is imported only by " + strings.Join(m.In, ", ")
	}
	return "this module is not in the list of dependencies"
}

// checkModFile looks at the module file by lines, as the go command writes it: a direct requirement outside the list,
// and directives that the root module does without.
func checkModFile(text string, r Rules) []Breach {
	var out []Breach
	block := ""
	for i, line := range strings.Split(text, "\n") {
		code, comment, _ := strings.Cut(line, "//")
		words := strings.Fields(code)
		if len(words) == 0 {
			continue
		}
		if words[0] == ")" {
			block = ""
			continue
		}
		if len(words) > 1 && words[1] == "(" {
			block = words[0]
			continue
		}
		if block != "" {
			words = append([]string{block}, words...)
		}
		why := ""
		switch {
		case words[0] == "replace" || words[0] == "exclude" || words[0] == "tool":
			why = "the root module has no such directive: tools and peers live in nested modules"
		case words[0] == "module" && len(words) > 1 && words[1] != r.Module:
			why = "the module is " + r.Module
		case words[0] == "require" && len(words) > 1 && strings.TrimSpace(comment) != "indirect" &&
			!slices.ContainsFunc(r.Modules, func(m Module) bool { return match(m.Path+"/...", words[1]) }):
			why = "this module is not in the list of dependencies"
		}
		if why != "" {
			out = append(out, Breach{"go.mod", i + 1, strings.Join(words[:min(2, len(words))], " "), why})
		}
	}
	return out
}

// own cuts the module path off an import path of this module.
func (r Rules) own(importPath string) (string, bool) {
	if importPath == r.Module {
		return ".", true
	}
	return strings.CutPrefix(importPath, r.Module+"/")
}

// isStd goes by the rule of the go command: paths outside the standard library begin with a domain name.
func isStd(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

// top is the folder directly below root that p lies in.
func top(root, p string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(p, root+"/"), "/")
	return first
}

func matchAny(patterns []string, p string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return match(pattern, p) })
}

func match(pattern, p string) bool {
	if pattern == "..." {
		return true
	}
	if root, ok := strings.CutSuffix(pattern, "/..."); ok {
		return p == root || strings.HasPrefix(p, root+"/")
	}
	if root, ok := strings.CutSuffix(pattern, "/*"); ok {
		return strings.HasPrefix(p, root+"/")
	}
	return pattern == p
}
