"""The limits of the Socket.IO server: constants, each with its unit and its reason.

What lives here: numbers. Those that an application may change are the defaults of `guards.Guards`.

What one client costs at most, by default, in bytes of memory, besides what aiohttp and the kernel hold of a connection
(two reads of 256 KiB, and the largest message):

=====================================  =====================  =========================================================
what                                   at most                bounded by
=====================================  =====================  =========================================================
a client that is in no namespace       150 KB                 `UNADMITTED_BYTES` and `HEAD_BYTES`, the latter some five
                                                              times: as bytes, as text, and in the environment
all of these together                  600 MB; 150 MB of one  `MAX_UNADMITTED` and `MAX_UNADMITTED_PER_ADDRESS`
                                       address
messages that wait for handlers        1 MiB and one message  `INBOX_BYTES`, `INBOX_MESSAGES`; as text, a message of
                                                              emoji takes four times ``max_http_buffer_size``
messages that handlers have            1 MiB and one message  `HANDLERS_BYTES`, `MAX_HANDLERS`; and what is made of them
a packet whose attachments are         four times the         `PACKET_MESSAGES`; and the one that is too much
missing                                largest message
what waits for a client that is slow   4 MiB and one message  `MAX_QUEUED_BYTES`
names of namespaces                    100 KB                 `MAX_NAMESPACES`, `NAMESPACE_LENGTH`
a client that has ended                nothing                the cyclic collector is not waited for; who polls and was
                                                              put out may fetch what waits for 10 s
=====================================  =====================  =========================================================
"""

from __future__ import annotations

__all__ = [
    "ATTACHMENTS_TIMEOUT_S",
    "BURST_S",
    "BYTES_PER_S",
    "CLOSE_S",
    "CONNECT_TIMEOUT_S",
    "HANDLERS_BYTES",
    "HEAD_BYTES",
    "INBOX_BYTES",
    "INBOX_MESSAGES",
    "LARGE_PACKET_BYTES",
    "LONGEST_PING_S",
    "MAX_HANDLERS",
    "MAX_NAMESPACES",
    "MAX_PACKETS_PER_PAYLOAD",
    "MAX_QUEUED_BYTES",
    "MAX_UNADMITTED",
    "MAX_UNADMITTED_PER_ADDRESS",
    "NAMESPACE_LENGTH",
    "PACKETS_PER_PYTHON_GET",
    "PACKETS_PER_S",
    "PACKET_MESSAGES",
    "PARSING_SHARE",
    "SOCKET_ID_PREFIX",
    "TURN_S",
    "UNADMITTED_BYTES",
    "UNADMITTED_GRACE_S",
    "UNADMITTED_PACKETS",
    "UNADMITTED_PACKET_BYTES",
    "UPGRADE_TIMEOUT_S",
    "WORK_BURST_S",
    "WORK_SHARE",
]

CONNECT_TIMEOUT_S = 45.0
"""Seconds that a session may be without a namespace: the default of Node's connectTimeout."""
MAX_QUEUED_BYTES = 4 * 1024 * 1024
"""Bytes of memory that may wait for one client: seconds of a slow line. The message that reaches it is the last, so a
client costs at most this and one message."""
MAX_PACKETS_PER_PAYLOAD = 10_000
"""Packets in the body of one POST. A JavaScript client sends all that it has at once, so this is far above a burst."""
PACKETS_PER_PYTHON_GET = 16
"""Packets that one GET of python-engineio's client takes away: it gives its session up over more. Other clients take
what there is."""
ATTACHMENTS_TIMEOUT_S = 20.0
"""Seconds that a packet may wait for its attachments."""
LONGEST_PING_S = 3600
"""Seconds. Nobody wants to learn of a dead peer an hour late, so whoever asks for more has milliseconds in mind."""
UPGRADE_TIMEOUT_S = 10.0
"""Seconds that a WebSocket has to take over from polling: Node's upgradeTimeout."""
CLOSE_S = 3.0
"""Seconds that a peer has to answer a closing handshake. Then TCP ends without it."""
INBOX_MESSAGES = 64
"""Messages of one client that wait for the handler before them. Then nothing more is read from it."""
INBOX_BYTES = 1024 * 1024
"""Bytes of memory that these messages take. The one that reaches it is the last: as text it takes up to four times
``max_http_buffer_size``."""
PACKET_MESSAGES = 4
"""How many times ``max_http_buffer_size`` a packet may have with all its attachments."""
MAX_HANDLERS = 256
"""Handlers of one client's events that are at work at the same time. Then its next event waits."""
HANDLERS_BYTES = 1024 * 1024
"""Bytes of the messages that these handlers have: what is decoded takes up to about 30 times as much (``[[],[],…``)."""
MAX_NAMESPACES = 100
"""Existing namespaces that one connection may ask for."""
NAMESPACE_LENGTH = 256
"""Characters of a namespace's name: it is kept for each client that asks for it, and answered with."""
PACKETS_PER_S = 5_000.0
"""Packets of one connection per second, on average; whoever sends more is read more slowly. An event with its answer
costs some 50 µs, so this is a quarter of a processor core."""
BYTES_PER_S = 8.0 * 1024 * 1024
"""Bytes of one connection per second, on average."""
BURST_S = 4.0
"""Seconds' worth of `PACKETS_PER_S` and `BYTES_PER_S` that may arrive at once."""
WORK_SHARE = 0.05
"""Share of a processor core that reading the large packets of one connection takes, on average: a megabyte of JSON or
MessagePack is read in 1 ms if it is one text, and in 200 ms if it is lists in lists."""
WORK_BURST_S = 0.25
"""Seconds of that which may come at once. No packet is interrupted: the longest is what others wait for."""
PARSING_SHARE = 0.5
"""Share of the event loop's time that reading the large packets of all clients together takes. Clients that cost little
do not wait for those: they find the loop free half of the time."""
LARGE_PACKET_BYTES = 1024
"""Characters or bytes from which a packet is large. Smaller ones are counted, and each costs some 10 µs."""
TURN_S = 0.001
"""Seconds of work for one client after which others have their turn. One packet is not interrupted."""
UNADMITTED_BYTES = 32 * 1024
"""Bytes that a client may send until it is let into a namespace."""
UNADMITTED_PACKET_BYTES = 8 * 1024
"""Bytes of one packet until then: a token has some hundreds, and proxies let 8 KiB of a header through."""
UNADMITTED_PACKETS = 100
"""Packets until then."""
UNADMITTED_GRACE_S = 1.0
"""Seconds that a session in no namespace keeps its place where all are taken: a client needs two round trips. To keep
others out, an attacker has to send enough handshakes in each second to occupy a whole processor core."""
MAX_UNADMITTED = 4_096
"""Sessions that are in no namespace, in all. Each costs at most what it may have sent, its head (`HEAD_BYTES`, some
five times in memory) and its objects: about 150 KB."""
MAX_UNADMITTED_PER_ADDRESS = 1_024
"""Of these, sessions of one address, or of one IPv6 network of 64 bits."""
HEAD_BYTES = 16 * 1024
"""Bytes of a request's head. It stays in memory as long as its session."""
SOCKET_ID_PREFIX = "sid:"
"""What every Socket.IO id begins with, here and on every other node of ours, and no room of the application may."""
