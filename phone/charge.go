package phone

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// failures are the counters of wrong codes.
func (v *Verifier) failures(tenant string, n Number, device string) []Quota {
	f := &v.o.Failures
	list := []Quota{
		{Key: v.keys.index(useCount, tenant, "wrong", "hour", n.E164()), Window: time.Hour, Max: int64(f.PhoneHour), Cost: 1},
		{Key: v.keys.index(useCount, tenant, "wrong", "day", n.E164()), Window: 24 * time.Hour, Max: int64(f.PhoneDay), Cost: 1},
	}
	if device != "" {
		list = append(list, Quota{Key: v.keys.index(useCount, tenant, "wrong", "device", device), Window: time.Hour, Max: int64(f.DeviceHour), Cost: 1})
	}
	return list
}

// quotas are what a message is charged to. A quota that the monitor adds comes first.
func (v *Verifier) quotas(r StartRequest, ch Channel, test bool, extra []Quota) []Quota {
	list := append([]Quota(nil), extra...)
	l := &v.o.Limits
	add := func(name, value string, window time.Duration, most int) {
		if most > 0 && value != "" {
			list = append(list, Quota{Key: v.keys.index(useCount, r.Tenant, "send", name, value), Window: window, Max: int64(most), Cost: 1})
		}
	}
	add("hour", r.Number.E164(), time.Hour, l.PhoneHour)
	add("day", r.Number.E164(), 24*time.Hour, l.PhoneDay)
	add("device", r.Device, time.Hour, l.DeviceHour)
	add("network", network(r.IP), time.Hour, l.NetworkHour)
	if test {
		return list
	}
	add("block", r.Number.Prefix(3), time.Hour, l.BlockHour)
	add("prefix", r.Number.Prefix(4), time.Hour, l.PrefixHour)
	price := max(0, v.o.Prices.Price(r.Number, ch))
	for _, b := range v.o.Budgets {
		if b.Channel != 0 && b.Channel != ch {
			continue
		}
		what := ""
		switch b.Scope {
		case PerCountry:
			what = r.Number.Region()
		case PerPrefix:
			what = r.Number.Prefix(4)
		}
		list = append(list, Quota{
			Key:    v.keys.index(useCount, r.Tenant, "budget", fmt.Sprint(b.Scope, b.Channel, b.Window), what),
			Window: b.Window, Max: b.Max, Cost: price, Money: true,
		})
	}
	return list
}

// Numbers within near of each other are a sequence; so many of them in sequenceWindow are refused.
const (
	sequenceNear   = 10
	sequenceRun    = 4
	sequenceWindow = 10 * time.Minute
)

// sequence reports whether the number is one of a sequence.
func (v *Verifier) sequence(ctx context.Context, r StartRequest) (bool, error) {
	if v.sightings == nil {
		return false, nil
	}
	s := &Sighting{Tenant: r.Tenant, Phone: v.keys.index(usePhone, r.Tenant, r.Number.E164()),
		Block:  v.keys.index(useSeen, r.Tenant, "send", r.Number.Prefix(3)),
		Offset: int(r.Number.Digits() % 1000), Window: sequenceWindow, Near: sequenceNear}
	ctx, cancel := v.bounded(ctx)
	defer cancel()
	if err := v.sightings.Sight(ctx, s); err != nil {
		return false, fmt.Errorf("phone: searching for sequences: %w", err)
	}
	return s.Run >= sequenceRun, nil
}

// routeKeys are the route of a number on a channel and that of its country.
func (v *Verifier) routeKeys(tenant string, n Number, ch Channel) [2]Key {
	return [2]Key{
		v.keys.index(useRoute, tenant, "prefix", n.Prefix(4), ch.String()),
		v.keys.index(useRoute, tenant, "country", n.Region(), ch.String()),
	}
}

// judgeRoute asks the monitor. A throttled route gets a quota more.
func (v *Verifier) judgeRoute(ctx context.Context, r StartRequest, ch Channel, keys [2]Key) ([]Quota, string, error) {
	if v.routes == nil {
		return nil, "", nil
	}
	ask := keys[:]
	if ch != SMS { // a prefix that is blocked for messages is not called instead
		sms := v.routeKeys(r.Tenant, r.Number, SMS)
		ask = append(ask, sms[0])
	}
	ctx, cancel := v.bounded(ctx)
	defer cancel()
	stats, err := v.routes.Routes(ctx, r.Tenant, ask)
	if err != nil || len(stats) != len(ask) {
		return nil, "", fmt.Errorf("phone: asking for conversion: %w", errors.Join(err, errIf(err == nil, "too few answers")))
	}
	if len(stats) > 2 && stats[2].Now.Before(stats[2].Until) {
		return nil, "blocked prefix", nil
	}
	verdict := v.monitor.judge(stats[0], stats[1], v.o.TTL)
	switch {
	case verdict.release:
		err = v.routes.Release(ctx, r.Tenant, keys[0])
	case verdict.hold:
		_, err = v.routes.Hold(ctx, r.Tenant, keys[0], v.monitor.Hold, v.monitor.MaxHold)
	}
	if err != nil {
		return nil, "", fmt.Errorf("phone: changing a block: %w", err)
	}
	if verdict.standing == Open {
		return nil, "", nil
	}
	most, name := v.monitor.Slow, "slow"
	if verdict.standing == Held {
		if ch == Voice {
			return nil, "blocked prefix", nil
		}
		most, name = 1, "probe"
	}
	return []Quota{{Key: v.keys.index(useCount, r.Tenant, name, r.Number.Prefix(4), ch.String()),
		Window: RouteBucketLength, Max: most, Cost: 1}}, "", nil
}

func errIf(bad bool, text string) error {
	if bad {
		return errors.New(text)
	}
	return nil
}
