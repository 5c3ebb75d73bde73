"""The timeline: well-formed, the same for the same history, legible without a background, bounded, and marked."""

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from instruments.checking.simulated import simulated
from instruments.checking.test_story import AWAY
from instruments.checking.written import written

from rtlab.instruments.checking.checker import check
from rtlab.instruments.checking.recorder import HistoryRecorder
from rtlab.instruments.checking.timeline import BAND, FAULTS_SHOWN, LINES, MARKED, RED, WIDTH, draw
from rtlab.instruments.checking.timeline_rows import LANES, ROWS_SHOWN
from rtlab.instruments.drawing import CLIENTS, LINE_COLOUR

SVG = "{http://www.w3.org/2000/svg}"


def parsed(svg):
    return ET.fromstring(svg)


def texts(svg):
    return [each.text or "" for each in parsed(svg).iter(f"{SVG}text")]


def test_what_is_in_it():
    shown = texts(written(AWAY)._repr_svg_())
    assert shown[:4] == ["worker-2 killed", "alice", "bob", "carol"]
    assert shown[4:18] == [
        "1", "joined", "2", "joined", "3", "joined", "4", "cut off", "5", "→ a-17", "6", "✓ a-17", "7", "a-17",
    ]  # fmt: skip
    assert "came back" in shown
    assert "settled" in shown


def test_a_failure_is_marked():
    verdict = check(written(AWAY))
    svg = verdict._repr_svg_()
    assert "no a-17!" in texts(svg)
    assert svg.count(f'fill="{MARKED.fill}"') == 4, "three events, and what did not come"
    assert f'stroke="{RED}" stroke-width="1.8" stroke-opacity="1" stroke-dasharray' in svg
    small = verdict.failures[0]._repr_svg_()
    assert texts(small)[2:] == ["5", "→ a-17", "6", "✓ a-17", "10", "came back", "no a-17!"]
    assert verdict.of("once")[0]._repr_svg_() is None
    assert RED not in check(simulated(5))._repr_svg_()


def test_each_fault_has_a_band():
    svg = draw(written("! redis frozen begin\n" + AWAY + "! redis frozen end\n" + "! w killed\n" * 20))
    assert texts(svg)[:2] == ["redis frozen", "worker-2 killed"]
    assert svg.count(f'fill="{BAND}"') == 2, "those after the last event have no place"
    many = written(AWAY.replace("! worker-2 killed", "! w killed begin\n" * 30))
    assert draw(many).count(f'fill="{BAND}"') == FAULTS_SHOWN
    assert f"{30 - FAULTS_SHOWN} faults not shown" in texts(draw(many))


def test_a_lifeline_says_who_is_there():
    svg = draw(written("alice joins 1-0\nalice cut\nalice returns 1-0 1-0\nalice leaves"))
    lines = [each.get("stroke-dasharray") for each in parsed(svg).iter(f"{SVG}line")]
    assert lines == ["1 5", None, "6 5", None, "1 5"]
    assert len(LINES) == 3


def test_a_long_history_shows_what_matters():
    events = list(simulated(7, bound=100, steps=4000))
    history = simulated(7, bound=100, steps=4000)
    got = [each for each in events if each.kind == "received" and each.live]
    verdicts = (check(history.of(each for each in events if each is not lost)) for lost in got[len(got) // 2 :])
    verdict = next(each for each in verdicts if each.failures)
    shown = texts(verdict._repr_svg_())
    assert sum(text.isdigit() for text in shown) <= ROWS_SHOWN
    for event in verdict.failures[0].smallest:
        assert str(event.at) in shown
    assert any(re.fullmatch(r"[\d,]+ events not shown", text) for text in shown)
    plain = texts(history._repr_svg_())
    assert [text for text in plain if text.isdigit()][:3] == [str(each.at) for each in history.only(
        lambda each: each.kind != "fault")[:3]]  # fmt: skip


def test_many_clients():
    recorder = HistoryRecorder(5)
    for number in range(LANES + 3):
        recorder.joined(f"client-{number}", "lobby", None, "1-0", True, False)
    shown = texts(draw(recorder.history))
    assert [text for text in shown if text.startswith("client-")] == [f"client-{number}" for number in range(LANES)]
    assert "3 clients not shown" in shown
    recorder.received("client-8", "lobby", "ghost", "2-0", True)
    assert "client-8" in texts(check(recorder.history)._repr_svg_())


def test_several_rooms_are_named():
    assert "garden: joined" in texts(draw(written("alice joins 1-0\nbob@garden joins 1-0")))


def test_nothing():
    assert texts(draw(HistoryRecorder(5).history)) == ["nothing yet"]


def test_hostile_names_stay_text():
    recorder = HistoryRecorder(5)
    for name in ("<script>alert(1)</script>", '"/><a href="x">', "\x00\x1b[31m", "\N{GRINNING FACE}" * 300, "&amp;"):
        recorder.joined(name, "<b>", None, "1-0", True, False)
        recorder.received(name, "<b>", name, "2-0", True)
        recorder.fault(name, name)
        recorder.left(name, "<b>")
    svg = check(recorder.history)._repr_svg_()
    tags = {each.tag.removeprefix(SVG) for each in parsed(svg).iter()}
    assert tags == {"svg", "title", "g", "rect", "line", "text"}


def luminance(colour):
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (each / 12.92 if each <= 0.03928 else ((each + 0.055) / 1.055) ** 2.4 for each in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colour", [RED, BAND, LINE_COLOUR, *CLIENTS])
@pytest.mark.parametrize("page", ["#ffffff", "#111111"])
def test_lines_stand_out_from_a_light_page_and_from_a_dark_one(colour, page):
    assert contrast(colour, page) > 2.4


def test_marked_text_stands_out_from_its_box():
    assert contrast(MARKED.text, MARKED.fill) > 7


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**9), steps=st.sampled_from([0, 30, 300, 1500]))
def test_any_history_can_be_drawn(seed, steps):
    verdict = check(simulated(seed, bound=5, steps=steps))
    root = parsed(verdict._repr_svg_())
    assert float(root.get("width")) <= WIDTH + 1
    assert float(root.get("height")) < (ROWS_SHOWN * 2 + 10) * 26 + 100
    assert verdict._repr_svg_() == check(simulated(seed, bound=5, steps=steps))._repr_svg_()
    width, height = float(root.get("width")), float(root.get("height"))
    for each in root.iter(f"{SVG}rect"):
        assert float(each.get("x")) >= 0
        assert float(each.get("x")) + float(each.get("width")) <= width + 1
        assert float(each.get("y")) + float(each.get("height")) <= height + 1
