package identity_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/identity"
	"github.com/vestibule-go/vestibule/risk/keyed"
)

func Example() {
	email, err := identity.NewEmailSignal(nil)
	if err != nil {
		panic(err)
	}
	engine, err := risk.NewEngine(risk.DefaultPolicy([]risk.Signal{email}), []risk.Signal{email}, nil)
	if err != nil {
		panic(err)
	}
	for _, a := range []risk.Private{"ann@example.com", "ann@foo.mailinator.com", "ann@duck.com"} {
		s := engine.Assess(context.Background(), &risk.Attempt{Event: risk.SignUp, Email: a})
		fmt.Println(s.Score)
	}
	// Output:
	// 12
	// 26
	// 12
}

func ExampleParseEmail() {
	e, err := identity.ParseEmail("A.nn+news@Googlemail.com")
	if err != nil {
		panic(err)
	}
	fmt.Println(e.Original(), e.Canonical(), identity.Classify(e.Domain(), identity.Disposable()))
	fmt.Println(e) // an address belongs into no log
	// Output:
	// A.nn+news@Googlemail.com ann@gmail.com free
	// [email]
}

func ExampleParseID() {
	for _, in := range [][2]string{{identity.USDOT, "USDOT# 01234567"}, {identity.VAT, "DE 136 695 976"}, {identity.VAT, "DE 136 695 977"}, {identity.EIN, "12-3456789"}} {
		id, err := identity.ParseID(in[0], in[1])
		fmt.Println(id, err)
	}
	// Output:
	// 1234567 <nil>
	// DE136695976 <nil>
	//  identity: the identifier's check digits are wrong
	// 123456789 <nil>
}

func ExampleParseDomains() {
	domains, err := identity.ParseDomains(strings.NewReader("# thrown away\nexample.org\n"))
	if err != nil {
		panic(err)
	}
	fmt.Println(domains.Has("mail.example.org"), domains.Has("example.org.example.net"))
	_, err = identity.ParseDomains(strings.NewReader("example.org\nco.uk\n"))
	fmt.Println(err)
	// Output:
	// true false
	// identity: list of domains refused: line 2 is a public suffix
}

func ExampleLists() {
	ring, err := keyed.New([]keyed.Key{{ID: "2026", Secret: keyed.NewSecret()}}, &keyed.Options{Epoch: keyed.NoEpochs})
	if err != nil {
		panic(err)
	}
	store, err := identity.NewMemoryLists(nil)
	if err != nil {
		panic(err)
	}
	lists, err := identity.NewLists(store, ring, nil)
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	id, err := lists.Put(ctx, identity.Entry{
		Effect: identity.Deny, Kind: identity.EntryIP, Value: "203.0.113.0/24", By: "ann", Reason: "INC-1234", Expires: time.Now().Add(time.Hour),
	})
	if err != nil {
		panic(err)
	}
	who := identity.Subject{IP: netip.MustParseAddr("::ffff:203.0.113.9")}
	found, err := lists.Match(ctx, who)
	fmt.Println(len(found), found[0].Effect, found[0].By, err)
	removed, err := lists.Remove(ctx, "", id)
	fmt.Println(removed, err)
	found, err = lists.Match(ctx, who)
	fmt.Println(len(found), err)
	// Output:
	// 1 deny ann <nil>
	// true <nil>
	// 0 <nil>
}

func ExampleNewBusinessSignal() {
	owners := map[string]map[string]bool{}
	signal, err := identity.NewBusinessSignal(&identity.BusinessOptions{
		// A *fingerprint.Sightings counts over a week, in memory or on Redis.
		Reuse: identity.ReuseFunc(func(_ context.Context, tenant, kind, id, owner string) (int, error) {
			key := tenant + "/" + kind + "/" + id
			if owners[key] == nil {
				owners[key] = map[string]bool{}
			}
			owners[key][owner] = true
			return len(owners[key]), nil
		}),
	})
	if err != nil {
		panic(err)
	}
	signals := []risk.Signal{signal}
	engine, err := risk.NewEngine(risk.DefaultPolicy(signals), signals, nil)
	if err != nil {
		panic(err)
	}
	for _, phone := range []risk.Private{"+4790000001", "+4790000001", "+4790000002", "+4790000003"} {
		s := engine.Assess(context.Background(), &risk.Attempt{
			Event: risk.SignUp, Phone: phone, IDs: map[string]risk.Private{identity.USDOT: "USDOT 1234567"},
		})
		fmt.Println(s.Score)
	}
	// Output:
	// 12
	// 12
	// 20
	// 28
}
