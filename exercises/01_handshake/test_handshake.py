"""The checks of exercise 01. `rtlab grade 01` runs them.

For `respond`, each check opens a real TCP server that reads a request up to its empty line, sends whatever your
function gives, and then either sends "hello" as a WebSocket message or closes the connection. Real clients connect,
and requests typed by hand. For `verify`, the answers come from real servers, and from some that should not be trusted.

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
    "rtlab.servers.connecting": "The standard library has all that it takes: base64 and hashlib.",
}
DEMANDS = {
    "Every request is answered, each with one of these": "test_answers_what_is_no_handshake",
    "405 with Allow: the method is not GET.": "test_answers_what_is_no_handshake",
    "426 with Upgrade: it does not ask for an upgrade to websocket.": "test_answers_what_is_no_handshake",
    "426 with Upgrade and Sec-WebSocket-Version: the version that it names is not 13, or it names none.": (
        "test_says_which_version_it_speaks"
    ),
    "403: it comes from an Origin that is not one of `origins`.": "test_lets_in_only_the_origins_it_was_given",
    "400: its Sec-WebSocket-Key is missing or malformed": "test_refuses_a_malformed_key",
    "or its Connection does not say upgrade": "test_answers_what_is_no_handshake",
    "or it is no HTTP/1.1 request at all": "test_answers_what_is_no_handshake",
    "or another line has no colon": "test_answers_what_is_no_handshake",
    "101 with Upgrade, Connection and Sec-WebSocket-Accept: nothing is wrong with it.": "test_clients_connect",
    "Where a subprotocol is chosen, Sec-WebSocket-Protocol names it.": "test_chooses_a_subprotocol",
    "Where several things are wrong, any of their answers will do.": "test_answers_what_is_no_handshake",
    "Request and response may carry other fields too.": (
        "test_reads_headers_as_clients_write_them",
        "test_verify_trusts_real_servers",
    ),
    "Names of header fields, and the words in Upgrade and Connection, are compared without regard to case": (
        "test_reads_headers_as_clients_write_them",
        "test_verify_trusts_real_servers",
    ),
    "a field that is a list may hold other words as well": (
        "test_reads_headers_as_clients_write_them",
        "test_verify_trusts_real_servers",
    ),
    "A field that comes twice is one list, too": (
        "test_reads_headers_as_clients_write_them",
        "test_refuses_a_malformed_key",
        "test_lets_in_only_the_origins_it_was_given",
        "test_chooses_a_subprotocol",
    ),
    "Everything else is compared as it is.": (
        "test_answers_what_is_no_handshake",
        "test_says_which_version_it_speaks",
        "test_lets_in_only_the_origins_it_was_given",
        "test_chooses_a_subprotocol",
        "test_verify_refuses_everybody_else",
    ),
    "A value may hold bytes that are no ASCII and no UTF-8.": "test_reads_headers_as_clients_write_them",
    "Here, too, a value may hold any bytes.": "test_verify_trusts_real_servers",
    "A request without an Origin may connect too.": "test_lets_in_only_the_origins_it_was_given",
    "Choose the one that the client likes best, which is the first that it offers and the server speaks.": (
        "test_chooses_a_subprotocol"
    ),
    "If there is none, the answer is 101 all the same.": "test_chooses_a_subprotocol",
    "The response, up to its own empty line.": "test_clients_connect",
    "A refusal has a Content-Length, because the client waits for a body otherwise; it is 0 where no body follows.": (
        "test_says_how_long_its_body_is"
    ),
    "A 101 has none": "test_says_how_long_its_body_is",
    "It does if the first line is HTTP/1.1 with the status 101, the server upgrades this connection to websocket, and "
    "its Sec-WebSocket-Accept "
    "belongs to the key.": ("test_verify_trusts_real_servers", "test_verify_refuses_everybody_else"),
    "ValueError: the answer is anything else.": "test_verify_refuses_everybody_else",
    "The message says what was expected and what came": "test_verify_says_what_came",
}
"""What README.md and handshake.py demand, and the checks that look at it."""
IN_TIME_S = 2
HELLO = b"\x81\x05hello"
"""A text frame, as chapter 02 explains."""
GOODBYE = b"\x88\x02\x03\xe8"
"""A close frame with the code 1000."""
PAGE = "https://lab.example"
"""The Origin of the page that most requests come from."""
OTHER = "https://www.lab.example:8443"
ORIGINS = (PAGE, OTHER)

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
        response, _ = await self.answer_and_body(what, request)
        return response

    async def answer_and_body(self, what: str, request: bytes) -> tuple[Response, bytes]:
        """The same, with the body of a refusal; a 101 has none."""

        async def ask() -> tuple[bytes, bytes]:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                return head, b"" if head.startswith(b"HTTP/1.1 101") else await reader.read()
            finally:
                writer.close()

        head, body = await self.lets(f"an answer to {what}", ask())
        try:
            parsed = parse_response(head)
        except HandshakeError as error:
            expect.that(f"the answer to {what} is HTTP", False, but=error.problem)
            raise
        assert parsed is not None, "readuntil gave the whole head"
        return parsed[0], body

    async def refuses(self, what: str, request: bytes, *statuses: int, **fields: str) -> None:
        """Observe that a request gets this status, or one of these, with these words in these fields."""
        response = await self.answer(what, request)
        if len(statuses) == 1:
            expect(f"the status of the answer to {what}", response.status, equals=statuses[0])
        else:
            expect(f"the status of the answer to {what}", response.status, one_of=statuses)
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


def request(
    key: str = "", *, first: str = "GET /news?since=7 HTTP/1.1", more: bytes = b"", **changed: str | None
) -> bytes:
    """A good request, except for the fields that are named. None leaves a field out; `more` are further lines."""
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
    return "\r\n".join([first, *lines, ""]).encode() + more + b"\r\n"


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
        key = new_key()
        await at.accepts("a request that was typed by hand", request(key), key)
    answer = submission.respond(request(), origins=set(ORIGINS))
    expect("what respond gives without the argument subprotocols", answer, is_a=bytes)


@check(
    points=3,
    hints=(
        "Names of fields come in any case, values in any amount of blanks, and a value may hold a colon itself.",
        (
            "Take lists apart at the commas; join a field that comes twice. Decode with latin-1, which takes any "
            "byte, and split at \\r\\n alone: what else does `splitlines` take for the end of a line?"
        ),
    ),
)
async def test_reads_headers_as_clients_write_them(submission: Any) -> None:
    """Header fields in other spellings, all legal, mean the same."""
    key = new_key()
    plain = request(key)
    first_of_two = b"Connection: Upgrade\r\nConnection: keep-alive"
    last_of_two = b"Connection: keep-alive\r\nConnection: Upgrade"
    spellings = {
        "Connection: keep-alive, Upgrade, as Firefox sends it": request(key, Connection="keep-alive, Upgrade"),
        "Connection: keep-alive,Upgrade,TE": request(key, Connection="keep-alive,Upgrade,TE"),
        "Connection: keep-alive ,\tUpgrade": request(key, Connection="keep-alive ,\tUpgrade"),
        "Upgrade: WebSocket and Connection: upgrade": request(key, Upgrade="WebSocket", Connection="upgrade"),
        "names in lower case": re.sub(rb"(?m)^[\w-]+(?=:)", lambda name: name[0].lower(), plain),
        "blanks and tabs around the values": re.sub(rb"(?m)^([\w-]+): (.*)\r$", rb"\1: \t \2 \t\r", plain),
        "no blank after the colons": plain.replace(b": ", b":"),
        "Connection: keep-alive and then Connection: Upgrade": plain.replace(b"Connection: Upgrade", last_of_two),
        "Connection: Upgrade and then Connection: keep-alive": plain.replace(b"Connection: Upgrade", first_of_two),
        "Upgrade: h2c, websocket": request(key, Upgrade="h2c, websocket"),
        "a cookie that is no ASCII": request(key, Cookie="name=Zoë; theme=a:b"),
        r"a cookie with the bytes \xc3\x85, an Å": request(key, Cookie="name=Åsa"),
        r"a cookie with the byte \x85": request(key, more=b"Cookie: name=\x85\r\n"),
    }
    async with door(submission) as at:
        for what, spelt in spellings.items():
            await at.accepts(f"a request with {what}", spelt, key)


@check(
    points=3,
    hints=(
        "RFC 6455 §4.1 says what a key is: how many bytes, and how they are written.",
        (
            "`base64.b64decode(key, validate=True)` decodes strictly. Count the bytes that it gives, not the "
            "characters of the key: 17 bytes take 24 characters as well. Which exceptions does it raise, and where do "
            "you catch them?"
        ),
    ),
)
async def test_refuses_a_malformed_key(submission: Any) -> None:
    """A key that is missing, or is not 16 bytes in Base64, is answered with 400."""
    good = new_key()
    keys = {
        "a request without a key": None,
        "a request with an empty key": "",
        "a key of 12 bytes": new_key(12),
        "a key of 15 bytes": new_key(15),
        "a key of 17 bytes": new_key(17),
        "a key of 18 bytes": new_key(18),
        "a key of 20 bytes": new_key(20),
        "a key without its padding": good.rstrip("="),
        "a key that is not Base64": "not/base64, not at all==",
        "a key with a stray character": f"{good[:12]}!{good[12:]}",
        "a key with a blank in it": f"{good[:12]} {good[12:]}",
        "a key with an ü in it": f"{good[:12]}ü{good[13:]}",
        "a key with - and _, as in URLs": base64.urlsafe_b64encode(b"\xfb\xff" * 8).decode(),
        "a key and then another one": f"{good}\r\nSec-WebSocket-Key: {new_key()}",
    }
    async with door(submission) as at:
        for what, key in keys.items():
            await at.refuses(what, request(Sec_WebSocket_Key=key), 400)
        await at.accepts("a good key", request())


@check(
    points=3,
    hints=(
        "A refusal may say what would have been right. For versions there is a header field for that.",
        (
            "The answer to a wrong or missing version is 426 with two fields, Upgrade and Sec-WebSocket-Version (RFC "
            "6455 §4.4). Compare the version as text: `int` takes 013 for 13."
        ),
    ),
)
async def test_says_which_version_it_speaks(submission: Any) -> None:
    """A version other than 13 is answered with 426 and the version that would have been right."""
    async with door(submission) as at:
        for version in ("8", "12", "14", "130", "013", "13.0", "", None):
            what = "a request without a version" if version is None else f"version {version!r}"
            old = request(Sec_WebSocket_Version=version)
            await at.refuses(what, old, 426, Sec_WebSocket_Version="13", Upgrade="websocket")
        await at.accepts("version 13", request())


@check(
    points=3,
    hints=(
        (
            "The list in the docstring of `respond` has a line for each of these. The first line has three words; "
            "look at the last one as well."
        ),
        (
            "Does a field hold the word, or does the word only stand somewhere in it, as in no-upgrade? And can "
            "`respond` raise? Think of a line without a colon, and of a first line with one word, or four: answer "
            "each with 400."
        ),
    ),
)
async def test_answers_what_is_no_handshake(submission: Any) -> None:
    """Another method, a plain page request, and bytes that are no HTTP get their answers too."""
    async with door(submission) as at:
        for method in ("POST", "DELETE", "HEAD", "get"):
            wrong = request(first=f"{method} /news HTTP/1.1")
            await at.refuses(f"the method {method}", wrong, 405, Allow="GET")
        await at.refuses("a plain page request", request(Upgrade=None, Connection=None), 426, Upgrade="websocket")
        for upgrade in ("h2c", "websocket2", "xwebsocket", "web-socket, h2c"):
            await at.refuses(f"Upgrade: {upgrade}", request(Upgrade=upgrade), 426, Upgrade="websocket")
        await at.refuses("a request without Connection", request(Connection=None), 400)
        for connection in ("close", "no-upgrade", "upgrades", "keep-alive, no upgrade", ""):
            await at.refuses(f"Connection: {connection}", request(Connection=connection), 400)
        for first in ("GET /news GOPHER/1.0", "GET /news HTTP/1.0", "GET /news", "GET /news and more HTTP/1.1"):
            await at.refuses(f"the first line {first}", request(first=first), 400)
        for what, line in (("one line that is no HTTP", b"hello?"), ("an empty line", b"")):
            await at.refuses(what, line + b"\r\n\r\n", 400)
        await at.refuses("the first bytes of TLS", b"\x16\x03\x01\x02\x00\x01\xff\xfe\r\n\r\n", 400)
        await at.refuses("a line without a colon", request(more=b"Cookie; name=Zoe\r\n"), 400)
        await at.refuses("Upgrade; websocket", request().replace(b"Upgrade: ", b"Upgrade; "), 400, 426)
        several = request(
            first="POST /news HTTP/1.1", Upgrade=None, Sec_WebSocket_Key="?", Origin="http://evil.example"
        )
        await at.refuses("a request in which four things are wrong", several, 405, 426, 400, 403)


@check(
    points=2,
    hints=(
        "How does a client know where the body of a refusal ends? And what does it wait for if nothing says so?",
        (
            "Put Content-Length into each refusal, whichever it is: the number of bytes behind the empty line. No "
            "characters: ü takes two bytes. Leave the field out of a 101."
        ),
    ),
)
async def test_says_how_long_its_body_is(submission: Any) -> None:
    """Each refusal has a Content-Length that is right, and a 101 has none."""
    refusals = {
        "another method": request(first="PUT /news HTTP/1.1"),
        "a plain page request": request(Upgrade=None, Connection=None),
        "version 12": request(Sec_WebSocket_Version="12"),
        "another Origin": request(Origin="https://zoë.example"),
        "a bad key": request(Sec_WebSocket_Key="bad"),
        "one line that is no HTTP": b"hello?\r\n\r\n",
    }
    async with door(submission) as at:
        for what, refused in refusals.items():
            response, body = await at.answer_and_body(what, refused)
            got = response.headers.get("Content-Length")
            expect(f"the Content-Length of the answer to {what}", got, equals=str(len(body)))
        accepted = await at.accepts("a good request", request())
        expect("the Content-Length of a 101", accepted.headers.get("Content-Length"), equals=None)


@check(
    points=4,
    hints=(
        "An Origin is scheme, host and port. How much of it do you compare?",
        (
            "Compare the whole text, letter by letter, with those in `origins` of this call. Programs send no Origin, "
            "and come in. A page in a sandboxed frame sends `null`, which is one more foreign Origin; so is an empty "
            "one."
        ),
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
            "https://LAB.example",
            "HTTPS://lab.example",
            "https://lab.example/",
            "https://lab.example:443",
            "https://lab.exampl",
            "https://lab_example",
            f"{PAGE}, https://evil.example",
            f"{PAGE}\r\nOrigin: https://evil.example",
            f"https://evil.example\r\nOrigin: {PAGE}",
            "lab.example",
            "null",
            "",
        ):
            what = "an empty Origin" if not origin else f"the Origin {origin.replace(chr(13) + chr(10), ' and then ')}"
            await at.refuses(what, request(Origin=origin), 403)
    async with door(submission, origins=()) as nobody, door(submission, origins=[OTHER]) as other:
        await nobody.refuses("any Origin when none may connect", request(Origin=PAGE), 403)
        await other.accepts("the Origin of a second server", request(Origin=OTHER))
        await other.refuses("the Origin of the first server, at the second", request(Origin=PAGE), 403)
        await nobody.refuses("the Origin of the second server, where none may", request(Origin=OTHER), 403)


@check(
    points=3,
    hints=(
        "Both sides have a list. Whose order counts, and which of the names does the answer hold?",
        (
            "Walk through the client's list, without the blanks around its names, and stop at the first that is in "
            "`subprotocols`. If there is no such name, answer 101 without the field."
        ),
    ),
)
async def test_chooses_a_subprotocol(submission: Any) -> None:
    """One of the subprotocols that the client offers is chosen, in the client's order; or none."""
    offers: dict[str | None, str | None] = {
        "chat.v2, chat.v1": "chat.v2",
        "chat.v1,chat.v2": "chat.v1",
        "chat.v3, chat.v2": "chat.v2",
        "chat.v3 ,\tchat.v1\t, chat.v2": "chat.v1",
        "chat.v3\r\nSec-WebSocket-Protocol: chat.v2": "chat.v2",
        "chat.v2\r\nSec-WebSocket-Protocol: chat.v1": "chat.v2",
        "chat.v1x": None,
        "xmpp, chat.v1": "xmpp",
        "": None,
        "chat.v3": None,
        "chat.v": None,
        "CHAT.V1": None,
        None: None,
    }
    async with door(submission, subprotocols=("chat.v1", "chat.v2", "xmpp")) as at, door(submission) as other:
        for offer, chosen in offers.items():
            what = "a request that offers none" if offer is None else f"the offer of {offer!r}"
            response = await at.accepts(what, request(Sec_WebSocket_Protocol=offer))
            got = response.headers.get("Sec-WebSocket-Protocol")
            expect(f"the subprotocol that is chosen from {what}", got, equals=chosen)
        response = await other.accepts("an offer to a server without any", request(Sec_WebSocket_Protocol="chat.v1"))
        got = response.headers.get("Sec-WebSocket-Protocol")
        expect("the subprotocol that a server without any chooses", got, equals=None)


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
        (
            "Take the answer apart as `respond` takes the request apart: lower-case names, values without the blanks "
            "around them, lists at their commas. The accept alone is compared to the letter."
        ),
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
    answers["an answer with Upgrade: WebSocket"] = response(key, Upgrade="WebSocket")
    answers["an answer with blanks and tabs around its values"] = re.sub(
        rb"(?m)^([\w-]+): (.*)\r$", rb"\1: \t \2 \t\r", response(key)
    )
    answers["an answer with no blank after the colons"] = response(key).replace(b": ", b":")
    answers["an answer with two Connection fields"] = response(key, Connection="Upgrade\r\nConnection: keep-alive")
    answers["an answer with an Å in another field"] = response(key, Server="Åsa")
    strange = b"\r\nServer: \x85\r\n\r\n"
    answers[r"an answer with the byte \x85 in another field"] = response(key).replace(b"\r\n\r\n", strange)
    for what, answer in answers.items():
        trusts(submission, what, key, answer)
        with expect.raises(f"verify, given {what} but another key,", ValueError):
            submission.verify(new_key(), answer)


@check(
    points=4,
    hints=(
        "What would an old answer out of a cache look like? And a page that says 200 and all the right header fields?",
        (
            "Take the first line apart at its blanks: is the first word HTTP/1.1, and the second one 101? "
            "Compare the words of Upgrade and Connection whole (no-upgrade is another word), and the accept, which is "
            "in a field of its own, to the letter. Which line of yours raises something else than ValueError for "
            "strange input?"
        ),
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
        "the status 1010": response(key, first="HTTP/1.1 1010 Switching Protocols"),
        "no Upgrade": response(key, Upgrade=None),
        "an Upgrade to something else": response(key, Upgrade="h2c"),
        "no Connection": response(key, Connection=None),
        "Connection: close": response(key, Connection="close"),
        "Connection: no-upgrade": response(key, Connection="no-upgrade"),
        "Upgrade: websocket2": response(key, Upgrade="websocket2"),
        "an accept that is no ASCII": response(key, Sec_WebSocket_Accept=f"{accept[:-2]}é="),
        "an empty accept": response(key, Sec_WebSocket_Accept=""),
        "one line that is no HTTP": b"220 mail.example ready\r\n\r\n",
        "all the right fields below ICY 101 OK": response(key, first="ICY 101 OK"),
        "all the right fields below one word": response(key, first="101"),
        "Upgrade; websocket": response(key).replace(b"Upgrade: ", b"Upgrade; "),
        "bytes that are no text": b"\x15\x03\x01\x00\x02\x02\xff\r\n\r\n",
        "an empty line": b"\r\n\r\n",
    }
    trusts(submission, "a good answer", key, response(key))
    for what, answer in refusals.items():
        with expect.raises(f"verify, given {what},", ValueError):
            submission.verify(key, answer)


@check(
    points=2,
    hints=(
        "Whoever reads your message at night has nothing but it. Which two things does it have to say?",
        (
            "Put both into the text: what you compared with, and what was in the answer. For a wrong accept, those "
            "are two accepts; for a wrong status, 101 and the first line that came."
        ),
    ),
)
async def test_verify_says_what_came(submission: Any) -> None:
    """The message of each ValueError has what was expected in it, and what came."""
    key = new_key()
    accept, other = accept_key(key), accept_key(new_key())
    complaints: dict[str, tuple[bytes, tuple[str, ...]]] = {
        "the status 403": (response(key, first="HTTP/1.1 403 Forbidden"), ("101", "403")),
        "the status 200": (response(key, first="HTTP/1.1 200 OK"), ("101", "200")),
        "Upgrade: h2c": (response(key, Upgrade="h2c"), ("upgrade", "websocket", "h2c")),
        "no Upgrade": (response(key, Upgrade=None), ("upgrade", "websocket")),
        "Connection: close": (response(key, Connection="close"), ("connection", "upgrade", "close")),
        "an accept for another key": (response(key, Sec_WebSocket_Accept=other), (accept, other)),
        "no accept": (response(key, Sec_WebSocket_Accept=None), (accept,)),
    }
    for what, (answer, words) in complaints.items():
        with expect.raises(f"verify, given {what},", ValueError) as refused:
            submission.verify(key, answer)
        message = str(refused.error)
        for word in words:
            holds = word.lower() in message.lower()
            expect.that(f"the message of verify, given {what}, has {word!r} in it", holds, but=f"it is {message!r}")
