package phone

import (
	"math"
	"time"
)

// Monitor judges routes (country, block of 10,000 numbers, channel) by the share of codes that are confirmed: pumped
// messages are not. Codes are judged once they can no longer be confirmed. Zero fields mean the defaults.
type Monitor struct {
	// MinSends is how many judged codes a throttle needs, default 10; MinBlock how many a block needs, default 30.
	MinSends, MinBlock int64
	// Throttle and Block are the rates below which a route is throttled and blocked; default 0.15 and 0.05. The rate is
	// the upper end of its 95 % interval (Wilson), so that bad luck is not enough.
	Throttle, Block float64
	// Baseline is the share of the country's own rate of the past week that a rate must stay below to be bad at all,
	// default 0.5: honest countries differ. It needs MinBaseline judged codes, default 100.
	Baseline    float64
	MinBaseline int64
	// Window is how far back codes are judged, default 6 h, at most 24 h.
	Window time.Duration
	// Slow is how many messages a throttled route gets in ten minutes, default 3. A blocked one gets one: its probes.
	Slow int64
	// Hold is how long a first block lasts, default 12 h; each further one twice as long, at most MaxHold, default 7 days.
	Hold, MaxHold time.Duration
}

// Standing is what a monitor thinks of a route.
type Standing uint8

// The standings.
const (
	Open Standing = iota
	Throttled
	Held
)

func (m *Monitor) defaults() {
	set := func(v *float64, d float64) {
		if *v == 0 {
			*v = d
		}
	}
	count := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	length := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	count(&m.MinSends, 10)
	count(&m.MinBlock, 30)
	count(&m.MinBaseline, 100)
	count(&m.Slow, 3)
	set(&m.Throttle, 0.15)
	set(&m.Block, 0.05)
	set(&m.Baseline, 0.5)
	length(&m.Window, 6*time.Hour)
	length(&m.Hold, 12*time.Hour)
	length(&m.MaxHold, 7*24*time.Hour)
}

// WilsonUpper is the upper end of the 95 % confidence interval (Wilson 1927) of a share of which k of n were seen.
func WilsonUpper(k, n int64) float64 { return wilson(k, n, 1) }

// WilsonLower is the lower end.
func WilsonLower(k, n int64) float64 { return wilson(k, n, -1) }

func wilson(k, n int64, side float64) float64 {
	if n <= 0 {
		return (1 + side) / 2
	}
	const z = 1.959964
	p, m := float64(min(max(k, 0), n))/float64(n), float64(n)
	v := (p + z*z/(2*m) + side*z*math.Sqrt(p*(1-p)/m+z*z/(4*m*m))) / (1 + z*z/m)
	return min(1, max(0, v))
}

// verdict is what a monitor makes of a route.
type verdict struct {
	standing Standing
	hold     bool // a block has to begin
	release  bool // probes have disproved the block
}

// judge judges a route by its own counts and its country's.
func (m *Monitor) judge(route, country RouteStats, ttl time.Duration) verdict {
	now := route.Now
	mature := now.Add(-ttl) // a bucket is judged when its last code can no longer be confirmed
	from := now.Add(-m.Window)
	held := now.Before(route.Until)
	if !route.Since.IsZero() && route.Since.After(from) {
		from = route.Since // what led to a hold is not held against the route again
	}
	var sent, converted int64
	for _, b := range route.Buckets {
		if !b.Start.Before(from) && !b.Start.Add(RouteBucketLength).After(mature) {
			sent += b.Sent
			converted += b.Converted
		}
	}
	throttle, block := m.Throttle, m.Block
	if base, ok := m.baseline(country); ok {
		throttle, block = min(throttle, base*m.Baseline), min(block, base*m.Baseline)
	}
	rate := WilsonUpper(converted, sent)
	switch {
	case held:
		if sent >= m.MinSends && WilsonLower(converted, sent) > throttle {
			return verdict{release: true}
		}
		return verdict{standing: Held}
	case sent >= m.MinBlock && rate < block,
		// After a hold the route is on probation: its probes count, few as they are.
		route.Holds > 0 && sent >= m.MinSends && converted == 0 && now.Sub(route.Until) < m.MaxHold && rate < max(throttle, 0.3):
		return verdict{standing: Held, hold: true}
	case sent >= m.MinSends && rate < throttle:
		return verdict{standing: Throttled}
	}
	return verdict{}
}

// baseline is a country's own rate over the past week, today left out.
func (m *Monitor) baseline(s RouteStats) (float64, bool) {
	today := s.Now.UnixMilli() / dayMillis
	var sent, converted int64
	for _, d := range s.Days {
		if d.Start.UnixMilli()/dayMillis < today {
			sent += d.Sent
			converted += d.Converted
		}
	}
	if sent < m.MinBaseline {
		return 0, false
	}
	return float64(converted) / float64(sent), true
}
