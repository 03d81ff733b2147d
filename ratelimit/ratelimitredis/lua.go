package ratelimitredis

import (
	"crypto/sha1"
	"encoding/hex"
)

// script is a Lua script and the name Redis knows it by.
type script struct {
	text string
	sha  any // a string, as an argument
}

func newScript(text string) *script {
	sum := sha1.Sum([]byte(text)) // Redis names scripts by SHA-1; nothing secret depends on it
	return &script{text, hex.EncodeToString(sum[:])}
}

// The scripts. Each is given the keys of a batch, buckets first, and packed numbers (see [encoder]): the time to judge by
// or 0, the number of buckets, milliseconds added to each time to live, a word of the script's own, then five numbers a
// bucket; and, looked at only when a source has a record or is given one, the ladder's nine and two a source. Each
// answers with integers: the time, a level, and what [answer] reads. Each writes only when everything has been judged, so
// that an error leaves nothing half done.
var (
	decideScript = newScript(luaHead + luaJudge + luaSources + luaDecide + luaTail)
	adjustScript = newScript(luaHead + `local needed=true` + luaSources + luaAdjust + luaTail)
	// reserveScript is decideScript for a single bucket; it also answers what was stored, and undoScript takes the
	// charge back: to the letter when nobody else has charged since. It is given what was written, the charge, and what
	// to restore.
	reserveScript = newScript(luaHead + luaJudge + luaSources + luaDecide + `out[4]=tonumber(v[1] or 0) or 0` + luaTail)
	undoScript    = newScript(luaHead + luaUndo)
	forgetScript  = newScript(`redis.call('DEL',unpack(KEYS))` + luaNow + `return {now,1}`)
	// probeScript does what a decision needs, on a key of its own: it reads the time and writes an expiring key.
	probeScript = newScript(`redis.call('PSETEX',KEYS[1],1000,'1')` + luaNow + `return {now,1}`)
)

const luaNow = `
local t=redis.call('TIME')
local now=t[1]*1000000+t[2]
`

// MGET answers nil, not an error, for a key of another type; PSETEX then replaces it.
const luaHead = `
local call=redis.call
local a={struct.unpack(ARGV[2],ARGV[1])}
local v=call('MGET',unpack(KEYS))
local now=a[1]
if now==0 then
 local t=call('TIME')
 now=t[1]*1000000+t[2]
end
local nb,extra=a[2],a[3]
local n=#KEYS
local out={now,1}
`

// An offence record is at, score and, after a ban, its end and the number of bans. In src it is {score, at, end, bans,
// to be written}. What does not look like one is as good as none: the next offence replaces it.
const luaSources = `
local src,q,half,slowAt,chalAt,banAt,max,slow,ban,maxBan,rep
local look,offend
if needed and n>nb then
 src={}
 q={struct.unpack(ARGV[3],ARGV[1],a[#a])}
 half,slowAt,chalAt,banAt,max,slow,ban,maxBan,rep=unpack(q,1,9)
 local p=8-2*nb
 for i=nb+1,n do
  local s=v[i]
  if s and (#s==12 or #s==21) then
   local at,score,til,bans
   if #s==12 then
    at,score=struct.unpack('<dI4',s)
    til,bans=0,0
   else
    at,score,til,bans=struct.unpack('<dI4dB',s)
   end
   if at>0 and at<2^53 and til>=0 and til<2^53 and math.max(at,til)+10*half>now then
    local set=false
    if at>now then
     at=now
     set=true
    end
    if til>now+maxBan then
     til=now+maxBan
     set=true
    end
    src[i]={math.min(score,max),math.floor(at),math.floor(til),bans,set}
   end
  end
 end
 look=function(i)
  local r=src[i]
  local f=r[1]
  if f>0 and now>r[2] then f=math.floor(f*2^((r[2]-now)/half)) end
  local most=q[p+2*i+1]
  if now<r[3] and most==5 then return f,5,r[3] end
  if f>=chalAt and most>=3 then return f,3,0 end
  if r[1]>=slowAt and now<r[2]+slow then return f,2,r[2]+slow end
  return f,1,0
 end
 offend=function(i,w)
  local r=src[i]
  if not r then
   r={0,now,0,0,true}
   src[i]=r
  end
  local f=math.min(look(i)+math.ceil(w*q[p+2*i]/1000),max)
  r[1],r[2],r[5]=f,now,true
  if f>=banAt and q[p+2*i+1]==5 and now>=r[3] then
   r[3]=now+math.min(ban*2^math.min(r[4]+math.floor((f-banAt)/banAt),40),maxBan)
   r[4]=math.min(r[4]+1,255)
  end
 end
end
`

// luaJudge judges the buckets. The word is 1 when the script may write, plus 2 when a challenge was passed. A bucket is
// unit, tau, mode, the level it causes when exceeded, and weight; see [encoder]. The answer holds the debts before
// anything was charged.
const luaJudge = `
local live,challenged=a[4]%2==1,a[4]>1
local level,weight=1,0
local mend
local j=4
for i=1,nb do
 local d,s=0,v[i]
 local unit,tau=a[j+1],a[j+2]
 if s then
  local tat=tonumber(s)
  if tat and tat>now then
   d=tat-now
   local most=tau
   if a[j+3]>1 then most=2*tau end
   if d>most then
    d=most
    if not mend then mend={} end
    mend[i]=true
   end
  end
 end
 out[i+2]=d
 if d+unit>tau then
  local l=a[j+4]
  if l>0 then
   if l>level then level=l end
   if a[j+5]>weight then weight=a[j+5] end
  end
 end
 j=j+5
end
local needed=level>2
for i=nb+1,n do
 if v[i] then needed=true end
end
`

// luaDecide adds what the sources say, and writes.
const luaDecide = `
local banned=false
if src then
 local worst=1
 for i=nb+1,n do
  if src[i] then
   local _,l=look(i)
   if l==5 then banned=true elseif l>worst and not challenged then worst=l end
  end
 end
 if worst==3 and rep>weight then weight=rep end
 if worst>level then level=worst end
end
if live then
 local all=level==1 and not banned
 local refused=level>2 and not banned
 j=4
 for i=1,nb do
  local unit,mode,d=a[j+1],a[j+3],out[i+2]
  local new
  if unit>0 and (all and (mode==1 or mode==2) or refused and mode==2 and d+unit>a[j+2]) then
   local most=a[j+2]
   if mode==2 then most=2*most end
   new=d+unit
   if new>most then new=most end
  elseif mend and mend[i] then
   new=d
  end
  if new then
   local up=new+999
   call('PSETEX',KEYS[i],(up-up%1000)/1000+extra,now+new)
  end
  j=j+5
 end
 if src and refused and weight>0 then
  for i=nb+1,n do
   offend(i,weight)
   local _,l=look(i)
   if l==5 then level=6 end
  end
 end
end
if banned then level=5 end
out[2]=level
`

// luaAdjust's word is the offence to add, or to take back when negative. A bucket's unit is negative in a refund.
const luaAdjust = `
local live=true
local w=a[4]
local j=4
for i=1,nb do
 local unit,most=a[j+1],a[j+2]
 if a[j+3]>1 then most=2*most end
 local d,tat=0,tonumber(v[i] or 0)
 if tat and tat>now then d=math.min(tat-now,most) end
 if unit>0 or d>0 then
  d=math.max(0,math.min(d+unit,most))
  local px=math.ceil(d/1000)+extra
  if px>0 then call('PSETEX',KEYS[i],px,now+d) else call('DEL',KEYS[i]) end
 end
 j=j+5
end
for i=nb+1,n do
 if w>0 then
  offend(i,w)
 elseif w<0 and src[i] and src[i][1]>0 then
  local r=src[i]
  r[1]=r[1]-math.ceil(math.min(math.ceil(-w*q[8-2*nb+2*i]/1000)*2^((now-r[2])/half),r[1]))
  r[5]=true
 end
end
`

const luaUndo = `
local tat=tonumber(v[1] or 0)
local new
if tat==a[5] then new=a[7] elseif tat and tat>now then new=math.max(now,tat-a[6]) end
if new then
 local px=math.ceil(math.max(new-now,0)/1000)+extra
 if new>0 and px>0 then call('PSETEX',KEYS[1],px,new) else call('DEL',KEYS[1]) end
end
return out
`

// luaTail writes the records that have changed and appends to the answer, for each source that has one: its number,
// score, level and end.
const luaTail = `
if src then
 for i=nb+1,n do
  local r=src[i]
  if r then
   if r[5] and live then
    local s
    if r[3]>0 then s=struct.pack('<dI4dB',r[2],r[1],r[3],r[4]) else s=struct.pack('<dI4',r[2],r[1]) end
    call('PSETEX',KEYS[i],math.ceil((math.max(r[2],r[3])+10*half-now)/1000)+extra,s)
   end
   local f,l,til=look(i)
   if f>0 or l>1 then
    local k=#out
    out[k+1],out[k+2],out[k+3],out[k+4]=i-nb,f,l,til
   end
  end
 end
end
return out
`
