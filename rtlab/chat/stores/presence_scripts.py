"""What Redis does when somebody comes or goes: the scripts of `RedisPresence`.

What lives here: Lua, as text. Each script is run whole or not at all. What the keys are called, and what each holds,
stands in `redis_keys`.

A user is in a room as long as one node has it there; the first node that brings it and the last that takes it away are
what the others hear of, and the script that counts also publishes. Whose room it is, and which room makes place for
another one, are the rules of `rtlab.chat.presence`.
"""

from __future__ import annotations

import json

from rtlab.chat.stores.redis_keys import COMMON, emission

__all__ = ["ARRIVE", "BEAT", "BURY", "DEPART", "ENTER", "LEAVE", "TYPING"]

TELLING = {
    "chat": {"Joined": emission("chat:userJoined"), "Left": emission("chat:userLeft")},
    "plain": {"Joined": emission("room:userJoined"), "Left": emission("room:userLeft")},
}
"""What is published when somebody comes and goes, without the room and the name."""

ROOMS = (
    COMMON
    + f"local TELLING = cjson.decode([==[{json.dumps(TELLING)}]==])\n"
    + """
local function tell(channel, kind, what, name, room, skip)
  if channel == '' then return end
  local message, spaced = TELLING[kind][what], kind == 'chat' and 'chat:' or 'room:'
  message.room, message.skip_sid = spaced .. room, skip ~= '' and skip or cjson.null
  message.data = {{[kind == 'chat' and 'username' or 'user'] = name, room = room}}
  redis.call('PUBLISH', channel, cjson.encode(message))
end
local function counted(kind, room, user)
  local held = redis.call('HGET', P .. kind .. ':room:' .. room, user)
  if not held then return 0, nil end
  local nodes, name = string.match(held, '^(%d+):(.*)$')
  return tonumber(nodes), name
end
local function take_out(channel, kind, user, room, skip)  -- for a node that no longer has it
  local members, nodes, name = P .. kind .. ':room:' .. room, counted(kind, room, user)
  if nodes > 1 then
    redis.call('HSET', members, user, (nodes - 1) .. ':' .. name)
  elseif nodes == 1 then
    redis.call('HDEL', members, user)
    redis.call('SREM', P .. kind .. ':of:' .. user, room)
    tell(channel, kind, 'Left', name, room, skip)
    if redis.call('EXISTS', members) == 0 then emptied(kind, room) end
    return true
  end
end
"""
)
ENTER = (
    ROOMS
    + """
local channel, node, kind, user, name, room, skip, may_make, of_user, in_room, all_rooms, few = unpack(ARGV)
local members, of, owners = P .. kind .. ':room:' .. room, P .. kind .. ':of:' .. user, P .. kind .. ':owners'
of_user, all_rooms = tonumber(of_user), tonumber(all_rooms)
local nodes, known_as = counted(kind, room, user)
if nodes == 0 then
  if redis.call('SCARD', of) >= of_user then return {'of_user'} end
  if redis.call('HLEN', members) >= tonumber(in_room) then return {'in_room'} end
end
local evicted = nil
if redis.call('HEXISTS', owners, room) == 0 then
  local own, empties = P .. kind .. ':empty:' .. user, P .. kind .. ':empties'
  local held, count = redis.call('ZCARD', own), redis.call('HLEN', owners)
  local empty = held
  for _, each in ipairs(redis.call('SMEMBERS', of)) do
    if redis.call('HGET', owners, each) == user then held = held + 1 end
  end
  if empty > 0 and (held >= of_user or count >= all_rooms) then
    evicted = redis.call('ZRANGE', own, 0, 0)[1]
  elseif count >= all_rooms then
    local most = redis.call('ZREVRANGE', empties, 0, 0)[1]
    if not most or held >= tonumber(few) then return {'all_rooms'} end
    evicted = redis.call('ZRANGE', P .. kind .. ':empty:' .. most, 0, 0)[1]
  end
  if may_make == '0' then return {'make'} end
end
redis.call('ZADD', P .. 'nodes', 'NX', milliseconds(), node)
if redis.call('SADD', P .. 'node:' .. kind .. ':' .. node, pair(user, room)) == 1 then
  redis.call('HSET', members, user, (nodes + 1) .. ':' .. (known_as or name))
  if nodes == 0 then
    if evicted then
      forget(kind, evicted)
      if kind == 'chat' then drop_history(evicted) end
    end
    redis.call('HSETNX', owners, room, user)
    if kind == 'chat' then  -- from now on nothing is missing here, whatever becomes of other rooms
      local _, dropped = begun(milliseconds())
      redis.call('HSETNX', P .. 'history:floor', room, dropped)
    end
    fill(kind, room)
    redis.call('SADD', of, room)
    tell(channel, kind, 'Joined', name, room, skip)
  end
end
return {'ok', nodes == 0 and 1 or 0, redis.call('HLEN', members), kind == 'chat' and told_of(room) or ''}
"""
)
LEAVE = (
    ROOMS
    + """
local channel, node, kind, user, room, skip = unpack(ARGV)
if redis.call('SREM', P .. 'node:' .. kind .. ':' .. node, pair(user, room)) == 0 then return {0, 0} end
local last = take_out(channel, kind, user, room, skip)
return {last and 1 or 0, redis.call('HLEN', P .. kind .. ':room:' .. room)}
"""
)
TYPING = (
    COMMON
    + """
local channel, user, room, head, tail = unpack(ARGV)
local sockets = {}
for _, socket in ipairs(redis.call('HVALS', P .. 'conns:' .. user)) do
  if socket ~= '' then table.insert(sockets, socket) end
end
local skip = #sockets > 0 and cjson.encode(sockets) or 'null'
redis.call('PUBLISH', channel, head .. skip .. tail)
return redis.call('HLEN', P .. 'chat:room:' .. room)
"""
)
ARRIVE = (
    COMMON
    + """
local node, user, connection, socket, most = unpack(ARGV)
local connections = P .. 'conns:' .. user
local there = redis.call('HEXISTS', connections, connection) == 1
if not there and redis.call('HLEN', connections) >= tonumber(most) then return 0 end
redis.call('ZADD', P .. 'nodes', 'NX', milliseconds(), node)
redis.call('SADD', P .. 'node:conns:' .. node, pair(user, connection))
if socket ~= '' or not there then redis.call('HSET', connections, connection, socket) end
return 1
"""
)
DEPART = (
    COMMON
    + """
redis.call('SREM', P .. 'node:conns:' .. ARGV[1], pair(ARGV[2], ARGV[3]))
redis.call('HDEL', P .. 'conns:' .. ARGV[2], ARGV[3])
"""
)
BEAT = (
    COMMON
    + """
local node, gone_ms, new = unpack(ARGV)
local now = milliseconds()
redis.call('SET', P .. 'epoch', new, 'NX')
local known = redis.call('HSETNX', P .. 'registered', node, 1) == 0
redis.call('ZADD', P .. 'nodes', now, node)
local counts = {}
for number, kind in ipairs({'chat', 'plain', 'conns'}) do
  counts[number] = redis.call('SCARD', P .. 'node:' .. kind .. ':' .. node)
end
local dead = redis.call('ZRANGEBYSCORE', P .. 'nodes', '-inf', now - gone_ms)
return {known and 1 or 0, redis.call('GET', P .. 'epoch'), counts, dead, now}
"""
)
BURY = (
    ROOMS
    + """
local channel, node, gone_ms, most = unpack(ARGV)
local beat = redis.call('ZSCORE', P .. 'nodes', node)
if gone_ms ~= '' and (not beat or milliseconds() - beat < tonumber(gone_ms)) then return 0 end
local left = tonumber(most)
for _, kind in ipairs({'chat', 'plain', 'conns'}) do
  local entries = left > 0 and redis.call('SPOP', P .. 'node:' .. kind .. ':' .. node, left) or {}
  left = left - #entries
  for _, entry in ipairs(entries) do
    local user, rest = parted(entry)
    if kind == 'conns' then redis.call('HDEL', P .. 'conns:' .. user, rest)
    else take_out(channel, kind, user, rest, '') end
  end
end
redis.call('HDEL', P .. 'registered', node)
if left <= 0 then return 1 end
redis.call('ZREM', P .. 'nodes', node)
return 0
"""
)
