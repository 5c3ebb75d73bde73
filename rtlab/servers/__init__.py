"""Floor 1: servers and the processes that they run in. Imports nothing by itself: whoever needs a module loads it.

A frame, from a client's socket to its handler and back (our own server, chapter 03):

1. `websocket` accepts the connection (`accepting` when it ends), does the handshake through ``rtlab.wire.handshake``;
2. `channel` takes the bytes from asyncio and gives them to ``rtlab.wire.protocol.Connection``, a batch a turn;
3. there ``wire/frames.py`` cuts frames, ``wire/assembling.py`` makes messages of them (``wire/deflate.py`` inflates);
4. `inbox` keeps the message until the handler takes it, and decoding stops while it is full; `pings` takes the pongs;
5. the handler's ``recv`` (`connection`) gives it; ``send`` puts bytes into the `outbox`, and waits while that is full.

An app, from `rtlab.serve` to its end:

1. `hosting` listens on a free port; `apps` finds out what kind of app it is and how that is run;
2. with ``in_child=True`` `supervisor` starts `worker` under a `watchdog`, so that no child outlives us;
3. `registry` keeps what a notebook's cell has started: a second run of the cell stops it;
4. at the end, or on SIGTERM (`signals`), `apps` lets the app drain (under the key of `draining`), and closes it.

- Why was this client cut off? `channel`: its close code and reason; ``wire/protocol.py`` fails it, `options` has the
  limits.
- Where is the largest message set? `options.Options.max_message_size`.
- What happens on SIGTERM? `signals.until_signal` returns, the app drains, the program closes what it has opened.
  Whoever stops a server sends it to the child, and SIGKILL after `supervisor.GRACE_S`; so does the `watchdog` where we
  have ended.
- What does the re-run of a cell do? `registry` stops what its earlier run has started, and says so. A cell is known
  by its id, else by its source (an edited cell without an id replaces nothing), and ``name=`` takes the place of both.

Beside these: `echo` and `course` are apps, `programs` and `javascript` find and run Valkey, nginx and Node.
"""
