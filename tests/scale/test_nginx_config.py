"""The text of nginx.conf: what nginx accepts, what cannot get into it, and what the command prints."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner, Result
from deadlines import WAIT_S
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rtlab.cli import scale
from rtlab.errors import MissingProgramError, UsageError
from rtlab.scale.certificates import make_certificates
from rtlab.scale.nginx_config import BALANCINGS, ProxyLimits, nginx_config
from rtlab.scale.nginx_values import check_location, check_name, quote_path, split_address
from rtlab.servers import programs

WORKERS = [("10.0.0.7", 8000), ("chat-2.internal", 8000), ("::1", 8001)]
LOCAL = [("10.0.0.7", 8000), ("127.0.0.1", 8000), ("::1", 8001)]
"""Nothing that would have to be looked up."""
NASTY = [
    "a;b", "a b", "a\nb", "a\rb", "a\tb", "a{b", "a}b", 'a"b', "a'b", "a$b", "a#b", "a\\b", "a/b", "a\x00b", "ä", "",
    "-a", "a-", "a..b", "a" * 64, ".".join(["a" * 60] * 5), "a;include /etc/passwd", "unix:/tmp/a", "1.2.3",
    "1.2.3.4.5", "::1%lo", "[::1", "::1]", "[a]", "a:1", None, 7, b"a",
]  # fmt: skip


def nginx_accepts(text: str, folder) -> str:
    """Empty if `nginx -t` accepts it, else what it says."""
    try:
        program = programs.nginx()
    except MissingProgramError as error:
        pytest.skip(str(error))
    (folder / "nginx.conf").write_text(text)
    run = subprocess.run(
        [*program.command, "-t", "-e", "stderr", "-p", f"{folder}/", "-c", "nginx.conf"],
        capture_output=True, text=True, check=False, timeout=WAIT_S,
    )  # fmt: skip
    return "" if run.returncode == 0 and "[warn]" not in run.stderr else run.stderr


def command(*arguments: str) -> Result:
    """What the command does, in this process."""
    return CliRunner().invoke(scale.nginx_config, arguments, prog_name="rtlab nginx-config")


@pytest.mark.parametrize("balancing", BALANCINGS)
@pytest.mark.parametrize("dressed", [False, True])
def test_nginx_accepts_it(balancing, dressed, tmp_path):
    more = {}
    if dressed:
        folder = tmp_path / """so "called" 'folder' \\ {#;} ü"""
        folder.mkdir()
        make_certificates().write(folder)
        more = {
            "tls": (str(folder / "certificate.pem"), str(folder / "key.pem")),
            "server_names": ["chat.example", "*.Chat.example"],
            "access_log": str(folder / "access.log"),
            "path": "/live/socket.io",
        }
    listen = ["127.0.0.1:8080", "[::1]:8080"] if dressed else "8080"
    text = nginx_config(LOCAL, balancing=balancing, listen=listen, **more)
    assert not nginx_accepts(text, tmp_path)


def test_every_directive_has_its_reason_near():
    """At most eight lines of configuration stand below one comment."""
    run = 0
    for line in nginx_config(WORKERS, balancing="sticky", listen="80").splitlines():
        bare = line.strip()
        if bare.startswith("#"):
            run = 0
        elif bare.endswith(";"):
            run += 1
        assert run <= 8, line


@pytest.mark.parametrize("nasty", NASTY, ids=repr)
def test_no_host_or_name_gets_anything_into_it(nasty):
    with pytest.raises(UsageError) as caught:
        nginx_config([(nasty, 80)], balancing="sticky", listen="80")
    assert "10.0.0.7:8000" in str(caught.value)
    if isinstance(nasty, str) and nasty not in {"1.2.3", "1.2.3.4.5"}:
        with pytest.raises(UsageError, match="server name"):
            check_name(nasty)
        with pytest.raises(UsageError):
            split_address(f"{nasty}:80")


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=30))
@example("\u2028")
@example("a\n")
@example("\uff11\uff12\uff17.0.0.1")
def test_whatever_is_accepted_is_one_plain_word(text):
    for check in (check_name, check_location, lambda each: "{}:{}".format(*split_address(each))):
        try:
            accepted = check(text)
        except UsageError:
            continue
        assert accepted.isascii()
        assert not set(accepted) & set(" \t\r\n;{}\"'$#\\"), accepted


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=30))
def test_a_quoted_path_ends_where_it_should(text):
    try:
        quoted = quote_path(f"/{text}", "A file")
    except UsageError:
        return
    inner, read = quoted[1:-1], ""
    while inner:  # as nginx reads it: a backslash takes the next character along
        assert inner[0] != '"'
        size = 2 if inner[0] == "\\" else 1
        read += inner[size - 1]
        inner = inner[size:]
    assert read == f"/{text}"


@pytest.mark.parametrize("port", [0, 65536, -1, "80", True, None, 80.0])
def test_a_port_is_a_port(port):
    with pytest.raises(UsageError, match="port from 1 to 65535"):
        nginx_config([("a", port)], balancing="sticky", listen="80")


@pytest.mark.parametrize(
    "given_wrongly",
    [
        {"listen": "chat:80 ssl"}, {"listen": ""}, {"listen": []}, {"listen": "80;"}, {"listen": "::1:80"},
        {"listen": "0"},
        {"tls": ("cert.pem", "/key.pem")}, {"tls": ("/$HOME/c", "/k")}, {"tls": ("/c\n", "/k")},
        {"access_log": "a.log"},
        {"cookie": "a b"}, {"cookie": ""}, {"path": "socket.io"}, {"path": "/"}, {"path": "/a;b"}, {"path": "/../a"},
        {"balancing": "least_conn"}, {"balancing": None}, {"server_names": ["https://chat.example"]},
        {"upstreams": []}, {"upstreams": [("a", 1), ("a", 1)]},
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_stand_there_is_an_error(given_wrongly):
    arguments = {"upstreams": WORKERS, "balancing": "sticky", "listen": "80"} | given_wrongly
    with pytest.raises(UsageError):
        nginx_config(arguments.pop("upstreams"), **arguments)


@pytest.mark.parametrize("wrong", [{"body_bytes": 0}, {"silence_s": "9"}, {"max_fails": -1}, {"head_s": True}])
def test_limits_are_whole_numbers(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        ProxyLimits(**wrong)


def test_the_command_prints_what_nginx_accepts(tmp_path):
    make_certificates().write(tmp_path)
    arguments = [
        "--upstream", "10.0.0.7:8000", "--upstream", "[::1]:8000", "--balancing", "websocket_only", "--listen", "8443",
        "--server-name", "chat.example", "--tls-certificate", f"{tmp_path}/certificate.pem",
        "--tls-key", f"{tmp_path}/key.pem",
    ]  # fmt: skip
    program = [sys.executable, "-m", "rtlab", "nginx-config", *arguments]
    run = subprocess.run(program, capture_output=True, text=True, check=False, timeout=WAIT_S)
    assert (run.returncode, run.stderr) == (0, "")
    assert not nginx_accepts(run.stdout, tmp_path)
    assert "server 10.0.0.7:8000 " in run.stdout
    assert "listen 8443 ssl;" in run.stdout


def test_the_command_listens_where_the_scheme_does(tmp_path):
    assert "listen 80;" in command("--upstream", "a:1").stdout
    assert "listen 443 ssl;" in command("--upstream", "a:1", "--tls-certificate", "/c", "--tls-key", "/k").stdout


def test_the_help_explains_the_balancings():
    said = command("--help").stdout
    assert all(balancing in said for balancing in BALANCINGS)
    assert "nginx -t -c" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--upstream"),
        (["--upstream", "a"], "got 'a'"),
        (["--upstream", "http://a:80"], "10.0.0.7:8000"),
        (["--upstream", "a:99999"], "65535"),
        (["--upstream", "a;b:80"], "a;b"),
        (["--upstream", "a:1", "--upstream", "a:1"], "twice"),
        (["--upstream", "a:1", "--balancing", "random"], "sticky"),
        (["--upstream", "a:1", "--tls-key", "/k"], "--tls-certificate"),
        (["--upstream", "a:1", "--tls-certificate", "", "--tls-key", ""], "empty"),
        (["--upstream", "a:1", "--tls-certificate", "c", "--tls-key", "/k"], "absolute"),
        (["--upstream", "a:1", "--server-name", "a b"], "chat.example"),
        (["--upstream", "a:1", "--listen", "localhost"], "127.0.0.1:8080"),
        (["--upstream", "a:1", "--path", "x"], "/socket.io/"),
    ],
)
def test_a_mistake_is_told_with_what_to_do(arguments, says):
    run = command(*arguments)
    assert (run.exit_code, run.stdout) == (2, "")
    assert says in run.stderr
    assert "Traceback" not in run.stderr
