package fingerprinttest

import (
	"crypto/tls"
	"net/http"
	"slices"
)

// Client is what the server sees of one program: the headers of a form's POST, and its TLS hello. Each call that returns
// one makes it anew, so that tests may change it.
type Client struct {
	Name   string
	Header http.Header
	// Hello is what crypto/tls tells of the client's hello, in the order sent, and JA4 its fingerprint.
	Hello *tls.ClientHelloInfo
	JA4   string
	// Browser is false for programs.
	Browser bool
}

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

func schemes(values ...uint16) (out []tls.SignatureScheme) {
	for _, v := range values {
		out = append(out, tls.SignatureScheme(v))
	}
	return out
}

// Chrome is Chrome 156 on Windows.
func Chrome() Client {
	return Client{
		Name: "Chrome 156 on Windows", Browser: true, JA4: "t13d1517h2_8daaf6152771_cb7bf5808d99",
		Header: header(
			"User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
			"Sec-CH-UA", `"Not:A-Brand";v="8", "Chromium";v="156", "Google Chrome";v="156"`,
			"Sec-CH-UA-Mobile", "?0", "Sec-CH-UA-Platform", `"Windows"`,
			"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Accept-Language", "en-US,en;q=0.9",
			"Accept-Encoding", "gzip, deflate, br, zstd", "Upgrade-Insecure-Requests", "1", "Origin", "https://example.com",
			"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-User", "?1", "Sec-Fetch-Dest", "document",
		),
		Hello: &tls.ClientHelloInfo{
			CipherSuites:      []uint16{0x3a3a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035},
			Extensions:        []uint16{0xdada, 0x0017, 0x44cd, 0x000b, 0x0010, 0x0005, 0x001b, 0x0033, 0x0023, 0xfe0d, 0xff01, 0x0012, 0x002d, 0x0000, 0x000d, 0x002b, 0x000a, 0xca34, 0x1a1a},
			SignatureSchemes:  schemes(0x0904, 0x0905, 0x0906, 0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601),
			SupportedProtos:   []string{"h2", "http/1.1"},
			SupportedVersions: []uint16{0x7a7a, 0x0304, 0x0303},
			ServerName:        "example.com",
		},
	}
}

// AndroidChrome is Chrome 156 on a telephone.
func AndroidChrome() Client {
	c := Chrome()
	c.Name = "Chrome 156 on Android"
	c.Header.Set("User-Agent", "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Mobile Safari/537.36")
	c.Header.Set("Sec-CH-UA-Mobile", "?1")
	c.Header.Set("Sec-CH-UA-Platform", `"Android"`)
	return c
}

// HeadlessChrome is Chrome 156 without a window on Linux, as automation starts it.
func HeadlessChrome() Client {
	c := Chrome()
	c.Name, c.Browser = "headless Chrome 156 on Linux", false
	c.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/156.0.0.0 Safari/537.36")
	c.Header.Set("Sec-CH-UA-Platform", `"Linux"`)
	return c
}

// SpoofedChrome is headless Chrome on Linux that says it is Chrome on Windows, and forgets the client hints.
func SpoofedChrome() Client {
	c := Chrome()
	c.Name, c.Browser = "headless Chrome with another User-Agent", false
	c.Header.Set("Sec-CH-UA-Platform", `"Linux"`)
	return c
}

// Firefox is Firefox 153 on Linux.
func Firefox() Client {
	return Client{
		Name: "Firefox 153 on Linux", Browser: true, JA4: "t13d1617h2_86a278354501_3cbfd9057e0d",
		Header: header(
			"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0",
			"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Accept-Language", "en-US,en;q=0.5",
			"Accept-Encoding", "gzip, deflate, br, zstd", "Upgrade-Insecure-Requests", "1", "Origin", "https://example.com",
			"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-User", "?1", "Sec-Fetch-Dest", "document",
			"Te", "trailers",
		),
		Hello: &tls.ClientHelloInfo{
			CipherSuites:      []uint16{0x1301, 0x1303, 0x1302, 0xc02b, 0xc02f, 0xcca9, 0xcca8, 0xc02c, 0xc030, 0xc00a, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035},
			Extensions:        []uint16{0x0000, 0x0017, 0xff01, 0x000a, 0x000b, 0x0023, 0x0010, 0x0005, 0x0022, 0x0012, 0x0033, 0x002b, 0x000d, 0x002d, 0x001c, 0x001b, 0xfe0d},
			SignatureSchemes:  schemes(0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201),
			SupportedProtos:   []string{"h2", "http/1.1"},
			SupportedVersions: []uint16{0x0304, 0x0303},
			ServerName:        "example.com",
		},
	}
}

// IPhone is Safari 18 on an iPhone.
func IPhone() Client {
	return Client{
		Name: "Safari 18 on an iPhone", Browser: true, JA4: "t13d2014h2_a09f3c656075_14788d8d241b",
		Header: header(
			"User-Agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
			"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Accept-Language", "en-US,en;q=0.9",
			"Accept-Encoding", "gzip, deflate, br", "Origin", "https://example.com",
			"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document",
		),
		Hello: &tls.ClientHelloInfo{
			CipherSuites:      []uint16{0x5a5a, 0x1301, 0x1302, 0x1303, 0xc02c, 0xc02b, 0xcca9, 0xc030, 0xc02f, 0xcca8, 0xc00a, 0xc009, 0xc014, 0xc013, 0x009d, 0x009c, 0x0035, 0x002f, 0xc008, 0xc012, 0x000a},
			Extensions:        []uint16{0x2a2a, 0x0000, 0x0017, 0xff01, 0x000a, 0x000b, 0x0010, 0x0005, 0x000d, 0x0012, 0x0033, 0x002d, 0x002b, 0x001b, 0x8a8a, 0x0015},
			SignatureSchemes:  schemes(0x0403, 0x0804, 0x0401, 0x0503, 0x0203, 0x0805, 0x0805, 0x0501, 0x0806, 0x0601, 0x0201),
			SupportedProtos:   []string{"h2", "http/1.1"},
			SupportedVersions: []uint16{0x3a3a, 0x0304, 0x0303, 0x0302, 0x0301},
			ServerName:        "example.com",
		},
	}
}

// Go is Go's http.Client that says it is Chrome: the commonest of all programs.
func Go() Client {
	return Client{
		Name: "Go with the User-Agent of Chrome", JA4: "t13d1312h2_f57a46bbacb6_ab7e3b40a677",
		Header: header("User-Agent", Chrome().Header.Get("User-Agent"), "Accept-Encoding", "gzip"),
		Hello: &tls.ClientHelloInfo{
			CipherSuites:      []uint16{0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc009, 0xc013, 0xc00a, 0xc014, 0x1301, 0x1302, 0x1303},
			Extensions:        []uint16{0x0000, 0x000b, 0xff01, 0x0017, 0x0012, 0x0005, 0x000a, 0x000d, 0x0032, 0x0010, 0x002b, 0x0033},
			SignatureSchemes:  schemes(0x0804, 0x0403, 0x0807, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0503, 0x0603),
			SupportedProtos:   []string{"h2", "http/1.1"},
			SupportedVersions: []uint16{0x0304, 0x0303},
			ServerName:        "example.com",
		},
	}
}

// Curl is curl 7.88.
func Curl() Client {
	return Client{
		Name: "curl 7.88", JA4: "t13d3112h2_e8f1e7e78f70_b26ce05bbdd6",
		Header: header("User-Agent", "curl/7.88.1", "Accept", "*/*"),
		Hello: &tls.ClientHelloInfo{
			CipherSuites:      []uint16{0x1302, 0x1303, 0x1301, 0xc02c, 0xc030, 0x009f, 0xcca9, 0xcca8, 0xccaa, 0xc02b, 0xc02f, 0x009e, 0xc024, 0xc028, 0x006b, 0xc023, 0xc027, 0x0067, 0xc00a, 0xc014, 0x0039, 0xc009, 0xc013, 0x0033, 0x009d, 0x009c, 0x003d, 0x003c, 0x0035, 0x002f, 0x00ff},
			Extensions:        []uint16{0x0000, 0x000b, 0x000a, 0x0010, 0x0016, 0x0017, 0x0031, 0x000d, 0x002b, 0x002d, 0x0033, 0x0015},
			SignatureSchemes:  schemes(0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0809, 0x080a, 0x080b, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0303, 0x0301, 0x0302, 0x0402, 0x0502, 0x0602),
			SupportedProtos:   []string{"h2", "http/1.1"},
			SupportedVersions: []uint16{0x0304, 0x0303, 0x0302, 0x0301},
			ServerName:        "example.com",
		},
	}
}

// Browsers are the honest browsers of this package, Programs the others.
func Browsers() []Client { return []Client{Chrome(), AndroidChrome(), Firefox(), IPhone()} }

// Programs are those that should not pass as browsers.
func Programs() []Client {
	return slices.Clone([]Client{HeadlessChrome(), SpoofedChrome(), Go(), Curl()})
}
