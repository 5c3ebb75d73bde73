"""How many connections one process has room for.

What lives here: `room_for`. It must not know what the connections are for.
"""

from __future__ import annotations

__all__ = ["room_for"]


def room_for(most: int) -> int:
    """How many connections of two sockets each there is room for: at most a quarter of the descriptors that the
    system allows this process.

    Args:
        most: how many are wanted.
    """
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return most
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if allowed == resource.RLIM_INFINITY else max(1, min(most, allowed // 4))
