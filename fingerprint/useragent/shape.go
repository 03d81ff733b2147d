package useragent

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// Shape hashes which of the headers that clients differ by a request has, and the form of some of their values. Clients
// of one kind and version have one shape, whoever uses them: it tells a program that imitates a browser's User-Agent
// from the browser, and is good for lists and rules. It is no fingerprint of a device. The order of headers is not in
// it: net/http does not keep it. The form is "s1_" and 12 hexadecimal digits.
func Shape(header map[string][]string) string {
	var text [512]byte
	b := text[:0]
	for _, name := range shaped {
		v, ok := header[name]
		if !ok {
			continue
		}
		b = append(append(b, name...), '=')
		if len(v) == 0 {
			continue
		}
		switch name {
		case "Accept", "Accept-Encoding", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Te":
			b = append(b, v[0][:min(len(v[0]), 128)]...)
		case "Accept-Language":
			b = append(b, languageShape(v[0])...)
		}
		b = append(b, ';')
	}
	sum := sha256.Sum256(b)
	return "s1_" + hex.EncodeToString(sum[:6])
}

// shaped are sorted, and none is set by proxies or by where the visitor comes from.
var shaped = []string{
	"Accept", "Accept-Encoding", "Accept-Language", "Dnt", "Origin", "Priority", "Sec-Ch-Ua", "Sec-Ch-Ua-Mobile",
	"Sec-Ch-Ua-Platform", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User", "Sec-Gpc", "Te",
	"Upgrade-Insecure-Requests", "User-Agent", "X-Requested-With",
}

// languageShape keeps how languages are weighted, and not which they are.
func languageShape(v string) string {
	v = v[:min(len(v), 256)]
	var weights []string
	for part := range strings.SplitSeq(v, ",") {
		_, q, _ := strings.Cut(part, ";")
		weights = append(weights, q)
	}
	return strings.Join(slices.Compact(weights[:min(len(weights), 3)]), ",")
}
