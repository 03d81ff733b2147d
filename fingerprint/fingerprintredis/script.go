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

// How a script comes to the time.
const (
	timeAsked = iota // of Redis's clock
	timeGiven        // by the caller: it may stand still, and moves each expiry
	timeKnown        // of Redis's clock, asked a moment ago
)

// exact is for how long, in milliseconds, it is known exactly when a thing was first seen if that is taken over from its
// kin: two of the shortest epochs that sightings take. Later only the day is: a moment would tell which records of epochs
// long past were of the same device.
const exact = 16 * day

// isKin is added to the length of a time to live.
const isKin = 128

// newSee returns the script that writes a visit of the subjects KEYS. Their values stay below limit, in bytes; most is the
// cap. ARGV[1] is all the rest in one text, since each argument costs time: how to come to the time; the time, as it is
// stored, and the beginning of its slack, if they are not asked for; how many of the last subjects are kin that is only
// looked at; then for each subject the length of its time to live as a text, with isKin; the length of what is added to it
// (0: it is only looked at); that, with the time, or room for it, at its end; and its time to live in milliseconds. It
// answers in one text too: for each subject the length of its value before, plus one, in two bytes (0: none, or not looked
// at) and that; and the time. A value that is none of ours is as good as none, or else the process that reads it says so.
//
// Kin that is written takes over when others of it were first seen. So kin that is only looked at need not be, unless one
// that is written is new. What is appended to takes up to twice its length, so only the shorter half of values is.
func newSee(limit, most int) *redisend.Script {
	return redisend.NewScript(strings.NewReplacer(
		"LIMIT", strconv.Itoa(limit), "HALF", strconv.Itoa(limit/2), "CAP", strconv.Itoa(most), "SLACK", strconv.Itoa(slack),
		"KIN", strconv.Itoa(isKin), "ASKED", strconv.Itoa(timeAsked), "GIVEN", strconv.Itoa(timeGiven), "PACK", packing,
		"OLD", strconv.Itoa(exact), "DAY", strconv.Itoa(day),
		"GONE", "#s<14 or #s>16384 or given and up('>I6',s,#s-5)+string.sub(text,p-keep,p-1)-"+strconv.Itoa(slack)+"<=up('>I6',stamp)",
	).Replace(`
local call,up,K,text=redis.call,struct.unpack,KEYS,ARGV[1]
local how,stamp,since,m,p=up('>Bc6I6B',text)
m=#K-m
local values=call('MGET',unpack(K,1,m))
local asked,given,odd,first=how==ASKED,how==GIVEN
if asked then
 local t=call('TIME')
 local at=t[1]*1000+t[2]/1000
 stamp,since=struct.pack('>I6',at),at-at%SLACK
end
local start=p
for k=1,m do
 local s,keep,add=values[k]
 keep,add,p=up('BBc0',text,p)
 local kin=keep>=KIN
 if kin then keep=keep-KIN end
 p=p+keep
 if s and (GONE) then
  s=false
  values[k]=false
 elseif s and given and up('>I6',s,2)>up('>I6',stamp) then
  s='\1'..stamp..string.sub(s,8)
 end
 if kin then
  local f=s and up('>I6',s,2)
  odd=odd or not f or first and first~=f
  first=f
 end
 if add~='' then
  if asked then add=string.sub(add,1,-7)..stamp end
  if s and not given and #s+#add<=HALF and up('>I6',s,#s-5)>=since then
   call('APPEND',K[k],add)
  else
   if not s then
    s='\1'..stamp..add
   elseif #s+#add<=LIMIT then
    s=s..add
   else PACK
    s=(pack(s,up('>I6',stamp)-604800000,CAP) or '\1'..stamp)..add
   end
   call('PSETEX',K[k],string.sub(text,p-keep,p-1),s)
  end
 end
end
-- Kin that is new, or first seen at different times.
if odd then
 if m<#K then
  local more=call('MGET',unpack(K,m+1))
  for k=m+1,#K do values[k]=more[k-m] end
 end
 local now,of=up('>I6',stamp),{}
 first,p=now,start
 for k=1,#K do
  local s,keep,add=values[k]
  keep,add,p=up('BBc0',text,p)
  local kin=keep>=KIN
  if kin then keep=keep-KIN end
  p=p+keep
  if kin then
   local f=now
   if s and (GONE) then values[k]=false
   elseif s and string.byte(s)==1 then f=math.min(now,(up('>I6',s,2))) end
   if add~='' then of[k]=f end
   first=math.min(first,f)
  end
 end
 if now-first>OLD then first=first-first%DAY end
 for k,f in pairs(of) do
  if f>first then call('SETRANGE',K[k],1,struct.pack('>I6',first)) end
 end
end
for k=1,#K do
 local s=values[k]
 values[k]=s and struct.pack('>I2',#s+1)..s or '\0\0'
end
values[#K+1]=stamp
return table.concat(values)
`))
}

// newUndo returns the script that takes members out of the subjects KEYS. ARGV has for each when it was seen, as it is
// stored, and what is taken out if it was last seen then, in the form in which it was added.
func newUndo(most int) *redisend.Script {
	return redisend.NewScript(strings.NewReplacer("CAP", strconv.Itoa(most), "PACK", packing).Replace(`
PACK
for k=1,#KEYS do
 local s,at,g=redis.call('MGET',KEYS[k])[1],struct.unpack('>I6',ARGV[2*k-1]),ARGV[2*k]
 if s and string.byte(s)==1 and #s>=14 and #s<=16384 then
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
 local byte,sub=string.byte,string.sub
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
