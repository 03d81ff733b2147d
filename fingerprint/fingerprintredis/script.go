package fingerprintredis

import (
	"strconv"
	"strings"

	"github.com/vestibule-go/vestibule/internal/redisend"
)

// A subject is one string: a byte with the version, when it was first seen, and then what each visit has shown, the
// latest last: one byte whose bits say in which dimensions it has a member, six bytes for each member by ascending
// dimension, and six of the time in milliseconds since 1970. So a visit is written by adding a few bytes to what is
// there, and counted by the process that reads the answer: Redis has the least possible to do. When a subject would
// become longer than its limit it is packed: of each member only the latest time is kept, for a week, and of each
// dimension only as many members as the cap allows.
//
// Sorted sets, one for each dimension, would take six calls each: BenchmarkForms measures both.
const (
	version = 1
	// mostValue is the longest value that is read: a value of ours is at most half as long.
	mostValue = 16 << 10
)

// slack is how much longer than asked for a subject is kept, in milliseconds. Only its first visit within each slack of
// Redis's clock moves its expiry.
const slack = hour

// newSee returns the script that writes a visit of the subjects KEYS. Their values stay below limit, in bytes; most is the
// cap. ARGV[1] is, in one text since each argument costs time: 0 for Redis's time, or 1 and the time as it is stored;
// then for each subject the place of its time to live, in milliseconds, among the other ARGV, the length of what is added
// to it without the time (0: it is only looked at), and that. It answers with the values as they were before, and the
// time. A value that is none of ours is as good as none.
//
// What is appended to takes up to twice its length, so only the shorter half of values is. A time that is given may stand
// still, and moves the expiry each time.
func newSee(limit, most int) *redisend.Script {
	return redisend.NewScript(strings.NewReplacer(
		"LIMIT", strconv.Itoa(limit), "HALF", strconv.Itoa(limit/2), "CAP", strconv.Itoa(most), "SLACK", strconv.Itoa(slack), "PACK", packing,
	).Replace(`
local call,byte,up,K,A=redis.call,string.byte,struct.unpack,KEYS,ARGV
local values=call('MGET',unpack(K))
local text,p=A[1],2
local stamp,now,since
if byte(text)==0 then
 local t=call('TIME')
 local at=t[1]*1000+t[2]/1000
 stamp,since=struct.pack('>I6',at),at-at%SLACK
else
 stamp,p=string.sub(text,2,7),8
 now=up('>I6',stamp)
end
for k=1,#K do
 local s,keep,g,last=values[k]
 keep,g,p=up('BBc0',text,p)
 if s then
  if byte(s)==1 and #s>=14 and #s<=16384 then last=up('>I6',s,#s-5) end
  if not last or now and last+A[keep]-SLACK<=now then
   s=false
   values[k]=false
  end
 end
 if g~='' then
  local n=s and #s+#g+6
  if n and since and last>=since and n<=HALF then
   call('APPEND',K[k],g..stamp)
  else
   if not s then
    s='\1'..stamp..g..stamp
   elseif n<=LIMIT then
    s=s..g..stamp
   else PACK
    s=(pack(s,up('>I6',stamp)-604800000,CAP) or '\1'..stamp)..g..stamp
   end
   call('SET',K[k],s,'PX',A[keep])
  end
 end
end
values[#K+1]=stamp
return values
`))
}

// newUndo returns the script that takes members out of the subjects KEYS. ARGV has for each when it was seen, as it is
// stored, and what is taken out if it was last seen then, in the form in which it was added.
func newUndo(most int) *redisend.Script {
	return redisend.NewScript(strings.NewReplacer("CAP", strconv.Itoa(most), "PACK", packing).Replace(`
local byte=string.byte
PACK
for k=1,#KEYS do
 local s,at,g=redis.call('MGET',KEYS[k])[1],struct.unpack('>I6',ARGV[2*k-1]),ARGV[2*k]
 if s and byte(s)==1 and #s>=14 and #s<=16384 then
  s=pack(s,at-604800000,CAP,g,at)
  if s then redis.call('SET',KEYS[k],s,'KEEPTTL') end
 end
end
return 1
`))
}

// packing defines pack, which keeps of the value s the members seen after old, at most cap of each dimension, without
// those of gone that were last seen at at. It returns nil for a value that is none of ours.
const packing = `
local function pack(s,old,cap,gone,at)
 local sub=string.sub
 local latest={{},{},{},{},{}}
 local function members(s,p,f)
  local m=byte(s,p)
  p=p+1
  if m>=32 then return end
  for d=1,5 do
   if m%2==1 then
    f(d,p)
    p=p+6
   end
   m=(m-m%2)/2
  end
  return p
 end
 local p,n,first,last=8,#s,struct.unpack('>I6',s,2),0
 while p<=n do
  local g=p
  p=members(s,g,function() end)
  if not p or p+5>n then return end
  local t=struct.unpack('>I6',s,p)
  if t<first then first=t end
  if t>last then last=t end
  if t>old then
   members(s,g,function(d,q)
    local id=sub(s,q,q+5)
    if t>(latest[d][id] or 0) then latest[d][id]=t end
   end)
  end
  p=p+6
 end
 if gone and gone~='' then
  members(gone,1,function(d,q)
   local id=sub(gone,q,q+5)
   if latest[d][id]==at then latest[d][id]=nil end
  end)
 end
 local list={}
 for d=1,5 do
  local one={}
  for id,t in pairs(latest[d]) do one[#one+1]={t,d,id} end
  table.sort(one,function(a,b) return a[1]>b[1] or a[1]==b[1] and a[3]>b[3] end)
  for i=1,math.min(#one,cap) do list[#list+1]=one[i] end
 end
 table.sort(list,function(a,b)
  if a[1]~=b[1] then return a[1]<b[1] end
  if a[2]~=b[2] then return a[2]<b[2] end
  return a[3]<b[3]
 end)
 local out={sub(s,1,1)..struct.pack('>I6',first)}
 local i=1
 while i<=#list do
  local t,d,mask,ids=list[i][1],0,0,''
  while i<=#list and list[i][1]==t and list[i][2]>d do
   d=list[i][2]
   mask=mask+2^(d-1)
   ids=ids..list[i][3]
   i=i+1
  end
  out[#out+1]=string.char(mask)..ids..struct.pack('>I6',t)
 end
 if #list==0 or list[#list][1]<last then out[#out+1]='\0'..struct.pack('>I6',last) end
 return table.concat(out)
end`
