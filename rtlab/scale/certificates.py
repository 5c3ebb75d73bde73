"""Throw-away certificates, with which a program on this machine speaks TLS.

What lives here: an authority of our own, and a certificate that it signs for the names of this machine. It must not
know who serves with it. The authority's key is forgotten at once: nothing else can ever be signed in its name.

Source: https://trustme.readthedocs.io.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CA_FILE", "CERTIFICATE_FILE", "HERE", "KEY_FILE", "CertificatePair", "make_certificates"]

HERE = ("localhost", "127.0.0.1", "::1")
"""The names of this machine, which is all that a throw-away certificate is for."""
CA_FILE = "ca.pem"
CERTIFICATE_FILE = "certificate.pem"
KEY_FILE = "key.pem"


@dataclass(frozen=True)
class CertificatePair:
    """A server's certificate with its key, and the authority that a client trusts for it."""

    ca: bytes
    """The authority's certificate, PEM: for ``ssl.create_default_context(cafile=…)``. Empty if clients know it."""
    certificate: bytes
    """The server's certificate with its chain, PEM."""
    key: bytes
    """Its private key, PEM."""

    @property
    def files(self) -> dict[str, bytes]:
        """What is written, by the names of the files."""
        return {CA_FILE: self.ca, CERTIFICATE_FILE: self.certificate, KEY_FILE: self.key}

    def write(self, folder: Path) -> None:
        """Write the three files, for this user's eyes only (mode 0600).

        Raises:
            FileExistsError: one of them is there.
        """
        for name, content in self.files.items():
            number = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(number, "wb") as file:
                file.write(content)

    def __repr__(self) -> str:
        return "<CertificatePair>"  # a key is not shown


def make_certificates(names: Sequence[str] = HERE) -> CertificatePair:
    """Make an authority and a certificate. Takes about 10 ms.

    Args:
        names: host names and IP addresses that the certificate is for.
    """
    import trustme

    authority = trustme.CA()
    issued = authority.issue_cert(*names)
    return CertificatePair(
        ca=authority.cert_pem.bytes(),
        certificate=b"".join(each.bytes() for each in issued.cert_chain_pems),
        key=issued.private_key_pem.bytes(),
    )
