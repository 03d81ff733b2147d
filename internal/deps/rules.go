package deps

// Rules say what the packages of one module may import. Packages are named by their folder, relative to the module's
// root. A pattern is a folder ("risk"), a folder and all below it ("risk/..."), or all below a folder ("risk/*").
// Read-only after making; safe for concurrent use.
type Rules struct {
	Module   string   // module path
	Rooms    []Room   // the first whose Path matches a package holds for it; a package without a room is a breach
	Never    []Never  // asked before the rooms, for a reason of its own
	Std      []Std    // restrictions on the standard library
	Modules  []Module // third-party modules; one that is not listed is a breach everywhere
	TestOnly []string // packages of fakes and suites: only tests, each other and examples import them
	Examples string   // folder of the examples, which nothing else imports
	Private  string   // the one file of a package that may also import Room.InFile
	PassOn   []string // carriers of third-party modules that others may import all the same
	Conduits []string // carriers that make carriers of whoever imports them
}

// Room is what a group of packages may import of this module.
type Room struct {
	Path    string
	Imports []string // in all files
	InFile  []string // in the file named Rules.Private
	Tests   []string // also in _test.go files
}

// Never forbids imports of packages that match To in packages that match From, in tests as well.
type Never struct{ From, To, Why string }

// Std restricts a package of the standard library and all below it.
type Std struct {
	Path  string
	In    []string // forbidden there; nil: everywhere
	Tests bool     // allowed in _test.go files
	Fakes bool     // allowed in the packages of TestOnly
	Why   string
}

// Module says where a third-party module may be imported.
type Module struct {
	Path  string   // module path, or the beginning that a family of modules shares
	In    []string // packages, their tests included
	Tests bool     // in any _test.go file and in the packages of TestOnly, and then only the package Only
	Only  string
}

// House is the table for this module.
func House() Rules {
	const all = "..."
	providers := []string{"ratelimit", "captcha", "fingerprint", "attest", "phone"}
	r := Rules{
		Module:   "github.com/vestibule-go/vestibule",
		Examples: "examples",
		Private:  "signal.go",
		TestOnly: []string{"risk/risktest", "internal/redistest"},
		Rooms: []Room{
			{Path: "risk", Tests: []string{"risk/...", "internal/..."}},
			{Path: "risk/keyed", Tests: []string{"risk/keyed"}},
			{Path: "risk/*", Imports: []string{"risk/...", "internal/..."}},
			{Path: "internal/...", Imports: []string{"internal/..."}, Tests: []string{all}},
			{Path: "examples/...", Imports: []string{all}},
		},
		Never: []Never{
			{"risk", "risk/*", "risk imports the standard library only"},
			{"risk", "internal/...", "risk imports the standard library only"},
		},
		Std: []Std{
			{Path: "testing", Tests: true, Fakes: true, Why: "users would inherit the testing package and its flags"},
			{Path: "net/http/httptest", Tests: true, Fakes: true, Why: "users would inherit its flags"},
			{Path: "net/http", In: []string{"risk", "risk/keyed"}, Tests: true, Why: "the contract knows no transport: riskhttp does"},
			{Path: "C", Why: "the module builds without a C compiler"},
			{Path: "plugin", Why: "it needs a C compiler"},
		},
		Modules: []Module{
			{Path: "github.com/stretchr/testify", Tests: true, Only: "github.com/stretchr/testify/require"},
			{Path: "github.com/redis/go-redis/v9", In: []string{"risk/riskredis", "internal/redisend", "internal/redistest", "examples/..."}},
			{Path: "github.com/go-webauthn/webauthn", In: []string{"attest/passkey"}},
			{Path: "github.com/lestrrat-go/jwx/v2", In: []string{"internal/jose"}},
			{Path: "github.com/fxamacker/cbor/v2", In: []string{"attest/*"}},
			{Path: "github.com/smallstep/pkcs7", In: []string{"attest/*"}},
			{Path: "github.com/dunglas/httpsfv", In: []string{"attest/*"}},
			{Path: "github.com/cloudflare/circl", In: []string{"attest/*", "risk/share"}},
			{Path: "github.com/nyaruka/phonenumbers/v2", In: []string{"phone"}},
			{Path: "github.com/oschwald/maxminddb-golang/v2", In: []string{"fingerprint/ipintel"}},
			{Path: "github.com/maxmind/mmdbwriter/mmdbtype", Tests: true, Only: "github.com/maxmind/mmdbwriter/mmdbtype"},
			{Path: "github.com/maxmind/mmdbwriter", Tests: true, Only: "github.com/maxmind/mmdbwriter"},
			{Path: "github.com/gaissmai/bart", In: []string{"fingerprint/ipintel"}},
			{Path: "github.com/goccy/go-yaml", In: []string{"risk/riskyaml"}},
			{Path: "go.opentelemetry.io", In: []string{"risk/riskotel", "examples/..."}},
			{Path: "golang.org/x", In: []string{"captcha/*", "fingerprint/*", "attest/*", "phone/...", "risk/identity"}},
		},
		// phone is about nothing but numbers; internal/jose exists to hide its module; attest/passkey judges Android's keys
		// with attest/androidkey, whose module go-webauthn brings anyway. What imports internal/redisend has go-redis as if
		// it imported that itself.
		PassOn:   []string{"phone", "internal/jose", "attest/androidkey"},
		Conduits: []string{"internal/jose", "internal/redisend"},
	}
	for _, x := range providers {
		r.Rooms = append(r.Rooms, Room{
			Path:    x + "/...",
			Imports: []string{x + "/...", "risk/keyed", "internal/..."},
			InFile:  []string{"risk"},
			Tests:   []string{"risk/..."},
		})
		r.TestOnly = append(r.TestOnly, x+"/"+x+"test")
		r.Never = append(r.Never, Never{"risk/...", x + "/...", "the contract never imports a provider"})
		for _, y := range providers {
			if x != y {
				r.Never = append(r.Never, Never{x + "/...", y + "/...",
					"providers never import each other: declare a one-method interface that the other happens to satisfy"})
			}
		}
		redis := &r.Modules[1]
		redis.In = append(redis.In, x+"/"+x+"redis")
	}
	return r
}
