"""What a witness remembers: what has to come yet, and where it may start."""

from rtlab.instruments.checking.checker import check
from rtlab.instruments.checking.recorder import HistoryRecorder
from rtlab.instruments.soaking.witness import Board, Witness, renamed

ROOM = "harbour"


class Scene:
    def __init__(self):
        self.recorder = HistoryRecorder(100)
        self.board = Board()
        self.ann, self.ben = (Witness(name, name, self.recorder, self.board) for name in ("ann", "ben"))
        for each in (self.ann, self.ben):
            each.joining(ROOM)
            each.joined(ROOM, None, "1-0", True, False)

    def said(self, name, offset):
        self.ann.sent(ROOM, name)
        self.ann.acknowledged(ROOM, name, offset)
        self.ann.received(ROOM, name, offset, True)


def test_what_was_acknowledged_is_missing_until_it_comes():
    scene = Scene()
    scene.said("ann:1", "2-0")
    scene.said("ann:2", "10-0")
    scene.said("ann:3", "9-0")
    assert scene.ann.missing() == {}
    assert scene.ben.missing() == {ROOM: ["2-0", "9-0", "10-0"]}, "in their order, which is not that of the text"
    scene.ben.received(ROOM, "ann:2", "10-0", True)
    assert scene.ben.missing() == {ROOM: ["2-0", "9-0"]}
    assert scene.ben.ends == {ROOM: "10-0"}


def test_whoever_leaves_misses_nothing_and_begins_anew():
    scene = Scene()
    scene.ben.left(ROOM)
    scene.said("ann:1", "2-0")
    assert scene.ben.missing() == {}
    scene.ben.joined(ROOM, None, "2-0", True, False)
    assert scene.ben.missing() == {}
    scene.said("ann:2", "3-0")
    assert scene.ben.missing() == {ROOM: ["3-0"]}


def test_whoever_leaves_and_comes_back_with_an_offset_misses_what_was_said_meanwhile():
    scene = Scene()
    scene.ben.left(ROOM)
    scene.said("ann:1", "2-0")
    scene.ben.joined(ROOM, "1-0", "2-0", True, False)
    assert scene.ben.missing() == {ROOM: ["2-0"]}


def test_a_loss_that_was_told_is_not_waited_for():
    scene = Scene()
    scene.said("ann:1", "2-0")
    scene.ben.joined(ROOM, "1-0", "5-0", False, True)
    assert scene.ben.missing() == {}
    assert scene.board.counts["losses that were told"] == 1


def test_what_it_writes_is_what_the_checker_reads():
    scene = Scene()
    scene.said("ann:1", "2-0")
    scene.ben.disconnected()
    scene.ben.joining(ROOM)
    scene.ben.received(ROOM, "ann:1", "2-0", False)
    scene.ben.joined(ROOM, "1-0", "2-0", True, False)
    for each in (scene.ann, scene.ben):
        each.settled(ROOM)
    verdict = check(scene.recorder.history)
    assert verdict.result == "pass", verdict
    assert [each.kind for each in scene.recorder.history.only(client="ben")] == [
        "joining", "joined", "disconnected", "joining", "received", "joined", "settled"
    ]  # fmt: skip


def test_a_message_that_is_stored_under_two_ids_is_one_message():
    """Two ids look like two messages. The text says that it is one."""
    scene = Scene()
    scene.ann.sent(ROOM, "ann:1")
    scene.ann.unanswered(ROOM, "ann:1")
    scene.ann.sent(ROOM, "ann:1")
    scene.ann.acknowledged(ROOM, "ann:1", "3-0")
    for each in (scene.ann, scene.ben):
        each.received(ROOM, "one", "2-0", True)
        each.received(ROOM, "two", "3-0", True)
        each.settled(ROOM)
    verdict = check(renamed(scene.recorder.history, {"one": "ann:1", "two": "ann:1"}))
    assert {str(each.guarantee) for each in verdict.failures} == {"once"}, verdict
