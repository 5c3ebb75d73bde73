"""The course's notebooks keep the rules of `notebook_lint`, and each rule catches a notebook that breaks it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import notebook_lint
import pytest
from nbval.plugin import get_sanitize_patterns
from notebook_cells import Notebook
from notebook_chapter import parts
from notebook_form import METADATA, NOTEBOOKS, ROOT, normalised_text, write
from notebook_lint import RULES, SANITIZERS, problems, sanitizers
from solution_leaks import leaks

ALL = (*RULES, parts)
PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))

Document = dict[str, Any]


# --- the course itself ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS, ids=[path.stem for path in PATHS])
def test_the_notebook_keeps_every_rule(path: Path) -> None:
    found = problems(Notebook.load(path), ALL)
    assert not found, f"{path.name}:\n" + "\n".join(found)


def test_there_are_notebooks() -> None:
    assert "00_start_here" in {path.stem for path in PATHS}


def test_no_solution_can_be_read_outside_its_folder() -> None:
    found = list(leaks(ROOT))
    assert not found, "\n".join(found)


# --- notebooks that break a rule -----------------------------------------------------------------------------


def code(source: str, *outputs: Document, tags: tuple[str, ...] = (), count: int | None = 1) -> Document:
    """A code cell."""
    return {
        "cell_type": "code",
        "execution_count": count,
        "metadata": {"tags": list(tags)} if tags else {},
        "outputs": list(outputs),
        "source": source,
    }


def prose(source: str, **metadata: Any) -> Document:
    """A cell of Markdown."""
    return {"cell_type": "markdown", "metadata": metadata, "source": source}


def stream(text: str, name: str = "stdout") -> Document:
    """What a cell printed."""
    return {"output_type": "stream", "name": name, "text": text}


def result(text: str) -> Document:
    """What a cell's last line gave."""
    return {"output_type": "execute_result", "execution_count": 1, "metadata": {}, "data": {"text/plain": text}}


ERROR: Document = {"output_type": "error", "ename": "KeyError", "evalue": "1", "traceback": ["KeyError: 1"]}


def saved(folder: Path, *cells: Document, name: str = "appendix_sample.ipynb") -> Notebook:
    """A notebook in its normalised form."""
    path = folder / name
    write(path, {"cells": list(cells), "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5})
    return Notebook.load(path)


GOOD = [
    prose("# A sample\n\nSee [below](#What-follows) and [RFC 6455](https://www.rfc-editor.org/rfc/rfc6455.html)."),
    code("x = 1\nprint(x)", stream("1\n")),
    prose(
        "## What `follows`\n\n<details><summary>Why?</summary>\n\nBecause.\n\n</details>\n\n"
        "```mermaid\nflowchart LR\n  a --> b\n```"
    ),
    code("server", result("<Server http://127.0.0.1:40123, running>"), count=2),
    code("import asyncio\n\nawait asyncio.sleep(0)", count=3),
]

BAD: list[tuple[str, str, list[Document]]] = [
    ("order", "expected the execution counts 1 to 2", [code("x = 1"), code("y = 1", count=3)]),
    ("order", "without a gap, got [None]", [code("x = 1", count=None)]),
    ("outputs", "cell 0 shows something", [code("print(1)")]),
    ("outputs", "cell 0 shows something", [code("async with a:\n    print(1)")]),
    ("outputs", "cell 0 shows something", [code("x = 1\nx")]),
    ("outputs", "semicolon", [code("plt.plot([1]);")]),
    ("outputs", "cell 0 is empty", [code("")]),
    ("errors", "ended with KeyError", [code("{}[1]", ERROR)]),
    ("errors", "raised nothing", [code("x = 1", tags=("raises-exception",))]),
    ("errors", "standard error", [code("import sys\nsys.stderr.write('x')", stream("x", "stderr"))]),
    ("tags", "unknown tag 'nbval-ignore-outputs'", [code("x = 1", tags=("nbval-ignore-outputs",))]),
    ("tags", "unknown tag 'raises-exception'", [prose("Text.", tags=["raises-exception"])]),
    ("tags", "nbval marker", [code("# NBVAL_SKIP\nx = 1")]),
    ("paths", "absolute path /home/a", [code("x = open('/home/ada/notes')")]),
    ("paths", "in its output", [code("print(x)", stream("/tmp/rtlab-1/output.log\n"))]),
    ("paths", "absolute path C:\\U", [code("x = r'C:\\Users\\ada'")]),
    ("ports", "fixed port 8765", [code("await serve(handler, 'localhost', 8765)")]),
    ("ports", "fixed port 8765", [code("s.bind(('127.0.0.1', 8765))")]),
    ("ports", "fixed port 8080", [code("web.run_app(app, port=8080)")]),
    ("ports", "fixed port 5000", [code("url = 'http://localhost:5000/x'")]),
    ("ports", "fixed port 5000", [code("url = f'ws://127.0.0.1:5000/{x}'")]),
    ("magics", "a magic", [code("%time x = 1")]),
    ("magics", "a magic", [code("%%time\nx = 1")]),
    ("magics", "a magic", [code("!pip install x")]),
    ("magics", "a magic", [code("x = !ls")]),
    ("magics", "a magic", [code("print?")]),
    ("magics", "not valid Python", [code("x = = 1")]),
    ("loops", "asyncio.run;", [code("import asyncio\nasyncio.run(main())")]),
    ("loops", "asyncio.run;", [code("from asyncio import run\nrun(main())")]),
    ("loops", "nest_asyncio", [code("import nest_asyncio\nnest_asyncio.apply()")]),
    ("loops", "run_until_complete", [code("asyncio.get_event_loop().run_until_complete(main())")]),
    ("loops", "get_ipython", [code("get_ipython().system('ls')")]),
    ("length", "31 lines", [code("x = 1\n" * 30 + "x = 2")]),
    ("links", "no such file", [prose("See [there](01_nowhere.ipynb).")]),
    ("links", "no heading", [prose("# Top\n\nSee [below](#Bottom).")]),
    ("links", "a folder", [prose("See [all](../notebooks).")]),
    ("links", "leaves the repository", [prose("See [it](../../../x.md).")]),
    ("links", "leaves the repository", [prose("See [it](/notebooks/x.ipynb).")]),
    ("links", "expected https", [prose("See [it](http://example.org).")]),
    ("links", "no such file", [prose('<img src="picture.png">')]),
    ("mermaid", "without a diagram", [prose("```mermaid\n```")]),
    ("mermaid", "without a diagram", [prose("```mermaid\nflowchart LR\n```")]),
    ("mermaid", "without a diagram", [prose("```mermaid\nflowchrt LR\n  a --> b\n```")]),
    ("mermaid", "not closed", [prose("```mermaid\nflowchart LR\n  a --> b\n")]),
    ("predictions", "cell 0 asks for a prediction", [prose("**Predict:** what is x?"), code("x = 1")]),
    ("predictions", "before the next text", [prose("**Predict** it."), prose("1."), code("print(1)", stream("1"))]),
    ("predictions", "cell 0 asks for a prediction", [prose("**Predict** it.")]),
    ("folds", "1 <details> and 0 </details>", [prose("<details><summary>Why?</summary>\n\nBecause.")]),
    ("folds", "an empty line", [prose("<details><summary>Why?</summary>\nBecause.\n</details>")]),
]


@pytest.fixture
def notebooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of notebooks in a repository of its own."""
    monkeypatch.setattr(notebook_lint, "ROOT", tmp_path)
    folder = tmp_path / "notebooks"
    folder.mkdir()
    return folder


def test_a_good_notebook_passes(notebooks: Path) -> None:
    assert problems(saved(notebooks, *GOOD), ALL) == []


@pytest.mark.parametrize(("rule", "expected", "cells"), BAD, ids=[f"{bad[0]}-{n}" for n, bad in enumerate(BAD)])
def test_a_bad_notebook_is_caught_by_its_rule_alone(
    notebooks: Path, rule: str, expected: str, cells: list[Document]
) -> None:
    found = problems(saved(notebooks, *cells), ALL)
    assert found
    assert {sentence.partition(":")[0] for sentence in found} == {rule}
    assert any(expected in sentence for sentence in found), found


def test_every_rule_is_tried() -> None:
    assert {rule.__name__ for rule in RULES} - {bad[0] for bad in BAD} == {"form"}  # tried below


def test_what_no_sanitiser_covers_is_caught(notebooks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [code("server", result("<Server http://127.0.0.1:40123>"))]
    assert problems(saved(notebooks, *cells), ALL) == []
    monkeypatch.setattr(notebook_lint, "sanitizers", list)
    assert "shows 127.0.0.1:40123" in "".join(problems(saved(notebooks, *cells), ALL))


@pytest.mark.parametrize(
    "source",
    ["x.append(1)", "await server.stop()", "x = print", "None", "if x:\n    print(1)", "f(print)"],
)
def test_a_cell_that_may_be_silent_may_be_silent(notebooks: Path, source: str) -> None:
    assert problems(saved(notebooks, code(source)), ALL) == []


@pytest.mark.parametrize(
    "source",
    ["serve(port=0)", "serve('127.0.0.1', 0)", "serve('127.0.0.1', free)", "ratio = ('a', 16)", "x = '/chat/rooms'",
     "text = 'asyncio.run(main())'", "y = 7 % 3", "note = 'see lib/etc/x and ./tmp/y'"],
)  # fmt: skip
def test_harmless_code_passes(notebooks: Path, source: str) -> None:
    assert problems(saved(notebooks, code(source)), ALL) == []


# --- the form ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda text: text.rstrip("\n"), "end of file"),
        (lambda text: text.replace("\n", "\r\n"), "spacing"),
        (lambda text: text.replace('"metadata": {}', '"metadata": {"collapsed": true}', 1), "metadata of cell 0"),
        (lambda text: text.replace('"name": "python3"', '"name": "mine"'), "notebook's metadata"),
        (lambda text: re.sub(r'   "id": "\w+",\n', "", text, count=1), "the id or metadata of cell 0"),
        (lambda text: text.replace('"nbformat_minor": 5', '"nbformat_minor": 4'), "format version"),
    ],
)
def test_another_form_is_caught(notebooks: Path, damage: Any, expected: str) -> None:
    path = saved(notebooks, *GOOD).path
    path.write_bytes(damage(path.read_text()).encode())
    found = problems(Notebook.load(path), ALL)
    assert [sentence.partition(":")[0] for sentence in found] == ["form"]
    assert expected in found[0]


def test_two_cells_with_one_id_are_caught(notebooks: Path) -> None:
    path = saved(notebooks, {**prose("One."), "id": "one"}, {**prose("Two."), "id": "two"}).path
    path.write_text(path.read_text().replace('"id": "two"', '"id": "one"'))
    assert problems(Notebook.load(path), ALL) == ["form: the cell id 'one' is there 2 times; ids are unique"]
    write(path, json.loads(path.read_text()))
    assert problems(Notebook.load(path), ALL) == []


def test_the_form_is_stable_and_made_of_what_is_shown(notebooks: Path) -> None:
    path = saved(notebooks, *GOOD, prose("Twice."), prose("Twice.")).path
    document = json.loads(path.read_text())
    assert normalised_text(document) == path.read_text()
    for cell in document["cells"]:
        cell["metadata"] |= {"jupyter": {"source_hidden": True}, "execution": {"iopub.status.busy": "2026-01-01"}}
    document["cells"][1]["outputs"] = [stream("1"), stream("\n")]
    document["metadata"] |= {"widgets": {}, "language_info": {"name": "python", "version": "3.14.0"}}
    assert not write(path, document)


def test_a_traceback_loses_its_folders(notebooks: Path) -> None:
    trace = [f"File {ROOT}/rtlab/errors.py:3", "File /opt/x/lib/python3.12/site-packages/aiohttp/web.py:1"]
    error = {**ERROR, "traceback": trace}
    notebook = saved(notebooks, code("{}[1]", error, tags=("raises-exception",)))
    assert notebook.cells[0].outputs[0]["traceback"] == [
        "File rtlab/errors.py:3",
        "File site-packages/aiohttp/web.py:1",
    ]


# --- a chapter's parts ---------------------------------------------------------------------------------------

CHAPTER = [
    prose(
        "# 00 · A sample\n\n> **Question.** Why?\n\n**You will be able to** say why.\n\n"
        "**Minutes:** 5 for Core, 10 for Deeper. **Core:** all. **Deeper:** nothing."
    ),
    code("x = 1"),
    prose("## What breaks: it\n\nSee."),
    code("y = 1", count=2),
    prose("## Check yourself\n\n" + "<details><summary>Why?</summary>\n\nSo.\n\n</details>\n\n" * 3),
    prose("## Summary\n\n" + "- One.\n" * 5 + "\n## Lift this out\n\nHere.\n\n## Your turn\n\n`rtlab grade 00`"),
]


def test_a_chapter_with_all_its_parts_passes(notebooks: Path) -> None:
    assert problems(saved(notebooks, *CHAPTER, name="00_sample.ipynb"), ALL) == []
    assert problems(saved(notebooks, *CHAPTER[1:], name="appendix_sample.ipynb"), ALL) == []


def test_a_chapter_without_an_exercise_names_another_command(notebooks: Path) -> None:
    def named(command: str) -> list[str]:
        texts = [cell["source"].replace("# 00 ·", "# 16 ·").replace("`rtlab grade 00`", command) for cell in CHAPTER]
        cells = [{**cell, "source": text} for cell, text in zip(CHAPTER, texts, strict=True)]
        return problems(saved(notebooks, *cells, name="16_sample.ipynb"), ALL)

    assert named("`rtlab soak`") == []
    assert named("Nothing.") == ["parts: 'Your turn' does not name its command, rtlab"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("# 00 · A", "# 01 · A", "begins with the title"),
        ("**Question.**", "Question:", "no **Question.**"),
        ("**You will be able to**", "You will", "no **You will be able to**"),
        ("5 for Core", "some", "expected '**Minutes:** 50 for Core"),
        ("5 for Core", "61 for Core", "Core takes 61 minutes; at most 60"),
        ("Why?", "Why? " + "so " * 2600, "words; at most 2,600"),
        ("**Core:**", "", "no **Core:**"),
        ("**Deeper:**", "", "no **Deeper:**"),
        ("## What breaks: ", "## ", "'## What breaks: …'"),
        ("<details><summary>Why?</summary>\n\nSo.\n\n</details>\n\n" * 3, "None.", "0 folded questions"),
        ("- One.\n" * 5, "- One.\n" * 4, "4 lines; expected 5"),
        ("`rtlab grade 00`", "`rtlab grade 01`", "rtlab grade 00"),
        ("## Your turn", "## Do it", "'## Your turn'"),
        ("## Check yourself", "## Questions", "'## Check yourself'"),
        ("## Lift this out", "## Script", "'## Lift this out'"),
    ],
)
def test_a_missing_part_is_caught(notebooks: Path, old: str, new: str, expected: str) -> None:
    cells = [{**cell, "source": cell["source"].replace(old, new)} for cell in CHAPTER]
    assert cells != CHAPTER
    found = problems(saved(notebooks, *cells, name="00_sample.ipynb"), ALL)
    assert {sentence.partition(":")[0] for sentence in found} == {"parts"}
    assert any(expected in sentence for sentence in found), found


def test_a_late_start_and_too_little_prose_are_caught(notebooks: Path) -> None:
    late = [CHAPTER[0], prose("More."), prose("More."), *CHAPTER[1:]]
    assert "nothing runs within the first 3 cells" in "".join(problems(saved(notebooks, *late, name="00_s.ipynb"), ALL))
    dense = [*CHAPTER, *(code("z = 1", count=count) for count in range(3, 10))]
    assert "as many cells of prose as of code, got 4 and 9" in "".join(
        problems(saved(notebooks, *dense, name="00_s.ipynb"), ALL)
    )


def test_too_much_code_is_caught(notebooks: Path) -> None:
    cells = [*CHAPTER, *(code("z = 1\n" * 24, count=count) for count in range(3, 23))]
    assert "it has 482 lines of code; at most 480" in "".join(
        problems(saved(notebooks, *cells, name="00_s.ipynb"), ALL)
    )
    assert "482 lines of code; at most 450" in "".join(problems(saved(notebooks, *cells, name="10_s.ipynb"), ALL))


def test_the_answer_to_a_prediction_is_folded(notebooks: Path) -> None:
    cells = [
        prose("**Predict:** what is it?"),
        code("x = 1"),
        code("x", result("1"), count=2),
        code("2", result("2"), count=3),
    ]
    document = json.loads(saved(notebooks, *cells).path.read_text())
    assert [cell["metadata"] for cell in document["cells"]] == [{}, {}, {"jupyter": {"outputs_hidden": True}}, {}]
    document["cells"][2]["metadata"] = {}
    path = notebooks / "appendix_open.ipynb"
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    assert "metadata of cell 2" in "".join(problems(Notebook.load(path), ALL))


def test_sections_in_another_order_are_caught(notebooks: Path) -> None:
    cells = [*CHAPTER[:4], CHAPTER[5], CHAPTER[4]]
    assert "the sections come in the order" in "".join(problems(saved(notebooks, *cells, name="00_s.ipynb"), ALL))


# --- solutions that leak -------------------------------------------------------------------------------------

STUB = '"""Write it."""\n\n\ndef answer(question):\n    raise NotImplementedError\n'
SOLUTION = (
    '"""Solved."""\n\nimport json\n\n\ndef answer(question):\n    fields = json.loads(question)  # the text\n'
    "    name = fields['name'].title()\n    return json.dumps({'hello': name})\n"
)


@pytest.fixture
def course(notebooks: Path) -> Path:
    """A small course with one exercise and its solution."""
    root = notebooks.parent
    for path, text in {
        "exercises/01_sample/.stub/sample.py": STUB,
        "exercises/01_sample/sample.py": SOLUTION,  # the learner's own, solved
        "exercises/01_sample/README.md": "# Exercise\n\nUse `json.loads`.\n",
        "solutions/01_sample/sample.py": SOLUTION,
        "solutions/01_sample/NOTES.md": "Because.\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def test_a_course_that_keeps_its_solutions_to_itself_passes(course: Path) -> None:
    saved(course / "notebooks", code("def answer(question):\n    fields = json.loads(question)"))
    assert list(leaks(course)) == []


LEAK = (
    'if True:\n  fields = json.loads(question)\n\n  name = fields["name"].title()\n  return json.dumps({"hello": name})'
)


def test_a_solution_in_a_notebook_is_caught(course: Path) -> None:
    saved(course / "notebooks", code(LEAK))
    [found] = leaks(course)
    assert found.startswith("notebooks/appendix_sample.ipynb holds a piece of solutions/01_sample/sample.py: fields =")


@pytest.mark.parametrize("place", ["README.md", "test_sample.py", ".stub/sample.py"])
def test_a_solution_beside_its_exercise_is_caught(course: Path, place: str) -> None:
    path = course / "exercises" / "01_sample" / place
    path.write_text(STUB + "".join(f"    # {line.strip()}\n" for line in LEAK.splitlines()))
    assert [found.partition(" holds ")[0] for found in leaks(course)] == [f"exercises/01_sample/{place}"]


def test_a_short_solution_is_caught_whole(course: Path) -> None:
    (course / "solutions/01_sample/sample.py").write_text(
        "def answer(question):\n    return json.dumps({'hello': question.title()})\n"
    )
    assert list(leaks(course)) == []
    (course / "exercises/01_sample/README.md").write_text(
        'Write\n\n    return json.dumps({"hello": question.title()})\n'
    )
    assert len(list(leaks(course))) == 1


# --- the sanitisers ------------------------------------------------------------------------------------------


def test_nbval_reads_every_sanitiser() -> None:
    text = SANITIZERS.read_text()
    pairs = get_sanitize_patterns(text)
    assert pairs == sanitizers()
    assert (
        len(pairs)
        == len(re.findall(r"^regex:", text, re.MULTILINE))
        == len(re.findall(r"^replace:", text, re.MULTILINE))
    )
    for pattern, replacement in pairs:
        re.compile(pattern)
        assert replacement.strip(), f"nbval drops the rule {pattern} without a word"


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ("<Server http://127.0.0.1:43181, running>", "<Server http://127.0.0.1:PORT, running>"),
        ("ws://localhost:80/x", "ws://localhost:PORT/x"),
        ("from ('127.0.0.1', 51234)", "from ('127.0.0.1', PORT)"),
        ("listens on port 51234.", "listens on port PORT."),
        ("Port 51234 is taken.", "Port PORT is taken."),
        ("<object at 0x7f12ab34cd56>", "<object at 0xADDRESS>"),
        ("<Task name='Task-12'>", "<Task name='Task-N'>"),
        ("in process 4711, running", "in process PID, running"),
        ("file /tmp/rtlab-ab12/output.log", "file TEMPORARY"),
        ("done (3.25 ms)", "done (TIME)"),
        ("50 requests in 12 ms", "50 requests in 12 ms"),
        ("HTTP/1.1 200 OK", "HTTP/1.1 200 OK"),
    ],
)
def test_a_sanitiser_covers_what_differs_and_nothing_else(shown: str, expected: str) -> None:
    for pattern, replacement in sanitizers():
        shown = re.sub(pattern, replacement, shown)
    assert shown == expected
