package riskhttp

import (
	"encoding/json"
	"html"
	"net/http"
	"strconv"
	"strings"

	"github.com/vestibule-go/vestibule/risk"
)

// Answer tells the visitor what an assessment that does not allow means; the package comment has the table. It never
// waits, and asks the engine for tasks where the action is Challenge. For nil, and for an assessment without a valid
// action, the answer is 503. Call it before anything was written to w, and not for an allowed assessment: that would be
// 503 as well, and reported.
func (g *Guard) Answer(w http.ResponseWriter, r *http.Request, s *risk.Assessment) {
	if s == nil || s.Allowed() {
		if s != nil {
			g.report(r, errAllowed)
		}
		g.refuse(w, r, g.plain(ProblemUnavailable, http.StatusServiceUnavailable))
		return
	}
	p, hook := g.describe(r, s)
	if p.Flow != "" && g.flow != "" {
		http.SetCookie(w, g.cookie(g.flow, p.Flow, flowCookieAge))
	}
	g.respond(w, r, s, p, hook)
}

// refuse answers without an assessment.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, p *Problem) {
	g.respond(w, r, nil, p, g.o.OnOther)
}

// respond lets the hook answer, or does.
func (g *Guard) respond(w http.ResponseWriter, r *http.Request, s *risk.Assessment, p *Problem, hook Answerer) {
	prepare(w, p)
	if hook != nil && hook(w, r, s, p) {
		return
	}
	WriteProblem(w, r, p)
}

// prepare sets the headers every problem has, and takes back those of the success the host had in mind.
func prepare(w http.ResponseWriter, p *Problem) {
	h := w.Header()
	for _, name := range [...]string{"Content-Length", "Content-Encoding", "Etag", "Last-Modified", "Retry-After"} {
		h.Del(name)
	}
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
}

// WriteProblem writes p: as a page to clients that prefer HTML (see [WantsHTML]), else as application/problem+json,
// uncacheable, with Retry-After where p has one. HEAD gets no body. Hooks may use it for problems of their own.
func WriteProblem(w http.ResponseWriter, r *http.Request, p *Problem) {
	prepare(w, p)
	h := w.Header()
	h.Add("Vary", "Accept")
	var body []byte
	if WantsHTML(r) {
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		body = page(p)
	} else {
		h.Set("Content-Type", "application/problem+json")
		body = encode(p)
	}
	send(w, r, p.Status, body)
}

// send writes status and body.
func send(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	if r.Method == http.MethodHead {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone
}

// encode marshals p; tasks that a hook added and that are no JSON are left out.
func encode(p *Problem) []byte {
	body, err := json.Marshal(p)
	if err != nil {
		q := *p
		q.Tasks = nil
		body, _ = json.Marshal(q) // texts and numbers only: cannot fail
	}
	return append(body, '\n')
}

// page is p for a person.
func page(p *Problem) []byte {
	var b strings.Builder
	title := html.EscapeString(p.Title)
	b.WriteString(`<!doctype html><html lang="en"><head><meta charset="utf-8">` +
		`<meta name="viewport" content="width=device-width, initial-scale=1"><title>` + title + `</title></head>` +
		`<body><main><h1>` + title + `</h1><p>` + html.EscapeString(p.Detail) + `</p>`)
	if len(p.Reasons) > 0 {
		b.WriteString("<ul>")
		for _, reason := range p.Reasons {
			b.WriteString("<li>" + html.EscapeString(reason) + "</li>")
		}
		b.WriteString("</ul>")
	}
	if p.RetryAfter > 0 {
		b.WriteString("<p>Seconds to wait: " + strconv.Itoa(p.RetryAfter) + "</p>")
	}
	if !p.Until.IsZero() {
		b.WriteString("<p>From: " + p.Until.Format("2006-01-02 15:04:05 MST") + "</p>")
	}
	if p.Instance != "" {
		b.WriteString("<p>Reference: " + html.EscapeString(p.Instance) + "</p>")
	}
	b.WriteString("</main></body></html>\n")
	return []byte(b.String())
}
