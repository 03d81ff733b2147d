package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// fill types an address and sends the form.
func (b *tab) fill(i int) {
	b.t.Helper()
	b.run(
		chromedp.WaitVisible(chromedp.CSS("#email")),
		chromedp.SendKeys(chromedp.CSS("#email"), fmt.Sprintf("person%d@example.com", i)),
		chromedp.Click(chromedp.CSS("#send")),
	)
}

// burst signs five people up, who are let in, and ends with the empty form.
func (b *tab) burst() {
	b.t.Helper()
	for i := range 5 {
		b.fill(i)
		b.run(chromedp.WaitVisible(chromedp.CSS("#done")))
		require.Equal(b.t, "Check your inbox", b.text("#done-title"))
		b.run(chromedp.Click(chromedp.CSS("#again")))
	}
}

// narrow checks that nothing sticks out on a phone.
func (b *tab) narrow() {
	b.t.Helper()
	require.LessOrEqual(b.t, eval[int](b, `document.documentElement.scrollWidth`), 360)
}

func (b *tab) waitState(state string) {
	b.t.Helper()
	b.run(chromedp.WaitReady(chromedp.CSS(`#captcha[data-captcha-state="` + state + `"]`)))
}

func TestCleanVisitorThenBurstThenProofOfWork(t *testing.T) {
	s, b := start(t), open(t)
	b.run(chromedp.Navigate(s.url), chromedp.WaitVisible(chromedp.CSS("#signup")))
	b.shoot("1-form")
	b.run(chromedp.EmulateViewport(360, 740, chromedp.EmulateScale(2)))
	b.shoot("1-form-narrow")
	b.narrow()
	b.run(chromedp.EmulateViewport(1100, 900))

	b.fill(0)
	b.run(chromedp.WaitVisible(chromedp.CSS("#done")))
	require.Equal(t, "done-title", eval[string](b, `document.activeElement.id`), "readers are told of the new page")
	b.shoot("2-in")
	s.says(t, "assessment.action=allow")
	b.run(chromedp.Click(chromedp.CSS("#again")))

	for i := range 4 {
		b.fill(i + 1)
		b.run(chromedp.WaitVisible(chromedp.CSS("#done")), chromedp.Click(chromedp.CSS("#again")))
	}
	// The sixth is asked for a proof of work. It is over fast, so the page notes what it showed.
	eval[int](b, `window.seen = []; for (const s of ['working', 'solved'])
		document.getElementById('captcha').addEventListener('captcha:' + s, () => window.seen.push(s + ':' + !document.getElementById('check').hidden)); 0`)
	b.fill(6)
	b.run(chromedp.WaitVisible(chromedp.CSS("#done")))
	require.Equal(t, "working:true solved:true", strings.Join(eval[[]string](b, `window.seen`), " "))
	s.says(t, "assessment.action=challenge")
	s.says(t, "captcha.passed -6 (human)")
	require.Eventually(t, func() bool { return strings.Count(s.logged(), `msg="account kept"`) == 6 }, 10*time.Second, 5*time.Millisecond)
	require.NotContains(t, s.logged(), "example.com")
}

func TestCheckCanBeCancelledAndRunAgain(t *testing.T) {
	s, b := start(t), open(t)
	b.run(chromedp.Navigate(s.url))
	b.burst()
	eval[int](b, `document.getElementById('captcha').addEventListener('captcha:working',
		() => [...document.querySelectorAll('#captcha button')].find((e) => !e.hidden).click(), {once: true}); 0`)
	b.fill(6)
	b.waitState("cancelled")
	b.shoot("cancelled")
	require.False(t, eval[bool](b, `document.getElementById('send').disabled`))
	b.run(
		chromedp.Click(chromedp.CSS("#captcha button:not([hidden])")),
		chromedp.WaitVisible(chromedp.CSS("#done")),
	)
	s.says(t, "captcha.passed")
}

// The check while it runs. The challenge is made unsolvable in the page, so that there is time to look.
func TestCheckAtWork(t *testing.T) {
	s, b := start(t), open(t)
	b.run(chromedp.Navigate(s.url))
	b.burst()
	eval[int](b, `(() => {
		const real = window.fetch;
		window.fetch = async (...args) => {
			const response = await real(...args);
			if (response.status !== 403) return response;
			const answer = await response.json();
			answer.tasks[0].data.challenge.parameters.keyPrefix = 'f'.repeat(32);
			return new Response(JSON.stringify(answer), {status: 403});
		};
		return 0;
	})()`)
	b.fill(6)
	b.waitState("working")
	b.run(chromedp.WaitVisible(chromedp.CSS("#captcha progress")))
	require.Equal(t, "check", eval[string](b, `document.activeElement.id`))
	require.Contains(t, b.text("#captcha"), "Checking that you are human")
	require.True(t, eval[bool](b, `document.getElementById('send').disabled`))
	b.shoot("light")
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}},
	})
	require.NoError(t, err)
	b.shoot("dark")
	b.run(chromedp.EmulateViewport(360, 740, chromedp.EmulateScale(2)))
	b.shoot("narrow")
	b.narrow()
}

func TestWithoutSecureContextTheCheckSaysSo(t *testing.T) {
	s, b := start(t), open(t)
	b.run(chromedp.Navigate("http://" + insecureHost + ":" + s.port))
	require.False(t, eval[bool](b, `window.isSecureContext`))
	b.burst()
	b.fill(6)
	b.waitState("unsupported")
	require.Contains(t, b.text("#captcha"), "secure connection")
	require.Empty(t, b.text("#captcha button"), "nothing to press that cannot work")
	b.shoot("unsupported")
	require.Equal(t, "Have a person look at it", b.text("#send"))
	b.run(chromedp.Click(chromedp.CSS("#send")), chromedp.WaitVisible(chromedp.CSS("#done")))
	require.Equal(t, "Under review", b.text("#done-title"))
	s.says(t, "assessment.action=review")
	s.says(t, "pending=true")
}

func TestFloodIsBannedAndTheBanShown(t *testing.T) {
	s, b := start(t), open(t)
	b.run(chromedp.Navigate(s.url))
	status := 0
	for i := 0; i < 30 && status != 429; i++ {
		status = eval[int](b, fmt.Sprintf(`fetch('/api/signup', {method: 'POST', headers: {'Content-Type': 'application/json'},
			body: JSON.stringify({email: 'flood%d@example.com'})}).then((r) => r.status)`, i))
	}
	require.Equal(t, 429, status)
	b.fill(1)
	b.run(chromedp.WaitVisible(chromedp.CSS("#notice")))
	require.Regexp(t, `You can try again in [56] minutes`, b.text("#notice"))
	require.True(t, eval[bool](b, `document.getElementById('send').disabled`))
	b.shoot("script")

	// A browser without scripts gets a page.
	_, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	require.NoError(t, err)
	b.run(chromedp.Navigate(s.url), chromedp.SendKeys(chromedp.CSS("#email"), "flood@example.com"+kb.Enter), chromedp.WaitNotPresent(chromedp.CSS("#email")))
	b.shoot("page")
	require.Contains(t, b.text("main"), "Too many requests")
	s.says(t, "ratelimit.banned")
}

func TestKeyboardOnly(t *testing.T) {
	s, b := start(t), open(t)
	b.run(chromedp.Navigate(s.url), chromedp.WaitVisible(chromedp.CSS("#email")))
	for _, id := range []string{"email", "kind", "device-yes", "device-no", "send"} { // and nowhere else: the trap is out of reach
		b.run(chromedp.KeyEvent(kb.Tab))
		require.Equal(t, id, eval[string](b, `document.activeElement.id`))
		if id == "email" {
			b.run(chromedp.KeyEvent("ann@example.com"))
		}
	}
	require.Equal(t, "", eval[string](b, `document.querySelector('[name=website]').value`))
	require.Less(t, eval[float64](b, `document.querySelector('[name=website]').getBoundingClientRect().right`), 0.0)
	b.run(chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS("#done")))
	require.NotContains(t, s.logged(), "form.honeypot")
}
