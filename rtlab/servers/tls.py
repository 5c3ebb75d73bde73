"""TLS from the client's side: whom it trusts, and what went wrong, in words.

What lives here: `client_context`, and `tls_problem`, which says what an error of the ssl module means for whoever wrote
the URL. It must not know what is spoken through TLS. The numbers are OpenSSL's (x509_vfy.h); the rules stand in
RFC 5280 and RFC 6125.

Certificates are verified unless the caller hands in a context that does not, and then the log says so each time.
"""

from __future__ import annotations

import logging
import os
import ssl

from rtlab.errors import UsageError

__all__ = ["Trust", "client_context", "tls_problem"]

logger = logging.getLogger(__name__)

Trust = str | os.PathLike[str] | ssl.SSLContext | None
"""Whom a client believes: the path of a CA's certificate in PEM, a context of your own, None for the CAs that this
machine trusts."""
NOT_YET_VALID, EXPIRED = 9, 10
UNKNOWN_CA = {18, 19, 20, 21}
"""Self-signed, signed by a root that is not trusted, by one that is not there; only one certificate was sent."""
WRONG_NAME = {62, 64}
"""Another host name, another address."""
NOT_TLS = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"}
"""What OpenSSL 1.1 and 3 say of an answer that is no record of TLS."""


def client_context(trust: Trust, where: str = "") -> ssl.SSLContext:
    """A client's context: it verifies the certificate and the host name.

    Args:
        trust: see `Trust`.
        where: the server, for the log, where a context of your own verifies nothing.

    Raises:
        UsageError: there is no certificate in that file, or the context is a server's.
    """
    if isinstance(trust, ssl.SSLContext):
        if trust.protocol is ssl.PROTOCOL_TLS_SERVER:
            raise UsageError(
                "Expected a client's SSLContext, got a server's (PROTOCOL_TLS_SERVER). Give the path of the CA's "
                "certificate instead, or ssl.create_default_context(cafile=path)."
            )
        if trust.verify_mode is not ssl.CERT_REQUIRED or not trust.check_hostname:
            logger.warning(
                "TLS to %s with a context that does not verify the server's %s: anybody in between can read along",
                where or "a server",
                "certificate" if trust.verify_mode is not ssl.CERT_REQUIRED else "host name",
            )
        return trust
    if trust is None:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cafile=os.fspath(trust))
    except OSError as error:  # SSLError is one
        why = "there is no certificate in PEM in it" if isinstance(error, ssl.SSLError) else error.strerror
        raise UsageError(f"Expected the path of a CA's certificate in PEM, got {os.fspath(trust)!r}: {why}.") from None


def tls_problem(error: BaseException, host: str, *, plain: str, trust: str) -> str | None:
    """What an error during the TLS handshake means, without a full stop; None if it is none of TLS.

    Args:
        error: what was raised.
        host: the name or address that the client asked for.
        plain: the scheme of the URL without TLS.
        trust: how the caller names another CA.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate_problem(error, host, trust)
    if isinstance(error, ssl.SSLError) and error.reason in NOT_TLS:
        return f"what answers there speaks no TLS; try {plain}"
    if isinstance(error, (ConnectionResetError, ConnectionAbortedError, ssl.SSLEOFError)):
        return f"the connection ended during the TLS handshake; if the server speaks no TLS, try {plain}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}".lower().replace("tls", "TLS", 1).replace("_", " ")
    return None


def _certificate_problem(error: ssl.SSLCertVerificationError, host: str, trust: str) -> str:
    said = error.verify_message.rstrip(".")
    if error.verify_code == EXPIRED:
        return f"the server's certificate has expired ({said}); it needs a new one"
    if error.verify_code == NOT_YET_VALID:
        return f"the server's certificate is not valid yet ({said}); is this machine's clock right?"
    if error.verify_code in WRONG_NAME:
        return f"the server's certificate is not for {host!r} ({said}); connect to a name that stands in it"
    if error.verify_code in UNKNOWN_CA:
        return f"the server's certificate was not issued by a trusted CA ({said}); name its CA with {trust}"
    return f"the server's certificate is refused ({said})"
