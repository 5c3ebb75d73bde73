"""The appendix with the chat's contract says what the code does: each event, code and limit, and its JavaScript."""

import ast
import dataclasses
import json
import re
from pathlib import Path

import pytest
from chat.resuming import EXPECTED, Restless
from chat.serving import GENEROUS, SECRET, token

import rtlab
from rtlab.chat import CHAT, Limits, create_app
from rtlab.servers.javascript import node

ROOT = Path(__file__).parents[2]
CELLS = json.loads((ROOT / "notebooks/appendix_contract.ipynb").read_text(encoding="utf-8"))["cells"]
TEXT = "\n".join("".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "markdown")


def section(title: str) -> str:
    return TEXT.partition(f"## {title}\n")[2].partition("\n## ")[0]


def first_column(title: str) -> set[str]:
    """What the table of a section has in its first column, in code style."""
    return set(re.findall(r"^\| `([^`]+)` \|", section(title), re.MULTILINE))


def calls(*names: str, client_side: bool = False) -> set[str]:
    """All texts that are the first argument of a call of these names, anywhere in the chat."""
    found = set()
    for path in (ROOT / "rtlab/chat").rglob("*.py"):
        if (path.parent.name == "client") != client_side:
            continue
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call):
                continue
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            texts = [each.value for each in call.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            if name in names and texts:
                found.add(texts[0])
    return found


def codes_that_are_assigned() -> set[str]:
    tree = ast.parse((ROOT / "rtlab/chat/chat.py").read_text(encoding="utf-8"))
    pairs = [
        each.value.elts[0] for each in ast.walk(tree) if isinstance(each, ast.Assign) and hasattr(each.value, "elts")
    ]
    return {each.value for each in pairs if isinstance(each, ast.Constant) and str(each.value).islower()}


def test_each_event_that_clients_may_send_stands_in_the_table_and_the_reverse():
    chat = create_app(secret=SECRET)[CHAT]
    assert first_column("What a client sends") == {event for _, event in chat.handlers}


def test_each_event_that_the_server_sends():
    assert first_column("What the server sends") == calls("emit", "_tell")


def test_each_code_of_a_refused_event():
    taken = calls("EventRefused", "Full") | codes_that_are_assigned() | {"token_expired", "token_invalid"}
    assert first_column("What is refused") == taken
    for code in calls("ChatError", "ChatUnansweredError", client_side=True):
        assert f"`{code}`" in section("What is refused")


def test_each_code_of_a_refused_connection():
    assert first_column("Connecting") == calls("InvalidToken", "_refused", "_later") | {"too_many_connections"}
    messages = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section("Connecting"), re.MULTILINE))
    source = (ROOT / "rtlab/chat/chat.py").read_text(encoding="utf-8")
    for message in messages.values():
        assert f'"{message}"' in source


def test_each_limit_with_its_value():
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", section("Limits"), re.MULTILINE))
    assert {name: float(value.replace(",", "")) for name, value in rows.items()} == dataclasses.asdict(Limits())


def test_the_acknowledgement_of_a_join_is_explained():
    explained = first_column("Coming back without losing a message")
    assert explained == {"chat:history", "missed", "lost", "complete", "offset"}


AROUND = """
const socket = io(url, { auth: (give) => give({ token }), reconnectionDelay: 50, reconnectionDelayMax: 100 });
const shown = [];
function show(message) { shown.push(message.text); }
function showGap() { shown.push("a gap"); }
function refused() {}
SNIPPET
const turn = () => new Promise((resolve) => setTimeout(resolve, 5));
while (!caughtUp) await turn();
await fetch(`${url}/cut`, { method: "POST" });
while (!(caughtUp && shown.includes("m60"))) await turn();
await socket.emitWithAck("chat:typing", "lobby"); // what was sent before its answer is here
socket.disconnect();
return shown;
"""


@pytest.mark.timeout(300)
async def test_its_javascript_loses_nothing():
    """60 missed, a live message before the history, and a cut between the pages. It shows what comes when it comes."""
    from aiohttp import web

    (snippet,) = re.findall(r"```js\n(.*?)```", TEXT, re.DOTALL)
    history = Restless()
    app = create_app(secret=SECRET, limits=GENEROUS, history=history)
    history.sio = app[CHAT].sio

    async def cut(_):
        await history.cut_all()
        return web.Response()

    app.router.add_post("/cut", cut)
    async with rtlab.serve(app) as server:
        shown = await node(AROUND.replace("SNIPPET", snippet), url=server.url, token=token("alice"))
    assert sorted(shown.value) == sorted(EXPECTED), "each once, and no gap"
    assert len(history.asked) == 3
