package playintegrity_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/playintegrity"
)

const pkg = "com.example.app"

var (
	start  = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	signer = bytes.Repeat([]byte{5}, 32)
	nonce  = bytes.Repeat([]byte{0xfb}, 32) // its base64 has '-' and '_'
	ctx    = context.Background()
)

const hash = "r3quest-hash"

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

var theGoogle = sync.OnceValue(func() *attesttest.Google { return attesttest.NewGoogle(at(start)) })

func local(t testing.TB, opts *playintegrity.LocalOptions) *playintegrity.Local {
	d, v, _ := theGoogle().PlayKeys()
	l, err := playintegrity.NewLocal([]playintegrity.KeyPair{{Decryption: d, Verification: v}}, opts)
	require.NoError(t, err)
	return l
}

func newVerifier(t testing.TB, d playintegrity.Decoder, change func(o *playintegrity.Options)) *playintegrity.Verifier {
	o := &playintegrity.Options{Now: at(start)}
	if change != nil {
		change(o)
	}
	v, err := playintegrity.New(pkg, [][]byte{signer}, d, o)
	require.NoError(t, err)
	return v
}

func phone() *attesttest.Android { return theGoogle().Pixel(pkg, signer) }

func requireStep(t testing.TB, err error, step string, want error) {
	t.Helper()
	var s *attest.StepError
	require.ErrorAs(t, err, &s)
	require.Equal(t, step, s.Step)
	require.ErrorIs(t, err, want)
}
