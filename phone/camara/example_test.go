package camara_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vestibule-go/vestibule/phone"
	"github.com/vestibule-go/vestibule/phone/camara"
	"github.com/vestibule-go/vestibule/phone/phonetest"
)

// The network says whether the device has the number; on Wi-Fi it cannot, and a code has to do.
func ExampleNumberVerification() {
	fake := phonetest.NewCAMARA(nil) // in production the operator's API root
	defer fake.Close()
	silent, err := camara.NewNumberVerification(fake.URL(), nil)
	if err != nil {
		panic(err)
	}
	n, _ := phone.Parse("+4740000000", "")
	for _, token := range []phone.Token{fake.Device("+4740000000"), fake.Device("+4741000000"), fake.Device("")} {
		is, err := silent.VerifyDevice(context.Background(), token, n)
		if errors.Is(err, phone.ErrNotMobile) {
			fmt.Println("send a code")
			continue
		}
		fmt.Println(is, err)
	}
	// Output:
	// true <nil>
	// false <nil>
	// send a code
}

func ExampleIntelligence() {
	fake := phonetest.NewCAMARA(nil)
	defer fake.Close()
	network, err := camara.NewIntelligence(fake.URL(), camara.TokenFunc(fake.Tokens()), nil)
	if err != nil {
		panic(err)
	}
	n, _ := phone.Parse("+4740000000", "")
	fake.Swap("sim", n.E164(), time.Now().Add(-48*time.Hour))
	for _, within := range []time.Duration{24 * time.Hour, 72 * time.Hour} {
		known, err := network.Lookup(context.Background(), n, phone.Query{Fields: phone.FieldSIMSwap, SwapWithin: within})
		fmt.Println(known.SIMSwap, err)
	}
	// Output:
	// no <nil>
	// yes <nil>
}
