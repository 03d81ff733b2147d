package ratelimittest

import (
	"math/big"

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
