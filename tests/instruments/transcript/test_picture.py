"""The picture: well-formed, the same for the same rows, legible without a background, bounded."""

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtlab.instruments.drawing import CLIENTS, LINE_COLOUR, PAINTS, PROBLEM
from rtlab.instruments.transcript.packet_seen import PacketSeen
from rtlab.instruments.transcript.picture import LANES, ROWS_SHOWN, WIDTH, draw
from rtlab.instruments.transcript.transcript import Direction, Kind, Row, Transcript

SVG = "{http://www.w3.org/2000/svg}"


def row(
    clock=0, connection=1, direction=Direction.TO_SERVER, kind=Kind.FRAME, summary="TEXT 'x'", opcode="TEXT", **more
):
    return Row(
        clock=clock,
        connection=connection,
        direction=direction,
        kind=kind,
        summary=summary,
        opcode=opcode,
        size=0,
        **more,
    )


def rows(count, connections=1):
    return [row(number, number % connections + 1) for number in range(count)]


def texts(transcript):
    root = ET.fromstring(draw(transcript, dropped=transcript.dropped))
    return [each.text or "" for each in root.iter(f"{SVG}text")]


def test_what_is_in_it():
    shown = texts(Transcript([row(0), row(1, 2, Direction.TO_CLIENT, problem="odd", note="well", details=("A: b",))]))
    assert shown[:3] == ["client-1", "client-2", "server"]
    assert shown[3:] == ["0", "TEXT 'x'", "1", "TEXT 'x'", "! odd", "= well", "A: b"]


def test_it_says_which_way():
    """The point of the arrow is at who hears it."""
    root = ET.fromstring(draw(Transcript([row(0), row(1, direction=Direction.TO_CLIENT)])))
    points = [float(re.match(r"M([\d.]+)", each.get("d")).group(1)) for each in root.iter(f"{SVG}path")]
    client, server = sorted(
        {float(each.get("x1")) for each in root.iter(f"{SVG}line") if each.get("x1") == each.get("x2")}
    )
    assert points == [server, client]


def test_many_clients_share_a_lifeline():
    assert texts(Transcript(rows(LANES, LANES)))[:LANES] == [f"client-{number + 1}" for number in range(LANES)]
    shown = texts(Transcript(rows(LANES + 1, LANES + 1)))
    assert shown[:2] == ["clients", "server"]
    assert f"{LANES + 1}: TEXT 'x'" in shown


def test_a_long_transcript_is_cut_in_the_middle():
    shown = texts(Transcript(rows(ROWS_SHOWN), dropped=7))
    assert not any("not shown" in text for text in shown)
    assert "7 earlier rows were not kept" in shown
    shown = texts(Transcript(rows(1000)))
    assert f"{1000 - ROWS_SHOWN} rows are not shown: print the transcript, or filter it" in shown
    clocks = [int(text) for text in shown if text.isdigit()]
    assert clocks == [*range(45), *range(985, 1000)]


def test_nothing():
    assert texts(Transcript()) == ["client", "server", "nothing yet"]


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("opcode", ["", "TEXT", "BINARY", "CONTINUATION", "CLOSE", "PING", "PONG"])
def test_every_kind_has_its_paint(kind, opcode):
    assert draw(Transcript([row(kind=kind, opcode=opcode)]))


@pytest.mark.parametrize("clients", [1, 3, LANES, LANES + 1])
def test_boxes_hold_their_lines(clients):
    """Each line of text is within its box, each box between the lifelines, and the picture no wider than a page."""
    summaries = ["x" * 68, "漢字" * 30, "some words and more words " * 2]
    many = [row(each, each + 1, summary=summaries[each % 3], details=("y" * 30, "z " * 34)) for each in range(clients)]
    root = ET.fromstring(draw(Transcript([*many, row(99, problem="a long problem " * 9)])))
    width = float(root.get("width"))
    assert width <= WIDTH + 10
    for group in root.iter(f"{SVG}g"):
        box = group.find(f"{SVG}rect")
        left, right = float(box.get("x")), float(box.get("x")) + float(box.get("width"))
        assert 0 < left < right < width
        for text in group.findall(f"{SVG}text")[1:]:
            columns = sum(2 if each in "漢字" else 1 for each in text.text)
            assert float(text.get("x")) + columns * 7.23 <= right  # 12 px at 0.602 em


def test_long_lines_are_wrapped_and_keep_their_look():
    root = ET.fromstring(draw(Transcript([row(each, each + 1, problem="word " * 30) for each in range(LANES)])))
    red = ["".join(text.text) for text in root.iter(f"{SVG}text") if text.get("fill") == PROBLEM]
    assert " ".join(red).split() == (["!"] + ["word"] * 30) * LANES
    assert len(red) > 2 * LANES


@given(st.lists(st.text(max_size=30), min_size=1, max_size=4), st.text(max_size=10))
def test_any_text_gives_well_formed_xml(lines, problem):
    drawn = draw(Transcript([row(summary=lines[0], details=tuple(lines[1:]), problem=problem)]))
    ET.fromstring(drawn)
    assert "<script" not in draw(Transcript([row(summary="<script>")]))


def luminance(colour: str) -> float:
    octets = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in octets]
    return sum(weight * each for weight, each in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("background", ["#ffffff", "#111111", "#0d1117"])
def test_lines_stand_out_from_the_themes(background):
    """WCAG 2.2 §1.4.11 asks 3:1 of graphics; the backgrounds are JupyterLab's two and GitHub's dark one."""
    for colour in (*CLIENTS, LINE_COLOUR):
        assert contrast(colour, background) >= 3, colour


def test_text_stands_out_from_its_box():
    for name, paint in PAINTS.items():
        assert contrast(paint.text, paint.fill) >= 7, name  # WCAG 2.2 §1.4.6
        assert contrast(PROBLEM, paint.fill) >= 4.5, name


def test_a_packet_of_engineio_itself_looks_like_a_control_frame():
    def drawn(*packets, **more):
        return draw(Transcript([row(packets=packets, **more)]))

    control = PAINTS["control"].fill
    assert control in drawn(PacketSeen(engineio="PING", says="heartbeat"))
    assert control not in drawn(PacketSeen(engineio="MESSAGE", says="an event"))
    assert control not in drawn(PacketSeen(says="nothing"), problem="what is it?")
    assert control not in drawn()
