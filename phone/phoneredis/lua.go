package phoneredis

import "github.com/vestibule-go/vestibule/internal/redisend"

func newScript(body string) *redisend.Script { return redisend.NewScript(library + body) }

// library is what all scripts share: the clock, counters in twelfths of a window, tallies of routes.
const library = `
local A=cjson.decode(ARGV[1])
local now=A.now
if now==0 then local t=redis.call('TIME'); now=tonumber(t[1])*1000+math.floor(tonumber(t[2])/1000) end
local function S(n) return string.format('%.0f',n) end
local function live(k,ttl) redis.call('PEXPIRE',k,S(math.max(1,ttl))) end
local function sum(k,w)
  local part=math.ceil(w/12); local real=math.floor(now/part)
  local h=redis.call('HGETALL',k)
  local cur=real
  for i=1,#h,2 do cur=math.max(cur,tonumber(h[i])) end
  local s,first=0,nil
  for i=1,#h,2 do
    local ix,n=tonumber(h[i]),tonumber(h[i+1])
    if n~=0 and ix>=cur-12 then s=s+n; if not first or ix<first then first=ix end end
  end
  return s, first and math.min(first+13-real,13)*part-now%part or 0
end
local function charge(k,w,n)
  local part=math.ceil(w/12); local cur=math.floor(now/part)
  local all=redis.call('HKEYS',k)
  for _,f in ipairs(all) do cur=math.max(cur,tonumber(f)) end
  for _,f in ipairs(all) do if tonumber(f)<cur-12 then redis.call('HDEL',k,f) end end
  redis.call('HINCRBY',k,S(cur),S(n))
  live(k,(cur+13)*part-now)
end
local function adjust(k,w,n,at)
  local part=math.ceil(w/12); local ix=math.floor(at/part)
  local v=redis.call('HGET',k,S(ix))
  if v and ix>=math.floor(now/part)-12 then redis.call('HSET',k,S(ix),S(math.max(0,tonumber(v)+n))) end
end
local DAY=86400000
local function count(k,at,f,n)
  local d=math.floor(at/DAY); local slot=math.floor((at%DAY)/600000)
  if n<0 and tonumber(redis.call('HGET',k..':'..S(d),f) or '0')+n<0 then return end
  redis.call('HINCRBY',k..':'..S(d),f,S(n))
  redis.call('HINCRBY',k..':'..S(d),S(slot)..f,S(n))
  live(k..':'..S(d),9*DAY)
end
local function pause(n,t)
  if n==0 then return 0 end
  local d=A.cool[math.min(n,#A.cool)]
  return math.max(0,math.min(t+d-now,d))
end
local function past(at) return tonumber(at)<=now+30000 end
`

var issueScript = newScript(`
local rec=redis.call('HMGET',KEYS[1],'f','r','s','m','l','n','e','i')
local alive=rec[7] and now<tonumber(rec[7]) and rec[1]==A.flow and past(rec[8])
local pn,pt=0,0
local p=redis.call('HMGET',KEYS[2],'n','t')
if p[1] and now<tonumber(p[2])+3600000 then pn,pt=tonumber(p[1]),tonumber(p[2]) end
local function answered()
  if A.req=='' then return rec[2] or '' end
  return string.sub(rec[2]..A.req..' ',-16*(#A.req+1))
end
local function keep(seed,mac)
  redis.call('DEL',KEYS[1])
  redis.call('HSET',KEYS[1],'f',A.flow,'r',A.req~='' and A.req..' ' or '','s',seed,'m',mac,'l',A.tries,'n',1,'c',A.ch,'i',S(now),'e',S(now+A.ttl))
  live(KEYS[1],A.ttl)
end
local function begin()
  pn=pn+1
  redis.call('HSET',KEYS[2],'n',pn,'t',S(now))
  live(KEYS[2],3600000)
  return pause(pn,now)
end
local function refuse(outcome,wait,i)
  if A.decoy=='' then return {outcome,wait,i,now,0,0,'',''} end
  wait=begin()
  if alive and tonumber(rec[5])>0 and (rec[3]~='' or tonumber(rec[6])<A.sends and tonumber(rec[7])-now>=A.fresh) then
    if rec[3]=='' then redis.call('HINCRBY',KEYS[1],'n',1) end
    redis.call('HSET',KEYS[1],'r',answered())
    return {outcome,wait,i,now,tonumber(rec[7]),0,'',''}
  end
  if rec[7] and now<tonumber(rec[7]) and rec[1]~=A.flow and rec[3]~='' and past(rec[8]) then return {outcome,wait,i,now,0,0,'',''} end
  keep('',A.decoy)
  return {outcome,wait,i,now,now+A.ttl,0,'',''}
end
if alive and A.req~='' and string.find(rec[2],A.req,1,true) then
  return {3,pause(pn,pt),0,now,tonumber(rec[7]),tonumber(rec[6]),rec[3],rec[4]}
end
local k=2
for i,f in ipairs(A.f) do
  local s,w=sum(KEYS[k+i],f[1])
  if s>=f[2] then return {6,w,i-1,now,0,0,'',''} end
end
k=k+#A.f
local wait=pause(pn,pt)
if wait>0 then return {4,wait,0,now,0,0,'',''} end
if A.hold then return refuse(7,0,0) end
for i,q in ipairs(A.q) do
  local s,w=sum(KEYS[k+i],q[1])
  if s+q[3]>q[2] then return refuse(5,w,i-1) end
end
for i,q in ipairs(A.q) do charge(KEYS[k+i],q[1],q[3]) end
k=k+#A.q
local after=begin()
if alive and rec[3]~='' and tonumber(rec[5])>0 and tonumber(rec[6])<A.sends and tonumber(rec[7])-now>=A.fresh then
  redis.call('HSET',KEYS[1],'n',tonumber(rec[6])+1,'r',answered(),'c',A.ch)
  return {2,after,0,now,tonumber(rec[7]),tonumber(rec[6])+1,rec[3],rec[4]}
end
keep(A.seed,A.mac)
for i=1,A.nr do count(KEYS[k+i],now,'s',1) end
return {1,after,0,now,now+A.ttl,1,A.seed,A.mac}
`)

var settleScript = newScript(`
local k=2
for i,q in ipairs(A.q) do adjust(KEYS[k+i],q[1],q[2],A.at) end
k=k+#A.q
for i=1,A.nr do count(KEYS[k+i],A.at,'s',-1) end
if A.ref~='' and redis.call('HGET',KEYS[1],'f')==A.flow then redis.call('HSET',KEYS[1],'h',A.ref) end
if A.routes~='' then redis.call('SET',KEYS[2],S(A.at)..' '..A.routes,'PX',172800000) end
return {1}
`)

var checkScript = newScript(`
local rec=redis.call('HMGET',KEYS[1],'f','m','l','c','i','e','h')
local alive=rec[6] and now<tonumber(rec[6]) and rec[1]==A.flow and past(rec[5])
local nf=#A.f
local function grant()
  local g=redis.call('HMGET',KEYS[2],'w','e')
  local w='0'
  if g[2] and now<tonumber(g[2]) and g[1] then w=g[1] end
  redis.call('HSET',KEYS[2],'c',rec[4],'a',S(now),'w',w,'e',S(now+A.gttl))
  live(KEYS[2],A.gttl)
  redis.call('DEL',KEYS[1])
  local k=2+nf
  for ch=1,3 do
    for i=1,A.nr[ch] do if tonumber(rec[4])==ch then count(KEYS[k+i],tonumber(rec[5]),'c',1) end end
    k=k+A.nr[ch]
  end
end
if A.mode==2 then
  if not alive or rec[7]~=A.ref then return {4,now,0,0,''} end
  for i,f in ipairs(A.f) do adjust(KEYS[2+i],f[1],-1,A.at) end
  grant()
  return {1,now,tonumber(rec[3]),tonumber(rec[4]),''}
end
for i,f in ipairs(A.f) do
  local s=sum(KEYS[2+i],f[1])
  if s>=f[2] then return {3,now,0,0,''} end
end
if not alive or tonumber(rec[3])<=0 then return {4,now,0,0,''} end
local left=redis.call('HINCRBY',KEYS[1],'l',-1)
if A.mode==0 then
  for _,m in ipairs(A.macs) do
    if m==rec[2] then grant(); return {1,now,left,tonumber(rec[4]),''} end
  end
end
for i,f in ipairs(A.f) do charge(KEYS[2+i],f[1],1) end
if A.mode==1 then return {5,now,left,tonumber(rec[4]),rec[7] or ''} end
local g=redis.call('HMGET',KEYS[2],'w','e')
if g[2] and now>=tonumber(g[2]) then redis.call('DEL',KEYS[2]) end
redis.call('HINCRBY',KEYS[2],'w',1)
redis.call('HSET',KEYS[2],'e',S(now+A.gttl))
live(KEYS[2],A.gttl)
if left<=0 then redis.call('DEL',KEYS[1]) end
return {2,now,left,tonumber(rec[4]),''}
`)

var grantedScript = newScript(`
local g=redis.call('HMGET',KEYS[1],'c','a','w','e')
if not g[4] or now>=tonumber(g[4]) or g[2] and not past(g[2]) then return {0,0,0} end
return {tonumber(g[1] or '0'),tonumber(g[2] or '0'),tonumber(g[3] or '0')}
`)

var routesScript = newScript(`
local today=math.floor(now/DAY)
local out={now}
for _,k in ipairs(KEYS) do
  local h=redis.call('HMGET',k..':h','s','u','n')
  local r={tonumber(h[1] or '0'),tonumber(h[2] or '0'),tonumber(h[3] or '0')}
  local days={}
  for d=today-7,today do
    local key=k..':'..S(d)
    if d>=today-1 then
      local all=redis.call('HGETALL',key)
      if #all>0 then days[#days+1]={d,all} end
    else
      local t=redis.call('HMGET',key,'s','c','f')
      if t[1] or t[2] or t[3] then days[#days+1]={d,{'s',t[1] or '0','c',t[2] or '0','f',t[3] or '0'}} end
    end
  end
  out[#out+1]={r[1],r[2],r[3],days}
end
return out
`)

var holdScript = newScript(`
local h=redis.call('HMGET',KEYS[1]..':h','u','n')
local u,n=tonumber(h[1] or '0'),tonumber(h[2] or '0')
if A.release then
  if now<u then redis.call('HSET',KEYS[1]..':h','u',S(now)) end
  return {now}
end
if now>=u then
  if now-u>A.most then n=0 end
  local len=A.base
  for i=1,math.min(n,30) do len=math.min(2*len,A.most) end
  u=now+len
  redis.call('HSET',KEYS[1]..':h','s',S(now),'u',S(u),'n',n+1)
  live(KEYS[1]..':h',len+A.most+DAY)
end
return {u}
`)

var deliverScript = newScript(`
local m=redis.call('GET',KEYS[1])
if not m or m=='done' then return {0} end
redis.call('SET',KEYS[1],'done','KEEPTTL')
if A.failed then
  local at
  for part in string.gmatch(m,'%S+') do
    if not at then at=tonumber(part) else count(part,at,'f',1) end
  end
end
return {1}
`)

var sightScript = newScript(`
local out={}
local function see(k,member,w,most)
  redis.call('ZADD',k,S(now),member)
  redis.call('ZREMRANGEBYSCORE',k,'-inf',S(now-w))
  redis.call('ZREMRANGEBYRANK',k,0,-most-1)
  live(k,w)
end
for i,w in ipairs(A.w) do
  see(KEYS[i],A.phone,w,64)
  out[i]=redis.call('ZCARD',KEYS[i])
end
if A.bw>0 then
  local k=KEYS[#A.w+1]
  see(k,A.off,A.bw,1000)
  for _,o in ipairs(redis.call('ZRANGE',k,0,-1)) do out[#out+1]=tonumber(o) end
end
return out
`)
