package ratelimitredis

import "github.com/vestibule-go/vestibule/internal/redisend"

// The scripts. Each is given the keys of a batch, buckets first, and packed numbers (see [encoder]). Each answers with
// packed doubles: the time, a level, and what [answer] reads. Each writes only when everything has been judged, so that
// an error leaves nothing half done.
//
// What a script costs is calls of Redis, numbers turned into text, and tables, in this order; hence their form. A bucket
// whose charge leaves its expiry alone takes one INCRBY, another one SET.
var (
	decideScript = redisend.NewScript(luaHead + luaJudge + luaSources + luaDecide + luaTail)
	adjustScript = redisend.NewScript(luaHead + `local needed,live,out=true,true,struct.pack('<dd',now,1)` + luaSources + luaAdjust + luaTail)
	// reserveScript is decideScript for a single bucket; it also answers what was stored, and undoScript takes the
	// charge back: to the letter when nobody else has charged since. It is given what was written, the charge, and what
	// to restore.
	reserveScript = redisend.NewScript(luaHead + `local stored=num(v[1] or 0) or 0 if not (stored>0 and stored<2^53) then stored=0 end` +
		luaJudge + luaSources + luaDecide + `out=out..struct.pack('<d',stored)` + luaTail)
	undoScript   = redisend.NewScript(luaHead + luaUndo)
	forgetScript = redisend.NewScript(`redis.call('DEL',unpack(KEYS))` + luaNow)
	// probeScript does what a decision needs, on a key of its own: it reads the time and writes an expiring key.
	probeScript = redisend.NewScript(`redis.call('SET',KEYS[1],'1','PX','1000')` + luaNow)
)

const luaNow = `
local t=redis.call('TIME')
return struct.pack('<dd',t[1]*1000000+t[2],1)
`

// MGET answers nil, not an error, for a key of another type; SET then replaces it. The head is the time to judge by or 0,
// milliseconds added to each time to live, a word of the script's own, and the number of buckets. With sources follow the
// ladder's nine and two a source, looked at only when one has a record or is given one; then, from p on, the buckets.
const luaHead = `
local call,K,A,up,num=redis.call,KEYS,ARGV[1],struct.unpack,tonumber
local v=call('MGET',unpack(K))
local at,extra,word,nb=up('<dddd',A)
local now=at
if at==0 then
 local t=call('TIME')
 now=t[1]*1000000+t[2]
end
local n,p=#K,33
if n>nb then p=105+16*(n-nb) end
local mark,text
`

// luaSet makes the debt of bucket k d. What says something until tat expires a second after the first mark after it, and
// marks lie 256 s apart: a charge that does not move tat past its mark need not move the expiry. Everything that writes a
// bucket keeps to that. The second is for what passes between TIME and the moment that Redis counts PX from; PXAT would
// be exact, but Redis 6.0 does not know it. Judged by a simulated time, which may stand still, it expires so long after by
// Redis's own clock.
const luaSet = `
local tat=now+d
if at==0 then
 local m=tat-tat%256000000+256000000
 if m~=mark then
  mark=m
  text=string.format('%d',(m-now)/1000+1000)
 end
 call('SET',k,string.format('%d',tat),'PX',text)
else
 call('SET',k,string.format('%d',tat),'PX',string.format('%d',(math.max(d,0)+999)/1000+extra))
end
`

// luaJudge judges the buckets. The word is 1 when the script may write, plus 2 when a challenge was passed, plus 4 when
// some bucket is not simply charged. A bucket is unit, tau, the unit as text, mode, the level it causes when exceeded,
// and weight; see [encoder]. v becomes the debts before anything was charged, w[i] the debt after a charge (false: none)
// and w[nb+i] what INCRBY would have to add (false: something else must be written), and cut the debts that were out of
// bounds.
const luaJudge = `
local live,challenged,special=word%2==1,word%4>1,word>3
local level,weight=1,0
local w={0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0}
local cut
local q=p
for i=1,nb do
 local s,d,mode,plain,unit,tau,step=v[i],0,1,false
 unit,tau,step,q=up('<dds',A,q)
 local most=tau
 if special then
  mode=string.byte(A,q)
  if mode>1 then most=2*tau end
 end
 if s then
  local tat=num(s)
  if tat and tat>now then
   d=tat-now
   if d>most then
    d=most
    if not cut then cut={} end
    cut[i]=d
   else
    plain=step
   end
  end
 end
 v[i]=d
 local g=d+unit
 if g>tau then
  local l,x=up('<Bd',A,q+1)
  if l>0 then
   if l>level then level=l end
   if x>weight then weight=x end
  end
  if g>most then
   g=most
   plain=false
  end
 end
 q=q+10
 if special and (unit==0 or mode%3==0) then g=false end
 w[i],w[nb+i]=g,plain
end
local needed=level>2
for i=nb+1,n do
 if v[i] then needed=true end
end
`

// An offence record is at, score and, after a ban, its end and the number of bans. In src it is {score, at, end, bans,
// to be written}. What does not look like one is as good as none: the next offence replaces it.
const luaSources = `
local src,a,half,slowAt,chalAt,banAt,max,slow,ban,maxBan,rep
local look,offend
if needed and n>nb then
 src={}
 a={up('<'..string.rep('d',9+2*(n-nb)),A,33)}
 half,slowAt,chalAt,banAt,max,slow,ban,maxBan,rep=unpack(a,1,9)
 local o=8-2*nb
 for i=nb+1,n do
  local s=v[i]
  if s and (#s==12 or #s==21) then
   local at,score,til,bans
   if #s==12 then
    at,score=up('<dI4',s)
    til,bans=0,0
   else
    at,score,til,bans=up('<dI4dB',s)
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
  local most=a[o+2*i+1]
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
  local f=math.min(look(i)+math.ceil(w*a[o+2*i]/1000),max)
  r[1],r[2],r[5]=f,now,true
  if f>=banAt and a[o+2*i+1]==5 and now>=r[3] then
   r[3]=now+math.min(ban*2^math.min(r[4]+math.floor((f-banAt)/banAt),40),maxBan)
   r[4]=math.min(r[4]+1,255)
  end
 end
end
`

// luaDecide adds what the sources say, and writes. INCRBY is tried only on what was read as a number of our kind: where
// it does not give what was expected, not even a number perhaps, SET does.
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
 if level==1 and not banned then
  local try=redis.pcall
  for i=1,nb do
   local d,step=w[i],w[nb+i]
   if d then
    local tat=now+d
    if at==0 and step and tat%256000000>=d-v[i] and try('INCRBY',K[i],step)==tat then d=nil end
   end
   if cut and not d then d=cut[i] end
   if d then
    local k=K[i]
` + luaSet + `
   end
  end
 else
  local refused=level>2 and not banned
  q=p
  for i=1,nb do
   local unit,tau,mode,_
   unit,tau,_,mode,q=up('<ddsB',A,q)
   q=q+9
   local d=cut and cut[i]
   if refused and mode==2 and unit>0 and v[i]+unit>tau then d=w[i] end
   if d then
    local k=K[i]
` + luaSet + `
   end
  end
  if src and refused and weight>0 then
   for i=nb+1,n do
    offend(i,weight)
    local _,l=look(i)
    if l==5 then level=6 end
   end
  end
 end
end
if banned then level=5 end
local out=struct.pack(string.sub('<dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd',1,nb+3),now,level,unpack(v,1,nb))
`

// luaAdjust's word is the offence to add, or to take back when negative. A bucket's unit is negative in a refund.
const luaAdjust = `
local q=p
for i=1,nb do
 local unit,most,mode,_
 unit,most,_,mode,q=up('<ddsB',A,q)
 q=q+9
 if mode>1 then most=2*most end
 local d,tat=0,num(v[i] or 0)
 if tat and tat>now then d=math.min(tat-now,most) end
 if unit>0 or d>0 then
  d=math.max(0,math.min(d+unit,most))
  local k=K[i]
  if d>0 or at~=0 then
` + luaSet + `
  else
   call('DEL',k)
  end
 end
end
for i=nb+1,n do
 if word>0 then
  offend(i,word)
 elseif word<0 and src[i] and src[i][1]>0 then
  local r=src[i]
  r[1]=r[1]-math.ceil(math.min(math.ceil(-word*a[8-2*nb+2*i]/1000)*2^((now-r[2])/half),r[1]))
  r[5]=true
 end
end
`

const luaUndo = `
local written,charge,old=up('<ddd',A,33)
local tat=num(v[1] or 0)
local new
if tat==written then new=old elseif tat and tat>now then new=tat-charge end
if new then
 local k,d=K[1],new-now
 if d>0 or at~=0 and new>0 then
` + luaSet + `
 else
  call('DEL',k)
 end
end
return struct.pack('<dd',now,1)
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
    call('SET',K[i],s,'PX',string.format('%d',math.ceil((math.max(r[2],r[3])+10*half-now)/1000)+extra))
   end
   local f,l,til=look(i)
   if f>0 or l>1 then out=out..struct.pack('<dddd',i-nb,f,l,til) end
  end
 end
end
return out
`
