"""A module imports only from lower floors. The floors are the table in CONTRIBUTING.md."""

import ast
import re
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "rtlab").rglob("*.py"))


class Floor(NamedTuple):
    number: int
    paths: list[str]
    libraries: set[str]


def read_table(text: str) -> list[Floor]:
    """The rows of the table under "## Floors"."""
    section = text.split("\n## Floors\n")[1].split("\n## ")[0]
    floors = []
    for row in re.findall(r"^\| (\d) \|(.*)\|$", section, re.MULTILINE):
        where, _, libraries = (cell.strip() for cell in row[1].split("|"))
        names = set() if libraries == "nothing" else {name.strip() for name in libraries.split(",")}
        floors.append(Floor(int(row[0]), re.findall(r"`(.+?)`", where), names))
    return floors


FLOORS = read_table((ROOT / "CONTRIBUTING.md").read_text())


def floor_of(path: str) -> Floor | None:
    """The floor of a file, given relative to the root with forward slashes."""
    return next((floor for floor in FLOORS if any(path == each or path.startswith(each) for each in floor.paths)), None)


def imports(source: str) -> list[tuple[int, str]]:
    """Line and full name of everything that is imported, wherever in the file; not what only type checkers see."""
    found = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            found.extend((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            found.extend((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(source))
    return found


def complaints(path: str, source: str) -> list[str]:
    """What is wrong with the imports of one file."""
    floor = floor_of(path)
    if floor is None:
        return [f"{path} stands on no floor: add it to the table in CONTRIBUTING.md"]
    said = []
    for line, name in imports(source):
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names:
            continue
        if top != "rtlab":
            if top not in floor.libraries:
                said.append(f"{path}:{line} imports {top}, which floor {floor.number} may not")
            continue
        target = name.replace(".", "/")
        other = floor_of(f"{target}.py") or floor_of(f"{target}/") or floor_of(f"{target.rpartition('/')[0]}.py")
        if name.startswith("rtlab.errors") or name in {"rtlab", "rtlab.__version__"}:
            continue  # the bare package loads nothing by itself
        if other is None:
            said.append(f"{path}:{line} imports {name}, which stands on no floor")
        elif other.number >= floor.number and other != floor:
            said.append(f"{path}:{line} (floor {floor.number}) imports {name} (floor {other.number})")
    return said


def test_the_table_is_read():
    assert [floor.number for floor in FLOORS] == sorted((floor.number for floor in FLOORS), reverse=True)
    assert {6, 5, 4, 1, 0} <= {floor.number for floor in FLOORS}
    assert floor_of("rtlab/wire/frames.py").libraries == set()


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_go_down(module):
    path = module.relative_to(ROOT).as_posix()
    if path == "rtlab/__init__.py":
        assert {name.partition(".")[0] for _, name in imports(module.read_text())} <= set(sys.stdlib_module_names)
    elif path == "rtlab/errors.py":
        assert not [name for _, name in imports(module.read_text()) if name.startswith("rtlab")]
    else:
        assert not complaints(path, module.read_text())


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("rtlab/wire/frames.py", "import aiohttp"),
        ("rtlab/wire/frames.py", "def f():\n    import websockets.frames"),
        ("rtlab/wire/frames.py", "from rtlab.servers import hosting"),
        ("rtlab/servers/hosting.py", "import rtlab.scale.broker"),
        ("rtlab/servers/hosting.py", "import pytest"),
        ("rtlab/grading/exercise_run.py", "from rtlab.instruments.doctor.doctor import diagnose"),
        ("rtlab/servers/hosting.py", "from rtlab import start"),
        ("rtlab/utils.py", "import os"),
    ],
)
def test_what_is_not_allowed_is_found(path, source):
    assert complaints(path, source)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("rtlab/servers/hosting.py", "import os\nfrom rtlab.errors import UsageError\nimport aiohttp"),
        ("rtlab/servers/hosting.py", "from rtlab.wire import frames\nfrom rtlab.servers.registry import opening"),
        ("rtlab/servers/hosting.py", "if TYPE_CHECKING:\n    import pytest"),
        ("rtlab/cli/course.py", "from rtlab.grading import report\nimport click"),
        ("rtlab/cli/course.py", "from rtlab.grading.report import grade"),
    ],
)
def test_what_is_allowed_passes(path, source):
    assert not complaints(path, source)


def test_no_module_is_long():
    """About 300 lines: more, and a file does two jobs."""
    long = {path.name: lines for path in MODULES if (lines := len(path.read_text().splitlines())) > 350}
    assert not long


def module_name(path: Path) -> str:
    """The name under which a file is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def import_graph(sources: dict[str, str]) -> dict[str, set[str]]:
    """Which module imports which, wherever in the file; not what only type checkers see.

    Args:
        sources: the source of each module, by its name.
    """
    graph: dict[str, set[str]] = {}
    for module, source in sources.items():
        found = {name if name in sources else name.rpartition(".")[0] for _, name in imports(source)}
        graph[module] = (found & sources.keys()) - {module}
    return graph


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The groups of modules that reach one another."""

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        todo = list(graph[start])
        while todo:
            each = todo.pop()
            if each not in seen:
                seen.add(each)
                todo.extend(graph[each])
        return seen

    reached = {module: reach(module) for module in graph}
    groups = {
        tuple(sorted({module, *(each for each in reached[module] if module in reached[each])}))
        for module in graph
        if module in reached[module]
    }
    return sorted(map(list, groups))


SOURCES = {module_name(path): path.read_text() for path in MODULES}


def test_no_modules_import_each_other():
    assert not circles(import_graph(SOURCES))


def test_sub_packages_of_instruments_do_not_import_each_other():
    graph: dict[str, set[str]] = {}
    for module, targets in import_graph(SOURCES).items():
        if module.startswith("rtlab.instruments."):
            places = {".".join(each.split(".")[:3]) for each in targets if each.startswith("rtlab.instruments.")}
            place = ".".join(module.split(".")[:3])
            graph.setdefault(place, set()).update(places - {place})
    assert not circles(graph)


def test_the_folders_that_the_table_names_exist():
    section = (ROOT / "CONTRIBUTING.md").read_text().split("\n## Floors\n")[1].split("\n## ")[0]
    for _, where, what, _ in re.findall(r"^\| (\d) \|(.*?)\|(.*?)\|(.*?)\|$", section, re.MULTILINE):
        package = re.findall(r"`(.+?)`", where)[0]
        for folder in re.findall(r"`(\w+/)`", what):
            assert (ROOT / package / folder).is_dir(), f"{package}{folder}"


def test_circles_are_found():
    sources = {
        "rtlab.a": "from rtlab.b import B",
        "rtlab.b": "def f():\n    from rtlab import c",
        "rtlab.c": "import rtlab.a",
        "rtlab.d": "from rtlab.a import A\nif TYPE_CHECKING:\n    from rtlab.e import E",
        "rtlab.e": "from rtlab.d import D",
    }
    assert circles(import_graph(sources)) == [["rtlab.a", "rtlab.b", "rtlab.c"]]
