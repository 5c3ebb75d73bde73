"""Floor 1: servers and the processes that they run in. Imports nothing by itself: whoever needs a module loads it.

A frame, from a client's socket to its handler and back (our own server, chapter 03):

1. ``door/acceptor.py`` accepts for `websocket`, which does the handshake through ``rtlab.wire.handshake``;
2. `channel` takes the bytes from asyncio and gives them to ``rtlab.wire.protocol.Connection``, a batch a turn;
3. there ``wire/frames.py`` cuts frames, ``wire/assembling.py`` makes messages of them (``wire/deflate.py`` inflates);
4. `inbox` keeps the message until the handler takes it, and decoding stops while it is full; `pings` takes the pongs;
5. the handler's ``recv`` (`connection`) gives it; ``send`` puts bytes into the `outbox`, and waits while that is full.

An app, from `rtlab.serve` to its end:

1. `hosting` listens on a free port; `apps` finds out what kind of app it is and how that is run;
2. with ``in_child=True`` `supervisor` starts `worker` under a `watchdog`, so that no child outlives us;
3. `registry` keeps what a notebook's cell has started: a second run of the cell stops it;
4. at the end, or on SIGTERM (`signals`), `apps` lets the app drain (under the key of `draining`), and closes it.

A connection of an aiohttp app, before the app is asked:

1. ``door/acceptor.py`` accepts it, as far as ``door/limits.py`` has room, in all and for its address;
2. ``door/http.py`` closes it if a request's head or body takes too long, or is malformed;
3. ``door/bodies.py`` refuses a body that somebody would have to inflate, and bounds what is thrown away.

- Why was this client cut off? `channel`: its close code and reason; ``wire/protocol.py`` fails it, `options` has the
  limits. Before its request was complete: ``door/http.py``; before a byte of it was read: ``door/acceptor.py``.
- Why does nobody come in any more? ``door/acceptor.py`` has said "accepting pauses", and why.
- Where is the largest message set? `options.Options.max_message_size`.
- What happens on SIGTERM? `signals.until_signal` returns, the app drains, the program closes what it has opened.
  Whoever stops a server sends it to the child, and SIGKILL after `supervisor.GRACE_S`; so does the `watchdog` where we
  have ended.
- What does the re-run of a cell do? `registry` stops what its earlier run has started, and says so. A cell is known
  by its id, else by its source (an edited cell without an id replaces nothing), and ``name=`` takes the place of both.

Where refusals are logged, `repeats` sums them up; `summed` does so for the log of a whole program.

The client's side of a WebSocket is `connecting`; whom it trusts with wss://, and why it does not, says `tls`.

Beside these: `echo` and `course` are apps, `programs` and `javascript` find and run Valkey, nginx and Node.
"""
