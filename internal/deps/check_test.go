package deps_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/internal/deps"
)

const mod = "github.com/vestibule-go/vestibule"

// tree is a module that keeps every rule: one file a line, its name and what it imports; "~" is the module.
const tree = `
risk/engine.go                        context log/slog encoding/json
risk/engine_test.go                   testing net/http github.com/stretchr/testify/require ~/risk ~/risk/risktest ~/risk/keyed ~/internal/canonjson
risk/keyed/ring.go                    crypto/hmac
risk/keyed/ring_test.go               testing github.com/stretchr/testify/require ~/risk/keyed
risk/risktest/signal.go               testing net/http/httptest testing/synctest github.com/stretchr/testify/require ~/risk
risk/riskhttp/guard.go                net/http ~/risk ~/risk/keyed ~/internal/clientip
risk/riskhttp/guard_test.go           testing net/http/httptest ~/risk/risktest ~/risk/riskhttp
risk/riskredis/flows.go               github.com/redis/go-redis/v9 ~/risk ~/risk/account
risk/riskredis/flows_test.go          testing ~/internal/redistest ~/risk/riskredis
risk/riskyaml/load.go                 github.com/goccy/go-yaml ~/risk
risk/riskotel/trace.go                go.opentelemetry.io/otel go.opentelemetry.io/otel/trace ~/risk
risk/account/account.go               ~/risk ~/risk/keyed
risk/identity/email.go                golang.org/x/net/idna
risk/share/voprf.go                   github.com/cloudflare/circl/oprf ~/internal/jose
risk/console/console.go               net/http ~/risk/cases
risk/cases/cases.go                   ~/risk
ratelimit/gcra.go                     ~/risk/keyed ~/internal/clientip
ratelimit/signal.go                   ~/risk ~/risk/keyed
ratelimit/limiter_test.go             testing ~/ratelimit ~/ratelimit/ratelimittest ~/risk ~/risk/risktest ~/risk/riskhttp
ratelimit/ratelimitredis/store.go     github.com/redis/go-redis/v9 ~/ratelimit ~/internal/redisend
ratelimit/ratelimitredis/store_test.go testing github.com/redis/go-redis/v9 ~/internal/redistest ~/ratelimit/ratelimittest
ratelimit/ratelimittest/suite.go      testing github.com/stretchr/testify/require ~/ratelimit
captcha/turnstile.go                  net/http
captcha/signal.go                     ~/risk
captcha/argon/argon.go                golang.org/x/crypto/argon2 ~/captcha
captcha/captcharedis/store.go         ~/captcha ~/internal/redisend
captcha/captchatest/fake.go           testing ~/captcha ~/captcha/argon
fingerprint/ipintel/db.go             github.com/oschwald/maxminddb-golang/v2 github.com/gaissmai/bart
fingerprint/ipintel/signal.go         ~/risk
fingerprint/ja4/ja4.go                crypto/sha256
fingerprint/fingerprintredis/store.go github.com/redis/go-redis/v9 ~/fingerprint
fingerprint/fingerprinttest/suite.go  testing ~/fingerprint
fingerprint/sightings.go              ~/fingerprint/ja4
attest/challenge.go                   ~/risk/keyed
attest/appattest/verify.go            github.com/fxamacker/cbor/v2 github.com/smallstep/pkcs7 ~/attest
attest/appattest/signal.go            ~/risk ~/attest
attest/androidkey/verify.go           github.com/fxamacker/cbor/v2 ~/attest
attest/passkey/passkey.go             github.com/go-webauthn/webauthn/webauthn ~/attest ~/attest/androidkey
attest/playintegrity/token.go         ~/internal/jose ~/attest
attest/privacypass/issuer.go          github.com/cloudflare/circl/blindsign
attest/webbotauth/sig.go              github.com/dunglas/httpsfv
attest/attestredis/store.go           github.com/redis/go-redis/v9 ~/attest
attest/attesttest/authority.go        testing github.com/fxamacker/cbor/v2 ~/attest ~/attest/appattest
phone/parse.go                        github.com/nyaruka/phonenumbers/v2
phone/signal.go                       ~/risk
phone/twilio/lookup.go                net/http ~/phone
phone/phoneredis/store.go             github.com/redis/go-redis/v9 ~/phone
phone/phonetest/provider.go           testing ~/phone
examples/signup/main.go               net/http github.com/redis/go-redis/v9 ~/risk ~/risk/risktest ~/captcha ~/ratelimit ~/attest/passkey ~/examples/signup/page
examples/signup/page/page.go          embed
examples/signup/main_test.go          testing ~/phone
internal/jose/jose.go                 github.com/lestrrat-go/jwx/v2/jwt
internal/redisend/sender.go           github.com/redis/go-redis/v9
internal/redistest/redis.go           testing github.com/redis/go-redis/v9
internal/clientip/ip.go               net/netip
internal/canonjson/json.go            ~/internal/clientip
internal/readme/readme_test.go        testing ~/risk ~/captcha
internal/bench/go.mod                 -
internal/bench/peer.go                github.com/some/peer ~/examples/signup testing
risk/testdata/broken.go               testing
risk/_old/old.go                      github.com/some/peer
.ci/gen.go                            github.com/some/peer
`

const goMod = `module github.com/vestibule-go/vestibule

go 1.26

require (
	github.com/redis/go-redis/v9 v9.1.0
	golang.org/x/net v0.1.0
	example.com/somewhere v1.0.0 // indirect
)

require github.com/stretchr/testify v1.12.1
`

// source writes a file with one import a line, the first in line 4.
func source(imports []string) *fstest.MapFile {
	var b strings.Builder
	b.WriteString("package x\n\nimport (\n")
	for _, i := range imports {
		fmt.Fprintf(&b, "\t_ %q\n", strings.Replace(i, "~", mod, 1))
	}
	b.WriteString(")\n\nfunc broken( { // only the imports are parsed\n")
	return &fstest.MapFile{Data: []byte(b.String())}
}

func goodTree() fstest.MapFS {
	fsys := fstest.MapFS{"go.mod": {Data: []byte(goMod)}, "README.md": {Data: []byte("# x")}}
	for line := range strings.Lines(tree) {
		if words := strings.Fields(line); len(words) > 0 {
			fsys[words[0]] = source(words[1:])
		}
	}
	return fsys
}

func TestGoodTree(t *testing.T) {
	got, err := deps.Check(goodTree(), deps.House())
	require.NoError(t, err)
	require.Empty(t, got)
}

// TestBreaches adds one file to the good tree a row.
func TestBreaches(t *testing.T) {
	rows := []struct{ name, file, imports, why string }{
		{"provider to provider", "captcha/x.go", "~/ratelimit", "providers never import each other"},
		{"provider to another's sub-package", "captcha/x.go", "~/fingerprint/ja4", "providers never import each other"},
		{"sub-package to another provider", "attest/appattest/x.go", "~/phone", "providers never import each other"},
		{"provider's signal.go to provider", "captcha/zz/signal.go", "~/ratelimit", "providers never import each other"},
		{"provider's test to provider", "captcha/x_test.go", "~/ratelimit", "providers never import each other"},
		{"risk to provider", "risk/x.go", "~/captcha", "never imports a provider"},
		{"risk's test to provider", "risk/x_test.go", "~/captcha", "never imports a provider"},
		{"riskhttp to provider", "risk/riskhttp/x.go", "~/ratelimit", "never imports a provider"},
		{"riskredis to provider's store", "risk/riskredis/x.go", "~/ratelimit/ratelimitredis", "never imports a provider"},
		{"risk to third party", "risk/x.go", "github.com/cloudflare/circl/oprf", "only by"},
		{"risk to golang.org/x", "risk/x.go", "golang.org/x/crypto/argon2", "only by"},
		{"risk to net/http", "risk/x.go", "net/http", "no transport"},
		{"risk to net/http/cookiejar", "risk/x.go", "net/http/cookiejar", "no transport"},
		{"risk to testing", "risk/x.go", "testing", "testing package"},
		{"risk to keyed", "risk/x.go", "~/risk/keyed", "standard library only"},
		{"risk to its own room", "risk/x.go", "~/risk/riskhttp", "standard library only"},
		{"risk to internal", "risk/x.go", "~/internal/clientip", "standard library only"},
		{"keyed to risk", "risk/keyed/x.go", "~/risk", "may not import it"},
		{"keyed to internal", "risk/keyed/x.go", "~/internal/clientip", "may not import it"},
		{"keyed to third party", "risk/keyed/x.go", "golang.org/x/crypto/hkdf", "only by"},
		{"riskhttp to third party", "risk/riskhttp/x.go", "github.com/dunglas/httpsfv", "only by"},
		{"provider to risk outside signal.go", "captcha/x.go", "~/risk", "only signal.go"},
		{"sub-package to risk outside signal.go", "fingerprint/ipintel/x.go", "~/risk", "only signal.go"},
		{"fakes to risk outside signal.go", "captcha/captchatest/x.go", "~/risk", "only signal.go"},
		{"file that ends like signal.go", "captcha/my_signal.go", "~/risk", "only signal.go"},
		{"signal.go to riskhttp", "captcha/zz/signal.go", "~/risk/riskhttp", "may not import it"},
		{"provider to risktest", "captcha/x.go", "~/risk/risktest", "package of fakes"},
		{"production to own fakes", "captcha/x.go", "~/captcha/captchatest", "package of fakes"},
		{"production to redistest", "captcha/captcharedis/x.go", "~/internal/redistest", "package of fakes"},
		{"testing outside tests", "ratelimit/x.go", "testing", "testing package"},
		{"testing in a package that ends in test", "attest/x.go", "testing", "testing package"},
		{"testing/quick outside tests", "internal/clientip/x.go", "testing/quick", "testing package"},
		{"testing in an example", "examples/signup/x.go", "testing", "testing package"},
		{"httptest outside tests", "risk/riskhttp/x.go", "net/http/httptest", "flags"},
		{"testify outside tests", "ratelimit/x.go", "github.com/stretchr/testify/require", "only tests"},
		{"testify's assert in a test", "ratelimit/x_test.go", "github.com/stretchr/testify/assert", "only github.com/stretchr/testify/require"},
		{"testify's mock in fakes", "captcha/captchatest/x.go", "github.com/stretchr/testify/mock", "only github.com/stretchr/testify/require"},
		{"examples imported", "risk/riskhttp/x.go", "~/examples/signup/page", "nothing imports examples"},
		{"examples imported by a test", "internal/readme/x_test.go", "~/examples/signup", "nothing imports examples"},
		{"example to example", "examples/campaign/main.go", "~/examples/signup/page", "nothing imports examples"},
		{"go-redis in the provider", "ratelimit/x.go", "github.com/redis/go-redis/v9", "only by"},
		{"go-redis in the provider's test", "ratelimit/x_test.go", "github.com/redis/go-redis/v9", "only by"},
		{"go-redis in riskhttp", "risk/riskhttp/x.go", "github.com/redis/go-redis/v9", "only by"},
		{"jwx outside jose", "attest/playintegrity/x.go", "github.com/lestrrat-go/jwx/v2/jwt", "only by internal/jose"},
		{"later major of jwx", "internal/jose/x.go", "github.com/lestrrat-go/jwx/v3/jwt", "not in the list"},
		{"webauthn outside passkey", "attest/x.go", "github.com/go-webauthn/webauthn/webauthn", "only by attest/passkey"},
		{"cbor in attest itself", "attest/x.go", "github.com/fxamacker/cbor/v2", "only by"},
		{"phonenumbers in risk/identity", "risk/identity/x.go", "github.com/nyaruka/phonenumbers/v2", "only by phone"},
		{"phonenumbers in a vendor's package", "phone/twilio/x.go", "github.com/nyaruka/phonenumbers/v2", "only by phone"},
		{"maxminddb in fingerprint", "fingerprint/x.go", "github.com/oschwald/maxminddb-golang/v2", "only by"},
		{"bart in riskhttp", "risk/riskhttp/x.go", "github.com/gaissmai/bart", "only by"},
		{"yaml outside riskyaml", "risk/riskhttp/x.go", "github.com/goccy/go-yaml", "only by"},
		{"otel outside riskotel", "risk/riskhttp/x.go", "go.opentelemetry.io/otel", "only by"},
		{"golang.org/x in captcha itself", "captcha/x.go", "golang.org/x/crypto/scrypt", "only by"},
		{"third party in internal", "internal/clientip/x.go", "github.com/gaissmai/bart", "only by"},
		{"unlisted module", "phone/twilio/x.go", "github.com/twilio/twilio-go", "not in the list"},
		{"unlisted module in an example", "examples/signup/x.go", "github.com/gin-gonic/gin", "not in the list"},
		{"unlisted module in a test", "captcha/x_test.go", "github.com/google/go-cmp/cmp", "not in the list"},
		{"name that begins like a listed module", "phone/x.go", "github.com/nyaruka/phonenumbers/v22", "not in the list"},
		{"leaf imported", "captcha/x.go", "~/captcha/argon", "leaves"},
		{"leaf imported by a sibling", "attest/appattest/x.go", "~/attest/passkey", "leaves"},
		{"leaf imported inside risk", "risk/riskhttp/x.go", "~/risk/riskyaml", "leaves"},
		{"leaf through jose", "attest/x.go", "~/attest/playintegrity", "leaves"},
		{"internal to risk", "internal/clientip/x.go", "~/risk", "may not import it"},
		{"internal to provider", "internal/clientip/x.go", "~/phone", "may not import it"},
		{"cgo", "internal/clientip/x.go", "C", "without a C compiler"},
		{"cgo in a test", "internal/clientip/x_test.go", "C", "without a C compiler"},
		{"new folder at the top", "util/x.go", "fmt", "no room"},
		{"file at the root", "vestibule.go", "fmt", "no room"},
		{"import of the root", "captcha/x.go", "~", "may not import it"},
		{"beside a good import", "captcha/x.go", "fmt ~/internal/clientip ~/phone", "providers never import each other"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			fsys := goodTree()
			require.NotContains(t, fsys, r.file, "the row must add a file")
			imports := strings.Fields(r.imports)
			fsys[r.file] = source(imports)
			got, err := deps.Check(fsys, deps.House())
			require.NoError(t, err)
			require.Len(t, got, 1, "%v", got)
			require.Equal(t, r.file, got[0].File)
			require.Contains(t, got[0].Why, r.why)
			if r.why == "no room" {
				require.Equal(t, 1, got[0].Line)
				return
			}
			last := strings.Replace(imports[len(imports)-1], "~", mod, 1)
			require.Equal(t, 3+len(imports), got[0].Line)
			require.Equal(t, fmt.Sprintf("%s:%d: imports %q: %s", r.file, got[0].Line, last, got[0].Why), got[0].String())
		})
	}
}

func TestBuildConstraintsHideNothing(t *testing.T) {
	fsys := goodTree()
	for _, name := range []string{"captcha/x_windows.go", "captcha/x.go"} {
		fsys[name] = &fstest.MapFile{Data: []byte("//go:build ignore\n\npackage x\n\nimport . \"" + mod + "/phone\"\n")}
	}
	got, err := deps.Check(fsys, deps.House())
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, "captcha/x.go", got[0].File, "in the order of files")
	require.Equal(t, 5, got[0].Line)
}

func TestModuleFile(t *testing.T) {
	rows := []struct {
		name, from, to, why string
		line                int
	}{
		{"vendor SDK", "golang.org/x/net v0.1.0", "github.com/twilio/twilio-go v1.0.0", "not in the list", 7},
		{"single line", "require github.com/stretchr/testify", "require github.com/stretchr/testify2", "not in the list", 11},
		{"comment that is not the mark", "// indirect", "// indirectly", "not in the list", 8},
		{"replace", "go 1.26", "replace golang.org/x/net => ../net", "nested modules", 3},
		{"replace block", "go 1.26", "replace (\ngolang.org/x/net => ../net\n)", "nested modules", 4},
		{"tool", "go 1.26", "tool golang.org/x/vuln/cmd/govulncheck", "nested modules", 3},
		{"exclude", "go 1.26", "exclude golang.org/x/net v0.1.0", "nested modules", 3},
		{"other module", "module " + mod, "module example.com/fork", "the module is", 1},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			require.Equal(t, 1, strings.Count(goMod, r.from))
			fsys := goodTree()
			fsys["go.mod"] = &fstest.MapFile{Data: []byte(strings.Replace(goMod, r.from, r.to, 1))}
			got, err := deps.Check(fsys, deps.House())
			require.NoError(t, err)
			require.Len(t, got, 1)
			require.Equal(t, "go.mod", got[0].File)
			require.Equal(t, r.line, got[0].Line)
			require.Contains(t, got[0].Why, r.why)
		})
	}
}

func TestCheckRefuses(t *testing.T) {
	rows := map[string]func(fstest.MapFS){
		"no sources": func(f fstest.MapFS) {
			maps.DeleteFunc(f, func(name string, _ *fstest.MapFile) bool { return strings.HasSuffix(name, ".go") })
		},
		"no go.mod":            func(f fstest.MapFS) { delete(f, "go.mod") },
		"file without package": func(f fstest.MapFS) { f["risk/x.go"] = &fstest.MapFile{Data: []byte("import \"fmt\"")} },
		"broken import":        func(f fstest.MapFS) { f["risk/x.go"] = &fstest.MapFile{Data: []byte("package x\nimport fmt")} },
	}
	for name, mutate := range rows {
		fsys := goodTree()
		mutate(fsys)
		got, err := deps.Check(fsys, deps.House())
		require.Error(t, err, name)
		require.Nil(t, got, name)
	}
}

// TestTableIsWhole: what the rules name must be found by other rules, or a misspelt row would never apply.
func TestTableIsWhole(t *testing.T) {
	r := deps.House()
	packages := map[string]bool{}
	for name := range goodTree() {
		if i := strings.LastIndex(name, "/"); i > 0 && strings.HasSuffix(name, ".go") {
			packages[name[:i]] = true
		}
	}
	named := slices.Concat(r.TestOnly, r.PassOn, r.Conduits)
	for _, m := range r.Modules {
		named = append(named, m.In...)
		require.NotEqual(t, m.Tests, m.In != nil, "%s: either tests or packages", m.Path)
	}
	for _, p := range named {
		p = strings.TrimSuffix(strings.TrimSuffix(p, "/..."), "/*")
		found := packages[p] || slices.ContainsFunc(slices.Collect(maps.Keys(packages)), func(q string) bool {
			return strings.HasPrefix(q, p+"/")
		})
		require.True(t, found, "no package %s in the tree of this test", p)
	}
}
