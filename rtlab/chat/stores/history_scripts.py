"""What Redis does with the messages of a room: the scripts of `RedisHistory`.

What lives here: Lua, as text. Each script is run whole or not at all. What the keys are called, and what each holds,
stands in `redis_keys`; what is promised, in `rtlab.chat.delivery`.

A message is *told* when nodes may deliver it and pages may show it. Each room has one mark, the offset up to which it
is told, and only `tell` moves it: forward, over one entry of the stream after the other. So messages are told in the
order of their offsets and once, whichever node does it, and a message that was told before is not told again. What is
published names the offset told before it (``prev``): who has not delivered that one knows that something is missing.

Where replicas are waited for, a message is stored first, and told when they have it: what may still be lost in a
failover is not seen by anybody. Else both are one step.
"""

from __future__ import annotations

from rtlab.chat.stores.redis_keys import COMMON

__all__ = ["AFTER", "APPEND", "DROP", "HOLDS", "LAST", "LATE", "TAILS", "TELL"]

STREAMS = (
    COMMON
    + """
local MOST = 9007199254740992  -- 2^53: beyond that Lua's numbers are not exact
local function clock(given) if given ~= '' then return tonumber(given) end return milliseconds() end
local function following(now, last)  -- an id that nothing has yet
  local ms, number = string.match(last, '(%d+)-(%d+)')
  local id = now > tonumber(ms) and spelled(now, 0) or spelled(tonumber(ms), tonumber(number) + 1)
  redis.call('HSET', S, 'last', id)
  return id
end
local function newest(room) return redis.call('XREVRANGE', P .. 'history:room:' .. room, '+', '-', 'COUNT', 1)[1] end
local function evict(room)
  local stream = P .. 'history:room:' .. room
  local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  local size = tonumber(ARGV[1]) + #oldest[2][2]
  -- what was never told is not missed by anybody
  if not later(oldest[1], told_of(room)) then redis.call('HSET', P .. 'history:floor', room, oldest[1]) end
  redis.call('XDEL', stream, oldest[1])
  if oldest[2][4] ~= '' then redis.call('HDEL', P .. 'history:ids:' .. room, oldest[2][4]) end
  redis.call('ZINCRBY', P .. 'history:sizes', -size, room)
  return redis.call('HINCRBY', S, 'bytes', -size)
end
local function publish(channel, head, tail, id, record, before)
  if channel == '' then return end
  local data = string.sub(record, 1, -2) .. ',"offset":"' .. id .. '"}'
  redis.call('PUBLISH', channel, head .. data .. tail .. ', "prev": "' .. before .. '"}')
end
local function passed(room, id)
  redis.call('HSET', P .. 'history:told', room, id)
  if later(id, redis.call('HGET', S, 'told') or '0-0') then redis.call('HSET', S, 'told', id) end
end
local function tell(room, upto, channel, head, tail)  -- all that is not told yet, up to there
  local told, found = told_of(room), nil
  for _, entry in ipairs(redis.call('XRANGE', P .. 'history:room:' .. room, '(' .. told, upto)) do
    publish(channel, head, tail, entry[1], entry[2][2], told)
    told, found = entry[1], true
  end
  if not found then return end
  passed(room, told)
  if newest(room)[1] == told then
    redis.call('ZREM', P .. 'history:untold', room)
  else
    redis.call('ZADD', P .. 'history:untold', milliseconds(), room)
  end
end
local function visible(room, heard, last)  -- up to here it may be shown
  local told = told_of(room)
  -- a node has heard of more: that was told, and a failover has kept the message and not the mark
  if heard ~= '' and later(heard, told) and not later(heard, last) then return heard end
  return told
end
local function nothing_after(room, dropped)  -- where a page ends that is empty: what comes next is after that
  local told = told_of(room)
  local latest = newest(room)
  if latest and later(latest[1], told) then return told end
  local floor, safe = redis.call('HGET', P .. 'history:floor', room) or dropped, redis.call('HGET', S, 'told') or told
  return later(floor, safe) and floor or safe
end
"""
)
APPEND = (
    STREAMS
    + """
local _, now, room, user, key, record, per_room, most, channel, head, tail, replicas, refused_ms = unpack(ARGV)
local stream, ids, untold = P .. 'history:room:' .. room, P .. 'history:ids:' .. room, P .. 'history:untold'
local at_once = replicas == '0'
local id = key ~= '' and redis.call('HGET', ids, key)
if id then
  if at_once then tell(room, id, channel, head, tail) end
  record = redis.call('XRANGE', stream, id, id)[1][2][2]
  return {id, record, 0, later(id, told_of(room)) and 0 or 1}
end
local waits = redis.call('ZSCORE', untold, room)
if not at_once and waits and milliseconds() - waits > tonumber(refused_ms) then return {} end
local last, dropped = begun(clock(now))
if redis.call('EXISTS', stream) == 0 then redis.call('HSETNX', P .. 'history:floor', room, dropped) end
local before = told_of(room)
id = following(clock(now), last)
redis.call('XADD', stream, id, 'record', record, 'key', key)
if key ~= '' then redis.call('HSET', ids, key, id) end
if not at_once then
  redis.call('ZADD', untold, 'NX', milliseconds(), room)
elseif waits then
  tell(room, id, channel, head, tail)
else
  publish(channel, head, tail, id, record, before)
  passed(room, id)
end
local size = ARGV[1] + #record
redis.call('ZINCRBY', P .. 'history:sizes', size, room)
local bytes = redis.call('HINCRBY', S, 'bytes', size)
if redis.call('XLEN', stream) > tonumber(per_room) then bytes = evict(room) end
while bytes > tonumber(most) do
  local largest = redis.call('ZREVRANGE', P .. 'history:sizes', 0, 0)[1]
  if redis.call('XLEN', P .. 'history:room:' .. largest) < 2 then break end
  bytes = evict(largest)
end
if redis.call('HSETNX', P .. 'chat:owners', room, user) == 1 and
  redis.call('EXISTS', P .. 'chat:room:' .. room) == 0
then
  emptied('chat', room)  -- its last member has gone while this was on its way
end
return {id, record, 1, at_once and 1 or 0}
"""
)
"""Gives offset, message, whether it is new, whether it is told; nothing where it is refused."""
TELL = STREAMS + "local _, _, room, upto, channel, head, tail = unpack(ARGV)\ntell(room, upto, channel, head, tail)"
LATE = (
    STREAMS
    + """
local _, _, old_ms, most, found = ARGV[1], ARGV[2], ARGV[3], ARGV[4], {}
local before, untold = milliseconds() - old_ms, P .. 'history:untold'
for _, room in ipairs(redis.call('ZRANGEBYSCORE', untold, '-inf', before, 'LIMIT', 0, most)) do
  local latest = newest(room)
  if latest then table.insert(found, {room, latest[1]}) else redis.call('ZREM', untold, room) end
end
return found
"""
)
"""Gives rooms with what should have been told for so long, each with its newest offset."""
LAST = (
    STREAMS
    + """
local _, now, room, count, heard = unpack(ARGV)
local last, dropped = begun(clock(now))
local found = redis.call('XREVRANGE', P .. 'history:room:' .. room, visible(room, heard, last), '-', 'COUNT', count)
return {found, found[1] and found[1][1] or nothing_after(room, dropped)}
"""
)
AFTER = (
    STREAMS
    + """
local _, now, room, count, offset, heard = unpack(ARGV)
local last, dropped = begun(clock(now))
local ms, number = string.match(offset, '(%d+)-(%d+)')
offset = spelled(math.min(tonumber(ms), MOST), math.min(tonumber(number), MOST))
local floor = redis.call('HGET', P .. 'history:floor', room) or dropped
local lost = later(floor, offset)
if later(offset, last) then offset, lost = '0-0', true end
local found = redis.call('XRANGE', P .. 'history:room:' .. room, '(' .. offset, visible(room, heard, last))
local page = {}
for number = 1, math.min(#found, count) do page[number] = found[number] end
local ends = page[1] and page[#page][1] or (lost and nothing_after(room, dropped) or offset)
return {page, #found, lost and 1 or 0, ends, floor}
"""
)
TAILS = (
    STREAMS
    + """
local tails = {}
for number = 3, #ARGV do tails[number - 2] = told_of(ARGV[number]) end
local last = begun(clock(ARGV[2]))
return {last, tails}
"""
)
"""Gives the newest offset of all rooms, and of each of these the one up to which it is told."""
HOLDS = "return redis.call('EXISTS', KEYS[1] .. 'history:room:' .. ARGV[1])"
DROP = COMMON + "drop_history(ARGV[1])\nforget('chat', ARGV[1])"
