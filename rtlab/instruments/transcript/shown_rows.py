"""A row as it is shown: with its number, with labels, its lines cut to a width that can be read.

What lives here: `as_shown`, from a row as it was recorded. It must not know where rows are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from rtlab.instruments.transcript.labels import Labels
from rtlab.instruments.transcript.packet_seen import PacketSeen
from rtlab.instruments.transcript.rows import Row
from rtlab.instruments.transcript.wording import DETAIL, shorten

__all__ = ["as_shown"]


def as_shown(row: Row, clock: int, labels: Labels | None, clocks: Mapping[int, int] | None = None) -> Row:
    """A row as it is shown: with its number, with labels, its lines cut to a width that can be read.

    Args:
        row: as it was recorded; it refers to others by their numbers.
        clock: its own.
        labels: None leaves everything as it is.
        clocks: what became of those numbers; None leaves them.
    """
    change = (lambda text: text) if labels is None else labels.apply
    where = (lambda number: number) if clocks is None else clocks.get
    client, session = row.client_number, row.session
    if labels is not None:
        client = labels.client(client or row.connection)
        session = session and labels.mark("session", session)
        for packet in row.packets:
            if packet.socket:
                labels.mark("socket", packet.socket)
    return replace(
        row,
        clock=clock,
        client_number=client,
        session=session,
        packets=tuple(_packet_as_shown(packet, change, where) for packet in row.packets),
        answers=None if row.answers is None else where(row.answers),
        summary=shorten(change(row.summary)),
        details=tuple(shorten(change(line), DETAIL) for line in row.details),
        note=shorten(change(row.note), DETAIL),
        problem=shorten(change(row.problem), DETAIL),
    )


def _packet_as_shown(
    packet: PacketSeen, change: Callable[[str], str], where: Callable[[int], int | None]
) -> PacketSeen:
    return replace(
        packet,
        socket=change(packet.socket),
        data=change(packet.data),
        says=shorten(change(packet.says), DETAIL),
        answers=None if packet.answers is None else where(packet.answers),
    )
