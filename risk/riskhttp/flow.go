package riskhttp

import (
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/risk"
)

// Bounds of what clients send. A flow is shorter than this; one that is cut is unknown to the engine, which counts,
// while one that is dropped would not.
const (
	maxFlow   = 256
	maxCannot = 8 // proofs
	maxProof  = 32
)

// flowCookieAge is the default life of a flow.
const flowCookieAge = 15 * time.Minute

// readFlow finds the flow a request continues: header, parsed form, cookie.
func (g *Guard) readFlow(r *http.Request) string {
	flow := strings.TrimSpace(r.Header.Get(g.o.FlowHeader))
	if flow == "" {
		flow = formValue(r, g.o.FlowField)
	}
	if flow == "" && g.flow != "" {
		flow = readCookie(r, g.flow)
	}
	if len(flow) > maxFlow {
		flow = flow[:maxFlow]
	}
	return flow
}

// readCannot finds the proofs a client says it cannot give. What is no name of a proof is ignored.
func (g *Guard) readCannot(r *http.Request) []risk.Proof {
	list := r.Header.Get(g.o.CannotHeader)
	if list == "" {
		list = formValue(r, g.o.CannotField)
	}
	var out []risk.Proof
	for list != "" && len(out) < maxCannot {
		var name string
		name, list, _ = strings.Cut(list, ",")
		name = strings.TrimSpace(name)
		if p := risk.Proof(name); len(name) <= maxProof && isToken(name) && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// formValue reads a body field of a form that somebody has parsed already.
func formValue(r *http.Request, name string) string {
	if v := r.PostForm.Get(name); v != "" {
		return v
	}
	if r.MultipartForm != nil {
		if v := r.MultipartForm.Value[name]; len(v) > 0 {
			return v[0]
		}
	}
	return ""
}

// parseForm parses a posted form whose declared length is small and which nobody has parsed yet, so that the flow in it
// is found whether the host reads its own fields before or after. A malformed one is left to the host to notice.
func parseForm(r *http.Request) {
	const most = 64 << 10
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Method == http.MethodPost && kind == "application/x-www-form-urlencoded" && r.PostForm == nil &&
		r.Body != nil && r.ContentLength > 0 && r.ContentLength <= most {
		_ = r.ParseForm()
	}
}
