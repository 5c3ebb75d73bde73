"""Histories of a chat that keeps its promises, made from a seed: joins, cuts, returns in several pages, retries whose
acknowledgement was lost, refusals, leaves, users with two clients, and a server that lets old messages go."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from rtlab.instruments.checking.history import ObservedHistory
from rtlab.instruments.checking.recorder import HistoryRecorder

ROOM, OTHER = "lobby", "garden"
PAGE = 3
STEP = 100
"""Milliseconds between two offsets, so that a mutation can put something between them."""
DEFINITE, INDEFINITE = ("rate_limited", "bad_payload"), ("server_error", "unavailable", "something_new")


def spelled(place: int) -> str:
    return f"{place}-0"


@dataclass
class Client:
    name: str
    room: str
    here: bool = True
    """Whether it has a connection."""
    member: bool = False
    """Whether it follows the room."""
    mark: int | None = None
    """Up to here nothing is missing."""
    entered: bool = False
    """Whether the server knows it as a member."""
    queue: list[tuple[int, str]] = field(default_factory=list)
    """Live messages on their way."""
    paging: list[tuple[int | None, int | None, bool]] = field(default_factory=list)
    """A join under way: the offset that it began with, the one to go on from, whether a loss was told."""
    broken_off: tuple[int | None, bool] | None = None
    """Where pages began of which the last has not come, and whether a loss was told: the connection may be cut."""
    attempt: tuple[str, int | None, str] | None = None
    """A message under way: its id, where it was stored, and what the server answers."""
    retry: str | None = None
    sent: int = 0


class Simulation:
    """One run.

    Args:
        seed: of all that is random.
        bound: messages that the server keeps.
        steps: how long it runs before everything is mended.
    """

    def __init__(self, seed: int, bound: int, steps: int) -> None:
        self.rng = random.Random(seed)
        self.bound = bound
        self.recorder = HistoryRecorder(bound, clock=lambda: 0.0)
        self.place = STEP
        self.kept: dict[str, list[tuple[int, str]]] = {ROOM: [], OTHER: []}
        self.trimmed: dict[str, int] = {ROOM: 0, OTHER: 0}
        self.places: dict[str, int] = {}
        self.echoes = self.rng.random() < 0.8
        self.page_first = self.rng.random() < 0.5
        self.clients = [Client(name, ROOM) for name in ("alice", "bob", "carol")[: self.rng.randint(2, 3)]]
        if self.rng.random() < 0.4:
            self.clients.append(Client("bob-phone", ROOM))
            self.recorder.client("bob-phone", user="bob")
        if self.rng.random() < 0.3:
            self.clients += [Client("alice", OTHER), Client("dan", OTHER)]
        for client in self.clients[:2]:
            self.join(client)
            self.page(client)
        for _ in range(steps):
            self.step()
        self.mend()

    def step(self) -> None:
        client = self.rng.choice(self.clients)
        actions = [self.deliver, self.deliver, self.deliver, self.talk, self.talk, self.answer, self.answer]
        actions += [self.page, self.page, self.page, self.come_and_go, self.fault]
        self.rng.choice(actions)(client)

    def fault(self, client: Client) -> None:
        if self.rng.random() < 0.2:
            self.recorder.fault("killed", "worker-1", self.rng.choice(["begin", "end", ""]))

    def talk(self, client: Client) -> None:
        """Send a message, or one again that was not answered."""
        if not (client.here and client.member and client.entered) or client.attempt or client.paging:
            return
        message = client.retry or f"{client.name[0]}{client.name[-1]}{client.room[0]}-{client.sent + 1}"
        if client.retry is None:
            client.sent += 1
        client.retry = None
        self.recorder.sent(client.name, client.room, message)
        fate = self.rng.random()
        if fate < 0.12 and message not in self.places:
            client.attempt = (message, None, self.rng.choice(DEFINITE))
        elif fate < 0.18:
            client.attempt = (message, None, self.rng.choice(INDEFINITE))
        else:
            client.attempt = (message, self.store(client, message), "ok" if fate < 0.92 else "server_error")

    def store(self, client: Client, message: str) -> int:
        if message in self.places:
            return self.places[message]
        self.place += STEP
        self.places[message] = self.place
        kept = self.kept[client.room]
        kept.append((self.place, message))
        if len(kept) > self.bound:
            self.trimmed[client.room] = kept.pop(0)[0]
        for each in self.clients:
            if each.room == client.room and each.entered and (self.echoes or each is not client):
                each.queue.append((self.place, message))
        return self.place

    def answer(self, client: Client) -> None:
        """The answer to a message comes, or gets lost."""
        if client.attempt is None:
            return
        message, place, code = client.attempt
        client.attempt = None
        if self.rng.random() < 0.15:
            self.recorder.unanswered(client.name, client.room, message)
        elif code == "ok":
            self.recorder.acknowledged(client.name, client.room, message, spelled(place or 0))
            return
        else:
            self.recorder.refused(client.name, client.room, message, code)
        if self.rng.random() < 0.7:
            client.retry = message

    def deliver(self, client: Client) -> None:
        """A live message comes. While a join is under way, it waits."""
        if client.queue and client.here and client.member and not client.paging:
            place, message = client.queue.pop(0)
            self.hand_over(client, place, message, live=True)

    def hand_over(self, client: Client, place: int, message: str, *, live: bool) -> None:
        if client.mark is None or place > client.mark:
            client.mark = place
            self.recorder.received(client.name, client.room, message, spelled(place), live)

    def come_and_go(self, client: Client) -> None:
        if not client.here:
            client.here = True
            if client.member:
                self.join(client)
        elif not client.member:
            if not client.paging:
                self.join(client)
        elif self.rng.random() < 0.25 and not client.paging and client.attempt is None:
            client.entered = False  # what is on its way may come before the answer, or never
            while client.queue and self.rng.random() < 0.5:
                self.deliver(client)
            client.queue.clear()
            self.recorder.left(client.name, client.room)
            client.member, client.retry, client.broken_off = False, None, None
            client.mark = client.mark if self.rng.random() < 0.5 else None
        else:
            self.cut(client)

    def cut(self, client: Client) -> None:
        client.here = client.entered = False
        client.queue.clear()
        client.paging.clear()
        if client.attempt is not None:
            self.recorder.unanswered(client.name, client.room, client.attempt[0])
            client.retry, client.attempt = client.attempt[0], None
        if client.member:
            self.recorder.disconnected(client.name, client.room)

    def join(self, client: Client) -> None:
        """Ask; the server puts the client in, and reads the page later."""
        if not client.member:
            self.recorder.joining(client.name, client.room)
        client.entered = True
        first, told = client.broken_off or (client.mark, False)
        client.paging = [(first, client.mark, told)]

    def page(self, client: Client) -> None:
        """A page of a join comes."""
        if not client.paging:
            return
        first, after, told = client.paging.pop()
        kept = self.kept[client.room]
        if after is None:
            page, more, lost = kept[-PAGE:], False, False
            self.place += STEP
            end = page[-1][0] if page else self.place
        else:
            found = [each for each in kept if each[0] > after]
            page, more, lost = found[:PAGE], len(found) > PAGE, self.trimmed[client.room] > after
            end = page[-1][0] if page else after
        told = told or lost
        if more:
            for each in page:
                self.hand_over(client, *each, live=False)
            client.mark = end
            client.broken_off = (first, told)
            client.paging.append((first, end, told))
            return
        client.broken_off = None
        after_ = None if first is None else spelled(first)
        answer = (client.name, client.room, after_, spelled(end), not told, told)
        if not self.page_first:
            self.recorder.joined(*answer)
        for each in page:
            self.hand_over(client, *each, live=False)
        client.mark = max(end, client.mark or 0)
        if self.page_first:
            self.recorder.joined(*answer)
        client.member = True

    def mend(self) -> None:
        """Everybody comes back, every message is answered or given up, all comes, and each asks for a last page."""
        for client in self.clients:
            if not client.member:
                client.paging.clear()
                client.broken_off = None
                client.entered = False
                client.queue.clear()
        for client in self.clients:
            if client.member and not client.here:
                client.here = True
                self.join(client)
            while client.paging:
                self.page(client)
        for client in self.clients:
            while client.attempt is not None:
                self.answer(client)
        for client in self.clients:
            while client.queue:
                self.deliver(client)
        for client in self.clients:
            if client.member:
                self.join(client)
                while client.paging:
                    self.page(client)
                self.recorder.settled(client.name, client.room, spelled(client.mark or 0))


def simulated(seed: int, *, bound: int = 5, steps: int = 120) -> ObservedHistory:
    """A history without a fault of the server."""
    return Simulation(seed, bound, steps).recorder.history
