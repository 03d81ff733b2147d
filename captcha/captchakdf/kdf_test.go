package captchakdf_test

import (
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captchakdf"
	"github.com/vestibule-go/vestibule/captcha/captchatest"
)

var key = captcha.Keys{Current: captcha.Key{Secret: captcha.Secret("0123456789abcdef0123456789abcdef")}}

func kdfs(t testing.TB) []captcha.KDF {
	small := &captchakdf.Options{MinMemory: 16}
	s, err := captchakdf.NewScrypt(small)
	require.NoError(t, err)
	a, err := captchakdf.NewArgon2id(small)
	require.NoError(t, err)
	return []captcha.KDF{s, a}
}

// RFC 7914 section 12, third vector.
func TestScryptVector(t *testing.T) {
	s, err := captchakdf.NewScrypt(nil)
	require.NoError(t, err)
	out, err := s.Derive(captcha.Work{Cost: 16384, MemoryCost: 8, Parallelism: 1}, []byte("pleaseletmein"), []byte("SodiumChloride"), 64)
	require.NoError(t, err)
	require.Equal(t, "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"+
		"d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887", hex.EncodeToString(out))
}

func TestWork(t *testing.T) {
	for _, row := range []struct {
		algorithm int
		work      captcha.Work
		ok        bool
	}{
		{0, captcha.Work{Cost: 1024, MemoryCost: 8, Parallelism: 1}, true},
		{0, captcha.Work{Cost: 1024, MemoryCost: 8}, true},
		{0, captcha.Work{Cost: 1024, Parallelism: 1}, false},
		{0, captcha.Work{Cost: 1000, MemoryCost: 8, Parallelism: 1}, false},
		{0, captcha.Work{Cost: 0, MemoryCost: 8, Parallelism: 1}, false},
		{0, captcha.Work{Cost: 1 << 20, MemoryCost: 8, Parallelism: 1}, false},
		{0, captcha.Work{Cost: 1 << 30, MemoryCost: 64, Parallelism: 1}, false},
		{0, captcha.Work{Cost: 1024, MemoryCost: 8, Parallelism: 5}, false},
		{0, captcha.Work{Cost: 1024, MemoryCost: -8, Parallelism: 1}, false},
		{1, captcha.Work{Cost: 1, MemoryCost: 64, Parallelism: 1}, true},
		{1, captcha.Work{Cost: 1, MemoryCost: 64}, true},
		{1, captcha.Work{Cost: 0, MemoryCost: 64, Parallelism: 1}, false},
		{1, captcha.Work{Cost: 5, MemoryCost: 64, Parallelism: 1}, false},
		{1, captcha.Work{Cost: 1, MemoryCost: 8, Parallelism: 1}, false},
		{1, captcha.Work{Cost: 1, MemoryCost: 1 << 20, Parallelism: 1}, false},
		{1, captcha.Work{Cost: 1, MemoryCost: 64, Parallelism: 9}, false},
		{1, captcha.Work{Cost: 1, MemoryCost: 64, Parallelism: -1}, false},
	} {
		k := kdfs(t)[row.algorithm]
		require.Equal(t, row.ok, k.Check(row.work) == nil, "%s %+v", k.Algorithm(), row.work)
		_, err := k.Derive(row.work, []byte("p"), []byte("saltsalt"), 32)
		require.Equal(t, row.ok, err == nil, "%s %+v", k.Algorithm(), row.work)
	}
	for _, o := range []captchakdf.Options{{MinMemory: -1}, {MinMemory: 10, MaxMemory: 5}, {MaxMemory: 1 << 30}, {MaxPasses: 100}} {
		_, err := captchakdf.NewScrypt(&o)
		require.Error(t, err)
		_, err = captchakdf.NewArgon2id(&o)
		require.Error(t, err)
	}
}

// A challenge of each algorithm is solved, accepted once and refused with another solution, in both modes.
func TestProofOfWork(t *testing.T) {
	works := map[string]captcha.Work{
		captchakdf.SCRYPT: {Cost: 128, MemoryCost: 8, Parallelism: 1}, captchakdf.ARGON2ID: {Cost: 1, MemoryCost: 64, Parallelism: 1},
	}
	for name, work := range works {
		for _, deterministic := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " deterministic ", deterministic), func(t *testing.T) {
				guard, err := captcha.NewMemoryGuard(nil)
				require.NoError(t, err)
				pow, err := captcha.NewPoW(key, guard, &captcha.PoWOptions{
					Algorithm: name, KDFs: kdfs(t), Steps: []captcha.Step{{Work: work, Digits: 1}}, MaxDerivations: 2, Deterministic: deterministic,
				})
				require.NoError(t, err)
				c, err := pow.Issue(t.Context(), captcha.ChallengeRequest{Session: "s"})
				require.NoError(t, err)
				token, err := captchatest.Solve(c, kdfs(t)...)
				require.NoError(t, err)
				e := captcha.Expect{Session: "s"}
				for _, want := range []captcha.Reason{captcha.ReasonOK, captcha.ReasonReplayed} {
					res, err := pow.Verify(t.Context(), captcha.Request{Token: token, Expect: e})
					require.NoError(t, err)
					require.Equal(t, want, res.Reason)
				}
			})
		}
	}
}

func Example() {
	argon, err := captchakdf.NewArgon2id(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	guard, err := captcha.NewMemoryGuard(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = captcha.NewPoW(key, guard, &captcha.PoWOptions{
		Algorithm: captchakdf.ARGON2ID, KDFs: []captcha.KDF{argon}, MaxDerivations: 4, Deterministic: true,
		Steps: []captcha.Step{{Work: captcha.Work{Cost: 1, MemoryCost: 19 << 10, Parallelism: 1}, Digits: 1}},
	})
	fmt.Println(err)
	// Output: <nil>
}
