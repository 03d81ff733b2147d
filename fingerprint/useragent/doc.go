// Package useragent answers whether a request's headers are a browser's: what its User-Agent says it is, whether other
// headers say the same, and whether it is a known crawler, tool or automated browser.
//
//	checker, err := useragent.New(nil)
//	result := checker.Check(r.Header)
//	if result.Has(useragent.CodePlatform) {
//		// User-Agent and client hints name different systems
//	}
//	signal, err := useragent.NewSignal(checker) // for package risk, named "ua"
//
// The rules compare only what browsers do not freeze: never versions of the system, never minor versions. Client hints
// are the low-entropy ones that Chromium sends unasked; the package asks for no others. [Shape] hashes the form of the
// headers; [ParseFeed] reads lists of unwanted User-Agents, which [Checker.Reload] puts into use.
//
// # What honest requests get
//
// Points of the signal "ua", alone, for requests of real devices, labelled honest by others (device-detector's client
// hints, isbot's list of browsers, browsers captured for this package). A challenge begins 19 points above the base.
//
//	sample                                                              requests   points
//	browsers with client hints: Chrome, Edge, Opera, Samsung, Brave,
//	  Vivaldi, Avast, apps' windows, on Windows, macOS, Linux, Android          76        0
//	browsers of television sets, which send no client hints                     2        3
//	a page speed test that was among them, and says so                          1       16
//	browsers by User-Agent, old and new, without client hints                 137        0
//	Chromium 89 and newer among such, for the missing hints                     8        3
//	apps, mail programs, players and telephones without a browser             131        0
//	Chromium with a window, driven by a program                                 3        0
//
// # Security considerations
//
// Headers are the visitor's own words, so nothing here proves a browser. Found out are programs that do not care, or that
// change the User-Agent and forget the rest, which is most of them: it is what catches a headless Chromium with another
// User-Agent that scripts in the page take for genuine.
//
// Honest requests break rules too: proxies drop headers, windows of apps send odd ones, old browsers send none. Single
// absences are weak for that reason. A known good crawler is a crawler here: who claims to be one is not verified, and
// none signs up.
//
// The first 1024 bytes of a User-Agent are looked at; oversize headers, headers that came twice, control characters and
// invalid UTF-8 are a code of their own.
package useragent
