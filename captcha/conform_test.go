package captcha_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

// inMemory carries requests to a handler without a network.
type inMemory struct{ h http.Handler }

func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	m.h.ServeHTTP(w, r)
	return w.Result(), nil
}

// The signal keeps the contract over every kind of provider: whatever a visitor sends is no error, and nothing personal
// leaks.
func TestSignalConforms(t *testing.T) {
	c := newClock()
	guard := newGuard(t, c)
	pow := newPoW(t, c, guard)
	fake := captchatest.NewRecaptchaEnterprise(&captchatest.ServerOptions{Now: c.Now})
	enterprise, err := captcha.NewRecaptchaEnterprise("test-project", captchatest.ServerSiteKey,
		captcha.EnterpriseLogin{APIKey: captcha.Secret(captchatest.ServerSecret)}, ourHosts, &captcha.RecaptchaEnterpriseOptions{
			RemoteOptions: captcha.RemoteOptions{Now: c.Now, Endpoint: fake.Endpoint("https://provider.example"), Transport: inMemory{fake}},
		})
	require.NoError(t, err)
	ladder, err := captcha.NewLadder([]captcha.LadderStep{{Rung: captcha.RungWork, Second: true}}, 0)
	require.NoError(t, err)
	orchestrator, err := captcha.NewOrchestrator([]captcha.Member{{Provider: pow, Weight: 1}, {Provider: enterprise, Weight: 1, Second: true}},
		keys(), guard, &captcha.OrchestratorOptions{Now: c.Now, Ladder: ladder})
	require.NoError(t, err)
	task, err := orchestrator.Challenge(t.Context(), visitor("s-42"))
	require.NoError(t, err)
	work, err := captchatest.Solve(task.Challenge)
	require.NoError(t, err)
	for name, row := range map[string]struct {
		p    captcha.Provider
		good string
	}{
		"proof of work": {pow, token(t, pow, bound)},
		"remote":        {enterprise, fake.Mint(captchatest.Grant{Action: "signup", Risk: 0.9})},
		"orchestrator":  {orchestrator, captcha.Join(task.Ticket, work, fake.Mint(captchatest.Grant{Action: "signup"}))},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSignal(t, row.p, &captcha.SignalOptions{Timeout: 5 * time.Second, References: captcha.NewMemoryReferences(c.Now)})
			require.NoError(t, risktest.Conform(s, attempt(row.good), attempt("rubbish"), attempt("")))
		})
	}
}
