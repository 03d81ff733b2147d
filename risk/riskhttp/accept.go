package riskhttp

import (
	"net/http"
	"strconv"
	"strings"
)

// WantsHTML reports whether the Accept header names HTML and prefers it to JSON (RFC 9110 section 12.5.1). Wildcards
// name nothing, so that fetch and curl get JSON and a browser that sends a form gets a page. It is for hooks.
func WantsHTML(r *http.Request) bool {
	const most = 64 // ranges looked at
	var page, data float64
	seen := 0
	for _, line := range r.Header["Accept"] {
		for line != "" && seen < most {
			var item string
			item, line, _ = strings.Cut(line, ",")
			seen++
			kind, params, _ := strings.Cut(item, ";")
			kind = strings.TrimSpace(kind)
			switch {
			case strings.EqualFold(kind, "text/html"), strings.EqualFold(kind, "application/xhtml+xml"):
				page = max(page, quality(params))
			case strings.EqualFold(kind, "application/json"), strings.EqualFold(kind, "application/problem+json"):
				data = max(data, quality(params))
			}
		}
	}
	return page > data
}

// quality reads the q parameter; 1 without one, 0 for nonsense.
func quality(params string) float64 {
	for params != "" {
		var p string
		p, params, _ = strings.Cut(params, ";")
		name, value, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil || !(q >= 0 && q <= 1) {
				return 0
			}
			return q
		}
	}
	return 1
}
