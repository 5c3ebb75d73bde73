"""The program in each worker of a cluster.

``python -m rtlab.scale.worker_program LISTENER_FD READY_FD module:attribute``, as `rtlab.servers.worker`, and with what
its cluster asks of it: it says which Socket.IO server it runs, and lets the cluster into a namespace of its own there
(`offering`). Started by `workers` only.
"""

from __future__ import annotations

import os
import sys

from rtlab.scale.offering import offer
from rtlab.servers.worker import run

__all__: list[str] = []


if __name__ == "__main__":
    key = os.environ.pop("RTLAB_READY")  # what the app starts does not get it
    name = os.environ["RTLAB_WORKER"]
    run(sys.argv[1:], lambda app: offer(app, name, key).to_bytes())
