package androidkey_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/androidkey"
	"github.com/vestibule-go/vestibule/attest/attesttest"
)

func FuzzKeyDescription(f *testing.F) {
	for _, o := range []attesttest.AndroidOptions{{}, {StrongBox: true, Version: 500}, {Unlocked: true}, {Emulator: true}, {RSA: true}} {
		f.Add(device(o).Describe(challenge).Encode())
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		d, err := androidkey.ParseKeyDescription(der)
		if err == nil {
			require.NotNil(t, d)
			require.GreaterOrEqual(t, d.AttestationVersion, int64(1))
			require.LessOrEqual(t, len(d.Hardware.Tags)+len(d.Software.Tags), 256)
		}
	})
}

// FuzzChain changes one certificate of a good chain: no byte of what is signed can be another.
func FuzzChain(f *testing.F) {
	v := newVerifier(f, list{}, nil)
	good := device(attesttest.AndroidOptions{}).Attest(challenge, nil).Chain
	for i, c := range good {
		f.Add(i, c)
		f.Add(i, c[:len(c)/2])
	}
	f.Fuzz(func(t *testing.T, i int, cert []byte) {
		chain := append([][]byte{}, good...)
		i = int(uint(i) % uint(len(chain)))
		chain[i] = cert
		a, err := v.Attestation(ctx, chain, challenge)
		_ = v.Explain(ctx, chain, challenge).String()
		if err != nil {
			_, refused := attest.Refused(attest.AndroidKey, err)
			require.True(t, refused, "%v", err)
			return
		}
		require.Equal(t, good[0], chain[0], "another leaf has passed")
		require.NotNil(t, a)
	})
}
