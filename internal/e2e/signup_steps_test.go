package e2e_test

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"regexp"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

const number = "+47 400 00 000"

var sentCode = regexp.MustCompile(`\bcode=(\d{6})\b`)

// code is the latest one in the server's log.
func (s *site) code(t *testing.T) string {
	t.Helper()
	s.says(t, " code=")
	found := sentCode.FindAllStringSubmatch(s.logged(), -1)
	require.NotEmpty(t, found, s.logged())
	return found[len(found)-1][1]
}

// business asks for a business account, which wants a phone: the page solves the proof of work by itself first.
func (b *tab) business(s *site) {
	b.t.Helper()
	b.run(
		chromedp.Navigate(s.url),
		chromedp.WaitVisible(chromedp.CSS("#email")),
		chromedp.SendKeys(chromedp.CSS("#email"), "boss@example.com"),
		chromedp.Click(chromedp.CSS("#kind")),
		chromedp.Click(chromedp.CSS("#send")),
		chromedp.WaitVisible(chromedp.CSS("#phone-step")),
	)
}

// sendCode has a code sent, and waits for the place to enter it.
func (b *tab) sendCode() {
	b.t.Helper()
	b.run(
		chromedp.SendKeys(chromedp.CSS("#phone"), number),
		chromedp.Click(chromedp.CSS("#phone-send")),
		chromedp.WaitVisible(chromedp.CSS("#code")),
	)
}

// until waits for a condition in the page.
func (b *tab) until(condition string) {
	b.t.Helper()
	eval[int](b, `new Promise((done) => {
		const look = () => (`+condition+` ? done(0) : setTimeout(look, 20));
		look();
	})`)
}

func (b *tab) focused() string {
	b.t.Helper()
	return eval[string](b, `document.activeElement.id`)
}

func TestPhoneStep(t *testing.T) {
	for _, by := range []string{"log", "twilio"} {
		t.Run(by, func(t *testing.T) {
			s, b := start(t, "-phone", by), open(t)
			b.business(s)
			require.Equal(t, "phone-title", b.focused(), "readers are told of the new step")
			b.shoot("1-number")

			b.run(chromedp.SendKeys(chromedp.CSS("#phone"), "12"+kb.Enter), chromedp.WaitVisible(chromedp.CSS("#phone-error")))
			require.Contains(t, b.text("#phone-error"), "country code")
			require.Equal(t, "phone true phone-hint phone-error", eval[string](b, `(() => { const e = document.activeElement;
				return [e.id, e.getAttribute('aria-invalid'), e.getAttribute('aria-describedby')].join(' '); })()`))
			b.shoot("2-no-number")

			b.sendCode() // what stands in the field is selected, and so replaced
			require.Equal(t, "code", b.focused())
			require.Equal(t, "one-time-code numeric", eval[string](b, `document.activeElement.autocomplete + ' ' + document.activeElement.inputMode`))
			require.Contains(t, b.text("#phone-lead"), "If we can reach "+number)
			require.Equal(t, "A message is on its way.", b.text("#status"))
			require.True(t, eval[bool](b, `document.getElementById('phone-again').disabled`))
			require.Regexp(t, `Send again in (29|3\d) s`, b.text("#phone-again"))
			b.shoot("3-code")

			code := s.code(t)
			wrong := "000000"
			if code == wrong {
				wrong = "000001"
			}
			b.run(chromedp.SendKeys(chromedp.CSS("#code"), wrong+kb.Enter), chromedp.WaitVisible(chromedp.CSS("#code-error")))
			require.Contains(t, b.text("#code-error"), "not right")
			require.Equal(t, "code", b.focused())
			b.shoot("4-wrong")

			// When the pause is over both ways to ask again open. (The page's clock is put forward, not the server's.)
			eval[int](b, `(() => { const real = Date.now; Date.now = () => real() + 60000; return 0; })()`)
			b.run(chromedp.WaitEnabled(chromedp.CSS("#phone-again")), chromedp.Click(chromedp.CSS("#phone-again")))
			b.until(`document.getElementById('phone-again').textContent.includes(' in ')`)
			require.Empty(t, eval[string](b, `document.getElementById('code').value`))
			require.False(t, eval[bool](b, `document.getElementById('code').hasAttribute('aria-invalid')`))

			b.run(chromedp.SendKeys(chromedp.CSS("#code"), s.code(t)+kb.Enter), chromedp.WaitVisible(chromedp.CSS("#done")))
			require.Equal(t, "Check your inbox", b.text("#done-title"))
			s.says(t, "phone.verified -8 (phone)")
			require.NotContains(t, s.logged(), "40000000")
		})
	}
}

func TestPhoneStepByACallAndOnAPhone(t *testing.T) {
	s, b := start(t), open(t)
	b.run(chromedp.EmulateViewport(360, 740, chromedp.EmulateScale(2)))
	b.business(s)
	b.narrow()
	b.shoot("1-number-narrow")
	b.sendCode()
	b.narrow()
	b.shoot("2-code-narrow")
	b.run(chromedp.Click(chromedp.CSS("#phone-change")), chromedp.WaitVisible(chromedp.CSS("#phone")))
	require.Equal(t, "phone", b.focused())
	// Another number has a pause of its own.
	b.run(chromedp.SendKeys(chromedp.CSS("#phone"), "+47 400 00 111"+kb.Enter), chromedp.WaitVisible(chromedp.CSS("#code")))
	eval[int](b, `(() => { const real = Date.now; Date.now = () => real() + 60000; return 0; })()`)
	b.run(chromedp.WaitEnabled(chromedp.CSS("#phone-call")), chromedp.Click(chromedp.CSS("#phone-call")))
	b.until(`document.getElementById('phone-lead').textContent.includes('we are calling')`)
	b.run(chromedp.SendKeys(chromedp.CSS("#code"), s.code(t)+kb.Enter), chromedp.WaitVisible(chromedp.CSS("#done")))
}

func TestPhoneStepByKeyboard(t *testing.T) {
	s, b := start(t), open(t)
	b.business(s)
	order := func(ids ...string) {
		t.Helper()
		for _, id := range ids {
			b.run(chromedp.KeyEvent(kb.Tab))
			require.Equal(t, id, b.focused())
		}
	}
	order("phone", "phone-send", "phone-cannot")
	b.run(chromedp.Focus(chromedp.CSS("#phone")), chromedp.KeyEvent(number), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS("#code")))
	order("code-check", "phone-change", "phone-cannot") // asking again is closed for half a minute
	b.run(chromedp.Focus(chromedp.CSS("#code")), chromedp.KeyEvent(s.code(t)), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS("#done")))
}

func TestWithoutAPhoneAPersonLooks(t *testing.T) {
	s, b := start(t), open(t)
	b.business(s)
	b.run(chromedp.Click(chromedp.CSS("#phone-cannot")), chromedp.WaitVisible(chromedp.CSS("#done")))
	require.Equal(t, "Under review", b.text("#done-title"))
	b.shoot("review")
	s.says(t, "pending=true")
}

// A flow that is over leads back to the form, which is still filled in, and from there to a new one.
func TestPhoneStepTooLate(t *testing.T) {
	s, b := start(t), open(t)
	b.business(s)
	eval[int](b, `(() => {
		const real = window.fetch;
		window.fetch = (url, o) => { window.fetch = real; o.headers['Vestibule-Flow'] += 'x'; return real(url, o); };
		return 0;
	})()`)
	b.run(
		chromedp.SendKeys(chromedp.CSS("#phone"), number+kb.Enter),
		chromedp.WaitVisible(chromedp.CSS("#notice")),
	)
	require.Contains(t, b.text("#notice"), "too long")
	require.Equal(t, "send", b.focused())
	b.shoot("too-late")
	b.run(chromedp.Click(chromedp.CSS("#send")), chromedp.WaitVisible(chromedp.CSS("#phone-step")))
	b.sendCode()
	b.run(chromedp.SendKeys(chromedp.CSS("#code"), s.code(t)+kb.Enter), chromedp.WaitVisible(chromedp.CSS("#done")))
	require.NotContains(t, s.logged(), "flow.")
}

// suspect fills in what people do not see, and has a disposable mailbox: the policy asks for a device.
func (b *tab) suspect(s *site) {
	b.t.Helper()
	b.run(chromedp.Navigate(s.url), chromedp.WaitVisible(chromedp.CSS("#email")))
	eval[int](b, `new Promise((done) => setTimeout(() => {
		document.querySelector('[name=website]').value = 'https://example.com';
		done(0);
	}, 3000))`) // nobody fills in a form faster
	b.run(
		chromedp.SendKeys(chromedp.CSS("#email"), "ann@mailinator.com"),
		chromedp.Click(chromedp.CSS("#send")),
		chromedp.WaitVisible(chromedp.CSS("#passkey-step")),
	)
	require.Equal(b.t, "passkey-title", b.focused())
}

// above is a root for all the certificates of an authenticator: the browser makes one for each passkey, and signs all with one
// key.
func above(t *testing.T, m *blobs, object []byte) []byte {
	t.Helper()
	batch, _ := batchOf(t, object)
	root := &x509.Certificate{
		SerialNumber: big.NewInt(8), RawSubject: batch.RawSubject, NotBefore: batch.NotBefore.Add(-time.Hour), NotAfter: batch.NotAfter.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, DNSNames: []string{"authenticators.test"},
	}
	signer, err := x509.ParseCertificate(m.root)
	require.NoError(t, err)
	raw, err := x509.CreateCertificate(rand.Reader, root, signer, batch.PublicKey, m.key)
	require.NoError(t, err)
	return raw
}

// The browser's authenticator is a program: its passkey is no device, and a person looks at the sign-up. Where metadata
// vouches for it, it is one, and the visitor goes on by himself.
func TestPasskeyStepUp(t *testing.T) {
	s, b := start(t), open(t)
	b.plug(platformKey())
	b.suspect(s)
	b.shoot("1-passkey")
	eval[int](b, `(() => {
		const real = VestibulePasskey.run;
		VestibulePasskey.run = async (task) => (window.made = await real(task));
		return 0;
	})()`)
	b.run(chromedp.Click(chromedp.CSS("#passkey-use")), chromedp.WaitVisible(chromedp.CSS("#passkey-notice")))
	require.Contains(t, b.text("#passkey-notice"), "does not show what device")
	s.says(t, "passkey.none +0 (attest)")
	b.shoot("2-not-enough")
	b.run(chromedp.EmulateViewport(360, 740, chromedp.EmulateScale(2)))
	b.narrow()
	b.shoot("2-not-enough-narrow")
	b.run(chromedp.EmulateViewport(1100, 900))
	b.run(chromedp.Click(chromedp.CSS("#passkey-cannot")), chromedp.WaitVisible(chromedp.CSS("#done")))
	require.Equal(t, "Under review", b.text("#done-title"))
	s.says(t, "bound=true")

	var made struct {
		Response struct {
			Object string `json:"attestationObject"`
		} `json:"response"`
	}
	require.NoError(t, json.Unmarshal([]byte(eval[string](b, `window.made`)), &made))
	object, err := base64.RawURLEncoding.DecodeString(made.Response.Object)
	require.NoError(t, err)
	m := startBLOBs(t)
	vouching := entry(t, object, "FIDO_CERTIFIED_L1")
	vouching["metadataStatement"].(map[string]any)["attestationRootCertificates"] = []string{base64.StdEncoding.EncodeToString(above(t, m, object))}
	m.publish(t, vouching)

	vouched := start(t, m.args(t)...)
	b.suspect(vouched)
	b.run(
		chromedp.Click(chromedp.CSS("#passkey-use")),
		chromedp.WaitVisible(chromedp.CSS("#phone-step")), // by way of the proof of work
	)
	vouched.says(t, "passkey.certified -12 (attest)")
	b.sendCode()
	b.run(chromedp.SendKeys(chromedp.CSS("#code"), vouched.code(t)+kb.Enter), chromedp.WaitVisible(chromedp.CSS("#done")))
	require.Equal(t, "Check your inbox", b.text("#done-title"))
	vouched.says(t, "bound=true")
	require.NotContains(t, vouched.logged(), "pending=true")
}

func TestWithoutAPasskeyAPersonLooks(t *testing.T) {
	s, b := start(t), open(t)
	b.suspect(s)
	// Nobody is there to agree: the browser gives up, and the page offers both ways again.
	eval[int](b, `navigator.credentials.create = () => Promise.reject(new DOMException('', 'NotAllowedError')); 0`)
	b.run(chromedp.Click(chromedp.CSS("#passkey-use")), chromedp.WaitVisible(chromedp.CSS("#passkey-notice")))
	require.Contains(t, b.text("#passkey-notice"), "was not used")
	require.False(t, eval[bool](b, `document.getElementById('passkey-use').disabled`))
	b.shoot("cancelled")
	b.run(chromedp.Click(chromedp.CSS("#passkey-cannot")), chromedp.WaitVisible(chromedp.CSS("#done")))
	require.Equal(t, "Under review", b.text("#done-title"))
	require.NotContains(t, s.logged(), "bound=")
}

// A task is good for some minutes: who reads for longer gets another one without noticing.
func TestPasskeyTaskIsRenewed(t *testing.T) {
	s, b := start(t), open(t)
	b.plug(platformKey())
	b.suspect(s)
	eval[int](b, `(() => {
		const real = Date.now;
		Date.now = () => real() + 6 * 60000;
		const run = VestibulePasskey.run;
		VestibulePasskey.run = (task) => { Date.now = real; return run(task); };
		return 0;
	})()`)
	b.run(chromedp.Click(chromedp.CSS("#passkey-use")), chromedp.WaitVisible(chromedp.CSS("#passkey-notice")))
	require.Contains(t, b.text("#passkey-notice"), "does not show what device")
	s.says(t, "passkey.none")
	require.NotContains(t, s.logged(), "passkey.expired")
}
