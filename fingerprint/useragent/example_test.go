package useragent_test

import (
	"fmt"
	"net/http"

	"github.com/vestibule-go/vestibule/fingerprint/useragent"
)

func Example() {
	checker, err := useragent.New(nil)
	if err != nil {
		panic(err)
	}
	h := http.Header{}
	h.Set("User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36")
	h.Set("Sec-CH-UA", `"Not:A-Brand";v="8", "Chromium";v="156"`)
	h.Set("Sec-CH-UA-Platform", `"Linux"`)
	h.Set("Accept-Language", "en-US")
	h.Set("Accept-Encoding", "gzip")
	h.Set("Sec-Fetch-Mode", "navigate")
	result := checker.Check(h)
	fmt.Println(result.Agent.Kind, result.Agent.Engine, result.Agent.Platform, result.Agent.Major)
	fmt.Println(result.Codes())
	// Output:
	// browser blink windows 156
	// [platform_mismatch]
}
