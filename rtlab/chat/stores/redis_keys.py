"""What the chat has in Redis: the names of its keys, and the Lua that more than one store needs.

What lives here: `PREFIX`, `COMMON`, which stands before each script of the stores beside this one, and `telling`, the
message that a script publishes. It must not know sockets, nor ask Redis anything.

A script runs whole or not at all, and nothing else runs meanwhile. So what belongs together is one script: a message is
stored and published, a user enters a room and the room hears of it, or neither. Whatever is published in a script has
one order for all nodes; a node delivers it when it comes back to it from Redis, its own as well.

===========================================  ===============================  ========================================
key, after the prefix                        what                             bounded by
===========================================  ===============================  ========================================
nodes, registered, epoch                     which processes there are        the processes; a dead one is taken out
node:KIND:NODE, node:conns:NODE              what counts for a process        its connections; gone with it
KIND:room:ROOM                               user to "nodes:name"             `Limits.members`; gone when it is empty
KIND:of:USER                                 the rooms of a user              `Limits.rooms_per_user`
KIND:owners, KIND:empty:USER, KIND:empties   whose rooms these are            `Limits.rooms`
conns:USER                                   connection to socket             `Limits.connections_per_user`
history:room:ROOM, history:ids:ROOM          stream of messages; what finds   `Limits.history` of each room, and
                                             one by its ``clientId``          `Limits.history_bytes` of all
history:state, history:floor, history:sizes  counters, a row for each room    `Limits.rooms`
history:told, history:untold                 up to which offset each room is  `Limits.rooms`
                                             told; rooms with more than that
session:DIGEST, sessions:USER                the rooms of a session           expire; 50 of a user
===========================================  ===============================  ========================================

KIND is ``chat`` or ``plain``. A name that somebody chose stands at the end of its key, where nothing can be confused
by what it contains; two names that stand together have the length of the first before them.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["COMMON", "KINDS", "PREFIX", "SENDER", "emission", "pair", "parted", "telling"]

PREFIX = "{rtlab.chat}:"
"""Before every key. The braces keep all of them in one slot of a Redis Cluster, as scripts need it."""
SENDER = "rtlab.chat"
"""The ``host_id`` of what scripts publish: no node's own, so that every node delivers it, in the order of Redis."""
KINDS = ("chat", "plain")
"""The kinds of rooms."""

COMMON = """
local P = KEYS[1]
local S = P .. 'history:state'
local function milliseconds()
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end
local function pair(first, second) return #first .. ':' .. first .. second end
local function parted(both)
  local length, rest = string.match(both, '^(%d+):(.*)$')
  return string.sub(rest, 1, length), string.sub(rest, length + 1)
end
local function later(one, other)  -- of two offsets
  local a, b = string.match(one, '(%d+)-(%d+)')
  local c, d = string.match(other, '(%d+)-(%d+)')
  a, b, c, d = tonumber(a), tonumber(b), tonumber(c), tonumber(d)
  return a > c or (a == c and b > d)
end
local function spelled(ms, number) return string.format('%.0f-%.0f', ms, number) end
local function begun(now)  -- the newest offset that was given, and the newest of a room that was dropped
  local state = redis.call('HMGET', S, 'last', 'dropped')
  if state[1] then return state[1], state[2] end
  local first = spelled(now, 0)
  redis.call('HSET', S, 'last', first, 'dropped', first, 'told', first)
  return first, first
end
local function told_of(room)  -- up to here messages of a room are told
  local told = redis.call('HGET', P .. 'history:told', room)
  if told then return told end
  local last = redis.call('XREVRANGE', P .. 'history:room:' .. room, '+', '-', 'COUNT', 1)[1]
  if last and not redis.call('ZSCORE', P .. 'history:untold', room) then return last[1] end
  return redis.call('HGET', P .. 'history:floor', room) or '0-0'
end
local function drop_history(room)
  local stream = P .. 'history:room:' .. room
  local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  if last then
    local dropped = redis.call('HGET', S, 'dropped')
    if not dropped or later(last[1], dropped) then redis.call('HSET', S, 'dropped', last[1]) end
    redis.call('HINCRBY', S, 'bytes', -(redis.call('ZSCORE', P .. 'history:sizes', room) or 0))
  end
  for _, each in ipairs({'sizes', 'untold'}) do redis.call('ZREM', P .. 'history:' .. each, room) end
  for _, each in ipairs({'floor', 'told'}) do redis.call('HDEL', P .. 'history:' .. each, room) end
  redis.call('DEL', stream, P .. 'history:ids:' .. room)
end
local function fill(kind, room)  -- it is not among the empty ones any longer
  local owner = redis.call('HGET', P .. kind .. ':owners', room)
  if owner and redis.call('ZREM', P .. kind .. ':empty:' .. owner, room) == 1 then
    if tonumber(redis.call('ZINCRBY', P .. kind .. ':empties', -1, owner)) <= 0 then
      redis.call('ZREM', P .. kind .. ':empties', owner)
    end
  end
end
local function forget(kind, room)
  fill(kind, room)
  redis.call('HDEL', P .. kind .. ':owners', room)
  if kind == 'chat' and redis.call('EXISTS', P .. 'history:room:' .. room) == 0 then
    redis.call('HDEL', P .. 'history:floor', room)
  end
end
local function emptied(kind, room)  -- nobody is in it: it is kept for its history, or forgotten
  local owner = redis.call('HGET', P .. kind .. ':owners', room)
  if not owner then return end
  if kind == 'chat' and redis.call('EXISTS', P .. 'history:room:' .. room) == 1 then
    local turn = redis.call('HINCRBY', S, 'turn', 1)
    if redis.call('ZADD', P .. kind .. ':empty:' .. owner, turn, room) == 1 then
      redis.call('ZINCRBY', P .. kind .. ':empties', 1, owner)
    end
  else
    forget(kind, room)
  end
end
"""
"""Functions of the scripts. KEYS[1] is the prefix."""


def pair(first: str, second: str) -> str:
    """Two names as one value, so that they can be told apart whatever is in them. Lua counts bytes; so does this."""
    return f"{len(first.encode())}:{first}{second}"


def parted(both: str) -> tuple[str, str]:
    """The two names of a `pair`."""
    length, _, rest = both.partition(":")
    packed = rest.encode()
    return packed[: int(length)].decode(), packed[int(length) :].decode()


def emission(event: str, room: str | None = None) -> dict[str, Any]:
    """What python-socketio's managers publish for an emit, still without its argument and whom it leaves out.

    Args:
        event: its name.
        room: among the server's rooms; left out if a script adds it.
    """
    about = {"method": "emit", "event": event, "binary": False, "namespace": "/", "callback": None, "host_id": SENDER}
    return about if room is None else {**about, "room": room}


def telling(event: str, room: str) -> tuple[str, str]:
    """The same in JSON, for everybody in a room: what stands before the JSON of the argument, and after it. It is still
    open for more fields."""
    return f'{json.dumps({**emission(event, room), "skip_sid": None})[:-1]}, "data": [', "]"
