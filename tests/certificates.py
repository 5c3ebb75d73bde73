"""A throw-away certificate for this machine, for tests with TLS."""

import shutil
import ssl
import subprocess

import pytest
from deadlines import WAIT_S

__all__ = ["contexts", "needs_openssl"]

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")


def contexts(folder):
    """Make a certificate for localhost in a folder; gives the server's context, and that of a client that trusts it."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    more = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *more], check=True, capture_output=True, timeout=WAIT_S)
    ours, theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=certificate)
    ours.load_cert_chain(certificate, key)
    return ours, theirs
