"""Several processes behind one Socket.IO server: what they say to each other through Redis.

An emit, from one node to the others: `manager` has `publisher` hand it to Redis, and then delivers it to the clients of
its own process. On the other nodes `manager` takes it from the subscription, `messages` checks it, and python-socketio
delivers it through `../fanout.py`, as it does there.

- Is Redis there? `link` looks twice a second, and says in the log when that changes.
- Who is told when it is not? Whoever asks: `RedisUnavailable`, at once, or after `ANSWER_S` (2 s) at most.
"""
