"""The page over HTTP: what is served, as what, and what a browser is told that it may do."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from deadlines import WAIT_S
from yarl import URL

import rtlab
from rtlab.chat import page
from rtlab.chat.page import CLIENT_FILE, CLIENT_INTEGRITY, CLIENT_URL, add_page, client_file
from rtlab.errors import UsageError

WEB = Path(page.__file__).parent / "web"
ROOT = Path(__file__).parents[2]


def app(*, dev: bool = False, frame_ancestors: tuple[str, ...] = ()) -> web.Application:
    made = web.Application()
    add_page(made, dev=dev, frame_ancestors=frame_ancestors)
    return made


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


@pytest.fixture
def without_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "client_file", lambda: None)


def policy_of(headers: Mapping[str, str]) -> dict[str, list[str]]:
    directives = (part.split() for part in headers["Content-Security-Policy"].split(";"))
    return {name: sources for name, *sources in directives}


async def get(http: ClientSession, url: str, **headers: str) -> tuple[int, Mapping[str, str], bytes]:
    async with http.get(URL(url, encoded=True), headers=headers, allow_redirects=False) as response:
        return response.status, response.headers, await response.read()


async def test_each_file_is_served_as_what_it_is(http):
    types = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
    async with rtlab.serve(app()) as server:
        for path in WEB.iterdir():
            if path.name == "index.html":
                continue
            status, headers, body = await get(http, f"{server.url}/web/{path.name}")
            assert (status, body) == (200, path.read_bytes())
            assert headers["Content-Type"] == f"{types[path.suffix]}; charset=utf-8"
        status, headers, body = await get(http, server.url + "/")
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        status, headers, body = await get(http, f"{server.url}/web/{CLIENT_FILE}")
        assert (status, headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")
        assert body == client_file().read_bytes()


@pytest.mark.parametrize("path", ["/", "/web/main.js", "/web/nothing.js"])
async def test_every_answer_says_what_a_browser_may_do(http, path):
    async with rtlab.serve(app()) as server:
        _, headers, _ = await get(http, server.url + path)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-cache"
    assert policy_of(headers) == {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'"],
        "connect-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'none'"],
        "require-trusted-types-for": ["'script'"],
        "trusted-types": ["'none'"],
    }


async def test_named_sites_may_frame_it(http):
    sites = ("'self'", "http://localhost:*", "https://school.example")
    async with rtlab.serve(app(frame_ancestors=sites)) as server:
        _, headers, _ = await get(http, server.url + "/")
    assert policy_of(headers)["frame-ancestors"] == list(sites)


@pytest.mark.parametrize(
    "site", ["https://a.example; script-src *", "https://a.example, x", "two words", "", "ö", "x\r\ny"]
)
def test_a_site_cannot_end_the_policy(site):
    with pytest.raises(UsageError, match="frame_ancestors"):
        app(frame_ancestors=(site,))


def test_a_string_is_no_list_of_sites():
    with pytest.raises(UsageError, match="list of sites"):
        add_page(web.Application(), dev=False, frame_ancestors="https://school.example")


@pytest.mark.parametrize(
    "path",
    [
        "/web/",
        "/web/index.html",
        "/web/../page.py",
        "/web/..%2Fpage.py",
        "/web/%2e%2e/page.py",
        "/web/%2e%2e%2fpage.py",
        "/web/..%5Cpage.py",
        "/web/....//page.py",
        "/web//etc/passwd",
        "/web/%2Fetc%2Fpasswd",
        "/web/main.js%00.css",
        "/web/main.js/",
        "/page.py",
        "/web",
    ],
)
async def test_nothing_else_is_served(path):
    """Over a bare socket, since clients tidy up paths before they send them."""
    async with rtlab.serve(app()) as server, asyncio.timeout(WAIT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert re.match(rb"HTTP/1.1 (404|400) ", answer)
    assert b"def add_page" not in answer
    assert b"root:" not in answer


async def test_an_unchanged_file_is_not_sent_again(http):
    async with rtlab.serve(app()) as server:
        for path in ("/", "/web/style.css"):
            _, headers, _ = await get(http, server.url + path)
            tag = headers["ETag"]
            status, again, body = await get(http, server.url + path, **{"If-None-Match": f'"another", {tag}'})
            assert (status, body, again["ETag"]) == (304, b"", tag)
            assert again["Content-Security-Policy"] == headers["Content-Security-Policy"]
            status, _, body = await get(http, server.url + path, **{"If-None-Match": '"another"'})
            assert status == 200
            assert body


async def test_the_tag_of_the_page_changes_with_what_it_says(http):
    async with rtlab.serve(app()) as one, rtlab.serve(app(dev=True)) as other:
        tags = {(await get(http, server.url + "/"))[1]["ETag"] for server in (one, other)}
    assert len(tags) == 2


@pytest.mark.parametrize(("dev", "by"), [(False, "token"), (True, "name")])
async def test_it_says_by_what_people_sign_in(http, dev, by):
    async with rtlab.serve(app(dev=dev)) as server:
        _, _, body = await get(http, server.url + "/")
    assert re.findall(r'<meta name="sign-in" content="(\w+)">', body.decode()) == [by]


async def test_the_page_hears_whether_the_client_comes(http, without_client):
    """Scripts that wait for the document run in their order, and fail in it: ours has to come first."""
    async with rtlab.serve(app()) as server:
        text = (await get(http, server.url + "/"))[2].decode()
    assert re.findall(r"<script (\w+)", text) == ["type", "id"]


async def test_the_page_names_its_parts_relative_to_itself(http):
    async with rtlab.serve(app()) as server:
        text = (await get(http, server.url + "/"))[2].decode()
        named = re.findall(r'(?:src|href)="([^"]+)"', text)
        assert named
        for each in named:
            assert not each.startswith(("/", "http")), each
            assert (await get(http, f"{server.url}/{each}"))[0] == 200
        for path in WEB.glob("*.js"):
            for each in re.findall(r'^import .* from "\./([^"]+)";$', path.read_text(), re.MULTILINE):
                assert (await get(http, f"{server.url}/web/{each}"))[0] == 200


def test_nothing_in_it_makes_markup_or_code_of_a_string():
    """The policy stops it in browsers that know Trusted Types; here it is kept out for the others."""
    sinks = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setHTML|srcdoc")
    for path in WEB.glob("*.js"):
        assert not sinks.search(path.read_text()), path.name
    html = (WEB / "index.html").read_text()
    assert not re.search(r"\son\w+=|\sstyle=|<style|<script>", html)


async def test_without_the_javascript_side_the_client_comes_from_its_makers(http, without_client):
    async with rtlab.serve(app()) as server:
        _, headers, body = await get(http, server.url + "/")
        assert (await get(http, f"{server.url}/web/{CLIENT_FILE}"))[0] == 404
    [tag] = re.findall(r"<script id=[^>]+>", body.decode())
    assert f'src="{CLIENT_URL}"' in tag
    assert f'integrity="{CLIENT_INTEGRITY}"' in tag
    assert " crossorigin" in tag
    assert policy_of(headers)["script-src"] == ["'self'", CLIENT_URL]


def test_the_digest_is_that_of_the_file_that_npm_brings():
    locked = json.loads((ROOT / "package-lock.json").read_text())["packages"]["node_modules/socket.io-client"]
    assert f"https://cdn.socket.io/{locked['version']}/{CLIENT_FILE}" == CLIENT_URL
    path = client_file()
    if path is None:
        pytest.skip("The JavaScript side is not installed. Run `make install`.")
    digest = base64.b64encode(hashlib.sha384(path.read_bytes()).digest()).decode()
    assert f"sha384-{digest}" == CLIENT_INTEGRITY


def test_a_client_of_another_major_version_is_left_alone(tmp_path):
    for name in ("socket.io-client", "socket.io", "socket.io-msgpack-parser", "ws"):
        (tmp_path / "node_modules" / name / "dist").mkdir(parents=True)
        (tmp_path / "node_modules" / name / "package.json").write_text('{"version": "2.5.0"}')
    (tmp_path / "node_modules/socket.io-client/dist" / CLIENT_FILE).write_text("")
    assert client_file(tmp_path) is None
    (tmp_path / "node_modules/socket.io-client/package.json").write_text('{"version": "4.7.5"}')
    assert client_file(tmp_path) == tmp_path / "node_modules/socket.io-client/dist" / CLIENT_FILE
