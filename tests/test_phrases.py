"""No text of the course has a phrase that made readers stumble."""

import json

import pytest
from notebook_form import ROOT
from phrases import PHRASES, found

FOLDERS = ("exercises", "notebooks", "rtlab", "solutions")
KINDS = {".html", ".ipynb", ".js", ".md", ".py"}
FILES = sorted(
    path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in KINDS and path.is_file()
) + sorted(ROOT.glob("*.md"))


def text_of(path):
    """What readers read: of a notebook the sources."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    return "\n\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])


@pytest.mark.parametrize("folder", [*FOLDERS, "."])
def test_no_phrase_comes_back(folder):
    files = [
        path for path in FILES if path.relative_to(ROOT).parts[0] == folder or (folder, path.parent) == (".", ROOT)
    ]
    assert files
    problems = {str(path.relative_to(ROOT)): found(text_of(path)) for path in files}
    assert not {name: sentences for name, sentences in problems.items() if sentences}


@pytest.mark.parametrize(
    "text",
    [
        "A client that is slow\n    wins nothing by a WebSocket.",
        "# Kept are the last 100",
        "Have\nit fetched.",
        "The mend is old.",
    ],
)
def test_a_phrase_is_found_however_its_lines_are_broken(text):
    (sentence,) = found(text)
    assert sentence.endswith("'")


def test_plain_english_passes():
    assert found("The room keeps the last 100 messages. A revoked token is refused.") == []
    assert all(PHRASES.values())
