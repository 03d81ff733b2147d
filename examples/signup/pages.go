package main

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/riskhttp"
)

//go:embed static
var static embed.FS

// pages renders what people see.
type pages struct{ templates *template.Template }

func newPages() *pages {
	return &pages{template.Must(template.ParseFS(static, "static/*.html"))}
}

// files serves styles and scripts.
func (p *pages) files() http.Handler {
	serve := http.FileServerFS(static)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		serve.ServeHTTP(w, r)
	})
}

// form shows the sign-up form with what the providers put in.
func (p *pages) form(w http.ResponseWriter, providers []*provider) {
	var data struct {
		Inputs  []template.HTML
		Scripts []string
	}
	for _, v := range providers {
		if v.inputs != nil {
			data.Inputs = append(data.Inputs, v.inputs())
		}
		if v.script != "" {
			data.Scripts = append(data.Scripts, v.script)
		}
	}
	w.Header().Set("Cache-Control", "no-store") // the form carries the time it was shown
	p.render(w, http.StatusOK, "index.html", data)
}

// message is a page of few words.
type message struct {
	Title, Detail string
	Reasons       []string
	RetryAfter    string
	Reference     string
	NeedsScript   bool
	Back          bool
}

func (p *pages) message(w http.ResponseWriter, status int, m message) {
	p.render(w, status, "message.html", m)
}

// answer is a riskhttp.Answerer: pages in this server's clothes for browsers that sent the form without the script.
// Programs get the guard's problem document.
func (p *pages) answer(w http.ResponseWriter, r *http.Request, _ *risk.Assessment, problem *riskhttp.Problem) bool {
	if !riskhttp.WantsHTML(r) {
		return false
	}
	m := message{
		Title: problem.Title, Detail: problem.Detail, Reasons: problem.Reasons, Reference: problem.Instance,
		NeedsScript: len(problem.Require) > 0, Back: problem.Status >= 400,
	}
	if problem.RetryAfter > 0 {
		m.RetryAfter = wait(problem.RetryAfter)
	}
	p.message(w, problem.Status, m)
	return true
}

// wait is a number of seconds in words.
func wait(seconds int) string {
	if seconds == 1 {
		return "1 second"
	}
	if seconds < 120 {
		return strconv.Itoa(seconds) + " seconds"
	}
	return strconv.Itoa((seconds+59)/60) + " minutes"
}

func (p *pages) render(w http.ResponseWriter, status int, name string, data any) {
	var b bytes.Buffer
	if err := p.templates.ExecuteTemplate(&b, name, data); err != nil {
		http.Error(w, "The page cannot be shown.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the client is gone
}

// secure sets the headers every answer has. Nothing inline, and nothing from elsewhere but a CAPTCHA vendor's sources.
func secure(next http.Handler, sources ...string) http.Handler {
	from := strings.Join(append([]string{"'self'"}, sources...), " ")
	policy := "default-src 'none'; script-src " + from + "; worker-src 'self'; style-src " + from + "; img-src " + from + "; connect-src " + from + "; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	if len(sources) > 0 {
		policy += "; frame-src " + strings.Join(sources, " ")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}
