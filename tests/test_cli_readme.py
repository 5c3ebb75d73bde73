"""The README's programs, run as a reader would, and what `rtlab serve chat --dev` prints for them."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from deadlines import WAIT_S

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
RTLAB = [sys.executable, "-m", "rtlab"]


def program(word: str) -> str:
    (found,) = [each for each in PROGRAMS if word in each]
    return found


def run(source: str, *arguments: str, folder: Path) -> str:
    path = folder / "talk.py"
    path.write_text(source, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(path), *arguments], capture_output=True, text=True, timeout=2 * WAIT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def chat():
    """What `rtlab serve chat --dev` prints, once it listens."""
    environment = {name: value for name, value in os.environ.items() if name != "RTLAB_SECRET"}
    command = [*RTLAB, "serve", "chat", "--dev"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        try:
            yield [process.stdout.readline().rstrip("\n") for _ in range(6)]
            process.send_signal(signal.SIGTERM)
            assert process.wait(WAIT_S) == 0
        finally:
            process.kill()


def test_the_script_talks_to_the_chat_that_the_command_started(chat, tmp_path):
    url, token = chat[0], re.search(r'token="([^"]+)"', chat[3])[1]
    assert run(program("sys.argv"), url, token, folder=tmp_path) == "hello\n"


def test_what_dev_prints_can_be_pasted(chat, tmp_path):
    lines = [each for each in chat[2:] if each.startswith("  ")]
    assert len(lines) == 4
    assert "python -m asyncio" in chat[1]
    pasted = [each.strip() for each in lines] + ["print(alice)", "await alice.close()"]
    body = "".join(f"    {each}\n" for each in pasted)
    source = f"import asyncio\n\nasync def main():\n{body}\nasyncio.run(main())\n"
    assert run(source, folder=tmp_path) == f"<chat client of {chat[0]}, connected, in lobby>\n"


def test_notify(tmp_path):
    said = run(program("chat.notify"), folder=tmp_path)
    assert said.strip() == "{'text': 'It rains.', 'topic': 'weather'}"
    assert f"It prints `{said.strip()}`." in README
