package ipintel

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2/mmdbdata"
)

// Record is what a database says of an address. Its fields are empty where the database has nothing to say, and a kind
// that is missing from Kinds was not asserted: that is no statement that the address is clean.
type Record struct {
	// Country is where the address is, Registered where its network is registered: ISO 3166-1 alpha-2, upper case.
	Country, Registered string
	AS                  AS
	// Connection is the kind of line in the database's own words, lower case: "cellular", "cable/dsl", "corporate".
	Connection string
	// Place is a guess of where the address is; HasPlace says whether there is one.
	Place    Place
	HasPlace bool
	// TimeZone is an IANA name.
	TimeZone string
	Kinds    Kind
}

// mostText and mostMembers bound what one record may make a look-up do.
const (
	mostText    = 256
	mostMembers = 1024
)

// unmarshaler decodes a record of any of the known schemas in one pass, without reflection.
type unmarshaler struct {
	Record
	lat, lon bool
}

var errMembers = errors.New("ipintel: a record has too many members")

// UnmarshalMaxMindDBCursor implements mmdbdata.CursorUnmarshaler.
func (u *unmarshaler) UnmarshalMaxMindDBCursor(c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	next, err := u.object(c, (*unmarshaler).member)
	u.HasPlace = u.lat && u.lon
	if !u.HasPlace {
		u.Place = Place{}
	}
	return next, err
}

// object reads a map with one function for its members; anything else is skipped.
func (u *unmarshaler) object(c mmdbdata.Cursor, member func(*unmarshaler, []byte, mmdbdata.Cursor) (mmdbdata.Cursor, error)) (mmdbdata.Cursor, error) {
	m, err := c.MapReader()
	if err != nil {
		return skipOther(c, err)
	}
	if m.Len() > mostMembers {
		return mmdbdata.Cursor{}, errMembers
	}
	at := m.First()
	for range m.Len() {
		key, value, err := at.ReadMapKey()
		if err != nil {
			return mmdbdata.Cursor{}, err
		}
		if at, err = member(u, key, value); err != nil {
			return mmdbdata.Cursor{}, err
		}
	}
	return m.End(at)
}

// skipOther skips a value of a kind that was not expected: schemas differ, and one odd member must not hide the others.
func skipOther(c mmdbdata.Cursor, err error) (mmdbdata.Cursor, error) {
	if _, ok := errors.AsType[mmdbdata.UnexpectedKindError](err); ok {
		return c.Skip()
	}
	return mmdbdata.Cursor{}, err
}

// member reads a member of the record itself: MaxMind's and DB-IP's nested schema, IPinfo's flat ones, and those of
// ip-location-db.
func (u *unmarshaler) member(key []byte, c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	switch string(key) {
	case "country":
		if kind, err := c.Kind(); err == nil && kind == mmdbdata.KindMap {
			return u.object(c, (*unmarshaler).country)
		}
		return u.countryText(c) // IPinfo: a code in some files, a name in others
	case "country_code":
		return u.countryText(c)
	case "registered_country":
		return u.object(c, (*unmarshaler).registered)
	case "location":
		return u.object(c, (*unmarshaler).location)
	case "traits", "geo", "anonymous":
		return u.object(c, (*unmarshaler).nested)
	case "as":
		return u.object(c, (*unmarshaler).system)
	case "mobile":
		return u.mobile(c)
	case "percent_days_seen": // only in IPinfo's residential proxy files
		u.Kinds |= Residential
		return c.Skip()
	}
	return u.flat(key, c)
}

// nested reads members of traits (MaxMind, DB-IP), geo and anonymous (IPinfo Plus).
func (u *unmarshaler) nested(key []byte, c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	if string(key) == "country_code" {
		return u.countryText(c)
	}
	return u.flat(key, c)
}

// flat reads members that mean the same wherever they stand.
func (u *unmarshaler) flat(key []byte, c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	switch string(key) {
	case "autonomous_system_number", "asn":
		return u.asn(c)
	case "autonomous_system_organization", "as_name":
		return text(c, &u.AS.Name)
	case "connection_type":
		return u.connection(c, true)
	case "user_type", "usage_type", "type":
		return u.connection(c, false)
	case "latitude", "lat", "longitude", "lng", "accuracy_radius", "time_zone", "timezone":
		return u.location(key, c)
	case "is_anonymous":
		return u.flag(c, Anonymous)
	case "is_anonymous_vpn", "is_vpn", "vpn":
		return u.flag(c, VPN)
	case "is_hosting_provider", "is_hosting", "hosting":
		return u.flag(c, Hosting)
	case "is_public_proxy", "is_proxy", "proxy":
		return u.flag(c, Proxy)
	case "is_residential_proxy":
		return u.flag(c, Residential)
	case "is_tor_exit_node", "is_tor", "tor":
		return u.flag(c, Tor)
	case "is_relay", "relay":
		return u.flag(c, Relay)
	case "is_mobile":
		return u.flag(c, Carrier)
	}
	return c.Skip()
}

func (u *unmarshaler) country(key []byte, c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	if string(key) == "iso_code" {
		return u.countryText(c)
	}
	return c.Skip()
}

func (u *unmarshaler) registered(key []byte, c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	if string(key) != "iso_code" {
		return c.Skip()
	}
	var s string
	next, err := text(c, &s)
	u.Registered = countryCode(s)
	return next, err
}

func (u *unmarshaler) countryText(c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	var s string
	next, err := text(c, &s)
	if code := countryCode(s); code != "" {
		u.Country = code
	}
	return next, err
}

// countryCode returns an alpha-2 code in upper case, or "".
func countryCode(s string) string {
	if len(s) != 2 {
		return ""
	}
	upper := true
	for _, b := range []byte(s) {
		if b|0x20 < 'a' || b|0x20 > 'z' {
			return ""
		}
		upper = upper && b < 'a'
	}
	if upper {
		return s
	}
	return strings.ToUpper(s)
}

func (u *unmarshaler) system(key []byte, c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	switch string(key) {
	case "asn":
		return u.asn(c)
	case "name":
		return text(c, &u.AS.Name)
	case "type":
		return u.connection(c, false)
	}
	return c.Skip()
}

func (u *unmarshaler) location(key []byte, c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	switch string(key) {
	case "latitude", "lat":
		return u.degrees(c, &u.Place.Lat, 90, &u.lat)
	case "longitude", "lng":
		return u.degrees(c, &u.Place.Lon, 180, &u.lon)
	case "accuracy_radius":
		n, next, err := c.ReadUint()
		if err != nil {
			return skipOther(c, err)
		}
		u.Place.Radius = min(float64(n), halfEarth)
		return next, nil
	case "time_zone", "timezone":
		return text(c, &u.TimeZone)
	}
	return c.Skip()
}

// degrees reads a number, or a number in a text as some of IPinfo's files have.
func (u *unmarshaler) degrees(c mmdbdata.Cursor, to *float64, most float64, has *bool) (mmdbdata.Cursor, error) {
	v, next, err := c.ReadFloat()
	if err != nil {
		var s string
		if next, err = text(c, &s); err != nil {
			return next, err
		}
		if v, err = strconv.ParseFloat(s, 64); err != nil {
			return next, nil
		}
	}
	if math.Abs(v) <= most { // false for NaN
		*to, *has = v, true
	}
	return next, nil
}

// asn reads 64500, "64500" or "AS64500".
func (u *unmarshaler) asn(c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	n, next, err := c.ReadUint()
	if err != nil {
		var s string
		if next, err = text(c, &s); err != nil {
			return next, err
		}
		if v, ok := parseASN(s); ok {
			u.AS.Number = v
		}
		return next, nil
	}
	if n <= math.MaxUint32 {
		u.AS.Number = uint32(n)
	}
	return next, nil
}

// connection reads what the databases say of the line or its user, and what follows from it. What is said of the line
// names it before what is said of the user.
func (u *unmarshaler) connection(c mmdbdata.Cursor, line bool) (mmdbdata.Cursor, error) {
	var s string
	next, err := text(c, &s)
	s = strings.ToLower(s)
	switch s {
	case "hosting", "dch", "content_delivery_network":
		u.Kinds |= Hosting
	case "cellular", "mob":
		u.Kinds |= Carrier
	case "corporate", "business", "education", "college", "school", "government", "com", "edu", "gov":
		u.Kinds |= Corporate
	case "":
		return next, err
	}
	if line || u.Connection == "" {
		u.Connection = s
	}
	return next, err
}

// mobile reads IPinfo's object about a carrier: there is one when it has members.
func (u *unmarshaler) mobile(c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	m, err := c.MapReader()
	if err != nil {
		return u.flag(c, Carrier)
	}
	if m.Len() > 0 {
		u.Kinds |= Carrier
	}
	return c.Skip()
}

// flag reads a boolean, a number or a text that means one.
func (u *unmarshaler) flag(c mmdbdata.Cursor, k Kind) (mmdbdata.Cursor, error) {
	on, next, err := c.ReadBool()
	if err != nil {
		var s string
		var n uint64
		if n, next, err = c.ReadUint(); err == nil {
			on = n != 0
		} else if next, err = text(c, &s); err != nil {
			return next, err
		} else {
			on = s == "true" || s == "True" || s == "1" || s == "yes"
		}
	}
	if on {
		u.Kinds |= k
	}
	return next, nil
}

// text reads a text of bounded length; anything else is skipped.
func text(c mmdbdata.Cursor, to *string) (mmdbdata.Cursor, error) {
	s, next, err := c.ReadString()
	if err != nil {
		return skipOther(c, err)
	}
	*to = clip(s, mostText)
	return next, nil
}
