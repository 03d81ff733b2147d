package fingerprint

import (
	"strings"
	"sync"
	"time"
)

// visitBatch is a visit on its way to the store and back.
type visitBatch struct {
	batch  Batch
	roles  [MaxSubjects]role // of each subject; roleNone: not of the plane that counts
	planes planes
	local  [MaxSubjects]Subject
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

// with is one set of a subject: a dimension and what is added to it.
type with struct {
	dim  Dim
	what *ident
}

func (b *visitBatch) fill(s *Sightings, v *Visit) {
	b.batch = Batch{Tenant: v.Tenant, Subjects: b.local[:0]}
	if !v.At.IsZero() {
		b.batch.At = v.At.UnixMilli()
	}
	p := s.planes(v.At)
	b.planes = p
	var room [64]byte
	ip := s.hash(&p, kindIP, v.Tenant, string(s.network(v.IP, room[:0])))
	device := s.hash(&p, kindDevice, v.Tenant, v.Device)
	if v.Device == "" {
		device = s.tags(&p, v.Tenant, v.Tags)
	}
	printed := s.hash(&p, kindPrint, v.Tenant, v.Print)
	similar := s.hash(&p, kindSimilar, v.Tenant, v.Similar)
	phone := s.hash(&p, kindPhone, v.Tenant, v.Phone)
	email := s.hash(&p, kindEmail, v.Tenant, v.Email)
	account := s.hash(&p, kindAccount, v.Tenant, v.Account)
	attempt := s.hash(&p, kindAttempt, v.Tenant, v.Attempt)
	who := &account
	if !who.there {
		who = &email
	}
	if !who.there {
		who = &phone
	}
	b.add(s, roleDevice, &device, with{DimAttempts, &attempt}, with{DimIPs, &ip}, with{DimAccounts, who}, with{DimPhones, &phone})
	own := &device
	if v.Print == v.Device {
		own = &ident{} // it has shown no id: only look which ids were seen with this token
	}
	b.add(s, rolePrint, &printed, with{DimDevices, own})
	b.add(s, roleSimilar, &similar, with{DimAttempts, &attempt}, with{DimAccounts, who})
	b.add(s, roleIP, &ip, with{DimAttempts, &attempt}, with{DimDevices, &device}, with{DimAccounts, who})
	b.add(s, rolePhone, &phone, with{DimAttempts, &attempt}, with{DimDevices, &device}, with{DimAccounts, who})
	b.add(s, roleEmail, &email, with{DimAttempts, &attempt}, with{DimDevices, &device}, with{DimIPs, &ip})
	b.add(s, roleAccount, &account, with{DimAttempts, &attempt}, with{DimDevices, &device}, with{DimIPs, &ip})
	for _, id := range v.IDs[:min(len(v.IDs), MaxIDs)] {
		if value := cleanID(id.Value); value != "" {
			business := s.hash(&p, kindBusiness, v.Tenant, strings.ToLower(id.Kind)+":"+value)
			b.add(s, roleBusiness, &business, with{DimAttempts, &attempt}, with{DimDevices, &device}, with{DimAccounts, who})
		}
	}
	b.before(s, v, &p)
}

// add puts a subject into the batch, once for each plane.
func (b *visitBatch) add(s *Sightings, r role, i *ident, sets ...with) {
	if !i.there {
		return
	}
	keep, dated := Windows[2], r == roleDevice || r == roleDeviceBefore || r == rolePrint
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
		*sub = Subject{Key: i.sums[plane], Keep: keep, Dated: dated}
		for _, w := range sets {
			sub.Sets[sub.N] = Set{Dim: w.dim, Member: w.what.member(plane)}
			sub.N++
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

// has finds business identifiers given twice.
func (b *visitBatch) has(k Key) bool {
	for i := range b.batch.Subjects {
		if b.batch.Subjects[i].Key == k {
			return true
		}
	}
	return false
}

// before adds the device under the former epoch when that is not written any more: that it was seen at all is kept
// longer than what is counted.
func (b *visitBatch) before(s *Sightings, v *Visit, p *planes) {
	if s.o.Ring == nil || s.o.Ring.Epoch() == 0 || p.previous || v.Device == "" {
		return
	}
	former := planes{n: p.keys, keys: p.keys, at: p.at.Add(-s.o.Ring.Epoch())}
	if former.at.Unix() < 0 {
		return
	}
	i := s.hash(&former, kindDevice, v.Tenant, v.Device)
	b.planes.n = former.n
	first := len(b.batch.Subjects)
	b.add(s, roleDeviceBefore, &i)
	for n := first; n < len(b.batch.Subjects); n++ {
		b.roles[n] = roleDeviceBefore
	}
	b.planes.n = p.n
}

// answer reads what the store found.
func (b *visitBatch) answer() (out Sighting) {
	var before *Subject
	for n := range b.batch.Subjects {
		sub := &b.batch.Subjects[n]
		switch b.roles[n] {
		case roleDevice:
			out.Device = sub.seen()
		case roleDeviceBefore:
			if sub.First != 0 && (before == nil || sub.First < before.First) {
				before = sub
			}
		case rolePrint:
			out.Print = sub.seen()
		case roleSimilar:
			out.Similar = sub.seen()
		case roleIP:
			out.IP = sub.seen()
		case rolePhone:
			out.Phone = sub.seen()
		case roleEmail:
			out.Email = sub.seen()
		case roleAccount:
			out.Account = sub.seen()
		case roleBusiness:
			if one := sub.seen(); !out.Business.There || one.Attempts[1].N > out.Business.Attempts[1].N {
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
	return out
}

func (sub *Subject) seen() Seen {
	s := Seen{There: true, Before: sub.First != 0}
	if s.Before {
		s.First, s.Last = time.UnixMilli(sub.First), time.UnixMilli(sub.Last)
	}
	for j := range sub.N {
		set := &sub.Sets[j]
		var c Counts
		for w := range c {
			c[w] = Count{int(set.Counts[w]), set.Full}
		}
		switch set.Dim {
		case DimAttempts:
			s.Attempts = c
		case DimIPs:
			s.IPs = c
		case DimAccounts:
			s.Accounts = c
		case DimPhones:
			s.Phones = c
		case DimDevices:
			s.Devices = c
		}
	}
	return s
}
