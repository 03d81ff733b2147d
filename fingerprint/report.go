package fingerprint

import (
	"strings"
)

// MaxReport is the most bytes of a report; those of FingerprintJS 5 have 45,000.
const MaxReport = 256 << 10

// Mark is something a report shows about the browser that sent it.
type Mark uint8

// The marks. A visitor can leave all of them out; only programs that do not care are found by them.
const (
	MarkWebDriver Mark = 1 << iota // navigator.webdriver is true
	MarkHeadless                   // BotD found a program
	MarkPlatform                   // navigator.platform and the User-Agent name different systems
	MarkRenderer                   // a software renderer draws: virtual machines too, so weak
)

// Report is what the script of the page found out, at level Active only. It is untrusted.
type Report struct {
	Token Token // of FingerprintJS, else of ThumbmarkJS; zero: none
	Marks Mark
	// Local and Indexed are the device ids that localStorage and IndexedDB hold.
	Local, Indexed string
}

// ParseReport reads the JSON object of the page: each member may be missing.
//
//	{"fpjs": {...}, "thumbmark": {...}, "botd": {"bot": false}, "webdriver": false,
//	 "ids": {"local": "...", "idb": "..."}}
//
// fpjs and thumbmark are the results of those libraries as JSON.stringify wrote them; their bytes matter. userAgent is
// the request's, to compare with. Errors are ErrReport.
func ParseReport(raw []byte, userAgent string) (Report, error) {
	var r Report
	if len(raw) > MaxReport {
		return r, ErrReport
	}
	list, err := members(raw)
	if err != nil {
		return r, err
	}
	if flag(get(list, "webdriver")) {
		r.Marks |= MarkWebDriver
	}
	if err := r.botd(list); err != nil {
		return Report{}, err
	}
	if raw := get(list, "thumbmark"); raw != nil && string(raw) != "null" {
		if r.Token, err = Thumbmark(raw); err != nil {
			return Report{}, err
		}
	}
	if raw := get(list, "fpjs"); raw != nil && string(raw) != "null" {
		var components []member
		if r.Token, components, err = fpjs(raw); err != nil {
			return Report{}, err
		}
		r.components(components, userAgent)
	}
	ids, err := object(list, "ids")
	if err != nil {
		return Report{}, err
	}
	if r.Local, err = text(get(ids, "local"), 256); err == nil {
		r.Indexed, err = text(get(ids, "idb"), 256)
	}
	if err != nil {
		return Report{}, err
	}
	return r, nil
}

// botd reads the result of BotD's detect(), also inside a member "result".
func (r *Report) botd(list []member) error {
	parts, err := object(list, "botd")
	if err != nil {
		return err
	}
	if get(parts, "result") != nil {
		if parts, err = object(parts, "result"); err != nil {
			return err
		}
	}
	if flag(get(parts, "bot")) {
		r.Marks |= MarkHeadless
	}
	return nil
}

func (r *Report) components(list []member, userAgent string) {
	if differ(component(list, "platform"), userAgent) {
		r.Marks |= MarkPlatform
	}
	if basics, err := object(list, "webGlBasics"); err == nil {
		if value, err := object(basics, "value"); err == nil {
			renderer, _ := text(get(value, "rendererUnmasked"), 512) // not the form FingerprintJS gives: no mark
			renderer = strings.ToLower(renderer)
			if strings.Contains(renderer, "swiftshader") || strings.Contains(renderer, "llvmpipe") || strings.Contains(renderer, "software") {
				r.Marks |= MarkRenderer
			}
		}
	}
}

// differ compares navigator.platform with a User-Agent. What it does not know differs from nothing; iPads call
// themselves Macs, and telephones in desktop mode Linux.
func differ(platform, userAgent string) bool {
	has := func(s string) bool { return strings.Contains(userAgent, s) }
	switch {
	case platform == "" || userAgent == "":
		return false
	case strings.HasPrefix(platform, "Win"):
		return !has("Windows")
	case strings.HasPrefix(platform, "Mac"):
		return !has("Mac") && !has("iPad") && !has("iPhone")
	case strings.HasPrefix(platform, "Linux arm"), strings.HasPrefix(platform, "Linux aarch64"):
		return has("Windows NT") || has("Macintosh") || has("iPhone")
	case strings.HasPrefix(platform, "Linux"):
		// Android on Intel says so too, but is rare; an emulator is no telephone of a person's.
		return has("Windows NT") || has("Macintosh") || has("iPhone") || has("iPad")
	case platform == "iPhone", platform == "iPad", platform == "iPod":
		return !has("iPhone") && !has("iPad") && !has("iPod") && !has("Macintosh")
	}
	return false
}
