package identity_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk/identity"
)

func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		"Ann@Example.COM":                      "ann@example.com",
		"  ann@example.com\r\n":                "ann@example.com",
		"ann@example.com.":                     "ann@example.com",
		"ann@example.com...":                   "ann@example.com",
		"ann@mail\u00adinator.com":             "ann@mailinator.com",
		"ann@ｍailinator.com":                   "ann@mailinator.com",
		"ann+x+y@example.com":                  "ann@example.com",
		"+x@example.com":                       "+x@example.com",
		"a.n.n+x@gmail.com":                    "ann@gmail.com",
		"A.N.N@googlemail.com":                 "ann@gmail.com",
		"...@gmail.com":                        "...@gmail.com",
		"ann@gamil.com":                        "ann@gmail.com",
		"ann@123gmail.com":                     "ann@gmail.com",
		"ann@12gmai.com":                       "ann@gmail.com",
		"ann@mygmail.com":                      "ann@mygmail.com",
		"ann@1hotgmail.com":                    "ann@1hotgmail.com",
		"ann@gmail.con":                        "ann@gmail.com",
		"ann@gmail.comm":                       "ann@gmail.com",
		"ann@example.cam":                      "ann@example.cam",
		"ann@example.com.com.com":              "ann@example.com",
		"ann@example.co":                       "ann@example.co",
		"ann-x@yahoo.co.uk":                    "ann@yahoo.co.uk",
		"ann+x@yahoo.com":                      "ann+x@yahoo.com",
		"ann-x@example.com":                    "ann-x@example.com",
		"ann@proton.me":                        "ann@protonmail.com",
		"ann@ya.ru":                            "ann@yandex.ru",
		"alias@ann.fastmail.com":               "ann@fastmail.com",
		"ann@fastmail.com":                     "ann@fastmail.com",
		"ann@fastmail.co.uk":                   "ann@fastmail.co.uk",
		"ANN@BÜCHER.example":                   "ann@xn--bcher-kva.example",
		"ann@bu\u0308cher.example":             "ann@xn--bcher-kva.example",
		"Bu\u0308cher@example.com":             "bücher@example.com",
		"ann@例え。テスト":                           "ann@xn--r8jz45g.xn--zckzah",
		`"ann"@example.com`:                    "ann@example.com",
		`"a\nn"@example.com`:                   "ann@example.com",
		`"a b+c"@example.com`:                  `"a b+c"@example.com`,
		`"a@b"@example.com`:                    `"a@b"@example.com`,
		"(x)ann(y)@(z)example.com(w)":          "ann@example.com",
		"ann..x@example.com":                   "ann..x@example.com",
		"o'brien@example.com":                  "o'brien@example.com",
		"ann@sub_domain.example.com":           "ann@sub_domain.example.com",
		strings.Repeat("a", 64) + "@gmail.com": strings.Repeat("a", 64) + "@gmail.com",
	} {
		got, err := identity.CanonicalEmail(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
		again, err := identity.CanonicalEmail(got)
		require.NoError(t, err, got)
		require.Equal(t, got, again, "the canonical form is its own")
	}
}

func TestParseEmailRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"empty": "", "white space": " \t", "no at": "ann.example.com", "no local part": "@example.com", "no domain": "ann@",
		"one label": "ann@localhost", "two dots": "ann@example..com", "leading dot": "ann@.example.com", "dots only": "ann@...",
		"IP literal": "ann@[192.0.2.1]", "IP address": "ann@192.0.2.1", "space in the local part": "an n@example.com", "space in the domain": "ann@exam ple.com",
		"control": "ann\x00@example.com", "newline": "ann\nbcc:x@example.com", "comma": "a,b@example.com", "angle": "Ann <ann@example.com>",
		"two at": "a@b@example.com", "open quote": `"ann@example.com`, "quote inside": `a"b@example.com`, "backslash at the end": `"ann\"@example.com`,
		"newline in quotes": "\"a\nb\"@example.com", "long local part": strings.Repeat("a", 65) + "@example.com",
		"long domain": "a@" + strings.Repeat("a.", 130) + "com", "long label": "a@" + strings.Repeat("a", 64) + ".com", "long in all": strings.Repeat("a", 60) + "@" + strings.Repeat("abcdefgh.", 22) + "com",
		"a megabyte": strings.Repeat("a", 1<<20) + "@example.com", "a megabyte of dots": strings.Repeat(".", 1<<20), "a megabyte of comments": strings.Repeat("(", 1<<20) + "a@example.com",
		"invalid UTF-8": "a\xff@example.com", "hyphen first": "a@-example.com", "hyphen last": "a@example-.com", "bad IDN": "a@xn--\u200d.com", "open comment": "(ann@example.com",
		"number as top": "a@example.1", "slash": "a@exa/mple.com", "percent": "a@exa%6dple.com",
	} {
		_, err := identity.ParseEmail(in)
		require.ErrorIs(t, err, identity.ErrAddress, name)
		require.Equal(t, identity.ErrAddress.Error(), err.Error())
	}
	var zero identity.Email
	require.Empty(t, zero.Canonical())
	require.Empty(t, zero.String())
}

func TestEmailKeepsTheOriginal(t *testing.T) {
	e, err := identity.ParseEmail(" A.nn+x@Googlemail.com ")
	require.NoError(t, err)
	require.Equal(t, " A.nn+x@Googlemail.com ", e.Original())
	require.Equal(t, "googlemail.com", e.Domain())
	for _, s := range []string{fmt.Sprint(e), fmt.Sprintf("%+v", e), fmt.Sprintf("%#v", e), fmt.Sprintf("%q", e), fmt.Sprintf("%s", []identity.Email{e})} {
		require.NotContains(t, strings.ToLower(s), "oogle", s)
	}
}

func TestClassify(t *testing.T) {
	own, err := identity.ParseDomains(strings.NewReader("example.org\nduck.com\ngmail.com\n"))
	require.NoError(t, err)
	for domain, want := range map[string]identity.Class{
		"example.org": identity.ClassDisposable, "a.b.example.org": identity.ClassDisposable, "example.org.example.net": identity.ClassUnknown,
		"duck.com": identity.ClassRelay, "privaterelay.appleid.com": identity.ClassRelay, "ann.anonaddy.com": identity.ClassRelay, "mozmail.com": identity.ClassRelay,
		"gmail.com": identity.ClassDisposable, "outlook.com": identity.ClassFree, "yahoo.co.uk": identity.ClassFree, "fastmail.fm": identity.ClassFree,
		"example.com": identity.ClassUnknown, "": identity.ClassUnknown,
	} {
		require.Equal(t, want, identity.Classify(domain, own), domain)
	}
	require.Equal(t, identity.ClassFree, identity.Classify("gmail.com", nil))
	require.Equal(t, "relay", identity.ClassRelay.String())
}

// What is embedded accuses no large provider and no relay, and knows the best-known.
func TestEmbeddedDomains(t *testing.T) {
	d := identity.Disposable()
	b, err := d.MarshalBinary()
	require.NoError(t, err)
	require.LessOrEqual(t, len(b), 400<<10)
	var again identity.Domains
	require.NoError(t, again.UnmarshalBinary(b), "sorted and whole")
	require.Greater(t, d.Len(), 5000)
	for _, domain := range []string{"mailinator.com", "foo.MAILINATOR.com.", "guerrillamail.com", "yopmail.com", "10minutemail.com"} {
		require.True(t, d.Has(domain), domain)
	}
	for _, domain := range []string{
		"gmail.com", "outlook.com", "yahoo.com", "icloud.com", "proton.me", "mailinator.com.example.net", "example.com", "com", "co.uk", "", ".", "..",
		strings.Repeat("a.", 500), "privaterelay.appleid.com", "duck.com", "xn--", "ü",
	} {
		require.False(t, d.Has(domain), domain)
	}
	var none *identity.Domains
	require.False(t, none.Has("mailinator.com"))
	require.Zero(t, none.Len())
	require.Zero(t, testing.AllocsPerRun(100, func() { d.Has("foo.mailinator.com") }))
}

func TestParseDomains(t *testing.T) {
	d, err := identity.ParseDomains(strings.NewReader("\ufeff# list\r\nExample.COM # x\r\n\r\n*.wild.example\n@at.example\n.dot.example\nexample.com\nbücher.example\nnot a domain\n"))
	require.NoError(t, err)
	require.Equal(t, 5, d.Len())
	for _, domain := range []string{"example.com", "a.wild.example", "wild.example", "at.example", "dot.example", "xn--bcher-kva.example", "BÜCHER.example"} {
		require.True(t, d.Has(domain), domain)
	}
	for name, text := range map[string]string{
		"empty": "", "comments": "# x\n", "HTML": strings.Repeat("<p>sorry</p>\n", 10), "suffix": "example.com\ncom\n", "double suffix": "co.uk\n", "suffix in capitals": "CO.UK\n",
		"wildcard of everything": "*.com\n", "prose": strings.Repeat("please try again\n", 6) + "example.com\n", "long line": strings.Repeat("a", 5000),
	} {
		_, err := identity.ParseDomains(strings.NewReader(text))
		require.ErrorIs(t, err, identity.ErrDomains, name)
	}
	for name, b := range map[string][]byte{"cut off": make([]byte, 9), "not sorted": append([]byte{1, 0, 0, 0, 0, 0, 0, 0}, make([]byte, 8)...), "twice": make([]byte, 16)} {
		require.ErrorIs(t, new(identity.Domains).UnmarshalBinary(b), identity.ErrDomains, name)
	}
}

// A set that is not spread evenly answers the same.
func TestUnevenDomains(t *testing.T) {
	all := make([]string, 300)
	for i := range all {
		all[i] = fmt.Sprintf("d%d.example", i)
	}
	whole, err := identity.ParseDomains(strings.NewReader(strings.Join(all, "\n")))
	require.NoError(t, err)
	b, err := whole.MarshalBinary()
	require.NoError(t, err)
	for _, cut := range [][2]int{{0, 300}, {0, 1}, {299, 300}, {100, 300}, {250, 300}, {0, 40}} {
		var part identity.Domains
		require.NoError(t, part.UnmarshalBinary(b[8*cut[0]:8*cut[1]]))
		n := 0
		for _, d := range all {
			if part.Has(d) {
				n++
			}
		}
		require.Equal(t, cut[1]-cut[0], n, cut)
		require.False(t, part.Has("other.example"))
	}
}

func FuzzEmail(f *testing.F) {
	for _, s := range []string{
		"a.b+c@gmail.com", `"a b"@example.com`, "(x)a(y)@example.com", "a@bücher.example", "alias@user.fastmail.com", "a-b@yahoo.com", "a@1gmail.con",
		"a@example.com.com.", `"\""@example.com`, "bu\u0308@x.y",
	} {
		f.Add(s)
	}
	d := identity.Disposable()
	f.Fuzz(func(t *testing.T, s string) {
		e, err := identity.ParseEmail(s)
		if err != nil {
			require.ErrorIs(t, err, identity.ErrAddress)
			return
		}
		require.Equal(t, s, e.Original())
		clean, ok := identity.CleanDomain(e.Domain())
		require.True(t, ok)
		require.Equal(t, e.Domain(), clean)
		c := e.Canonical()
		again, err := identity.CanonicalEmail(c)
		require.NoError(t, err, c)
		require.Equal(t, c, again)
		identity.Classify(e.Domain(), d)
		d.Has(s)
	})
}
