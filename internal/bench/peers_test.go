package bench_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
	"github.com/redis/rueidis/rueidislimiter"
	"github.com/sethvargo/go-limiter/memorystore"
	"github.com/throttled/throttled/v2"
	goredisstore "github.com/throttled/throttled/v2/store/goredisstore.v9"
	"github.com/throttled/throttled/v2/store/memstore"
	ulule "github.com/ulule/limiter/v3"
	ululememory "github.com/ulule/limiter/v3/drivers/store/memory"
	ululeredis "github.com/ulule/limiter/v3/drivers/store/redis"
	"golang.org/x/time/rate"

	"github.com/vestibule-go/vestibule/internal/redistest"
	"github.com/vestibule-go/vestibule/ratelimit"
	"github.com/vestibule-go/vestibule/ratelimit/ratelimitredis"
)

// period is long enough for nothing to be regained in a burst, and for keys to live from round to round.
const period = 300 * 24 * time.Hour

// generous is a limit that never refuses.
const generous = 1_000_000

// contender is one way to do it.
type contender struct {
	name   string
	floor  bool
	server *redistest.Server // nil: in memory
	incr   func(ctx context.Context, i int) error
	// run decides visitor i's five dimensions, or does the floor's one call.
	run func(ctx context.Context, i int) (allowed bool, err error)
	// five decides five named keys with limits; nil for floors.
	five func(ctx context.Context, keys [5]string, limits [5]int) (allowed bool, err error)
}

const visitors = 20_000

// people are the visitors' values, made once: the benchmark is of limiters.
var people = func() (p struct {
	subjects [visitors]ratelimit.Subject
	keys     [visitors][5]string
}) {
	for i := range visitors {
		var ip [4]byte
		binary.BigEndian.PutUint32(ip[:], 0x0b000001+uint32(i)<<8)
		s := ratelimit.Subject{
			Tenant: "shop", Event: "signup", Client: "public", IP: netip.AddrFrom4(ip),
			Phone: fmt.Sprintf("+4790%06d", i), Email: fmt.Sprintf("user%06d@example.com", i),
			Device: []string{fmt.Sprintf("device-tag-%022d", i)}, DeviceVerified: true,
		}
		p.subjects[i] = s
		network := netip.PrefixFrom(s.IP, 24).Masked().String()
		p.keys[i] = [5]string{"ip:" + s.IP.String(), "net:" + network, "device:" + s.Device[0], "phone:" + s.Phone, "email:" + s.Email}
	}
	return p
}()

// must stops the benchmark when something cannot be made.
func must[T any](tb testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// sequence makes a contender of a single check: dimension by dimension, stopping at the first that refuses.
func sequence(name string, check func(ctx context.Context, key string, limit int) (bool, error)) contender {
	five := func(ctx context.Context, keys [5]string, limits [5]int) (bool, error) {
		for i, k := range keys {
			if ok, err := check(ctx, k, limits[i]); !ok {
				return false, err
			}
		}
		return true, nil
	}
	return contender{name: name, five: five, run: runKeys(five)}
}

// parallel makes a contender of a single check, all dimensions at once.
func parallel(name string, check func(ctx context.Context, key string, limit int) (bool, error)) contender {
	five := func(ctx context.Context, keys [5]string, limits [5]int) (bool, error) {
		var wg sync.WaitGroup
		var oks [5]bool
		var errs [5]error
		for i, k := range keys {
			wg.Go(func() { oks[i], errs[i] = check(ctx, k, limits[i]) })
		}
		wg.Wait()
		for i := range oks {
			if !oks[i] {
				return false, errs[i]
			}
		}
		return true, nil
	}
	return contender{name: name, five: five, run: runKeys(five)}
}

func runKeys(five func(context.Context, [5]string, [5]int) (bool, error)) func(context.Context, int) (bool, error) {
	limits := [5]int{generous, generous, generous, generous, generous}
	return func(ctx context.Context, i int) (bool, error) { return five(ctx, people.keys[i%visitors], limits) }
}

// ours makes a contender of a store: the whole limiter for time, and named keys for the facts.
func ours(tb testing.TB, name string, store ratelimit.Store) contender {
	p := ratelimit.Policy{Penalty: ratelimit.DefaultPenalty()}
	for _, d := range []ratelimit.Dimension{ratelimit.IPv4, ratelimit.IPv4Prefix24, ratelimit.Device, ratelimit.Phone, ratelimit.Email} {
		p.Limits = append(p.Limits, ratelimit.Limit{Name: string(d), Dim: d, Count: generous, Per: period, Burst: generous, On: ratelimit.Deny, Weight: 1})
	}
	l := must[*ratelimit.Limiter](tb)(ratelimit.New(p, store, &ratelimit.Options{Timeout: 10 * time.Second}))
	return contender{
		name: name,
		run: func(ctx context.Context, i int) (bool, error) {
			d, err := l.Decide(ctx, people.subjects[i%visitors])
			if err == nil {
				err = d.Degraded
			}
			return d.Allowed(), err
		},
		five: func(ctx context.Context, keys [5]string, limits [5]int) (bool, error) {
			b := ratelimit.Batch{Buckets: make([]ratelimit.Bucket, 5)}
			for i, k := range keys {
				n := int64(limits[i])
				b.Buckets[i] = ratelimit.Bucket{Key: store.Tag([]byte(k)), Interval: period.Microseconds() / n, Burst: n, Cost: 1}
			}
			err := store.Decide(ctx, &b)
			if err == nil {
				err = b.Degraded
			}
			return b.Charged, err
		},
	}
}

// memoryContenders are the limiters without Redis.
func memoryContenders(tb testing.TB) []contender {
	list := []contender{ours(tb, "vestibule", must[*ratelimit.Memory](tb)(ratelimit.NewMemory(nil)))}

	store := ululememory.NewStoreWithOptions(ulule.StoreOptions{Prefix: "u", CleanUpInterval: time.Hour})
	list = append(list, sequence("ulule/limiter v3.11.2", func(ctx context.Context, key string, limit int) (bool, error) {
		c, err := store.Get(ctx, key, ulule.Rate{Period: period, Limit: int64(limit)})
		return err == nil && !c.Reached, err
	}))

	mem := must[throttled.GCRAStoreCtx](tb)(memstore.NewCtx(0))
	list = append(list, sequence("throttled v2.15.0", throttledCheck(tb, mem)))

	var mu sync.Mutex
	seth := map[int]func(ctx context.Context, key string) (bool, error){}
	list = append(list, sequence("sethvargo/go-limiter v0.7.1", func(ctx context.Context, key string, limit int) (bool, error) {
		mu.Lock()
		take := seth[limit]
		if take == nil {
			s, err := memorystore.New(&memorystore.Config{Tokens: uint64(limit), Interval: period})
			if err != nil {
				mu.Unlock()
				return false, err
			}
			take = func(ctx context.Context, key string) (bool, error) {
				_, _, _, ok, err := s.Take(ctx, key)
				return ok, err
			}
			seth[limit] = take
		}
		mu.Unlock()
		return take(ctx, key)
	}))

	var lock sync.RWMutex
	buckets := map[string]*rate.Limiter{}
	list = append(list, sequence("x/time/rate v0.16.0 in a map", func(_ context.Context, key string, limit int) (bool, error) {
		lock.RLock()
		l := buckets[key]
		lock.RUnlock()
		if l == nil {
			lock.Lock()
			if l = buckets[key]; l == nil {
				l = rate.NewLimiter(rate.Every(period/time.Duration(limit)), limit)
				buckets[key] = l
			}
			lock.Unlock()
		}
		return l.Allow(), nil
	}))
	return list
}

// throttledCheck keeps one limiter a quota, as throttled wants it.
func throttledCheck(tb testing.TB, store throttled.GCRAStoreCtx) func(ctx context.Context, key string, limit int) (bool, error) {
	var quotas sync.Map
	return func(ctx context.Context, key string, limit int) (bool, error) {
		l, ok := quotas.Load(limit)
		if !ok {
			made, err := throttled.NewGCRARateLimiterCtx(store, throttled.RateQuota{MaxRate: throttled.PerDuration(limit, period), MaxBurst: limit - 1})
			if err != nil {
				return false, err
			}
			// Under a burst more callers than it tries by default write the same key.
			made.SetMaxCASAttemptsLimit(1000)
			l, _ = quotas.LoadOrStore(limit, made)
		}
		limited, _, err := l.(*throttled.GCRARateLimiterCtx).RateLimitCtx(ctx, key, 1)
		return err == nil && !limited, err
	}
}

// Names of the floors and of this module's limiter on Redis.
const (
	floorPing = "floor: PING"
	floorIncr = "floor: INCR"
	floorEval = "floor: EVALSHA return 1, 5 keys"
	oursRedis = "vestibule, five and three scores"
)

// redisContenders are the limiters on Redis, each but rueidis through a client of the same kind. Each has a server of its
// own, or what the others have stored would slow it down.
func redisContenders(tb testing.TB) (list []contender) {
	var server *redistest.Server
	var c *redis.Client
	client := func() *redis.Client {
		server = redistest.Start(tb, nil)
		c = server.Client(tb, func(o *redis.Options) { o.PoolSize = 64 })
		return c
	}
	add := func(one contender) {
		one.server = server
		through := c
		one.incr = func(ctx context.Context, i int) error {
			return through.Incr(ctx, "floor:"+people.keys[i%visitors][0]).Err()
		}
		list = append(list, one)
	}
	floor := client()
	trivial := redis.NewScript("return 1")
	if err := trivial.Load(tb.Context(), floor).Err(); err != nil {
		tb.Fatal(err)
	}
	sha := trivial.Hash()
	add(contender{name: floorPing, floor: true, run: func(ctx context.Context, _ int) (bool, error) { return true, floor.Ping(ctx).Err() }})
	add(contender{name: floorIncr, floor: true, run: func(ctx context.Context, i int) (bool, error) {
		return true, floor.Incr(ctx, people.keys[i%visitors][0]).Err()
	}})
	add(contender{name: floorEval, floor: true, run: func(ctx context.Context, i int) (bool, error) {
		k := &people.keys[i%visitors]
		return true, floor.EvalSha(ctx, sha, k[:]).Err()
	}})

	key := bytes.Repeat([]byte("k"), 32)
	patient := &ratelimitredis.Options{Timeout: 10 * time.Second}
	add(ours(tb, oursRedis, must[*ratelimitredis.Store](tb)(ratelimitredis.New(client(), key, patient))))
	auto := must[*redis.AutoPipeliner](tb)(client().AutoPipeline())
	tb.Cleanup(func() { _ = auto.Close() })
	add(ours(tb, "vestibule on an AutoPipeliner", must[*ratelimitredis.Store](tb)(ratelimitredis.New(auto, key, patient))))

	rr := redis_rate.NewLimiter(client())
	add(sequence("redis_rate v10.0.1, 5 calls", func(ctx context.Context, key string, limit int) (bool, error) {
		r, err := rr.Allow(ctx, key, redis_rate.Limit{Rate: limit, Burst: limit, Period: period})
		return err == nil && r.Allowed > 0, err
	}))

	us := must[ulule.Store](tb)(ululeredis.NewStoreWithOptions(client(), ulule.StoreOptions{Prefix: "u"}))
	add(sequence("ulule/limiter v3.11.2, 5 calls", func(ctx context.Context, key string, limit int) (bool, error) {
		r, err := us.Get(ctx, key, ulule.Rate{Period: period, Limit: int64(limit)})
		return err == nil && !r.Reached, err
	}))

	ts := must[*goredisstore.GoRedisStore](tb)(goredisstore.NewCtx(client(), "t:"))
	add(sequence("throttled v2.15.0, 5 calls", throttledCheck(tb, ts)))

	check := func() func(ctx context.Context, key string, limit int) (bool, error) {
		client() // of the INCRs
		rl := must[rueidislimiter.RateLimiterClient](tb)(rueidislimiter.NewRateLimiter(rueidislimiter.RateLimiterOption{
			ClientOption: rueidis.ClientOption{InitAddress: []string{server.Addr()}, DisableCache: true},
			KeyPrefix:    "r", Limit: generous, Window: period,
		}))
		return func(ctx context.Context, key string, limit int) (bool, error) {
			r, err := rl.Allow(ctx, key, rueidislimiter.WithCustomRateLimit(limit, period))
			return err == nil && r.Allowed, err
		}
	}
	add(sequence("rueidislimiter v1.0.76, 5 calls", check()))
	add(parallel("rueidislimiter v1.0.76, 5 at once", check()))
	return list
}
