package fingerprintredis

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vestibule-go/vestibule/fingerprint"
)

// Store is a fingerprint.Store on Redis. It is safe for concurrent use.
type Store struct {
	o    Options
	send *sender
}

var _ fingerprint.Store = (*Store)(nil)

// New returns a store. A client should have ContextTimeoutEnabled set, which go-redis leaves off: without it each call
// takes a goroutine that waits for the client's own timeouts. The client stays the caller's to close.
func New(client Processor, opts *Options) (*Store, error) {
	s := &Store{}
	if opts != nil {
		s.o = *opts
	}
	s.o.Prefix = cmp.Or(s.o.Prefix, "vfp")
	s.o.Cap = cmp.Or(s.o.Cap, fingerprint.DefaultCap)
	s.o.Timeout = cmp.Or(s.o.Timeout, 50*time.Millisecond)
	s.o.MaxPending = cmp.Or(s.o.MaxPending, 1024)
	if err := s.o.check(); err != nil {
		return nil, err
	}
	if s.o.Cap < 3 || s.o.Cap > fingerprint.MaxCap {
		return nil, fmt.Errorf("fingerprintredis: Cap is %d, want 3 to %d", s.o.Cap, fingerprint.MaxCap)
	}
	var err error
	s.send, err = newSender(client, &s.o)
	return s, err
}

// String names the store.
func (s *Store) String() string { return "fingerprintredis.Store" }

// seeScript writes subjects and counts. Each subject is one string: when it was first and last seen, six bytes each, and
// for each dimension a set sorted by time: its size, and for each member eight bytes and six of time in milliseconds. A
// Redis sorted set for each dimension does the same with six calls a set, which cost more than all of this script; packed
// they are also smaller, and never turn into a skip list.
//
// ARGV[1] is a MessagePack array: the time or 0, the cap, and for each subject whether it is dated, how long it is kept in
// milliseconds, the number of its sets, and for each set its dimension and whether a member is added, by ascending
// dimension. ARGV[2] holds the members. A subject without sets is only looked at. It answers with the time, then for each subject first and last seen when dated,
// and for each set the three counts and its size, packed the same way. A value that is none of ours is as good as none.
var seeScript = newScript(`
local call,unpack6,byte,sub,find=redis.call,struct.unpack,string.byte,string.sub,string.find
local floor,char,concat=math.floor,string.char,table.concat
local a=cmsgpack.unpack(ARGV[1])
local members=ARGV[2]
local values=call('MGET',unpack(KEYS))
local now=a[1]
if now==0 then
 local t=call('TIME')
 now=t[1]*1000+floor(t[2]/1000)
end
local cap=a[2]
local hour,day,week=now-3600000,now-86400000,now-604800000
local stamp=struct.pack('>I6',now)
local fresh=stamp..stamp
local none,one='\0','\1'
-- how many bytes of b, which has n members, are of members not after t
local function before(b,n,t)
 local lo,hi=0,n
 while lo<hi do
  local mid=floor((lo+hi)/2)
  if unpack6('>I6',b,mid*14+9)<=t then lo=mid+1 else hi=mid end
 end
 return lo*14
end
local out={now}
local o,p,m=1,2,1
for k=1,#KEYS do
 local dated,keep,sets=a[p+1],a[p+2],a[p+3]
 p=p+3
 local s=values[k]
 local first,last
 if s then
  local n,q=#s,13
  if n>=17 then
   first,last=unpack6('>I6I6',s)
   for i=1,5 do
    local c=byte(s,q)
    if not c then break end
    q=q+1+14*c
   end
  end
  if q~=n+1 or last+keep<=now then s=false end
 end
 if dated==1 then
  if s then out[o+1],out[o+2]=first,last else out[o+1],out[o+2]=0,0 end
  o=o+2
 end
 if sets==0 then
  -- only looked at
 elseif not s then
  local b,d=fresh,0
  for i=1,sets do
   local dim=a[p+1]
   if d<dim then b=b..none:rep(dim-d) end
   if a[p+2]==1 then
    b=b..one..sub(members,m,m+7)..stamp
    m=m+8
    out[o+1],out[o+2],out[o+3],out[o+4]=1,1,1,1
   else
    b=b..none
    out[o+1],out[o+2],out[o+3],out[o+4]=0,0,0,0
   end
   d=dim+1
   o=o+4
   p=p+2
  end
  if d<5 then b=b..none:rep(5-d) end
  call('SET',KEYS[k],b,'PX',keep)
 else
  if first>now then first=now end
  if last<now then last=now end
  local parts={struct.pack('>I6I6',first,last)}
  local d,at,c=0,13,1
  for i=1,sets do
   local dim=a[p+1]
   while d<dim do
    local stop=at+14*byte(s,at)
    c=c+1
    parts[c]=sub(s,at,stop)
    at=stop+1
    d=d+1
   end
   d=d+1
   local n=byte(s,at)
   local b=sub(s,at+1,at+14*n)
   at=at+1+14*n
   if n>0 and unpack6('>I6',b,9)<=week then
    b=sub(b,before(b,n,week)+1)
    n=#b/14
   end
   if a[p+2]==1 then
    local member=sub(members,m,m+7)
    m=m+8
    local time=stamp
    if n>0 then
     if unpack6('>I6',b,14*n-5)>now then time=sub(b,-6) end
     local f=find(b,member,1,true)
     while f and (f-1)%14~=0 do f=find(b,member,f+1,true) end
     if f then
      b=sub(b,1,f-1)..sub(b,f+14)
      n=n-1
     elseif n>=cap then
      b=sub(b,14*(n-cap+1)+1)
      n=cap-1
     end
    end
    n=n+1
    b=b..member..time
   end
   local x,y=n,n
   if n>0 and unpack6('>I6',b,9)<=hour then
    x=n-before(b,n,hour)/14
    y=n-before(b,n,day)/14
   end
   out[o+1],out[o+2],out[o+3],out[o+4]=x,y,n,n
   o=o+4
   p=p+2
   parts[c+1],parts[c+2]=char(n),b
   c=c+2
  end
  if d<5 then parts[c+1]=sub(s,at) end
  call('SET',KEYS[k],concat(parts),'PX',keep)
 end
end
return cmsgpack.pack(out)
`)

type encoder struct {
	buf     []byte
	members []byte
	keys    []byte
	args    []any
	count   int
}

var encoders = sync.Pool{New: func() any { return new(encoder) }}

func (e *encoder) int(v int64) {
	e.count++
	switch {
	case v < 1<<7:
		e.buf = append(e.buf, byte(v))
	case v < 1<<16:
		e.buf = binary.BigEndian.AppendUint16(append(e.buf, 0xcd), uint16(v))
	case v < 1<<32:
		e.buf = binary.BigEndian.AppendUint32(append(e.buf, 0xce), uint32(v))
	default:
		e.buf = binary.BigEndian.AppendUint64(append(e.buf, 0xcf), uint64(v))
	}
}

// decoder reads the answer: one array of whole numbers that are not negative.
type decoder struct {
	rest string
	bad  bool // something else was read
}

func (d *decoder) number(size int) (n uint64) {
	if len(d.rest) < size {
		d.bad = true
		return 0
	}
	for i := range size {
		n = n<<8 | uint64(d.rest[i])
	}
	d.rest = d.rest[size:]
	return n
}

func (d *decoder) length() int {
	switch c := d.number(1); {
	case c&0xf0 == 0x90:
		return int(c & 15)
	case c == 0xdc:
		return int(d.number(2))
	}
	d.bad = true
	return 0
}

func (d *decoder) int() int64 {
	switch c := d.number(1); {
	case c < 0x80:
		return int64(c)
	case c == 0xcc:
		return int64(d.number(1))
	case c == 0xcd:
		return int64(d.number(2))
	case c == 0xce:
		return int64(d.number(4))
	case c == 0xcf:
		return int64(d.number(8) & (1<<63 - 1))
	}
	d.bad = true
	return 0
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// encode writes subjects for seeScript: number of keys, keys, arguments.
func (s *Store) encode(e *encoder, at int64, tenant string, subjects []fingerprint.Subject) []any {
	e.buf, e.members, e.keys, e.count = append(e.buf[:0], 0xdc, 0, 0), e.members[:0], e.keys[:0], 0
	e.int(at)
	e.int(int64(s.o.Cap))
	var room [64]byte
	home := s.home(room[:0], tenant)
	var ends [fingerprint.MaxSubjects]int
	for i := range subjects {
		sub := &subjects[i]
		e.int(flag(sub.Dated))
		e.int(sub.Keep.Milliseconds())
		e.int(int64(sub.N))
		for _, j := range order(sub) {
			set := &sub.Sets[j]
			e.int(int64(set.Dim))
			e.int(flag(set.Member != 0))
			if set.Member != 0 {
				e.members = binary.BigEndian.AppendUint64(e.members, set.Member)
			}
		}
		e.keys = s.appendKey(e.keys, home, &sub.Key)
		ends[i] = len(e.keys)
	}
	binary.BigEndian.PutUint16(e.buf[1:], uint16(e.count))
	e.args = append(e.args[:0], len(subjects))
	text, from := string(e.keys), 0
	for _, end := range ends[:len(subjects)] {
		e.args = append(e.args, text[from:end])
		from = end
	}
	return append(e.args, string(e.buf), string(e.members))
}

// order lists a subject's sets by ascending dimension.
func order(sub *fingerprint.Subject) []int {
	var room [fingerprint.MaxSets]int
	list := room[:sub.N]
	for i := range list {
		list[i] = i
		for j := i; j > 0 && sub.Sets[list[j]].Dim < sub.Sets[list[j-1]].Dim; j-- {
			list[j], list[j-1] = list[j-1], list[j]
		}
	}
	return list
}

// home appends what all keys of a tenant begin with: a hash tag, which all of them share and so one slot. The keys
// depend on the tenant already; two characters spread tenants over 4096 slots.
func (s *Store) home(b []byte, tenant string) []byte {
	if s.o.Spread {
		return append(append(b, s.o.Prefix...), ':')
	}
	b = append(append(b, '{'), s.o.Prefix...)
	if tenant != "" {
		sum := sha256.Sum256([]byte(tenant))
		var two [4]byte
		base64.RawURLEncoding.Encode(two[:], sum[:3])
		b = append(b, two[:2]...)
	}
	return append(b, '}', ':')
}

func (s *Store) appendKey(b, home []byte, k *fingerprint.Key) []byte {
	b = append(b, home...)
	if s.o.Spread {
		b = append(b, '{')
	}
	b = base64.RawURLEncoding.AppendEncode(b, k[:])
	if s.o.Spread {
		b = append(b, '}')
	}
	return b
}

// See implements fingerprint.Store.
func (s *Store) See(ctx context.Context, b *fingerprint.Batch) error {
	if err := b.Check(); err != nil {
		return err
	}
	at := b.At
	if at == 0 && s.o.InsecureNow != nil {
		at = s.o.InsecureNow().UnixMilli()
	}
	if !s.o.Spread || len(b.Subjects) < 2 {
		now, err := s.see(ctx, at, b.Tenant, b.Subjects)
		b.Now = now
		return err
	}
	var wg sync.WaitGroup
	errs, nows := make([]error, len(b.Subjects)), make([]int64, len(b.Subjects))
	for i := range b.Subjects {
		wg.Go(func() { nows[i], errs[i] = s.see(ctx, at, b.Tenant, b.Subjects[i:i+1]) })
	}
	wg.Wait()
	b.Now = nows[0]
	return errors.Join(errs...)
}

var errReply = errors.New("fingerprintredis: Redis answered what no script of this version does")

func (s *Store) see(ctx context.Context, at int64, tenant string, subjects []fingerprint.Subject) (int64, error) {
	if len(subjects) == 0 {
		return at, nil
	}
	e, _ := encoders.Get().(*encoder)
	answer, err := s.send.run(ctx, seeScript, s.encode(e, at, tenant, subjects))
	if err != nil {
		return 0, fmt.Errorf("fingerprintredis: %w", err) // the encoder may still be in use
	}
	encoders.Put(e)
	text, ok := answer.(string)
	if !ok {
		return 0, errReply
	}
	list, n := decoder{rest: text}, 0
	want := list.length()
	read := func() int64 {
		n++
		return list.int()
	}
	now := read()
	for i := range subjects {
		sub := &subjects[i]
		sub.First, sub.Last = 0, 0
		if sub.Dated {
			sub.First, sub.Last = read(), read()
		}
		for _, j := range order(sub) {
			set := &sub.Sets[j]
			set.Counts = [3]int32{int32(read()), int32(read()), int32(read())}
			set.Full = read() >= int64(s.o.Cap)
		}
	}
	if list.bad || n != want || list.rest != "" {
		return 0, errReply
	}
	return now, nil
}

// Forget implements fingerprint.Store.
func (s *Store) Forget(ctx context.Context, tenant string, keys []fingerprint.Key) error {
	if len(keys) == 0 {
		return nil
	}
	home := s.home(nil, tenant)
	step := len(keys)
	if s.o.Spread {
		step = 1 // each is in a slot of its own
	}
	for ; len(keys) > 0; keys = keys[min(step, len(keys)):] {
		args := []any{"unlink"}
		for i := range keys[:min(step, len(keys))] {
			args = append(args, string(s.appendKey(nil, home, &keys[i])))
		}
		if _, err := s.send.do(ctx, args); err != nil {
			return fmt.Errorf("fingerprintredis: forgetting: %w", err)
		}
	}
	return nil
}
