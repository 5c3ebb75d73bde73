"""Throw-away certificates for this machine, for tests with TLS."""

from __future__ import annotations

import datetime as dt
import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme

__all__ = ["Authority", "Certificate", "contexts"]

LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Certificate:
    """A server's certificate and its key, each in a file."""

    chain: Path
    key: Path

    @property
    def context(self) -> ssl.SSLContext:
        """The server's context."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        return context


class Authority:
    """A certificate authority whose files lie in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = 0
        self._ca = trustme.CA()
        self.ca = folder / "ca.pem"
        """Its certificate: what a client has to trust."""
        self._ca.cert_pem.write_to_path(self.ca)

    @property
    def trusting(self) -> ssl.SSLContext:
        """The context of a client that trusts it."""
        return ssl.create_default_context(cafile=self.ca)

    def issue(self, *names: str, expired: bool = False) -> Certificate:
        """A certificate for these names and addresses; by default those of this machine."""
        times = {"not_before": LONG_AGO, "not_after": LONG_AGO + dt.timedelta(days=1)} if expired else {}
        issued = self._ca.issue_cert(*(names or ("localhost", "127.0.0.1")), **times)
        self._made += 1
        made = Certificate(*(self._folder / f"{self._made}-{part}.pem" for part in ("chain", "key")))
        for blob in issued.cert_chain_pems:
            blob.write_to_path(made.chain, append=True)
        issued.private_key_pem.write_to_path(made.key)
        return made


def contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context for this machine, and that of a client that trusts it."""
    authority = Authority(folder)
    return authority.issue().context, authority.trusting
