"""The chat's page beside a notebook's cell.

What lives here: `show`. It must not know the page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from rtlab.errors import UsageError

if TYPE_CHECKING:
    from IPython.display import IFrame

    from rtlab.servers.hosting import HostedServer

__all__ = ["HEIGHT", "show"]

HEIGHT = 560
"""Pixels. Enough for a conversation, little enough for the next cell to be seen."""


def show(server: HostedServer, *, room: str = "lobby", token: str | None = None, height: int = HEIGHT) -> IFrame:
    """Show the page of a chat that runs here. Works on JupyterHub and Binder too, through jupyter-server-proxy.

    Args:
        server: what `rtlab.start` gave for `create_app(…, dev=True)`, which lets a notebook frame its page.
        room: the room that it opens.
        token: signs in with it; without one the page asks for a name.
        height: in pixels.

    Returns:
        What Jupyter displays as the page; put it last in its cell.

    Raises:
        UsageError: it is no server that `rtlab.start` gave.
    """
    from IPython.display import IFrame

    if not hasattr(server, "browser_url"):
        raise UsageError(f"show(server): expected what `await rtlab.start(app)` gives, got {type(server).__name__}.")
    # Behind "#", which a browser keeps to itself: it is in no request and in no log.
    fragment = urlencode({"room": room} if token is None else {"room": room, "token": token})
    return IFrame(f"{server.browser_url}#{fragment}", width="100%", height=height)
