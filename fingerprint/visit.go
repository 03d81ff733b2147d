package fingerprint

import (
	"strings"
	"sync"
	"time"
)

// visitBatch is a visit on its way to the store and back.
type visitBatch struct {
	batch    Batch
	roles    [MaxSubjects]role // of each subject; roleNone: not of the plane that counts
	planes   planes
	idents   [kinds]ident
	none     ident // of nothing, always
	subjects [MaxSubjects]Subject
	text     []byte // what is hashed
}

type role uint8

const (
	roleNone role = iota
	roleDevice
	roleDeviceBefore // the device under its other epoch: only whether it was seen
	rolePrint
	roleSimilar
	roleIP
	rolePhone
	roleEmail
	roleAccount
	roleBusiness
)

var batchPool = sync.Pool{New: func() any { return new(visitBatch) }}

// mostText is how long a text may have been for its room to be kept.
const mostText = 8 << 10

// release gives a batch back to the pool.
func (b *visitBatch) release() {
	b.batch = Batch{}
	if cap(b.text) > mostText {
		b.text = nil
	}
	batchPool.Put(b)
}

// with is one set of a subject: a dimension and what is added to it.
type with struct {
	dim  Dim
	what *ident
}

func (b *visitBatch) fill(s *Sightings, v *Visit) {
	b.batch = Batch{Tenant: v.Tenant, Subjects: b.subjects[:0]}
	if !v.At.IsZero() {
		b.batch.At = v.At.UnixMilli()
	}
	b.planes = s.planes(v.At)
	p := &b.planes
	hash := func(k kind, value string) *ident {
		i := &b.idents[k]
		s.hash(i, p, &b.text, k, v.Tenant, value)
		return i
	}
	ip := &b.idents[kindIP]
	s.address(ip, p, &b.text, v.Tenant, v.IP)
	device := hash(kindDevice, v.Device)
	if !device.there {
		s.tags(device, p, &b.text, v.Tenant, v.Tags)
	}
	printed, similar := hash(kindPrint, v.Print), hash(kindSimilar, v.Similar)
	phone, email, account := hash(kindPhone, v.Phone), hash(kindEmail, v.Email), hash(kindAccount, v.Account)
	attempt := hash(kindAttempt, v.Attempt)
	who := account
	if !who.there {
		who = email
	}
	if !who.there {
		who = phone
	}
	own := device
	if v.Print == v.Device {
		own = &b.none // it has shown no id: only look which ids were seen with this token
	}
	b.add(s, roleDevice, device, with{DimAttempts, attempt}, with{DimIPs, ip}, with{DimAccounts, who}, with{DimPhones, phone})
	b.add(s, rolePrint, printed, with{DimDevices, own})
	b.add(s, roleSimilar, similar, with{DimAttempts, attempt}, with{DimAccounts, who})
	b.add(s, roleIP, ip, with{DimAttempts, attempt}, with{DimDevices, device}, with{DimAccounts, who})
	b.add(s, rolePhone, phone, with{DimAttempts, attempt}, with{DimDevices, device}, with{DimAccounts, who})
	b.add(s, roleEmail, email, with{DimAttempts, attempt}, with{DimDevices, device}, with{DimIPs, ip})
	b.add(s, roleAccount, account, with{DimAttempts, attempt}, with{DimDevices, device}, with{DimIPs, ip})
	for _, id := range v.IDs[:min(len(v.IDs), MaxIDs)] {
		if value := cleanID(id.Value); value != "" {
			business := hash(kindBusiness, strings.ToLower(id.Kind)+":"+value)
			b.add(s, roleBusiness, business, with{DimAttempts, attempt}, with{DimDevices, device}, with{DimAccounts, who})
		}
	}
	b.before(s, v)
}

// add puts a subject into the batch, once for each plane.
func (b *visitBatch) add(s *Sightings, r role, i *ident, sets ...with) {
	if !i.there {
		return
	}
	keep, dated := week, r == roleDevice || r == roleDeviceBefore || r == rolePrint
	if dated {
		keep = s.o.Keep
	}
	for plane := range b.planes.n {
		if len(b.batch.Subjects) == MaxSubjects || b.has(i.sums[plane]) {
			continue
		}
		n := len(b.batch.Subjects)
		b.batch.Subjects = b.batch.Subjects[:n+1]
		sub := &b.batch.Subjects[n]
		sub.Key, sub.Keep, sub.Dated, sub.N = i.sums[plane], keep, dated, len(sets)
		sub.First, sub.Last, sub.Kin = 0, 0, r == roleDevice || r == roleDeviceBefore
		for j := range sets {
			sub.Sets[j] = Set{Dim: sets[j].dim, Member: sets[j].what.member(plane)}
		}
		b.roles[n] = roleNone
		switch {
		case plane == b.planes.n-1:
			b.roles[n] = r
		case r == roleDevice:
			b.roles[n] = roleDeviceBefore
		}
	}
}

// has finds what is there already: business identifiers given twice.
func (b *visitBatch) has(k Key) bool {
	for i := range b.batch.Subjects {
		if b.batch.Subjects[i].Key == k {
			return true
		}
	}
	return false
}

// before adds the device under the former epoch when that is not written any more: that it was seen at all is kept
// longer than what is counted. It is only looked at.
func (b *visitBatch) before(s *Sightings, v *Visit) {
	p := b.planes
	if s.o.Ring == nil || s.o.Ring.Epoch() == 0 || p.previous || v.Device == "" {
		return
	}
	former := planes{n: p.keys, keys: p.keys, at: p.at.Add(-s.o.Ring.Epoch())}
	if former.at.Unix() < 0 {
		return
	}
	var i ident
	s.hash(&i, &former, &b.text, kindDevice, v.Tenant, v.Device)
	b.planes.n = former.n
	first := len(b.batch.Subjects)
	b.add(s, roleDeviceBefore, &i)
	for n := first; n < len(b.batch.Subjects); n++ {
		b.roles[n] = roleDeviceBefore
	}
	b.planes.n = p.n
}

// answer reads what the store found.
func (b *visitBatch) answer(out *Sighting) {
	var before *Subject
	for n := range b.batch.Subjects {
		sub := &b.batch.Subjects[n]
		switch b.roles[n] {
		case roleDevice:
			sub.seen(&out.Device)
		case roleDeviceBefore:
			if sub.First != 0 && (before == nil || sub.First < before.First) {
				before = sub
			}
		case rolePrint:
			sub.seen(&out.Print)
		case roleSimilar:
			sub.seen(&out.Similar)
		case roleIP:
			sub.seen(&out.IP)
		case rolePhone:
			sub.seen(&out.Phone)
		case roleEmail:
			sub.seen(&out.Email)
		case roleAccount:
			sub.seen(&out.Account)
		case roleBusiness:
			var one Seen
			if sub.seen(&one); !out.Business.There || one.Attempts[1].N > out.Business.Attempts[1].N {
				out.Business = one
			}
		}
	}
	if before != nil && out.Device.There {
		first, last := time.UnixMilli(before.First), time.UnixMilli(before.Last)
		if !out.Device.Before || first.Before(out.Device.First) {
			out.Device.First = first
		}
		if last.After(out.Device.Last) {
			out.Device.Last = last
		}
		out.Device.Before = true
	}
}

// seen writes what was found into s, which is zero.
func (sub *Subject) seen(s *Seen) {
	s.There = true
	if sub.First != 0 {
		s.Before, s.First, s.Last = true, time.UnixMilli(sub.First), time.UnixMilli(sub.Last)
	}
	for j := range sub.N {
		set := &sub.Sets[j]
		c := s.counts(set.Dim)
		for w := range c {
			c[w].N, c[w].AtLeast = int(set.Counts[w]), set.Full
		}
	}
}

// counts are those of a dimension.
func (s *Seen) counts(d Dim) *Counts {
	switch d {
	case DimIPs:
		return &s.IPs
	case DimAccounts:
		return &s.Accounts
	case DimPhones:
		return &s.Phones
	case DimDevices:
		return &s.Devices
	}
	return &s.Attempts
}

// cleanID brings a business identifier to one form: upper case, letters and digits only.
func cleanID(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9', r >= 'A' && r <= 'Z':
			return r
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r < 0x80:
			return -1
		}
		return r
	}, s)
}
