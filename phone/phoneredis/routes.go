package phoneredis

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/vestibule-go/vestibule/phone"
)

// Routes implements [phone.RouteStore].
func (s *Store) Routes(ctx context.Context, tenant string, list []phone.Key) ([]phone.RouteStats, error) {
	n := s.names(tenant)
	var keys []string
	for _, k := range list {
		keys = append(keys, n.key("r", k))
	}
	v, err := s.run(ctx, routesScript, keys, nowArg{s.now()})
	if err != nil {
		return nil, err
	}
	a := &answer{v: v}
	now := a.time(0)
	if len(v) != len(list)+1 {
		return nil, errReply
	}
	out := make([]phone.RouteStats, len(list))
	for i := range list {
		row, _ := v[i+1].([]any)
		if err := readRoute(&out[i], row); err != nil {
			return nil, err
		}
		out[i].Now = now
	}
	return out, a.err
}

func readRoute(r *phone.RouteStats, row []any) error {
	a := &answer{v: row}
	r.Since, r.Until, r.Holds = a.time(0), a.time(1), int(a.int(2))
	if a.err != nil || len(row) != 4 {
		return errReply
	}
	days, _ := row[3].([]any)
	today := int64(0)
	for _, d := range days {
		day, _ := d.([]any)
		if len(day) != 2 {
			return errReply
		}
		b := &answer{v: day}
		today = b.int(0)
		fields, _ := day[1].([]any)
		f := &answer{v: fields}
		slots := map[int64]*phone.RouteBucket{}
		const dayMillis = 86400000
		total := phone.RouteBucket{Start: time.UnixMilli(today * dayMillis)}
		for i := 0; i+1 < len(fields); i += 2 {
			name := f.text(i)
			count, err := strconv.ParseInt(f.text(i+1), 10, 64)
			if err != nil || name == "" {
				return errReply
			}
			at := &total
			if slot, err := strconv.ParseInt(name[:len(name)-1], 10, 64); err == nil {
				if slots[slot] == nil {
					slots[slot] = &phone.RouteBucket{Start: time.UnixMilli(today*dayMillis + slot*phone.RouteBucketLength.Milliseconds())}
				}
				at = slots[slot]
			}
			switch name[len(name)-1] {
			case 's':
				at.Sent = count
			case 'c':
				at.Converted = count
			case 'f':
				at.Failed = count
			}
		}
		if total.Sent|total.Converted|total.Failed != 0 {
			r.Days = append(r.Days, total)
		}
		for slot := int64(0); slot < 144; slot++ {
			if b := slots[slot]; b != nil && b.Sent|b.Converted|b.Failed != 0 {
				r.Buckets = append(r.Buckets, *b)
			}
		}
		if b.err != nil || f.err != nil {
			return errReply
		}
	}
	return nil
}

type holdArg struct {
	Now     int64 `json:"now"`
	Release bool  `json:"release"`
	Base    int64 `json:"base"`
	Most    int64 `json:"most"`
}

// Hold implements [phone.RouteStore].
func (s *Store) Hold(ctx context.Context, tenant string, key phone.Key, base, most time.Duration) (time.Time, error) {
	if base <= 0 || most < base {
		return time.Time{}, errors.New("phoneredis: a hold wants 0 < base <= max")
	}
	v, err := s.run(ctx, holdScript, []string{s.names(tenant).key("r", key)}, holdArg{Now: s.now(), Base: ms(base), Most: ms(most)})
	if err != nil {
		return time.Time{}, err
	}
	a := &answer{v: v}
	return a.time(0), a.err
}

// Release implements [phone.RouteStore].
func (s *Store) Release(ctx context.Context, tenant string, key phone.Key) error {
	_, err := s.run(ctx, holdScript, []string{s.names(tenant).key("r", key)}, holdArg{Now: s.now(), Release: true})
	return err
}

type deliverArg struct {
	Now    int64 `json:"now"`
	Failed bool  `json:"failed"`
}

// Deliver implements [phone.RouteStore].
func (s *Store) Deliver(ctx context.Context, tenant string, message phone.Key, failed bool) (bool, error) {
	v, err := s.run(ctx, deliverScript, []string{s.names(tenant).key("m", message)}, deliverArg{s.now(), failed})
	if err != nil {
		return false, err
	}
	a := &answer{v: v}
	return a.int(0) == 1, a.err
}

type sightArg struct {
	Now   int64   `json:"now"`
	Phone string  `json:"phone"`
	W     []int64 `json:"w"`
	BW    int64   `json:"bw"`
	Off   string  `json:"off"`
}

// Sight implements [phone.SightingStore].
func (s *Store) Sight(ctx context.Context, r *phone.Sighting) error {
	if err := r.Validate(); err != nil {
		return err
	}
	n := s.names(r.Tenant)
	var keys []string
	arg := sightArg{Now: s.now(), Phone: r.Phone.String(), W: []int64{}, Off: strconv.Itoa(r.Offset)}
	for _, set := range r.Sets {
		keys = append(keys, n.key("s", set.Key))
		arg.W = append(arg.W, ms(set.Window))
	}
	if r.Block != (phone.Key{}) {
		keys = append(keys, n.key("b", r.Block))
		arg.BW = ms(r.Window)
	}
	v, err := s.run(ctx, sightScript, keys, arg)
	if err != nil {
		return err
	}
	a := &answer{v: v}
	r.Distinct, r.Run = r.Distinct[:0], 0
	for i := range r.Sets {
		r.Distinct = append(r.Distinct, int(a.int(i)))
	}
	if r.Block != (phone.Key{}) {
		var offsets []int
		for i := range slices.Backward(v) {
			if i < len(r.Sets) {
				break
			}
			offsets = append(offsets, int(a.int(i)))
		}
		r.Run = phone.Run(offsets, r.Offset, r.Near)
	}
	return a.err
}
