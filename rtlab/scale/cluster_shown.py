"""A cluster as it is shown: as text, and as a table in a notebook.

What lives here: pure functions. No password and no secret is shown.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from rtlab.scale.sentinel_group import SentinelGroup

if TYPE_CHECKING:
    from rtlab.scale.cluster import Cluster

__all__ = ["as_html", "as_text"]

SHOWN_EVENTS = 3
"""Events below the table: the last ones."""


def _headline(cluster: Cluster) -> str:
    count = len(cluster.workers)
    return (
        f"<Cluster {cluster.url}, {cluster.app}, {cluster.balancing} over {count} worker{'s' if count > 1 else ''}, "
        f"{cluster.state}>"
    )


def _rows(cluster: Cluster) -> list[tuple[str, str, str, str, str]]:
    """Name, state, process, address, and what else there is to say."""
    rows = [
        (
            worker.name,
            worker.state,
            str(worker.pid or "-"),
            worker.url,
            worker.how_often,
        )
        for worker in cluster.workers
    ]
    nginx = cluster.balancer
    state = "running" if nginx.running else "stopped" if not cluster.running else nginx.child.state
    rows.append(("nginx", state, str(nginx.child.pid if nginx.running else "-"), cluster.url, nginx.balancing))
    if isinstance(cluster.broker, SentinelGroup):
        rows += [
            (each.name, each.state, str(each.child.pid if each.running else "-"), each.address, cluster.broker.version)
            for each in cluster.broker.members
        ]
    elif cluster.broker is not None:
        child = cluster.broker.child
        shown = repr(cluster.broker).removeprefix("<Broker ").removesuffix(">")
        address, _, rest = shown.partition(", ")
        what, _, state = rest.rpartition(", ")
        pid = str(child.pid) if child is not None and child.running else "-"
        rows.append(("redis", state, pid, address, what.partition(", process")[0]))
    return rows


def as_text(cluster: Cluster) -> str:
    """A line for the cluster, one for each process, and the last events."""
    rows = [("", "", "process", "address", ""), *_rows(cluster)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join([_headline(cluster), *lines, *(f"  {event}" for event in cluster.events[-SHOWN_EVENTS:])])


def as_html(cluster: Cluster) -> str:
    """The same as a table."""
    head = "".join(f"<th>{name}</th>" for name in ("", "state", "process", "address", ""))
    body = "".join(
        "<tr>" + "".join(f'<td style="text-align: left">{escape(cell)}</td>' for cell in row) + "</tr>"
        for row in _rows(cluster)
    )
    events = "<br>".join(escape(str(event)) for event in cluster.events[-SHOWN_EVENTS:])
    return (
        f"<div><code>{escape(_headline(cluster))}</code></div>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><div>{events}</div>"
    )
