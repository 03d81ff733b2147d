package fingerprint_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint"
	"github.com/vestibule-go/vestibule/risk"
)

// shown is what one attempt of the past has shown, by kind; empty: it had no such thing.
type shown struct {
	at time.Time
	of map[string]string
}

// TestFactsAreExact compares every fact of the signal "velocity" with a count over the whole past, on random attempts
// over a fortnight.
func TestFactsAreExact(t *testing.T) {
	facts := map[string][2]string{ // what is counted, and for which thing; no kind: attempts
		"device": {"device", ""}, "deviceIPs": {"device", "ip"}, "deviceAccounts": {"device", "who"}, "devicePhones": {"device", "phone"},
		"ip": {"ip", ""}, "ipDevices": {"ip", "device"}, "ipAccounts": {"ip", "who"},
		"phone": {"phone", ""}, "phoneDevices": {"phone", "device"}, "phoneAccounts": {"phone", "who"},
		"email": {"email", ""}, "emailDevices": {"email", "device"}, "emailIPs": {"email", "ip"},
		"account": {"account", ""}, "accountDevices": {"account", "device"}, "accountIPs": {"account", "ip"},
		"business": {"business", ""}, "businessDevices": {"business", "device"}, "businessAccounts": {"business", "who"},
	}
	windows := map[string]time.Duration{"1h": time.Hour, "24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour}
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r, c := rand.New(rand.NewPCG(seed, 7)), newClock()
			velocity, err := fingerprint.NewVelocity(newSightings(t, newMemory(t, c.now), nil), nil)
			require.NoError(t, err)
			declared := map[string]bool{}
			for _, f := range velocity.Describe().Facts {
				declared[f.Name] = true
			}
			var past []shown
			for n := range 250 {
				c.advance(time.Duration(r.Int64N(int64(3 * time.Hour))))
				pick := func(kind string, of int) string {
					if r.IntN(5) == 0 {
						return ""
					}
					return fmt.Sprint(kind, r.IntN(of))
				}
				v := map[string]string{
					"device": pick("device", 6), "ip": pick("", 9), "phone": pick("155501", 7), "email": pick("person", 8), "account": pick("account", 6), "business": pick("", 4),
				}
				a := &risk.Attempt{
					Event: risk.SignUp, ID: fmt.Sprint("attempt", n), Time: c.now(), Account: v["account"],
					Email: risk.Private(v["email"]), Phone: risk.Private(v["phone"]),
				}
				if v["device"] != "" {
					a.Device = []string{v["device"]}
				}
				if v["ip"] != "" {
					a.IP = netip.AddrFrom4([4]byte{192, 0, 2, v["ip"][0]})
				}
				if v["business"] != "" {
					a.IDs = map[string]risk.Private{"usdot": risk.Private(v["business"])}
				}
				v["who"] = v["account"]
				for _, kind := range []string{"email", "phone"} {
					if v["who"] == "" {
						v["who"] = v[kind]
					}
				}
				past = append(past, shown{c.now(), v})
				var f risk.Finding
				require.NoError(t, velocity.Evaluate(t.Context(), a, &f))
				got := map[string]float64{}
				for fact := range f.Facts() {
					require.True(t, declared[fact.Name], fact.Name)
					got[fact.Name] = fact.Value.Number()
				}
				for name, of := range facts {
					for span, window := range windows {
						want, there := count(past, c.now().Add(-window), of[0], of[1])
						number, given := got[name+span]
						require.Equal(t, there, given, "attempt %d: %s", n, name+span)
						require.InDelta(t, want, number, 0, "attempt %d: %s", n, name+span)
					}
				}
			}
		})
	}
}

// count counts the attempts, or the different values of a kind, since a time that had the last attempt's thing.
func count(past []shown, since time.Time, thing, kind string) (n int, there bool) {
	mine := past[len(past)-1].of[thing]
	different := map[string]bool{}
	for i, p := range past {
		if p.of[thing] != mine || p.at.UnixMilli() <= since.UnixMilli() {
			continue
		}
		switch {
		case kind == "":
			different[fmt.Sprint(i)] = true
		case p.of[kind] != "":
			different[p.of[kind]] = true
		}
	}
	if mine == "" {
		return 0, false
	}
	return len(different), true
}
