package keyed_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk/keyed"
)

const seen keyed.Purpose = "test.seen"

// secret makes a fixed secret out of a name.
func secret(name string) keyed.Secret {
	s := sha256.Sum256([]byte("secret of " + name))
	return s[:]
}

func key(id string) keyed.Key { return keyed.Key{ID: id, Secret: secret(id)} }

func newRing(tb testing.TB, ids ...string) *keyed.Ring {
	tb.Helper()
	return newRingWith(tb, nil, ids...)
}

func newRingWith(tb testing.TB, opts *keyed.Options, ids ...string) *keyed.Ring {
	tb.Helper()
	var keys []keyed.Key
	for _, id := range ids {
		keys = append(keys, key(id))
	}
	r, err := keyed.New(keys, opts)
	require.NoError(tb, err)
	return r
}

func day(n int) time.Time { return time.Unix(int64(n)*24*3600, 0) }

// reference is the derivation of the package comment, written plainly.
func reference(secret []byte, id string, epochLength time.Duration, epoch uint64, purpose, tenant, value string) []byte {
	mac := func(key, msg []byte) []byte {
		m := hmac.New(sha256.New, key)
		m.Write(msg)
		return m.Sum(nil)
	}
	lp := func(s string) []byte {
		return append(binary.BigEndian.AppendUint64(nil, uint64(len(s))), s...)
	}
	n := func(x uint64) []byte { return binary.BigEndian.AppendUint64(nil, x) }
	salt := mac(secret, slices.Concat(lp("vestibule/keyed/v1"), lp(id), n(uint64(epochLength)), n(epoch)))
	return mac(mac(salt, slices.Concat(lp(purpose), lp(tenant))), []byte(value))
}

func TestDerivation(t *testing.T) {
	values := []string{"", "x", "someone@example.com", strings.Repeat("v", 55), strings.Repeat("v", 56),
		strings.Repeat("v", 64), strings.Repeat("v", 255), strings.Repeat("v", 256), strings.Repeat("v", 257), strings.Repeat("v", 5000)}
	withEpochs := newRing(t, "b", "a")
	without := newRingWith(t, &keyed.Options{Epoch: keyed.NoEpochs}, "b", "a")
	at := day(75) // epoch 2 of 30 days
	for _, v := range values {
		for _, tenant := range []string{"", "acme"} {
			want := reference(secret("b"), "b", 30*24*time.Hour, 2, "test.seen", tenant, v)
			require.Equal(t, want, slices.Collect(bytesOf(withEpochs.Sum256(seen, tenant, v, at))))
			require.Equal(t, keyed.Sum(want[:16]), withEpochs.Sum(seen, tenant, v, at))
			require.Equal(t, keyed.Sum(want[:16]), withEpochs.SumBytes(seen, tenant, []byte(v), at))
			b64 := base64.RawURLEncoding.EncodeToString(want[:16])
			require.Equal(t, "b.2."+b64, withEpochs.Tag(seen, tenant, v, at))
			require.Equal(t, b64, withEpochs.Sum(seen, tenant, v, at).String())

			var sums []keyed.Sum
			for _, k := range []string{"b", "a"} {
				for _, e := range []uint64{2, 1} {
					sums = append(sums, keyed.Sum(reference(secret(k), k, 30*24*time.Hour, e, "test.seen", tenant, v)[:16]))
				}
			}
			require.Equal(t, sums, withEpochs.AppendSums(nil, seen, tenant, v, at))
			require.Equal(t, sums, withEpochs.AppendSumsBytes(nil, seen, tenant, []byte(v), at))
			require.Equal(t, []string{"b.2." + sums[0].String(), "b.1." + sums[1].String(), "a.2." + sums[2].String(), "a.1." + sums[3].String()},
				withEpochs.Tags(seen, tenant, v, at))

			want = reference(secret("b"), "b", 0, 0, "test.seen", tenant, v)
			require.Equal(t, "b."+base64.RawURLEncoding.EncodeToString(want[:16]), without.Tag(seen, tenant, v, at))
			require.Len(t, without.Tags(seen, tenant, v, at), 2)
		}
	}
}

func bytesOf(b [32]byte) func(func(byte) bool) { return slices.Values(b[:]) }

func TestNothingCollides(t *testing.T) {
	type input struct {
		ring          *keyed.Ring
		purpose       keyed.Purpose
		tenant, value string
		at            time.Time
		name          string
	}
	a, b := newRing(t, "a"), newRing(t, "b")
	otherID, err := keyed.New([]keyed.Key{{ID: "a2", Secret: secret("a")}}, nil)
	require.NoError(t, err)
	week := newRingWith(t, &keyed.Options{Epoch: 7 * 24 * time.Hour}, "a")
	none := newRingWith(t, &keyed.Options{Epoch: keyed.NoEpochs}, "a")
	rows := []input{
		{ring: a, purpose: "p", tenant: "t", value: "v", at: day(1), name: "base"},
		{ring: a, purpose: "p", tenant: "t", value: "w", at: day(1), name: "value"},
		{ring: a, purpose: "q", tenant: "t", value: "v", at: day(1), name: "purpose"},
		{ring: a, purpose: "p", tenant: "u", value: "v", at: day(1), name: "tenant"},
		{ring: a, purpose: "p", tenant: "", value: "v", at: day(1), name: "no tenant"},
		{ring: a, purpose: "", tenant: "p", value: "v", at: day(1), name: "purpose moved into tenant"},
		{ring: a, purpose: "p", tenant: "t", value: "v", at: day(31), name: "epoch"},
		{ring: b, purpose: "p", tenant: "t", value: "v", at: day(1), name: "key"},
		{ring: otherID, purpose: "p", tenant: "t", value: "v", at: day(1), name: "id of the same secret"},
		{ring: week, purpose: "p", tenant: "t", value: "v", at: day(1), name: "epoch length, same number"},
		{ring: none, purpose: "p", tenant: "t", value: "v", at: day(1), name: "no epochs"},
		{ring: a, purpose: "a:b", tenant: "c", value: "v", at: day(1), name: "a:b c"},
		{ring: a, purpose: "a", tenant: "b:c", value: "v", at: day(1), name: "a b:c"},
		{ring: a, purpose: "a", tenant: "b", value: "c:v", at: day(1), name: "a b c:v"},
		{ring: a, purpose: "ab", tenant: "c", value: "v", at: day(1), name: "ab c"},
		{ring: a, purpose: "a", tenant: "bc", value: "v", at: day(1), name: "a bc"},
		{ring: a, purpose: "pt", tenant: "", value: "v", at: day(1), name: "pt and none"},
		{ring: a, purpose: "p", tenant: "", value: "tv", at: day(1), name: "p and tv"},
		{ring: a, purpose: "p", tenant: "t\x00", value: "v", at: day(1), name: "tenant with NUL"},
		{ring: a, purpose: "p", tenant: "t", value: "v\x00", at: day(1), name: "value with NUL"},
	}
	texts, sums := map[string]string{}, map[keyed.Sum]string{}
	for _, r := range rows {
		tag, sum := r.ring.Tag(r.purpose, r.tenant, r.value, r.at), r.ring.Sum(r.purpose, r.tenant, r.value, r.at)
		require.Empty(t, texts[tag], r.name)
		require.Empty(t, sums[sum], r.name)
		texts[tag], sums[sum] = r.name, r.name
		require.Equal(t, tag, r.ring.Tag(r.purpose, r.tenant, r.value, r.at), "%s: not the same twice", r.name)
	}
}

func TestRotation(t *testing.T) {
	old := newRing(t, "a")
	rotated := newRing(t, "b", "a")
	retired := newRing(t, "b")
	at := day(100)
	tag := old.Tag(seen, "acme", "v", at)

	require.Contains(t, rotated.Tags(seen, "acme", "v", at), tag, "old tags stay found")
	require.Contains(t, rotated.Tags(seen, "acme", "v", at.Add(30*24*time.Hour)), tag, "in the next epoch too")
	require.True(t, rotated.Matches(tag, seen, "acme", "v", at))
	require.False(t, rotated.Current(tag, at))

	fresh := rotated.Tag(seen, "acme", "v", at)
	require.Equal(t, retired.Tag(seen, "acme", "v", at), fresh, "new tags are the new key's")
	require.Equal(t, fresh, rotated.Tags(seen, "acme", "v", at)[0])
	require.True(t, rotated.Current(fresh, at))
	require.Equal(t, "b", rotated.KeyID())

	require.NotContains(t, retired.Tags(seen, "acme", "v", at), tag, "a removed key finds nothing")
	require.False(t, retired.Matches(tag, seen, "acme", "v", at))
}

func TestEpochBoundaries(t *testing.T) {
	const length = 30 * 24 * time.Hour
	ring := newRing(t, "a")
	require.Equal(t, length, ring.Epoch())
	start := day(90) // epoch 3
	stored := ring.Tag(seen, "", "v", start)
	rows := []struct {
		at             time.Time
		current, found bool
	}{
		{start.Add(-1), false, false}, // a tag from the future is not looked for
		{start, true, true},
		{start.Add(length - 1), true, true},
		{start.Add(length), false, true},
		{start.Add(2*length - 1), false, true},
		{start.Add(2 * length), false, false},
	}
	for _, r := range rows {
		tags := ring.Tags(seen, "", "v", r.at)
		require.Equal(t, r.current, tags[0] == stored, r.at)
		require.Equal(t, r.current, ring.Current(stored, r.at), r.at)
		require.Equal(t, r.found, slices.Contains(tags, stored), r.at)
		require.Equal(t, r.found, ring.Matches(stored, seen, "", "v", r.at), r.at)
		require.Equal(t, tags[0], ring.Tag(seen, "", "v", r.at.In(time.FixedZone("", 7*3600))), "the zone does not matter")
	}

	t.Run("first epoch and before", func(t *testing.T) {
		first := ring.Tags(seen, "", "v", day(0))
		require.Len(t, first, 1)
		require.Equal(t, first, ring.Tags(seen, "", "v", day(-400)))
		require.Len(t, ring.Tags(seen, "", "v", day(30)), 2)
	})
	t.Run("far future", func(t *testing.T) {
		hours := newRingWith(t, &keyed.Options{Epoch: keyed.MinEpoch}, "a")
		far := time.Unix(1<<62, 0)
		tag := hours.Tag(seen, "", "v", far)
		require.LessOrEqual(t, len(tag), keyed.MaxTagLen)
		require.True(t, hours.Current(tag, far))
	})
	t.Run("zero time is now", func(t *testing.T) {
		now := day(95)
		r := newRingWith(t, &keyed.Options{Now: func() time.Time { return now }}, "a")
		require.Equal(t, stored, r.Tag(seen, "", "v", time.Time{}))
		require.True(t, r.Current(stored, time.Time{}))
		now = day(125)
		require.NotEqual(t, stored, r.Tag(seen, "", "v", time.Time{}))
		require.True(t, r.Matches(stored, seen, "", "v", time.Time{}))
	})
	t.Run("no epochs never change", func(t *testing.T) {
		r := newRingWith(t, &keyed.Options{Epoch: keyed.NoEpochs}, "a")
		require.Zero(t, r.Epoch())
		tag := r.Tag(seen, "", "v", day(1))
		require.Equal(t, []string{tag}, r.Tags(seen, "", "v", day(40000)))
		require.True(t, r.Current(tag, time.Time{}))
		require.False(t, r.Current(stored, start), "a tag with an epoch is another ring's")
		require.False(t, r.Matches(stored, seen, "", "v", start))
		require.False(t, ring.Matches(tag, seen, "", "v", day(1)))
	})
}

func TestMatchesRefuses(t *testing.T) {
	ring := newRing(t, "b", "a")
	at := day(100)
	good := ring.Tag(seen, "acme", "v", at)
	require.True(t, ring.Matches(good, seen, "acme", "v", at))
	rows := map[string]bool{
		"other value":    ring.Matches(good, seen, "acme", "w", at),
		"other tenant":   ring.Matches(good, seen, "other", "v", at),
		"other purpose":  ring.Matches(good, "test.other", "acme", "v", at),
		"key id swapped": ring.Matches("a"+good[1:], seen, "acme", "v", at),
		"epoch swapped":  ring.Matches(strings.Replace(good, ".3.", ".2.", 1), seen, "acme", "v", at),
		"epoch at limit": ring.Matches(strings.Replace(good, ".3.", ".3w5e11264sgsf.", 1), seen, "acme", "v", day(0)),
		"unknown key":    ring.Matches("z"+good[1:], seen, "acme", "v", at),
		"flipped bit":    ring.Matches(good[:len(good)-2]+"A"+good[len(good)-1:], seen, "acme", "v", at) && good[len(good)-2] != 'A',
		"cut":            ring.Matches(good[:len(good)-1], seen, "acme", "v", at),
		"empty":          ring.Matches("", seen, "acme", "v", at),
	}
	for name, accepted := range rows {
		require.False(t, accepted, name)
	}
	require.Contains(t, good, ".3.", "the rows above rest on epoch 3")
}

func TestNewRefuses(t *testing.T) {
	many := make([]keyed.Key, keyed.MaxKeys+1)
	for i := range many {
		many[i] = key(fmt.Sprint("k", i))
	}
	rows := []struct {
		name, says string
		keys       []keyed.Key
	}{
		{"no keys", "0 keys", nil},
		{"too many", "17 keys", many},
		{"empty id", "letters", []keyed.Key{{Secret: secret("a")}}},
		{"long id", "letters", []keyed.Key{key(strings.Repeat("a", keyed.MaxIDLen+1))}},
		{"dot in id", "letters", []keyed.Key{key("a.b")}},
		{"colon in id", "letters", []keyed.Key{key("a:b")}},
		{"brace in id", "letters", []keyed.Key{key("{a}")}},
		{"space in id", "letters", []keyed.Key{key("a b")}},
		{"umlaut in id", "letters", []keyed.Key{key("ä")}},
		{"at sign in id", "letters", []keyed.Key{key("@")}},
		{"bracket in id", "letters", []keyed.Key{key("[")}},
		{"no secret", "0 bytes", []keyed.Key{{ID: "a"}}},
		{"short secret", "31 bytes", []keyed.Key{{ID: "a", Secret: secret("a")[:31]}}},
		{"zero secret", "one byte repeated", []keyed.Key{{ID: "a", Secret: make(keyed.Secret, 32)}}},
		{"constant secret", "one byte repeated", []keyed.Key{{ID: "a", Secret: bytes.Repeat([]byte{'x'}, 40)}}},
		{"id twice", "used twice", []keyed.Key{key("a"), {ID: "a", Secret: secret("b")}}},
		{"secret twice", "same secret", []keyed.Key{key("a"), {ID: "b", Secret: secret("a")}}},
		{"second key bad", "key 1", []keyed.Key{key("a"), {ID: "b"}}},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			ring, err := keyed.New(r.keys, nil)
			require.ErrorIs(t, err, keyed.ErrKeys)
			require.ErrorContains(t, err, r.says)
			require.Nil(t, ring)
			for _, k := range r.keys {
				if len(k.Secret) > 8 {
					require.NotContains(t, err.Error(), string(k.Secret[:8]))
				}
			}
		})
	}
	for _, d := range []time.Duration{-2, time.Second, keyed.MinEpoch - 1, keyed.MinEpoch + 1, keyed.MaxEpoch + time.Second} {
		_, err := keyed.New([]keyed.Key{key("a")}, &keyed.Options{Epoch: d})
		require.ErrorContains(t, err, "Options.Epoch", d)
	}
	for _, d := range []time.Duration{0, keyed.NoEpochs, keyed.MinEpoch, keyed.MaxEpoch} {
		_, err := keyed.New([]keyed.Key{key("Aa0-_")}, &keyed.Options{Epoch: d})
		require.NoError(t, err, d)
	}
}

func TestNewCopiesSecrets(t *testing.T) {
	k := key("a")
	ring, err := keyed.New([]keyed.Key{k}, nil)
	require.NoError(t, err)
	clear(k.Secret)
	require.Equal(t, newRing(t, "a").Tag(seen, "", "v", day(1)), ring.Tag(seen, "", "v", day(1)))
}

func TestSecretsNeverPrint(t *testing.T) {
	s := keyed.Secret("0123456789abcdefghijklmnopqrstuvwxyz")
	k := keyed.Key{ID: "a", Secret: s}
	ring, err := keyed.New([]keyed.Key{k}, nil)
	require.NoError(t, err)
	_ = ring.Tag(seen, "", "v", day(1))
	hidden := struct {
		Key  keyed.Key
		ring *keyed.Ring
	}{k, ring}
	for _, v := range []any{s, &s, k, &k, []keyed.Key{k}, map[string]keyed.Secret{"k": s}, ring, *ring, hidden, &hidden} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b"} {
			requireNoSecret(t, s, fmt.Sprintf(verb, v), verb)
		}
		b, err := json.Marshal(v)
		require.NoError(t, err)
		requireNoSecret(t, s, string(b), "json")
		var out bytes.Buffer
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
		requireNoSecret(t, s, out.String(), "slog")
	}
	require.Equal(t, "[secret]", s.String())
	require.Empty(t, keyed.Secret(nil).String())
	require.Equal(t, `"[secret]"`, fmt.Sprintf("%#v", s))
	require.Equal(t, "keyed.Ring(1 keys, current a, epoch 720h0m0s)", fmt.Sprint(ring))
	require.Equal(t, "keyed.Ring(no keys)", fmt.Sprint(&keyed.Ring{}))
	require.Equal(t, "<nil>", fmt.Sprint((*keyed.Ring)(nil)))
}

// requireNoSecret looks for the secret as text, hex, decimal list and base64.
func requireNoSecret(t *testing.T, s keyed.Secret, out, how string) {
	t.Helper()
	part := []byte(s[3:12])
	list := strings.Trim(fmt.Sprint(part), "[]")
	for _, form := range []string{string(part), fmt.Sprintf("%x", part), fmt.Sprintf("%X", part), list,
		base64.StdEncoding.EncodeToString([]byte(s[3:12]))} {
		require.NotContains(t, out, form, how)
	}
}

func TestNewSecret(t *testing.T) {
	a, b := keyed.NewSecret(), keyed.NewSecret()
	require.Len(t, a, keyed.MinSecret)
	require.NotEqual(t, []byte(a), []byte(b))
}

// TestManyTenants goes far past what the cache of sub-keys holds, from many goroutines: no answer changes.
func TestManyTenants(t *testing.T) {
	ring := newRing(t, "b", "a")
	const tenants = 3000
	want := make([]keyed.Sum, tenants)
	for i := range want {
		want[i] = newRingSum(t, i)
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range tenants {
				n := (i*7 + g*501) % tenants
				if got := ring.Sum(seen, fmt.Sprint("tenant", n), "v", day(100)); got != want[n] {
					t.Errorf("tenant %d: another sum", n)
					return
				}
			}
		})
	}
	wg.Wait()
}

func newRingSum(t *testing.T, n int) keyed.Sum {
	t.Helper()
	return keyed.Sum(reference(secret("b"), "b", keyed.DefaultEpoch, 3, string(seen), fmt.Sprint("tenant", n), "v")[:16])
}
