"""What every committed notebook must be, beyond running: the rules that nbval cannot check.

What lives here: the rules, each a function from one notebook to the sentences that say what is wrong with it. They
read files and never execute anything. `test_notebook_lint` holds the course to them, and each rule to a notebook
that breaks it. What a chapter must contain is in `notebook_chapter`, whether exercises stay unsolved in
`solution_leaks`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

from IPython.core.inputtransformer2 import TransformerManager
from notebook_cells import FENCE, Cell, Notebook
from notebook_form import PREDICTION, ROOT, normalise, normalised_text

__all__ = ["MAX_CODE_LINES", "RULES", "TAGS", "problems", "sanitized", "sanitizers"]

MAX_CODE_LINES = 30
"""Lines of a code cell: what fits on a laptop's screen together with its output."""
TAGS = {
    "nbval-ignore-output": "what it prints is measured, or differs between machines",
    "raises-exception": "its error is the lesson",
    "stderr": "what it writes to standard error is the lesson",
}
"""The tags that mean something here. A misspelt one would silently do nothing."""
SANITIZERS = Path(__file__).with_name("nbval_sanitize.cfg")
DIAGRAMS = ("flowchart", "graph", "sequenceDiagram", "stateDiagram-v2", "classDiagram", "erDiagram", "timeline")
"""The kinds of Mermaid diagram that the course uses."""

LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(<?([^)<>\s]+)>?(?:\s+\"[^\"]*\")?\)")
HTML_LINK = re.compile(r"<(?:a|img)\b[^>]*?\b(?:href|src)=\"([^\"]*)\"")
ABSOLUTE = re.compile(r"(?<![\w.~:/…])/(?:home|Users|root|tmp|var|usr|opt|work|private|mnt|srv|etc)/\S|\b[A-Z]:\\\w")
HOSTS = ("", "localhost", "127.0.0.1", "0.0.0.0", "::1", "::")
ADDRESS = re.compile(r"(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1?\]):[1-9]\d{1,4}\b")
FORBIDDEN_CALLS = ("run_until_complete", "run_forever", "new_event_loop", "get_ipython")


Rule = Callable[[Notebook], Iterator[str]]


def problems(notebook: Notebook, rules: tuple[Rule, ...]) -> list[str]:
    """Everything that the rules find, one sentence each, with the name of the rule in front."""
    return [f"{rule.__name__}: {sentence}" for rule in rules for sentence in rule(notebook)]


def form(notebook: Notebook) -> Iterator[str]:
    """The file is byte for byte in its normalised form, and no two cells share an id."""
    ids = [cell.get("id") for cell in notebook.document["cells"]]
    for twice in sorted({name for name in ids if name and ids.count(name) > 1}):
        yield f"the cell id {twice!r} is there {ids.count(twice)} times; ids are unique"
        return
    if notebook.text != normalised_text(notebook.document):
        what = "its spacing, key order or end of file"
        before, after = notebook.document, normalise(notebook.document)
        if before.get("metadata") != after["metadata"] or before.get("nbformat_minor") != 5:
            what = "the notebook's metadata or format version"
        for number, (old, new) in enumerate(zip(before["cells"], after["cells"], strict=True)):
            if old.get("id") != new["id"] or old.get("metadata") != new["metadata"]:
                what = f"the id or metadata of cell {number}"
        yield f"differs from the normalised form in {what}; run tests/execute_notebooks.py --normalise-only"


def order(notebook: Notebook) -> Iterator[str]:
    """Executed from top to bottom in a fresh kernel: the counts are 1, 2, 3, …"""
    counts = [cell.count for cell in notebook.code]
    if counts != list(range(1, len(counts) + 1)):
        yield f"expected the execution counts 1 to {len(counts)} without a gap, got {counts}; run make notebooks"


def outputs(notebook: Notebook) -> Iterator[str]:
    """What a cell certainly shows is there."""
    for cell in notebook.code:
        if not cell.source.strip():
            yield f"cell {cell.index} is empty"
        elif cell.source.rstrip().endswith(";"):
            yield f"cell {cell.index} ends with a semicolon, which hides nothing under nbval; assign to _ instead"
        elif not cell.outputs and _must_show(cell):
            yield f"cell {cell.index} shows something when it runs, but has no output; run make notebooks"


def errors(notebook: Notebook) -> Iterator[str]:
    """An error is shown only where it is the lesson; so is standard error."""
    for cell in notebook.code:
        failed = [output for output in cell.outputs if output["output_type"] == "error"]
        if failed and "raises-exception" not in cell.tags:
            yield f"cell {cell.index} ended with {failed[0]['ename']}, and has no tag raises-exception"
        if not failed and "raises-exception" in cell.tags:
            yield f"cell {cell.index} has the tag raises-exception, and raised nothing"
        if "stderr" not in cell.tags and any(output.get("name") == "stderr" for output in cell.outputs):
            yield f"cell {cell.index} wrote to standard error, and has no tag stderr"


def tags(notebook: Notebook) -> Iterator[str]:
    """Only tags that mean something, only on code; and no nbval marker in the source, where readers see it."""
    for cell in notebook.cells:
        for tag in sorted(cell.tags - TAGS.keys() if cell.kind == "code" else cell.tags):
            yield f"cell {cell.index} has the unknown tag {tag!r}; known on code cells: {', '.join(TAGS)}"
        if cell.kind == "code" and re.search(r"^\s*#+\s*(NBVAL|PYTEST_VALIDATE)_", cell.source, re.MULTILINE):
            yield f"cell {cell.index} has an nbval marker as a comment; use a tag"


def paths(notebook: Notebook) -> Iterator[str]:
    """No absolute path, in code or in what it printed."""
    for cell in notebook.code:
        for where, text in (("code", cell.source), ("output", cell.shown)):
            if found := ABSOLUTE.search(text):
                yield f"cell {cell.index} has the absolute path {found[0]}… in its {where}"


def ports(notebook: Notebook) -> Iterator[str]:
    """No fixed port in code; none in compared output that the sanitisers do not cover."""
    for cell in notebook.code:
        for node in ast.walk(cell.tree) if cell.tree else ():
            if port := _fixed_port(node):
                yield f"cell {cell.index} names the fixed port {port}; let rtlab.start or port 0 find a free one"
        if "nbval-ignore-output" not in cell.tags and (found := ADDRESS.search(sanitized(cell.shown))):
            yield f"cell {cell.index} shows {found[0]}, and no sanitiser covers it"


def magics(notebook: Notebook) -> Iterator[str]:
    """Python only. nbval passes a wrong magic and swallows the rest of its cell; a ! depends on the machine."""
    manager = TransformerManager()  # type: ignore[no-untyped-call]
    for cell in notebook.code:
        if manager.transform_cell(cell.source).strip() != cell.source.strip():
            yield f"cell {cell.index} uses a magic, a shell command or ?; write it in Python"
        elif cell.tree is None:
            yield f"cell {cell.index} is not valid Python"


def loops(notebook: Notebook) -> Iterator[str]:
    """Cells use top-level await: no second event loop, and no patch that hides the first."""
    for cell in notebook.code:
        if "raises-exception" in cell.tags:
            continue
        for node in ast.walk(cell.tree) if cell.tree else ():
            name = ast.unparse(node) if isinstance(node, ast.Attribute | ast.Name) else ""
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            if isinstance(node, ast.ImportFrom):
                imported += [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
            if name == "asyncio.run" or "asyncio.run" in imported:
                yield f"cell {cell.index} uses asyncio.run; a cell has a loop already, so write await"
            if "nest_asyncio" in imported:
                yield f"cell {cell.index} imports nest_asyncio; write await"
            if name.rpartition(".")[2] in FORBIDDEN_CALLS:
                yield f"cell {cell.index} uses {name}; write await"


def length(notebook: Notebook) -> Iterator[str]:
    """A code cell fits on a screen."""
    for cell in notebook.code:
        if (lines := cell.source.count("\n") + 1) > MAX_CODE_LINES:
            yield f"cell {cell.index} has {lines} lines of code; at most {MAX_CODE_LINES}"


def links(notebook: Notebook) -> Iterator[str]:
    """A relative link leads to a file of the repository and, after #, to a heading in it. Others are https."""
    for cell in notebook.markdown:
        for target in [*LINK.findall(cell.prose), *HTML_LINK.findall(cell.prose)]:
            if reason := _broken(notebook, target):
                yield f"cell {cell.index} links to {target}: {reason}"


def mermaid(notebook: Notebook) -> Iterator[str]:
    """Each diagram names its kind and has something in it."""
    for cell in notebook.markdown:
        if len(re.findall(r"^`{3,}", cell.source, re.MULTILINE)) % 2:
            yield f"cell {cell.index} has a fenced block that is not closed"
        for _, language, body in FENCE.findall(cell.source):
            lines = body.split("\n") if language == "mermaid" else []
            if lines and (not lines[0].startswith(DIAGRAMS) or not any(line.strip() for line in lines[1:])):
                yield f"cell {cell.index} has a Mermaid block without a diagram; known: {', '.join(DIAGRAMS)}"


def folds(notebook: Notebook) -> Iterator[str]:
    """Folded parts are closed, and an empty line lets Markdown work inside them."""
    for cell in notebook.markdown:
        opened, closed = cell.prose.count("<details>"), cell.prose.count("</details>")
        if opened != closed:
            yield f"cell {cell.index} has {opened} <details> and {closed} </details>"
        if len(re.findall(r"</summary>\n\n", cell.source)) != opened:
            yield f"cell {cell.index} needs a <summary> and an empty line after each <details>"


def predictions(notebook: Notebook) -> Iterator[str]:
    """What a reader is to predict is shown before the next text, by a cell whose output is folded (`notebook_form`)."""
    asked: int | None = None
    for cell in notebook.cells:
        if cell.kind == "code":
            asked = None if cell.outputs else asked
            continue
        if asked is not None:
            break
        asked = cell.index if PREDICTION.search(cell.source) else None
    if asked is not None:
        yield f"cell {asked} asks for a prediction, and no cell shows the answer before the next text"


RULES: tuple[Rule, ...] = (
    form, order, outputs, errors, tags, paths, ports, magics, loops, length, links, mermaid, folds, predictions,
)  # fmt: skip


def sanitizers() -> list[tuple[str, str]]:
    """The pairs of regular expression and replacement, read as nbval reads them."""
    text = SANITIZERS.read_text(encoding="utf-8")
    return re.findall(r"^regex: (.*)$\n^replace: (.*)$", text, re.MULTILINE)


def sanitized(text: str) -> str:
    """A text as nbval compares it."""
    for pattern, replacement in sanitizers():
        text = re.sub(pattern, replacement, text)
    return text


def _must_show(cell: Cell) -> bool:
    """Whether it prints on its way down, or ends with an expression whose value is certainly not None."""
    if cell.tree is None or not cell.tree.body:
        return False
    if any(_prints(statement) for statement in cell.tree.body):
        return True
    last = cell.tree.body[-1]
    if not isinstance(last, ast.Expr):
        return False
    if isinstance(last.value, ast.Constant):
        return last.value.value is not None
    return not isinstance(last.value, ast.Call | ast.Await | ast.IfExp | ast.BoolOp | ast.Yield | ast.YieldFrom)


def _prints(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.With | ast.AsyncWith):
        return any(map(_prints, statement.body))
    call = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in ("print", "display")


def _fixed_port(node: ast.AST) -> object:
    """The fixed port that a piece of code names, or None."""
    if isinstance(node, ast.keyword) and node.arg == "port":
        return _number(node.value)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        found = ADDRESS.search(node.value)
        return found and found[0].rpartition(":")[2]
    values = node.args if isinstance(node, ast.Call) else node.elts if isinstance(node, ast.Tuple) else []
    for host, port in pairwise(values):
        if isinstance(host, ast.Constant) and host.value in HOSTS:
            return _number(port)
    return None


def _number(node: ast.expr) -> int | None:
    """The number that an expression spells out; None for 0, and for whatever is computed."""
    return node.value or None if isinstance(node, ast.Constant) and isinstance(node.value, int) else None


def _broken(notebook: Notebook, target: str) -> str | None:
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        sound = parts.scheme == "https" and "." in parts.netloc and " " not in target
        return None if sound else "expected https:// and a host name, or a relative path"
    path = (notebook.path.parent / unquote(parts.path)).resolve() if parts.path else notebook.path.resolve()
    if parts.path.startswith("/") or not path.is_relative_to(ROOT):
        return "it leaves the repository"
    if not path.is_file():
        return "there is no such file" if not path.exists() else "that is a folder, which JupyterLab cannot open"
    if parts.fragment and path.suffix == ".ipynb" and unquote(parts.fragment) not in Notebook.load(path).anchors:
        return "no heading has this name (JupyterLab's form: the heading with hyphens for blanks)"
    return None
