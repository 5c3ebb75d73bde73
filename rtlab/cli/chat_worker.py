"""The chat in a worker of ``rtlab serve chat --workers``: an import string cannot have arguments, so they come in the
environment.

What lives here: `create`, the factory in ``rtlab.cli.chat_worker:create``. `chat_cluster` sets what it reads.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["APP", "OPTIONS", "create"]

APP = "rtlab.cli.chat_worker:create"
OPTIONS = "RTLAB_CHAT_OPTIONS"
"""The environment variable: a JSON object of arguments for `rtlab.chat.create_app`. No secret is among them."""


def create() -> web.Application:
    """The chat as a worker serves it."""
    from rtlab.chat import create_app
    from rtlab.chat.log import log_as_json
    from rtlab.servers.door.limits import raise_descriptor_limit

    log_as_json()
    raise_descriptor_limit()
    return create_app(**json.loads(os.environ[OPTIONS]))
