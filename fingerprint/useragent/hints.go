package useragent

import (
	"strings"
)

// hints are the low-entropy client hints (Sec-CH-UA, Sec-CH-UA-Mobile, Sec-CH-UA-Platform) of a request, which Chromium
// sends unasked over secure transports.
type hints struct {
	any      bool
	brands   string
	chromium int // major version of the brand "Chromium"; 0: none
	branded  bool
	mobile   byte // '0', '1' or 0: not said
	platform Platform
}

func readHints(h map[string][]string) (out hints) {
	brands, mobile, platform := first(h, "Sec-Ch-Ua"), first(h, "Sec-Ch-Ua-Mobile"), first(h, "Sec-Ch-Ua-Platform")
	out.any = brands != "" || mobile != "" || platform != ""
	out.brands = brands
	out.readBrands(brands)
	switch mobile {
	case "?0":
		out.mobile = '0'
	case "?1":
		out.mobile = '1'
	}
	out.platform = hintPlatform(strings.Trim(platform, `"`))
	return out
}

// hintPlatform reads the values of Sec-CH-UA-Platform in the User-Agent Client Hints draft.
func hintPlatform(s string) Platform {
	switch s {
	case "":
		return NoPlatform
	case "Windows":
		return Windows
	case "macOS", "Mac OS X":
		return MacOS
	case "Linux":
		return Linux
	case "Android":
		return Android
	case "iOS":
		return IOS
	case "Chrome OS", "Chromium OS", "ChromeOS":
		return ChromeOS
	case "Unknown":
		return NoPlatform
	}
	return OtherPlatform
}

// readBrands reads a list like `"Not:A-Brand";v="8", "Chromium";v="156"`. Invented brands stand in it in any order
// (GREASE), so only known ones count. What it does not understand it passes over.
func (out *hints) readBrands(list string) {
	for len(list) > 0 {
		open := strings.IndexByte(list, '"')
		if open < 0 {
			return
		}
		list = list[open+1:]
		end := strings.IndexByte(list, '"')
		if end < 0 {
			return
		}
		brand := list[:end]
		list = list[end+1:]
		major := 0
		if rest, ok := strings.CutPrefix(strings.TrimLeft(list, " "), `;v="`); ok {
			major = number(rest)
			if end = strings.IndexByte(rest, '"'); end < 0 {
				return
			}
			list = rest[end+1:]
		}
		switch {
		case brand == "Chromium":
			out.chromium = major
		case !strings.Contains(strings.ToLower(brand), "brand"):
			out.branded = true
		}
	}
}

// first returns a header's value; names are in canonical form, as net/http keeps them.
func first(h map[string][]string, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}
