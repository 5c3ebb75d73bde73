"""The checks of exercise 01. `rtlab grade 01` runs them.

For `respond`, each check opens a real TCP server that reads a request up to its empty line, sends whatever your
function gives, and then either says hello as WebSocket or hangs up. Real clients and hand-typed requests knock. For
`verify`, the answers come from real servers, and from some that should not be trusted.

Statuses and header fields are compared by what they mean, never byte for byte.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
from collections.abc import AsyncIterator, Awaitable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from rtlab.errors import HandshakeError
from rtlab.grading import check, expect
from rtlab.servers import websocket
from rtlab.wire.handshake import Response, accept_key, parse_response

FORBIDDEN = {
    "rtlab.wire": "The standard library has all that it takes: base64 and hashlib.",
    "rtlab.servers.websocket": "The standard library has all that it takes: base64 and hashlib.",
    "rtlab.servers.connection": "The standard library has all that it takes: base64 and hashlib.",
}
IN_TIME_S = 2
HELLO = b"\x81\x05hello"
"""A text frame, as chapter 02 explains."""
GOODBYE = b"\x88\x02\x03\xe8"
"""A close frame with the code 1000."""
PAGE = "https://lab.example"
"""The Origin of the page that most requests come from."""
ORIGINS = (PAGE, "https://www.lab.example:8443")

T = TypeVar("T")


def shows(response: Response, what: str, header: str, word: str) -> None:
    """Observe that a field of the answer holds this word, in whatever case."""
    got = response.headers.get(header)
    came = f"the answer has no {header}" if got is None else f"it is {header}: {got}"
    holds = word.lower() in response.headers.tokens(header)
    expect.that(f"{header}: {word} is in the answer to {what}", holds, but=came)


class Door:
    """A server whose answers are the submission's."""

    def __init__(self, submission: Any, origins: Collection[str], subprotocols: Sequence[str]) -> None:
        self._submission = submission
        self._origins = set(origins)
        self._subprotocols = subprotocols
        self._error: BaseException | None = None
        self.port = 0

    async def open(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client."""
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            response = self._submission.respond(request, origins=self._origins, subprotocols=self._subprotocols)
            expect("what respond gives", response, is_a=bytes)
            ends = b"\r\n\r\n" in response
            expect.that(r"the head that respond gives ends with \r\n\r\n", ends, but=f"it gives {response!r}")
            writer.write(response)
            if response.startswith(b"HTTP/1.1 101"):
                writer.write(HELLO)
                await reader.read(1)  # the client's close frame, or the end
                writer.write(GOODBYE)
        except asyncio.IncompleteReadError:
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised where the check waits
            self._error = error
        finally:
            writer.close()

    async def lets(self, who: str, awaitable: Awaitable[T]) -> T:
        """Wait for what a client gets. What the submission raised meanwhile outranks what the client made of it."""

        async def outcome() -> T:
            try:
                return await awaitable
            except Exception:
                if self._error is not None:
                    raise self._error from None
                raise

        return await expect.arrives(who, outcome(), within_s=IN_TIME_S)

    async def answer(self, what: str, request: bytes) -> Response:
        """What the submission answers to these bytes."""

        async def ask() -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                writer.write(request)
                return await reader.readuntil(b"\r\n\r\n")
            finally:
                writer.close()

        head = await self.lets(f"an answer to {what}", ask())
        try:
            parsed = parse_response(head)
        except HandshakeError as error:
            expect.that(f"the answer to {what} is HTTP", False, but=error.problem)
            raise
        assert parsed is not None, "readuntil gave the whole head"
        return parsed[0]

    async def refuses(self, what: str, request: bytes, status: int, **fields: str) -> None:
        """Observe that a request gets this status, with these words in these fields."""
        response = await self.answer(what, request)
        expect(f"the status of the answer to {what}", response.status, equals=status)
        for name, word in fields.items():
            shows(response, what, name.replace("_", "-"), word)

    async def accepts(self, what: str, request: bytes, key: str = "") -> Response:
        """Observe that a request gets a 101; where the key is given, with its accept."""
        response = await self.answer(what, request)
        expect(f"the status of the answer to {what}", response.status, equals=101)
        for header, word in (("Upgrade", "websocket"), ("Connection", "Upgrade")):
            shows(response, what, header, word)
        if key:
            got = response.headers.get("Sec-WebSocket-Accept")
            expect(f"Sec-WebSocket-Accept for the key {key}", got, equals=accept_key(key))
        return response


@asynccontextmanager
async def door(
    submission: Any, *, origins: Collection[str] = ORIGINS, subprotocols: Sequence[str] = ()
) -> AsyncIterator[Door]:
    """A door that stands open for the length of a block."""
    opened = Door(submission, origins, subprotocols)
    async with await asyncio.start_server(opened.open, "127.0.0.1", 0) as server:
        opened.port = server.sockets[0].getsockname()[1]
        yield opened


def new_key(size: int = 16) -> str:
    """What clients send: random bytes in Base64."""
    return base64.b64encode(os.urandom(size)).decode()


def request(key: str = "", *, first: str = "GET /news?since=7 HTTP/1.1", **changed: str | None) -> bytes:
    """A good request, except for the fields that are named. None leaves a field out."""
    fields: dict[str, str | None] = {
        "Host": "127.0.0.1:8000",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key or new_key(),
        "Sec-WebSocket-Version": "13",
        "Origin": PAGE,
    }
    fields |= {name.replace("_", "-"): value for name, value in changed.items()}
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([first, *lines, "", ""]).encode()


@check(
    points=4,
    hints=(
        "The accept is made from the key as it stands in the header, Base64 and all, and from the GUID behind it.",
        "`digest()` and `hexdigest()` are the same hash, as 20 bytes and as text. Which one does the RFC encode?",
    ),
)
async def test_clients_connect(submission: Any) -> None:
    """Two real clients connect through `respond`, and hear what is said afterwards."""
    from websockets.asyncio.client import connect  # here, because most checks do without it and start sooner

    async with door(submission) as at:
        url = f"ws://127.0.0.1:{at.port}/news"

        async def published() -> str | bytes:
            async with connect(url, origin=PAGE, close_timeout=1) as client:
                return await client.recv()

        async def by_hand() -> str | bytes:
            async with websocket.connect(url, origin=PAGE, close_timeout=1) as client:
                return await client.recv()

        for who, client in (("websockets", published), ("rtlab", by_hand)):
            heard = await at.lets(f"the client of {who} to connect", client())
            expect(f"what the client of {who} hears", heard, equals="hello")


@check(
    points=3,
    hints=(
        "Names of fields come in any case, values in any amount of blanks, and a value may hold a colon itself.",
        "Some fields are lists: take them apart at the commas. A field that appears twice is one list, too.",
    ),
)
async def test_reads_headers_as_clients_write_them(submission: Any) -> None:
    """Header fields in other spellings, all legal, mean the same."""
    key = new_key()
    plain = request(key)
    twice = b"Connection: keep-alive\r\nConnection: Upgrade"
    spellings = {
        "Connection: keep-alive, Upgrade, as Firefox sends it": request(key, Connection="keep-alive, Upgrade"),
        "Upgrade: WebSocket and Connection: upgrade": request(key, Upgrade="WebSocket", Connection="upgrade"),
        "names in lower case": re.sub(rb"(?m)^[\w-]+(?=:)", lambda name: name[0].lower(), plain),
        "blanks and tabs around the values": re.sub(rb"(?m)^([\w-]+): (.*)\r$", rb"\1: \t \2 \t\r", plain),
        "no blank after the colons": plain.replace(b": ", b":"),
        "two Connection fields": plain.replace(b"Connection: Upgrade", twice),
        "a cookie that is no ASCII": request(key, Cookie="name=Zoë; theme=a:b"),
    }
    async with door(submission) as at:
        for what, spelt in spellings.items():
            await at.accepts(f"a request with {what}", spelt, key)


@check(
    points=3,
    hints=(
        "RFC 6455 §4.1 says what a key is: how many bytes, and how they are written.",
        "Decode it, strictly, and count what you get. What does your decoder do with characters that are no Base64?",
    ),
)
async def test_refuses_a_malformed_key(submission: Any) -> None:
    """A key that is missing, or is not 16 bytes in Base64, is answered with 400."""
    keys = {
        "a request without a key": None,
        "a request with an empty key": "",
        "a key of 12 bytes": new_key(12),
        "a key of 20 bytes": new_key(20),
        "a key that is not Base64": "not/base64, not at all==",
        "a key with a stray character": f"{new_key()[:12]}!{new_key()[12:]}",
    }
    async with door(submission) as at:
        for what, key in keys.items():
            await at.refuses(what, request(Sec_WebSocket_Key=key), 400)
        await at.accepts("a good key", request())


@check(
    points=3,
    hints=(
        "A refusal may say what would have been right. For versions there is a header field for that.",
        "RFC 6455 §4.4 shows such an answer, and RFC 9110 §15.5.22 says what every 426 carries.",
    ),
)
async def test_says_which_version_it_speaks(submission: Any) -> None:
    """A version other than 13 is answered with 426 and the version that would have been right."""
    async with door(submission) as at:
        for version in ("8", "14", "130", None):
            what = f"version {version}" if version else "a request without a version"
            old = request(Sec_WebSocket_Version=version)
            await at.refuses(what, old, 426, Sec_WebSocket_Version="13", Upgrade="websocket")
        await at.accepts("version 13", request())


@check(
    points=3,
    hints=(
        "The list in the docstring of `respond` has a line for each of these.",
        "Can `respond` raise? Think of a line without a colon, and of bytes that are no text.",
    ),
)
async def test_answers_what_is_no_handshake(submission: Any) -> None:
    """Another method, a plain page request, and bytes that are no HTTP get their answers too."""
    async with door(submission) as at:
        for method in ("POST", "DELETE"):
            wrong = request(first=f"{method} /news HTTP/1.1")
            await at.refuses(f"the method {method}", wrong, 405, Allow="GET")
        await at.refuses("a plain page request", request(Upgrade=None, Connection=None), 426, Upgrade="websocket")
        await at.refuses("an upgrade to something else", request(Upgrade="h2c"), 426, Upgrade="websocket")
        await at.refuses("a request without Connection", request(Connection=None), 400)
        await at.refuses("a request with Connection: close", request(Connection="close"), 400)
        await at.refuses("one line that is no HTTP", b"hello?\r\n\r\n", 400)
        await at.refuses("the first bytes of TLS", b"\x16\x03\x01\x02\x00\x01\xff\xfe\r\n\r\n", 400)
        await at.refuses("a line without a colon", request().replace(b"Upgrade: ", b"Upgrade; "), 400)


@check(
    points=4,
    hints=(
        "An Origin is scheme, host and port. How much of it do you compare?",
        "No Origin and the Origin `null` are two things: programs send none, a page in a sandboxed frame sends `null`.",
    ),
)
async def test_lets_in_only_the_origins_it_was_given(submission: Any) -> None:
    """Pages of the given origins connect, those of all others get 403; a program without an Origin connects."""
    async with door(submission) as at:
        for origin in (*ORIGINS, None):
            what = f"the Origin {origin}" if origin else "a request without an Origin"
            await at.accepts(what, request(Origin=origin))
        for origin in (
            "https://evil.example",
            "https://lab.example.evil.example",
            "https://lab.example:444",
            "https://evil-lab.example",
            "https://notes.lab.example",
            "http://lab.example",
            "https://evil.example/https://lab.example",
            "lab.example",
            "null",
        ):
            await at.refuses(f"the Origin {origin}", request(Origin=origin), 403)
    async with door(submission, origins=()) as at:
        await at.refuses("any Origin when none may connect", request(Origin="https://lab.example"), 403)


@check(
    points=3,
    hints=(
        "Both sides have a list. Whose order counts, and which of the names does the answer hold?",
        "Walk through the client's list and stop at the first that the server speaks. What if there is no such name?",
    ),
)
async def test_chooses_a_subprotocol(submission: Any) -> None:
    """One of the subprotocols that the client offers is chosen, in the client's order; or none."""
    offers: dict[str | None, str | None] = {
        "chat.v2, chat.v1": "chat.v2",
        "chat.v1,chat.v2": "chat.v1",
        "chat.v3, chat.v2": "chat.v2",
        "chat.v3": None,
        "chat.v": None,
        "CHAT.V1": None,
        None: None,
    }
    async with door(submission, subprotocols=("chat.v1", "chat.v2")) as at:
        for offer, chosen in offers.items():
            what = f"the offer of {offer}" if offer else "a request that offers none"
            response = await at.accepts(what, request(Sec_WebSocket_Protocol=offer))
            got = response.headers.get("Sec-WebSocket-Protocol")
            expect(f"the subprotocol that is chosen from {what}", got, equals=chosen)


def response(key: str, *, first: str = "HTTP/1.1 101 Switching Protocols", **changed: str | None) -> bytes:
    """A good response to a key, except for the fields that are named."""
    fields: dict[str, str | None] = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": accept_key(key),
    }
    fields |= {name.replace("_", "-"): value for name, value in changed.items()}
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([first, *lines, "", ""]).encode()


def trusts(submission: Any, what: str, key: str, answer: bytes) -> None:
    """Observe that `verify` has nothing against an answer."""
    problem = ""
    try:
        submission.verify(key, answer)
    except ValueError as error:
        problem = f"it raised ValueError: {error}"
    expect.that(f"verify trusts {what}", not problem, but=problem)


async def answer_of(port: int, sent: bytes) -> bytes:
    """What a real server answers, to its empty line."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        return await expect.arrives("a server's answer", reader.readuntil(b"\r\n\r\n"), within_s=IN_TIME_S)
    finally:
        writer.close()


@check(
    points=3,
    hints=(
        "Servers do not all write alike: compare two of them, field by field.",
        "Case does not matter in the names of fields nor in `Upgrade` and `Connection`. Where does it matter?",
    ),
)
async def test_verify_trusts_real_servers(submission: Any) -> None:
    """`verify` returns for what real servers answer to this key, however they spell it; for another key it raises."""
    from websockets.asyncio.server import serve

    key = new_key()

    async def hang_up(_: Any) -> None:
        return

    answers = {}
    async with serve(hang_up, "127.0.0.1", 0) as published, websocket.serve(hang_up) as by_hand:
        answers["the answer of websockets"] = await answer_of(published.sockets[0].getsockname()[1], request(key))
        answers["the answer of rtlab"] = await answer_of(by_hand.port, request(key))
    answers["an answer with Connection: keep-alive, upgrade"] = response(key, Connection="keep-alive, upgrade")
    answers["an answer without a reason"] = response(key, first="HTTP/1.1 101 ")
    answers["an answer with names in lower case"] = (
        response(key).replace(b"Upgrade:", b"upgrade:").replace(b"Sec-WebSocket-Accept", b"sec-websocket-accept")
    )
    for what, answer in answers.items():
        trusts(submission, what, key, answer)
        with expect.raises(f"verify, given {what} but another key,", ValueError):
            submission.verify(new_key(), answer)


@check(
    points=4,
    hints=(
        "What would an old answer out of a cache look like? And a page that says 200 and all the right header fields?",
        "The accept has to be in its own field, and to be the same to the letter: in Base64, A and a are different.",
    ),
)
async def test_verify_refuses_everybody_else(submission: Any) -> None:
    """`verify` raises ValueError for each answer that does not accept this very handshake."""
    key = new_key()
    accept = accept_key(key)
    refusals = {
        "an accept for another key": response(new_key()),
        "an accept in another case": response(key, Sec_WebSocket_Accept=accept.swapcase()),
        "no accept": response(key, Sec_WebSocket_Accept=None),
        "the accept in another field": response(key, Sec_WebSocket_Accept=None, X_Echo=accept),
        "the accept and something behind it": response(key, Sec_WebSocket_Accept=f"{accept}="),
        "the key itself as the accept": response(key, Sec_WebSocket_Accept=key),
        "the status 200 with everything else": response(key, first="HTTP/1.1 200 OK"),
        "the status 200 with the reason 101": response(key, first="HTTP/1.1 200 101"),
        "the status 403": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        "no Upgrade": response(key, Upgrade=None),
        "an Upgrade to something else": response(key, Upgrade="h2c"),
        "no Connection": response(key, Connection=None),
        "Connection: close": response(key, Connection="close"),
        "one line that is no HTTP": b"220 mail.example ready\r\n\r\n",
    }
    trusts(submission, "a good answer", key, response(key))
    for what, answer in refusals.items():
        with expect.raises(f"verify, given {what},", ValueError):
            submission.verify(key, answer)
