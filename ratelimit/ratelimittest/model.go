package ratelimittest

import (
	"context"
	"fmt"
	"math/big"
	mrand "math/rand/v2"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/ratelimit"
)

// model is the quota part of ratelimit.Batch's rules in big integers, written for clearness: the truth stores are held
// against.
type model map[ratelimit.Key]*big.Int

// verdict is what the model says.
type verdict struct {
	level    ratelimit.Level
	charged  bool
	exceeded []bool
	debt     []int64 // afterwards
}

func (m model) debt(c *ratelimit.Bucket, now int64) (debt, unit, tau, most *big.Int) {
	unit = new(big.Int).Mul(big.NewInt(c.Interval), big.NewInt(c.Cost))
	tau = new(big.Int).Mul(big.NewInt(c.Interval), big.NewInt(c.Burst))
	most = tau
	if c.ChargeDenied {
		most = new(big.Int).Mul(tau, big.NewInt(2))
	}
	debt = new(big.Int)
	if tat := m[c.Key]; tat != nil {
		debt.Sub(tat, big.NewInt(now))
	}
	if debt.Sign() < 0 {
		debt.SetInt64(0)
	}
	if debt.Cmp(most) > 0 {
		debt.Set(most)
	}
	return debt, unit, tau, most
}

func (m model) set(c *ratelimit.Bucket, now int64, debt, most *big.Int) int64 {
	if debt.Cmp(most) > 0 {
		debt = most
	}
	if debt.Sign() < 0 {
		debt = new(big.Int)
	}
	m[c.Key] = new(big.Int).Add(debt, big.NewInt(now))
	return debt.Int64()
}

func (m model) decide(b *ratelimit.Batch, now int64) verdict {
	v := verdict{level: ratelimit.Allow}
	for i := range b.Buckets {
		c := &b.Buckets[i]
		debt, unit, tau, most := m.debt(c, now)
		over := new(big.Int).Add(debt, unit).Cmp(tau) > 0
		v.exceeded = append(v.exceeded, over)
		v.debt = append(v.debt, debt.Int64())
		if tat := m[c.Key]; tat != nil && !b.DryRun {
			if end := new(big.Int).Add(big.NewInt(now), most); tat.Cmp(end) > 0 {
				m[c.Key] = end
			}
		}
		switch {
		case !over || c.Soft && b.Challenged:
		case c.Soft:
			v.level = max(v.level, ratelimit.Challenge)
		default:
			v.level = max(v.level, ratelimit.Deny)
		}
	}
	if b.DryRun {
		return v
	}
	v.charged = v.level == ratelimit.Allow
	for i := range b.Buckets {
		c := &b.Buckets[i]
		if c.Hold || c.Cost == 0 || !v.charged && !(v.exceeded[i] && c.ChargeDenied) {
			continue
		}
		debt, unit, _, most := m.debt(c, now)
		v.debt[i] = m.set(c, now, debt.Add(debt, unit), most)
	}
	return v
}

func (m model) adjust(b *ratelimit.Batch, now int64) {
	for i := range b.Buckets {
		c := &b.Buckets[i]
		debt, unit, _, most := m.debt(c, now)
		if c.Cost < 0 && debt.Sign() == 0 {
			continue
		}
		m.set(c, now, debt.Add(debt, unit), most)
	}
}

// model holds random batches, with time moving both ways and limits changing, against big integers.
func (s *suite) model() {
	r := mrand.New(mrand.NewPCG(20, 26))
	m := model{}
	keys := make([]ratelimit.Key, 6)
	for i := range keys {
		keys[i] = s.key(fmt.Sprint(i))
	}
	intervals := []int64{1, 7, 999_983, second, minute, 365 * 24 * 60 * minute / 3}
	for step := range 2000 {
		switch r.IntN(10) {
		case 0:
			s.now -= r.Int64N(10 * minute)
		case 1:
			s.now += r.Int64N(1000 * minute)
		default:
			s.now += r.Int64N(10 * second)
		}
		b := ratelimit.Batch{At: s.now, Challenged: r.IntN(4) == 0, DryRun: r.IntN(8) == 0}
		adjust := r.IntN(6) == 0
		for _, i := range r.Perm(len(keys))[:1+r.IntN(len(keys))] {
			c := ratelimit.Bucket{Key: keys[i], Interval: intervals[i], Burst: 1 + r.Int64N(6)}
			if r.IntN(3) == 0 {
				c.Interval = 1 + r.Int64N(2*c.Interval)
			}
			c.Cost = r.Int64N(min(c.Burst, 3) + 1)
			if adjust {
				c.Cost = 1 + r.Int64N(c.Burst)
				if r.IntN(2) == 0 {
					c.Cost = -c.Cost
				}
			}
			c.Soft, c.Hold, c.ChargeDenied = r.IntN(2) == 0, r.IntN(5) == 0, r.IntN(4) == 0
			b.Buckets = append(b.Buckets, c)
		}
		if adjust {
			m.adjust(&b, s.now)
			require.NoError(s, s.store.Adjust(context.Background(), &b))
			continue
		}
		want := m.decide(&b, s.now)
		require.NoError(s, s.store.Decide(context.Background(), &b))
		require.Equal(s, want.level, b.Level, "step %d", step)
		require.Equal(s, want.charged, b.Charged, "step %d", step)
		for i := range b.Buckets {
			require.Equal(s, want.exceeded[i], b.Buckets[i].Exceeded, "step %d, bucket %d", step, i)
			require.Equal(s, want.debt[i], b.Buckets[i].Debt, "step %d, bucket %d", step, i)
		}
	}
}
