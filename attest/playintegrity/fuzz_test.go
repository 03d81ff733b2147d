package playintegrity_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/playintegrity"
	"github.com/vestibule-go/vestibule/internal/jsonhttp"
)

func FuzzToken(f *testing.F) {
	good := phone().PlayToken(nonce, "", nil)
	for _, s := range []string{good, good[:len(good)-1], "a.b.c.d.e", "..", "eyJhbGciOiJkaXIifQ.....", `{"protected":""}`} {
		f.Add(s)
	}
	l := local(f, nil)
	f.Fuzz(func(t *testing.T, token string) {
		payload, err := l.Decode(ctx, token)
		if err != nil {
			_, refused := attest.Refused(attest.PlayIntegrity, err)
			require.True(t, refused, "%v", err)
			return
		}
		require.Equal(t, good, token, "no other token can be opened: %s", payload)
	})
}

func FuzzPayload(f *testing.F) {
	raw, err := json.Marshal(phone().PlayPayload(nonce, ""))
	require.NoError(f, err)
	f.Add(raw)
	f.Add([]byte(`{"deviceIntegrity":{"deviceRecall":{"values":{"bitFirst":true},"writeDates":{"yyyymmFirst":202610}}}}`))
	v := newVerifier(f, local(f, nil), nil)
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := playintegrity.ParsePayload(raw)
		_ = v.Explain(raw, nonce, "").String()
		if err != nil {
			return
		}
		// What is read is JSON with each name once, as the strict reader of this module sees it.
		_, err = jsonhttp.Parse(raw)
		require.NoError(t, err)
		risk, _ := p.Risk()
		require.GreaterOrEqual(t, risk, 0.0)
		require.LessOrEqual(t, risk, 1.0)
	})
}
