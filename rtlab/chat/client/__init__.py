"""A client of the chat for scripts: it joins, posts, receives, and comes back by itself.

It knows the contract, and nothing of how the server works. A message, from `Client.post` to its acknowledgement:

1. `chat_client` checks the text, and `outbox` gives it a place in the queue of its room;
2. the outbox sends one message of a room at a time, as fast as `pacing` allows, once the connection is there and has
   joined its rooms again;
3. `reconnecting` emits it on python-socketio's client, and waits for the acknowledgement or for the end of the
   connection;
4. the outbox gives the answer to whoever awaits it, or tries again with the same id.

A message of somebody else's: `reconnecting` receives it, `following` decides whether it is new (`room_mark`) and holds
it while the history before it is being fetched, and `arrivals` keeps it until the script takes it.

- How is a gap in the history told? `following` puts ``history_lost`` before the first message after it.
- When does a client show a newer token? `refreshing` decides.
- Who may look at all of this, for a record? `watching` has the protocol.
"""
