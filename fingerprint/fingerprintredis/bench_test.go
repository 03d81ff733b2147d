package fingerprintredis_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-go/vestibule/fingerprint"
	"github.com/vestibule-go/vestibule/fingerprint/fingerprintredis"
	"github.com/vestibule-go/vestibule/internal/redistest"
)

// pairs runs the function after the floor, again and again, and reports how many times the floor's time it takes, as the
// median of the pairs' ratios. What both work on is made ready first.
func pairs(b *testing.B, unit string, ready, floor, f func(n int)) {
	b.Helper()
	var ratios []float64
	pair := func(n int) {
		ready(n)
		t0 := time.Now()
		floor(n)
		t1 := time.Now()
		f(n)
		ratios = append(ratios, float64(time.Since(t1))/float64(t1.Sub(t0)))
	}
	n := 0
	for ; n < 300; n++ {
		pair(n)
	}
	ratios = ratios[:0]
	for ; b.Loop(); n++ {
		pair(n)
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], unit)
}

func check(b *testing.B, err error) {
	if err != nil {
		b.Fatal(err)
	}
}

// keeper keeps the batches on their way to a store, which does not get them.
type keeper struct {
	fingerprint.Store
	batches []fingerprint.Batch
}

func (k *keeper) See(_ context.Context, b *fingerprint.Batch) error {
	k.batches = append(k.batches, *b)
	k.batches[len(k.batches)-1].Subjects = slices.Clone(b.Subjects)
	return nil
}

// BenchmarkSightings is a visit of a known device from a new network for a new account: from what the visit shows, and,
// as store, from its keyed hashes on. The floor is one INCR. bare is a script that makes the same calls of Redis on as many
// keys, with nothing of its own to do: what a visit in one script that asks for the time cannot cost less than.
func BenchmarkSightings(b *testing.B) {
	client := redistest.Start(b, nil).Client(b, nil)
	store := newStore(b, client, fingerprintredis.Options{})
	s := newSightings(b, store)
	ctx := b.Context()
	const devices, batches = 4096, 1 << 14
	newVisit := func(n int) fingerprint.Visit {
		return fingerprint.Visit{
			Tenant: "t", Attempt: fmt.Sprint("attempt", n), IP: netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}),
			Device: fmt.Sprint("device", n%devices), Email: fmt.Sprint(n, "@example.com"),
		}
	}
	keep := &keeper{Store: store}
	batched := newSightings(b, keep)
	for n := range batches {
		_, err := batched.See(ctx, newVisit(n))
		check(b, err)
	}
	for n := range devices { // which are known then
		before := newVisit(n)
		before.IP, before.Email = netip.Addr{}, ""
		_, err := s.See(ctx, before)
		check(b, err)
		_, err = batched.See(ctx, before)
		check(b, err)
		check(b, store.See(ctx, &keep.batches[batches+n]))
	}
	bare := redis.NewScript(`
local v=redis.call('MGET',unpack(KEYS))
local t=redis.call('TIME')
for k=1,3 do redis.call('SET',KEYS[k],ARGV[1],'PX',ARGV[2]) end
v[#KEYS+1]=t[1]
return v`)
	check(b, bare.Load(ctx, client).Err())
	newKeys := func(n int) []string {
		return []string{
			fmt.Sprintf("{vfpAB}:device%016d", n%devices), fmt.Sprintf("{vfpAB}:network%015d", n), fmt.Sprintf("{vfpAB}:email%017d", n), fmt.Sprintf("{vfpAB}:former%016d", n%devices),
		}
	}
	value := make([]byte, 40)
	var (
		visit fingerprint.Visit
		batch fingerprint.Batch
		keys  []string
	)
	for _, of := range []struct {
		name     string
		ready, f func(n int)
	}{
		{"visit", func(n int) { visit = newVisit(n) }, func(int) {
			_, err := s.See(ctx, visit)
			check(b, err)
		}},
		{"store", func(n int) {
			batch = keep.batches[n%batches]
			batch.Subjects = slices.Clone(batch.Subjects)
		}, func(int) { check(b, store.See(ctx, &batch)) }},
		{"bare", func(n int) { keys = newKeys(n) }, func(int) {
			check(b, client.EvalSha(ctx, bare.Hash(), keys, value, "604800000").Err())
		}},
	} {
		b.Run(of.name, func(b *testing.B) {
			pairs(b, "x/floor", of.ready, func(int) { check(b, client.Incr(ctx, "floor").Err()) }, of.f)
		})
	}
}

// sorted is what package fingerprint's reference would do: a sorted set for each dimension, capped, in one script.
var sorted = redis.NewScript(`
local t=redis.call('TIME')
local now=t[1]*1000+math.floor(t[2]/1000)
local out,a={},1
for k=1,#KEYS do
 local key=KEYS[k]
 redis.call('ZREMRANGEBYSCORE',key,'-inf',now-604800000)
 redis.call('ZADD',key,'GT',now,ARGV[k])
 local n=redis.call('ZCARD',key)
 if n>100 then redis.call('ZREMRANGEBYRANK',key,0,n-101) end
 out[a]=redis.call('ZCOUNT',key,now-3600000,'+inf')
 out[a+1]=redis.call('ZCOUNT',key,now-86400000,'+inf')
 out[a+2]=n
 redis.call('PEXPIRE',key,604800000)
 a=a+3
end
return out`)

// BenchmarkForms compares the two forms in which a visit of three things with nine sets can be kept: strings, as the
// store does, and a sorted set for each dimension. The floor is the strings.
func BenchmarkForms(b *testing.B) {
	client := redistest.Start(b, nil).Client(b, nil)
	store := newStore(b, client, fingerprintredis.Options{})
	ctx := b.Context()
	check(b, sorted.Load(ctx, client).Err())
	sets := [3][]fingerprint.Dim{
		{fingerprint.DimAttempts, fingerprint.DimIPs, fingerprint.DimAccounts},
		{fingerprint.DimAttempts, fingerprint.DimAccounts, fingerprint.DimDevices},
		{fingerprint.DimAttempts, fingerprint.DimIPs, fingerprint.DimDevices},
	}
	pairs(b, "sorted/strings", func(int) {},
		func(n int) {
			batch := fingerprint.Batch{Tenant: "t", Subjects: make([]fingerprint.Subject, 3)}
			for i := range batch.Subjects {
				sub := &batch.Subjects[i]
				sub.Key, sub.Keep, sub.N = fingerprint.Key{byte(i + 1), byte(n), byte(n >> 8)}, fingerprint.Windows[2], 3
				for j, dim := range sets[i] {
					sub.Sets[j] = fingerprint.Set{Dim: dim, Member: uint64(n + 1)}
				}
			}
			check(b, store.See(ctx, &batch))
		},
		func(n int) {
			keys, args := make([]string, 0, 9), make([]any, 0, 9)
			for i := range sets {
				for _, dim := range sets[i] {
					keys, args = append(keys, fmt.Sprintf("{t}:%d:%d:%d", i, dim, n%65536)), append(args, n)
				}
			}
			check(b, client.EvalSha(ctx, sorted.Hash(), keys, args...).Err())
		},
	)
}
