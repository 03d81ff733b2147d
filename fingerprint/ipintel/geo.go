package ipintel

import (
	"math"
	"strings"
	"time"
)

// Place is a point on the Earth and how far off it may be.
type Place struct {
	Lat, Lon float64 // degrees, north and east positive
	Radius   float64 // accuracy in km; 0: unknown, DefaultRadius is taken
}

const (
	// DefaultRadius is the accuracy in km of a place that does not say its own. City databases often mean 20 to
	// 1000 km.
	DefaultRadius = 100
	// DefaultSpeed is the speed in km/h above which travel is impossible: an airliner's.
	DefaultSpeed = 1000

	earthRadius = 6371.0088 // km, mean radius (IUGG)
	halfEarth   = 20038     // km, half the circumference
)

// Distance is the great-circle distance of two places in km, by the haversine formula, without regard to accuracy. It is
// NaN when a coordinate is.
func Distance(a, b Place) float64 {
	const rad = math.Pi / 180
	sinLat := math.Sin((b.Lat - a.Lat) * rad / 2)
	sinLon := math.Sin((b.Lon - a.Lon) * rad / 2)
	h := sinLat*sinLat + math.Cos(a.Lat*rad)*math.Cos(b.Lat*rad)*sinLon*sinLon
	return 2 * earthRadius * math.Asin(math.Sqrt(min(h, 1)))
}

// Trip is what it would take to be in two places.
type Trip struct {
	Distance float64 // between the two points, km
	Apart    float64 // what is left of it after both accuracy radii, km; 0: they may be the same place
	Speed    float64 // Apart over the time between, km/h
}

// Travel says how fast somebody was who was in both places that far apart in time. Less than a minute counts as a minute,
// and the order in time does not matter.
func Travel(from, to Place, between time.Duration) Trip {
	if between < 0 {
		between = -between
	}
	between = max(between, time.Minute) // also for the least Duration, whose negation is itself
	t := Trip{Distance: Distance(from, to)}
	t.Apart = max(t.Distance-radius(from)-radius(to), 0)
	t.Speed = t.Apart / between.Hours()
	return t
}

func radius(p Place) float64 {
	if p.Radius > 0 {
		return p.Radius
	}
	return DefaultRadius
}

// Impossible reports whether the trip is faster than limit km/h; 0: DefaultSpeed. It is false when a coordinate was NaN.
func (t Trip) Impossible(limit float64) bool {
	if limit <= 0 {
		limit = DefaultSpeed
	}
	return t.Speed > limit
}

// Comparable reports whether the places of two addresses may be held against each other at all. They may not when either
// has no place; when either is an anonymizer, relay, datacenter, carrier gateway or company's way out, whose place is
// not the visitor's; when both belong to one autonomous system, which may have moved an address; or when less than a
// minute lies between them and the country is the same or not known.
func Comparable(a, b Info, between time.Duration) bool {
	if !a.HasPlace || !b.HasPlace || (a.Kinds|b.Kinds|a.Raw|b.Raw)&chosen != 0 {
		return false
	}
	if a.AS.Number != 0 && a.AS.Number == b.AS.Number {
		return false
	}
	return between.Abs() >= time.Minute || a.Country != "" && b.Country != "" && a.Country != b.Country
}

// ZoneGap returns how far apart the clocks of two IANA time zones are at an instant: zones of different names that show
// the same time are no contradiction. It is false for names that are malformed or that this machine's time zone database
// does not have. Both names may come from outside; each is looked up among the files of that database, some tens of
// microseconds. A server without one imports time/tzdata.
func ZoneGap(a, b string, at time.Time) (time.Duration, bool) {
	x, ok := zone(a)
	if !ok {
		return 0, false
	}
	y, ok := zone(b)
	if !ok {
		return 0, false
	}
	_, east := at.In(x).Zone()
	_, other := at.In(y).Zone()
	return (time.Duration(east-other) * time.Second).Abs(), true
}

// OffsetGap is ZoneGap for a client that tells minutes east of UTC (the negative of JavaScript's getTimezoneOffset).
func OffsetGap(minutes int, name string, at time.Time) (time.Duration, bool) {
	z, ok := zone(name)
	if !ok || minutes < -24*60 || minutes > 24*60 {
		return 0, false
	}
	_, east := at.In(z).Zone()
	return (time.Duration(minutes)*time.Minute - time.Duration(east)*time.Second).Abs(), true
}

// zone finds a time zone by a name from outside. "Local" would be the server's.
func zone(name string) (*time.Location, bool) {
	if name == "" || len(name) > 64 || strings.EqualFold(name, "local") {
		return nil, false
	}
	for _, c := range []byte(name) {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("/_+-", rune(c)) {
			return nil, false
		}
	}
	z, err := time.LoadLocation(name)
	return z, err == nil
}
