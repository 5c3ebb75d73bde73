"""Pages of other sites: refused at the first request, on both transports, whatever a stranger says about proxies."""

import aiohttp
import pytest
import pytest_asyncio
from chat.serving import chatting
from deadlines import WAIT_S

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMED = "https://app.example"
TRUSTED = "127.0.0.0/8"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def urls():
    """A chat behind a proxy that it trusts, and one that trusts none."""
    async with (
        chatting(origins=[NAMED], trusted_proxies=[TRUSTED], ping_timeout=5) as trusting,
        chatting(origins=[NAMED], ping_timeout=5) as alone,
    ):
        yield {True: trusting.url, False: alone.url}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http():
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(WAIT_S)) as session:
        yield session


async def knock(http, url, transport, headers):
    """The status of a first request."""
    address = f"{url}/socket.io/?EIO=4&transport={transport}"
    if transport == "polling":
        async with http.get(address, headers=headers) as response:
            if response.status == 200:
                allowed = response.headers.get("Access-Control-Allow-Origin")
                assert allowed == headers.get("Origin"), "a browser lets only that page read it"
            else:
                assert "Access-Control-Allow-Origin" not in response.headers
                assert await response.json() == {"code": 4, "message": "Forbidden"}
            return response.status
    try:
        async with http.ws_connect(address, headers=headers) as ws:
            assert (await ws.receive_str()).startswith("0{")
            return 200
    except aiohttp.WSServerHandshakeError as error:
        return error.status


PROXY = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "chat.example"}
CASES = [
    ("no Origin", {}, False, 200),
    ("this site", {"Origin": "http://{here}"}, False, 200),
    ("a named one", {"Origin": NAMED}, False, 200),
    ("a foreign one", {"Origin": "https://evil.example"}, False, 403),
    ("null", {"Origin": "null"}, False, 403),
    ("this site by another scheme", {"Origin": "https://{here}"}, False, 403),
    ("this site's port of another name", {"Origin": "http://localhost:{port}"}, False, 403),
    ("this site with more behind", {"Origin": "http://{here}.evil.example"}, False, 403),
    ("this site as a name before an @", {"Origin": "http://{here}@evil.example"}, False, 403),
    ("a named one with more behind", {"Origin": f"{NAMED}.evil.example"}, False, 403),
    ("a named one without TLS", {"Origin": "http://app.example"}, False, 403),
    ("a named one in large letters", {"Origin": NAMED.upper()}, False, 403),
    ("two", {"Origin": f"{NAMED}, https://evil.example"}, False, 403),
    ("a star", {"Origin": "*"}, False, 403),
    ("a proxy's site, and no proxy is trusted", {"Origin": "https://chat.example", **PROXY}, False, 403),
    (
        "a stranger names the foreign site as the host",
        {"Origin": "https://evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"},
        False,
        403,
    ),
    (
        "a stranger says it in the new header",
        {"Origin": "https://evil.example", "Forwarded": "proto=https;host=evil.example"},
        False,
        403,
    ),
    ("this site, whatever a stranger adds", {"Origin": "http://{here}", **PROXY}, False, 200),
    ("the trusted proxy's site", {"Origin": "https://chat.example", **PROXY}, True, 200),
    ("a foreign one through the trusted proxy", {"Origin": "https://evil.example", **PROXY}, True, 403),
    ("null through the trusted proxy", {"Origin": "null", **PROXY}, True, 403),
    ("a named one through the trusted proxy", {"Origin": NAMED, **PROXY}, True, 200),
    ("the inner address through the trusted proxy", {"Origin": "http://{here}", **PROXY}, True, 403),
    ("the wrong scheme through the trusted proxy", {"Origin": "http://chat.example", **PROXY}, True, 403),
    ("no Origin through the trusted proxy", PROXY, True, 200),
]


@pytest.mark.parametrize("transport", ["polling", "websocket"])
@pytest.mark.parametrize(
    ("headers", "trusted", "status"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
async def test_origin(urls, http, transport, headers, trusted, status):
    here = urls[trusted].removeprefix("http://")
    said = {
        name: value.replace("{here}", here).replace("{port}", here.partition(":")[2]) for name, value in headers.items()
    }
    assert await knock(http, urls[trusted], transport, said) == status


@pytest.mark.parametrize("method", ["GET", "POST", "WebSocket"])
async def test_a_foreign_page_that_knows_a_session_gets_no_further(urls, http, method):
    """Every request is looked at, not only the first."""
    address = f"{urls[False]}/socket.io/?EIO=4&transport=polling"
    async with http.get(address) as response:
        sid = (await response.text()).split('"')[3]
    evil = {"Origin": "https://evil.example"}
    if method == "WebSocket":
        with pytest.raises(aiohttp.WSServerHandshakeError) as error:
            await http.ws_connect(f"{address.replace('polling', 'websocket')}&sid={sid}", headers=evil)
        assert error.value.status == 403
    else:
        async with http.request(method, f"{address}&sid={sid}", headers=evil, data=b"40") as response:
            assert response.status == 403
    async with http.post(f"{address}&sid={sid}", data=b"1") as response:
        assert response.status == 200, "and whoever had the session goes on with it"


async def test_a_preflight_of_a_foreign_page_is_not_allowed(urls, http):
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    for origin, allowed in (("https://evil.example", None), (NAMED, NAMED)):
        address = f"{urls[False]}/socket.io/?EIO=4&transport=polling"
        async with http.options(address, headers={"Origin": origin, **asks}) as response:
            assert response.headers.get("Access-Control-Allow-Origin") == allowed


async def test_the_peer_is_who_a_trusted_proxy_says_and_nobody_else(urls, http, caplog):
    """The log names the peer of whoever is refused."""
    caplog.set_level("INFO", logger="rtlab.chat")
    for trusted, url in urls.items():
        address = f"{url}/socket.io/?EIO=4&transport=websocket"
        async with http.ws_connect(address, headers={"X-Forwarded-For": "203.0.113.9, 198.51.100.7, 127.0.0.2"}) as ws:
            await ws.receive_str()
            await ws.send_str('40{"token":"x"}')
            assert "Invalid token" in await ws.receive_str()
        (record,) = [each for each in caplog.records if each.message.startswith("refused")]
        assert record.peer == ("198.51.100.7" if trusted else "127.0.0.1")
        caplog.clear()
