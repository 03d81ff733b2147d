package captchatest

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// call is a request whose body has been read.
type call struct {
	*http.Request
	kind string // media type
	body []byte
	form url.Values
	json map[string]any
}

// text is a member of a JSON body.
func (c *call) text(names ...string) string {
	v := any(c.json)
	for _, n := range names {
		m, _ := v.(map[string]any)
		v = m[n]
	}
	s, _ := v.(string)
	return s
}

const mintPath = "/captchatest/mint"

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.Path, s.service.prefix)
	switch {
	case !ok:
		http.NotFound(w, r)
		return
	case r.Method == http.MethodGet && path == s.service.script:
		s.serveScript(w)
		return
	case r.Method == http.MethodGet && s.service.frame != "" && path == s.service.frame:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, strings.ReplaceAll(widgetFrame, "__SCRIPT__", s.ScriptPath()))
		return
	case path == mintPath:
		s.serveMint(w, r)
		return
	}
	c, ok := readCall(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	var o *Outage
	if len(s.outages) > 0 {
		o, s.outages = &s.outages[0], s.outages[1:]
	}
	s.mu.Unlock()
	if o == nil || o.Late {
		status, body := s.service.verify(s, c)
		if o == nil {
			answer(w, status, body)
			return
		}
	}
	for k, v := range o.Header {
		w.Header()[k] = v
	}
	switch {
	case o.Silent:
		<-r.Context().Done()
	case o.HangUp:
		panic(http.ErrAbortHandler)
	case o.Code != "":
		status, body := s.service.code(s, o.Code)
		answer(w, status, body)
	default:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(max(o.Status, http.StatusOK))
		_, _ = io.WriteString(w, o.Body)
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	raw, err := json.Marshal(body)
	if err != nil {
		http.Error(w, "captchatest: cannot marshal", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(raw)
}

func readCall(w http.ResponseWriter, r *http.Request) (*call, bool) {
	c := &call{Request: r}
	var err error
	if c.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10)); err != nil {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		return nil, false
	}
	c.kind, _, _ = mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch c.kind {
	case "application/x-www-form-urlencoded":
		c.form, _ = url.ParseQuery(string(c.body))
	case "application/json":
		_ = json.NewDecoder(bytes.NewReader(c.body)).Decode(&c.json)
	}
	return c, true
}

// serveMint is where the stand-in widget gets its answers.
func (s *Server) serveMint(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Headers", "Content-Type")
	if r.Method == http.MethodOptions {
		return
	}
	c, ok := readCall(w, r)
	if !ok {
		return
	}
	host := "none"
	if u, err := url.Parse(r.Header.Get("Origin")); err == nil && u.Hostname() != "" {
		host = u.Hostname()
	}
	g := Grant{Hostname: host, Action: c.text("action"), CData: c.text("cdata"), SiteKey: c.text("sitekey"), Risk: s.opts.Score, Scored: true}
	g.Unsolved = g.SiteKey != s.opts.SiteKey
	answer(w, http.StatusOK, map[string]string{"token": s.Mint(g)})
}

func (s *Server) serveScript(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, strings.NewReplacer("__PREFIX__", s.service.prefix+mintPath, "__VERSION__", strconv.Itoa(s.opts.Version)).
		Replace(widgetBase+s.service.widget+"\n})();\n"))
}
