"""A script in Node: what it says, how it fails, and that nothing of it is left."""

import asyncio
import socket

import psutil
import pytest
from deadlines import SCALE, WAIT_S
from eventually import until

import rtlab
from rtlab.errors import ChildError, MissingProgramError, UsageError
from rtlab.servers import course, javascript

ECHO = """
    const io = new Server(httpServer, { parser: msgpack ? msgpackParser : undefined });
    io.on("connection", (socket) => {
        console.log("hello");
        socket.on("echo", (what, ack) => ack(what));
        socket.on("fail", () => { null.length; });
    });
"""


def nodes() -> list[psutil.Process]:
    """The Node processes that descend from this one and run."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.name().startswith("node") and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def refuses(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0


async def test_what_it_prints_and_returns():
    run = await rtlab.node(
        """
        console.log("hello", name, list[1].deep);
        console.error("and this");
        return { name, three: 1 + 2 };
        """,
        name="Zoë 🎈",
        list=[1, {"deep": None}],
    )
    assert run.lines == ("hello Zoë 🎈 null", "and this")
    assert run.text == "hello Zoë 🎈 null\nand this"
    assert run.value == {"name": "Zoë 🎈", "three": 3}
    assert repr(run) == "hello Zoë 🎈 null\nand this\nreturned {'name': 'Zoë 🎈', 'three': 3}"


@pytest.mark.parametrize(
    ("script", "shown"),
    [
        ("", "<NodeRun: nothing printed, nothing returned>"),
        ("return 7;", "returned 7"),
        ("console.log('a\\nb');", "a\nb"),
        ("return new RangeError('too far');", "returned 'RangeError: too far'"),
        ("const io = 1, http = 2; let Server = 3; return io + http + Server;", "returned 6"),
        ("return typeof require('socket.io').Server;", "returned 'function'"),
        (
            "return [io, Server, WebSocket, msgpackParser.Encoder, once].every((each) => typeof each === 'function');",
            "returned True",
        ),
        (
            "setInterval(() => {}, 10); http.createServer().listen(0); return 'both are left';",
            "returned 'both are left'",
        ),
    ],
)
async def test_its_value_and_what_it_has_at_hand(script, shown):
    assert repr(await rtlab.node(script)) == shown
    assert not nodes()


async def test_a_large_value_goes_there_and_back():
    text = "ä" * 300_000
    assert (await rtlab.node("return text;", text=text)).value == text


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            "const a = 1;\nthrow new TypeError('no ' + a);",
            "stopped in line 2 of the script, `throw new TypeError('no ' + a);`: TypeError: no 1",
        ),
        ("return 1;\n\n  const = 2;", "in line 3 of the script, `const = 2;`: SyntaxError: Unexpected token '='"),
        ("nothing.here();", "in line 1 of the script, `nothing.here();`: ReferenceError: nothing is not defined"),
        (
            "setTimeout(() => {\nnull.length;\n}, 1);\nawait new Promise(() => {});",
            "in line 2 of the script, `null.len",
        ),
        ("throw 'a word';", "stopped: 'a word'"),
        ("Promise.reject(new Error('lost')); await new Promise(() => setInterval(() => {}, 1000));", "Error: lost"),
        ("return 1n;", "TypeError: Do not know how to serialize a BigInt"),
        ("await new Promise(() => {});", "it waits for something that can no longer come"),
        ("process.exit(0);", "it called process.exit"),
        ("name = 2;", "Cannot assign to read only property 'name'"),
        ("assert.equal(1, 2);", "AssertionError: Expected values to be strictly equal"),
    ],
)
async def test_a_failure_names_the_line_and_the_error(script, message):
    with pytest.raises(ChildError) as caught:
        await rtlab.node(f"{script}", name=1)
    assert message in str(caught.value)
    assert not nodes()


async def test_a_failure_shows_the_last_output():
    with pytest.raises(ChildError) as caught:
        await rtlab.node("for (let i = 0; i < 30; i++) console.log('line', i);\nthrow new Error('end');")
    assert caught.value.tail == tuple(f"line {number}" for number in range(10, 30))


@pytest.mark.parametrize("endless", ["for (;;);", "await new Promise(() => setInterval(() => {}, 1000));"])
async def test_a_script_that_never_ends_is_ended(endless):
    for within_s in (2, WAIT_S):  # a machine that does much else may need longer than the first until it begins
        with pytest.raises(ChildError, match=f"had not returned after {within_s:g} s") as caught:
            await rtlab.node(f"console.log('begun');\n{endless}", within_s=within_s)
        assert not nodes()
        if "begun" in caught.value.tail:
            return
    pytest.fail(str(caught.value))


async def test_cancelling_ends_it():
    task = asyncio.create_task(rtlab.node("await new Promise(() => setInterval(() => {}, 1000));"))
    await until(nodes, "Node runs")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not nodes()


async def test_two_at_once():
    async with rtlab.node_server("new Server(httpServer).on('connection', (s) => s.on('who', (ack) => ack(me)));",
                                 me="x") as server:  # fmt: skip
        script = "const s = io(url, { query: { me } }); return me + (await s.emitWithAck('who'));"
        runs = await asyncio.gather(*(rtlab.node(script, url=server.url, me=me) for me in "ab"))
    assert [run.value for run in runs] == ["ax", "bx"]


@pytest.mark.parametrize("values", [{"io": 1}, {"httpServer": 1}, {"data": b"bytes"}, {"number": float("nan")}])
async def test_a_value_that_cannot_be_passed(values):
    with pytest.raises(UsageError, match=r"at hand anyway|travel as JSON"):
        await rtlab.node("return 1;", **values)


async def test_missing_packages_and_a_missing_node(tmp_path, monkeypatch):
    monkeypatch.setattr(course, "_upwards", lambda _: [tmp_path])
    with pytest.raises(MissingProgramError, match=r"npm: socket.io-client, .*make install"):
        await rtlab.node("return 1;")
    monkeypatch.undo()
    monkeypatch.setenv("RTLAB_NODE", "no-such-node")
    with pytest.raises(MissingProgramError, match="RTLAB_NODE"):
        await rtlab.node("return 1;")


@pytest.mark.parametrize("msgpack", [False, True])
async def test_a_server_in_node(msgpack):
    async with rtlab.node_server(ECHO, msgpack=msgpack) as server:
        assert repr(server).startswith(f"<Server http://127.0.0.1:{server.port}, Node in process ")
        assert server in rtlab.resources()
        run = await rtlab.node(
            """
            const socket = io(url, { parser: msgpack ? msgpackParser : undefined });
            await once(socket, "connect");
            return await socket.emitWithAck("echo", { n: 1 });
            """,
            url=server.url,
            msgpack=msgpack,
        )
        assert run.value == {"n": 1}
        assert await until(server.log.tail) == ["hello"]
    assert refuses(server.port)
    assert not nodes()
    assert server not in rtlab.resources()


async def test_a_server_that_an_exception_ends():
    server = await rtlab.start_node(ECHO, msgpack=False)
    try:
        run = await rtlab.node(
            """
            const socket = io(url, { transports: ["websocket"] });
            socket.emit("fail");
            return (await once(socket, "disconnect"))[0];
            """,
            url=server.url,
        )
        assert run.value == "transport close"
        await until(lambda: not server.running, "the server has ended")
        said = "TypeError: Cannot read properties of null (reading 'length')"
        await until(lambda: said in server.log.tail(), server.log.tail)
        assert refuses(server.port)
    finally:
        await server.stop()


async def test_a_server_that_does_not_come_up():
    with pytest.raises(ChildError, match=r"in line 2 of the script, `null.length;`: TypeError"):
        await rtlab.start_node("\nnull.length;")
    with pytest.raises(ChildError, match="it waits for something that can no longer come"):
        await rtlab.start_node("await new Promise(() => {});")
    assert not nodes()


async def test_a_server_that_is_not_ready_in_time(monkeypatch):
    monkeypatch.setattr(javascript, "READY_S", 1.0 * SCALE)
    with pytest.raises(ChildError, match="was not ready after"):
        await rtlab.start_node("await new Promise(() => setInterval(() => {}, 1000));")
    assert not nodes()


async def test_what_it_prints_has_no_colours_whatever_the_kernel_asks_for(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert (await rtlab.node("console.log([1, null], 2)")).lines == ("[ 1, null ] 2",)
