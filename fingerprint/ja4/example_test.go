package ja4_test

import (
	"fmt"

	"github.com/vestibule-go/vestibule/fingerprint/fingerprinttest"
	"github.com/vestibule-go/vestibule/fingerprint/ja4"
)

func ExampleOf() {
	// In a server the hello comes from tls.Config.GetConfigForClient; Wrap does it all.
	value := ja4.Of(fingerprinttest.Chrome().Hello)
	parts, err := ja4.Parse(value)
	if err != nil {
		panic(err)
	}
	table, err := ja4.NewTable(nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(value, table.Family(parts))
	// Output: t13d1517h2_8daaf6152771_cb7bf5808d99 chromium
}
