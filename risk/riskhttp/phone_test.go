package riskhttp_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/riskhttp"
)

// phones is a verifier with fixed answers that remembers what it was asked.
type phones struct {
	readable              bool
	retry                 time.Duration
	right, failed, locked bool
	err                   error

	asked []string // phone, flow, voice or code, request
}

func (p *phones) StartCode(_ context.Context, a *risk.Attempt, voice bool, request string) (bool, time.Duration, error) {
	how := "sms"
	if voice {
		how = "voice"
	}
	p.asked = append(p.asked, strings.Join([]string{string(a.Phone), a.Flow, how, request}, " "))
	return p.readable, p.retry, p.err
}

func (p *phones) CheckCode(_ context.Context, a *risk.Attempt, code string) (bool, bool, bool, error) {
	p.asked = append(p.asked, strings.Join([]string{string(a.Phone), a.Flow, code}, " "))
	return p.right, p.failed, p.locked, p.err
}

func phonePost(h http.Handler, kind, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/phone", strings.NewReader(body))
	r.Header.Set("Content-Type", kind)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const (
	asJSON = "application/json"
	asForm = "application/x-www-form-urlencoded"
)

func TestPhoneStart(t *testing.T) {
	human, phone, voice := risk.ProofHuman, risk.ProofPhone, risk.ProofVoice
	for _, c := range []struct {
		name       string
		pending    []risk.Proof
		engineErr  error
		p          phones
		kind, body string
		flow       string
		status     int
		asked      string
	}{
		{"json", []risk.Proof{phone}, nil, phones{readable: true, retry: 30 * time.Second}, asJSON, `{"phone":"+4740000000","request":"r1"}`, "F", 202, "+4740000000 F sms r1"},
		{"form", []risk.Proof{phone}, nil, phones{readable: true, retry: 30 * time.Second}, asForm, `phone=%2B4740000000`, "F", 202, "+4740000000 F sms "},
		{"flow in the body", []risk.Proof{phone}, nil, phones{readable: true, retry: 30 * time.Second}, asJSON, `{"phone":"1","flow":"G"}`, "", 202, "1 G sms "},
		{"a call is asked for", []risk.Proof{phone}, nil, phones{readable: true, retry: 30 * time.Second}, asJSON, `{"phone":"1","channel":"voice"}`, "F", 202, "1 F voice "},
		{"a call is required", []risk.Proof{voice}, nil, phones{readable: true, retry: 30 * time.Second}, asJSON, `{"phone":"1","channel":"sms"}`, "F", 202, "1 F voice "},
		{"no flow", []risk.Proof{phone}, nil, phones{}, asJSON, `{"phone":"1"}`, "", 404, ""},
		{"nothing pending", nil, nil, phones{}, asJSON, `{"phone":"1"}`, "F", 404, ""},
		{"another proof pending", []risk.Proof{risk.ProofDevice}, nil, phones{}, asJSON, `{"phone":"1"}`, "F", 404, ""},
		{"the CAPTCHA first", []risk.Proof{human, phone}, nil, phones{}, asJSON, `{"phone":"1"}`, "F", 403, ""},
		{"no number", []risk.Proof{phone}, nil, phones{}, asJSON, `{"phone":"hello"}`, "F", 422, "hello F sms "},
		{"store down", []risk.Proof{phone}, nil, phones{readable: true, err: errors.New("down")}, asJSON, `{"phone":"1"}`, "F", 503, "1 F sms "},
		{"engine down", nil, errors.New("down"), phones{}, asJSON, `{"phone":"1"}`, "F", 503, ""},
		{"not JSON", []risk.Proof{phone}, nil, phones{}, asJSON, `{"phone":`, "F", 400, ""},
		{"JSON of another form", []risk.Proof{phone}, nil, phones{}, asJSON, `{"phone":7}`, "F", 400, ""},
		{"too large", []risk.Proof{phone}, nil, phones{}, asJSON, `{"phone":"` + strings.Repeat("1", 5000) + `"}`, "F", 413, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &engine{pending: c.pending, err: c.engineErr}
			g := newGuard(t, e, nil)
			var header []string
			if c.flow != "" {
				header = []string{"Vestibule-Flow", c.flow}
			}
			w := phonePost(g.PhoneStartHandler(risk.SignUp, &c.p, nil), c.kind, c.body, header...)
			require.Equal(t, c.status, w.Code, w.Body.String())
			require.Equal(t, c.asked, strings.Join(c.p.asked, "|"))
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			if c.status == 202 {
				require.Equal(t, "{\"retry_after\":30}\n", w.Body.String())
			}
		})
	}
}

func TestPhoneStartWithoutFirst(t *testing.T) {
	p := &phones{readable: true, retry: time.Second}
	g := newGuard(t, &engine{pending: []risk.Proof{risk.ProofHuman, risk.ProofPhone}}, nil)
	w := phonePost(g.PhoneStartHandler(risk.SignUp, p, &riskhttp.PhoneOptions{First: []risk.Proof{}}), asJSON, `{"phone":"1"}`, "Vestibule-Flow", "F")
	require.Equal(t, 202, w.Code)
}

func TestPhoneCheck(t *testing.T) {
	for _, c := range []struct {
		name   string
		p      phones
		status int
		body   string
		wrong  int
	}{
		{"right", phones{right: true}, 200, `{"result":"ok"}`, 0},
		{"wrong", phones{failed: true}, 422, `{"result":"wrong"}`, 1},
		{"gone", phones{}, 422, `{"result":"wrong"}`, 0},
		{"the last try", phones{failed: true, locked: true}, 429, `{"result":"locked"}`, 1},
		{"locked", phones{locked: true}, 429, `{"result":"locked"}`, 0},
		{"down", phones{err: errors.New("down")}, 503, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			charged := 0
			g := newGuard(t, &engine{pending: []risk.Proof{risk.ProofHuman, risk.ProofPhone}}, nil)
			h := g.PhoneCheckHandler(risk.SignUp, &c.p, &riskhttp.PhoneOptions{OnWrong: func(_ context.Context, a *risk.Attempt) error {
				require.Equal(t, risk.SignUp, a.Event)
				charged++
				return errors.New("the limiter is down")
			}})
			w := phonePost(h, asJSON, `{"phone":"+4740000000","code":"123456"}`, "Vestibule-Flow", "F")
			require.Equal(t, c.status, w.Code)
			require.Equal(t, []string{"+4740000000 F 123456"}, c.p.asked)
			require.Equal(t, c.wrong, charged)
			if c.body != "" {
				require.JSONEq(t, c.body, w.Body.String())
			}
			require.NotContains(t, w.Body.String(), "123456")
		})
	}
}

func TestPhoneHandlersRefuse(t *testing.T) {
	p := &phones{readable: true}
	g := newGuard(t, &engine{pending: []risk.Proof{risk.ProofPhone}}, nil)
	for _, h := range []http.Handler{g.PhoneStartHandler(risk.SignUp, p, nil), g.PhoneCheckHandler(risk.SignUp, p, nil)} {
		r := httptest.NewRequest(http.MethodGet, "/phone", nil)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, 405, w.Code)
		require.Equal(t, 403, phonePost(h, asJSON, `{}`, "Vestibule-Flow", "F", "Sec-Fetch-Site", "cross-site").Code)
	}
	require.Empty(t, p.asked)
}
