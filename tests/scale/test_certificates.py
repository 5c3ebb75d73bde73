"""Throw-away certificates: what they are for, who can read them, and that they can be made twice."""

from __future__ import annotations

import asyncio
import ssl
import stat

import pytest

from rtlab.scale.certificates import make_certificates


async def greet(host: str, server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> bytes:
    """What a client hears from a server over TLS."""

    async def serve(_, writer):
        writer.write(b"hello\n")
        writer.close()

    async with await asyncio.start_server(serve, host, 0, ssl=server) as listening:
        port = listening.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(host, port, ssl=client, server_hostname=name)
        try:
            return await reader.readline()
        finally:
            writer.close()


def context_of(pair, folder) -> ssl.SSLContext:
    pair.write(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context


async def test_they_are_for_this_machine_and_for_no_other(tmp_path):
    server = context_of(make_certificates(), tmp_path)
    client = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    for name in ("localhost", "127.0.0.1", "::1"):
        assert await greet("127.0.0.1", server, client, name) == b"hello\n"
    for name in ("example.org", "127.0.0.2"):
        with pytest.raises(ssl.SSLCertVerificationError):
            await greet("127.0.0.1", server, client, name)


async def test_one_authority_does_not_vouch_for_another(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    server = context_of(make_certificates(), tmp_path / "one")
    make_certificates().write(tmp_path / "other")
    for client in (ssl.create_default_context(cafile=tmp_path / "other" / "ca.pem"), ssl.create_default_context()):
        with pytest.raises(ssl.SSLCertVerificationError):
            await greet("127.0.0.1", server, client, "localhost")


def test_only_this_user_reads_them_and_nothing_is_overwritten(tmp_path):
    pair = make_certificates()
    pair.write(tmp_path)
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == dict.fromkeys(
        ("ca.pem", "certificate.pem", "key.pem"), 0o600
    )
    with pytest.raises(FileExistsError):
        make_certificates().write(tmp_path)
    assert (tmp_path / "key.pem").read_bytes() == pair.key


def test_a_key_is_not_shown():
    pair = make_certificates()
    assert "KEY" not in f"{pair!r} {pair}"
    assert b"PRIVATE KEY" not in pair.ca + pair.certificate
