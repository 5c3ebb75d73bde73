"""What is said where somebody forgets `await` or `async with`, and that everything else works as without the help."""

import asyncio
import inspect

import pytest

import rtlab
from rtlab.servers import websocket
from rtlab.servers.unawaited import awaited


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


UNAWAITED = {
    "start": (lambda: rtlab.start(echo), r"server = await rtlab\.start\(…\)"),
    "start_tap": (lambda: rtlab.start_tap("http://127.0.0.1:9"), r"tap = await rtlab\.start_tap\(…\)"),
    "start_node": (lambda: rtlab.start_node(""), r"server = await rtlab\.start_node\(…\)"),
    "node": (lambda: rtlab.node("return 1"), r"run = await rtlab\.node\(…\)"),
}
BLOCKS = {
    "serve": (lambda: rtlab.serve(echo), r"async with rtlab\.serve\(…\) as server:"),
    "tap": (lambda: rtlab.tap("http://127.0.0.1:9"), r"async with rtlab\.tap\(…\) as tap:"),
    "node_server": (lambda: rtlab.node_server(""), r"async with rtlab\.node_server\(…\) as server:"),
    "websocket.serve": (lambda: websocket.serve(echo), r"async with serve\(handler\) as server:"),
    "websocket.connect": (lambda: websocket.connect("ws://x"), r"async with connect\(url\) as websocket:"),
}


@pytest.mark.parametrize(("call", "right"), UNAWAITED.values(), ids=UNAWAITED)
async def test_a_result_that_was_not_awaited(call, right):
    unawaited = call()
    try:
        for name in ("ws_url", "url", "stop", "value"):
            with pytest.raises(rtlab.UsageError, match=rf"not awaited, has no attribute '{name}'. Write: {right}"):
                getattr(unawaited, name)
        assert not hasattr(unawaited, "url")
        assert "not awaited" in repr(unawaited)
    finally:
        unawaited.close()


@pytest.mark.parametrize(("call", "right"), UNAWAITED.values(), ids=UNAWAITED)
async def test_a_coroutine_in_a_block(call, right):
    with pytest.raises(rtlab.UsageError, match=rf"is no context manager. Write: .*{right}"):
        async with call():
            pass
    with pytest.raises(rtlab.UsageError, match=rf"is no context manager. Write: .*{right}"), call():
        pass


@pytest.mark.parametrize(("call", "right"), BLOCKS.values(), ids=BLOCKS)
async def test_a_block_that_is_used_in_another_way(call, right):
    with pytest.raises(rtlab.UsageError, match=rf"is not awaited. Write: {right}"):
        await call()
    with pytest.raises(rtlab.UsageError, match=rf"needs async with, got with. Write: {right}"), call():
        pass
    with pytest.raises(rtlab.UsageError, match=rf"has no attribute 'url'. Write: {right}"):
        _ = call().url
    assert "not entered" in repr(call())


async def test_methods_too():
    async with rtlab.serve(echo) as server, rtlab.tap(server) as tap:
        for unawaited, right in [
            (server.stop(), r"await server\.stop\(\)"),
            (tap.stop(), r"await server\.stop\(\)"),
            (rtlab.resources().stop(), r"await rtlab\.resources\(\)\.stop\(\)"),
            (tap.wait_for(len), r"transcript = await tap\.wait_for\(…\)"),
            (tap.seen(1), r"transcript = await tap\.seen\(…\)"),
        ]:
            with pytest.raises(rtlab.UsageError, match=f"Write: {right}"):
                _ = unawaited.messages
            unawaited.close()


async def test_a_server_that_runs_needs_no_block():
    server = await rtlab.start(echo)
    with pytest.raises(rtlab.UsageError, match=r"runs already, without a block.*`await server\.stop\(\)`"):
        async with server:
            pass
    with pytest.raises(rtlab.UsageError, match="runs already"), server:
        pass
    await server.stop()


async def test_awaited_it_is_an_ordinary_coroutine():
    both = await asyncio.gather(rtlab.start(echo), asyncio.create_task(rtlab.start(echo)))
    assert all(server.running for server in both)
    await rtlab.resources().stop()
    assert inspect.signature(rtlab.start).parameters["in_child"].default is False
    assert "Start a server that runs until" in rtlab.start.__doc__


async def test_it_can_be_cancelled_and_shown_by_asyncio():
    waiting = asyncio.Event()

    @awaited("it = await forever()")
    async def forever():
        try:
            await asyncio.Event().wait()
        finally:
            waiting.set()

    task = asyncio.create_task(forever())
    await asyncio.sleep(0)
    assert "forever" in repr(task)
    assert task.get_stack()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert waiting.is_set()


def test_it_can_be_run():
    @awaited("it = await one()")
    async def one():
        return 1

    assert asyncio.run(one()) == 1
    with pytest.raises(rtlab.UsageError, match="Write: it = await one"):
        _ = (never := one()).value
    with pytest.raises(AttributeError):
        _ = never._repr_html_
    never.close()
