"""What can be wrong with a program that is right: one small change in one place, each a mutant.

What lives here: `mutants`, from a program's text to its mutants. It runs nothing, and knows no exercise.

No published tool fits: they change operators and numbers, and what graders miss is a statement too few, two statements
in the wrong order, one state for two servers, a keyword that was left out. The changes are listed at `CHANGES`.
Docstrings, annotations, what is raised, and texts with a blank in them (sentences for people) stay as they are.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["CHANGES", "Mutant", "mutants"]

SHOWN = 90
"""Characters of a piece of code in a mutant's name."""
Place = tuple[ast.AST, str, int | None]
"""Where a node hangs: its parent, the parent's field, and the position if that field is a list."""
Change = Callable[[ast.AST], Iterator[ast.AST | None]]
"""Gives what may stand in a node's place; None: nothing does."""

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE,),
    ast.LtE: (ast.Lt,),
    ast.Gt: (ast.GtE,),
    ast.GtE: (ast.Gt,),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
CONTAINERS = {"dict", "set", "list", "deque", "defaultdict", "OrderedDict", "Counter", "WeakSet", "WeakKeyDictionary"}
"""Calls that make a state which two servers could share by mistake."""
SIMPLE = (ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Delete, ast.Raise)


@dataclass(frozen=True)
class Mutant:
    """A program with one change."""

    name: str
    """Where, what stood there and what stands there now; unique, and independent of line numbers."""
    line: int
    """Of the change, in the original."""
    source: str
    """The whole changed program. Comments and layout are gone."""


def mutants(source: str) -> list[Mutant]:
    """All mutants of a program, in the order of its lines.

    Args:
        source: the text of a Python module.

    Raises:
        SyntaxError: it is none.
    """
    tree = ast.parse(source)
    found: dict[str, Mutant] = {}
    sources = {ast.unparse(tree)}
    for place, qualname in list(_places(tree)):
        node = _at(place)
        for label, apply in list(_variants(node, place)):
            with _for_now(tree, place):
                apply(tree)
                text = _program(tree)
            if text in sources or text is None:
                continue
            sources.add(text)
            name, again = f"{qualname} | {label}", 1
            while name in found:
                again += 1
                name = f"{qualname} | {label} (place {again})"
            found[name] = Mutant(name, _line(node), text)
    return sorted(found.values(), key=lambda each: each.line)


@contextmanager
def _for_now(tree: ast.Module, place: Place) -> Iterator[None]:
    """Whatever changes at this place in the ``with`` block is as before afterwards."""
    parent, field, _ = place
    node, body, there = _at(place), list(tree.body), copy.copy(getattr(parent, field))
    value = getattr(node, "value", None)
    try:
        yield
    finally:
        tree.body[:] = body
        if isinstance(there, list):
            getattr(parent, field)[:] = there
        else:
            setattr(parent, field, there)
        if hasattr(node, "value"):
            setattr(node, "value", value)  # noqa: B010 - mypy knows no such attribute


def _program(tree: ast.Module) -> str | None:
    """Its text; None if that is no Python."""
    try:
        text = ast.unparse(ast.fix_missing_locations(tree))
        compile(text, "mutant", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, AttributeError, TypeError):
        return None
    return text


def _places(tree: ast.Module) -> Iterator[tuple[Place, str]]:
    """Every node that may change, in the program's order, with the name of the function that it stands in."""
    return _below(tree, "module")


def _below(parent: ast.AST, qualname: str) -> Iterator[tuple[Place, str]]:
    for field, value in ast.iter_fields(parent):
        if field in ("annotation", "returns", "type_params") or (field, type(parent)) == ("exc", ast.Raise):
            continue
        for position, child in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(child, ast.AST) or _is_fixed(child):
                continue
            within = qualname
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                within = child.name if qualname == "module" else f"{qualname}.{child.name}"
            yield (parent, field, position if isinstance(value, list) else None), within
            yield from _below(child, within)


def _is_fixed(node: ast.AST) -> bool:
    """What is no behaviour: imports, docstrings (of attributes too), ``__all__``, names of types."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        is_type = isinstance(node.value, ast.Subscript | ast.BinOp) and node.targets[0].id[:1].isupper()
        return node.targets[0].id == "__all__" or (is_type and not node.targets[0].id.isupper())
    return False


def _at(place: Place) -> ast.AST:
    parent, field, position = place
    value = getattr(parent, field)
    node: ast.AST = value if position is None else value[position]
    return node


Apply = Callable[[ast.Module], None]


def _variants(node: ast.AST, place: Place) -> Iterator[tuple[str, Apply]]:
    for change in CHANGES:
        for other in change(node):
            if other is not None:
                ast.fix_missing_locations(ast.copy_location(other, node))
            yield _label(_text(node), _text(other)), lambda tree, other=other: _put(place, other)
    yield from _swapped(node, place)
    yield from _shared(node, place)


def _put(place: Place, node: ast.AST | None) -> None:
    parent, field, position = place
    value = getattr(parent, field)
    if position is None:
        setattr(parent, field, node)
    elif isinstance(node, ast.Module):  # several statements instead of one
        value[position : position + 1] = node.body
    elif node is None:
        del value[position]
    else:
        value[position] = node


def _line(node: ast.AST) -> int:
    """Where it stands; a comprehension and a slice have no line of their own."""
    return min((each.lineno for each in ast.walk(node) if hasattr(each, "lineno")), default=0)


def _text(node: ast.AST | None) -> str:
    return "nothing" if node is None else " ".join(ast.unparse(node).split())


def _label(before: str, after: str) -> str:
    """Both, cut down to where they differ."""
    same = next((at for at, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]), len(before))
    start = 0 if same < SHOWN else same - SHOWN // 2
    cut = [text[start : start + SHOWN] + ("…" if len(text) > start + SHOWN else "") for text in (before, after)]
    return " -> ".join(f"…{text}" if start else text for text in cut)


# What may stand in a node's place.


def _comparison(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Compare):
        for position, operator in enumerate(node.ops):
            for other in COMPARISONS[type(operator)]:
                operators = [*node.ops[:position], other(), *node.ops[position + 1 :]]
                yield ast.Compare(node.left, operators, node.comparators)
        right = node.comparators[0]
        if isinstance(node.ops[0], ast.Is) and isinstance(right, ast.Constant) and isinstance(right.value, bool):
            yield ast.Compare(node.left, [ast.Eq()], node.comparators)  # 1 is not True, and equals it


def _logic(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        for position in range(len(node.values)):
            rest = [*node.values[:position], *node.values[position + 1 :]]
            yield rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand


def _arithmetic(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        yield ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right)
    if isinstance(node, ast.AugAssign) and type(node.op) in ARITHMETIC:
        yield ast.AugAssign(node.target, ARITHMETIC[type(node.op)](), node.value)


def _branch(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.If):
        yield ast.Module([ast.If(ast.Constant(True), node.body, node.orelse)], [])
        yield ast.Module([ast.If(ast.Constant(False), node.body, node.orelse)], [])
    if isinstance(node, ast.While):
        yield ast.While(ast.Constant(False), node.body, node.orelse)
    if isinstance(node, ast.IfExp):
        yield node.body
        yield node.orelse
    if isinstance(node, ast.comprehension):
        for position in range(len(node.ifs)):
            rest = [*node.ifs[:position], *node.ifs[position + 1 :]]
            yield ast.comprehension(node.target, node.iter, rest, node.is_async)


def _constant(node: ast.AST) -> Iterator[ast.AST]:
    if not isinstance(node, ast.Constant):
        return
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield from (ast.Constant(value + 1), ast.Constant(value - 1))
    elif isinstance(value, float):
        yield from (ast.Constant(round(value * 1.1, 6)), ast.Constant(round(value * 0.9, 6)))
    elif isinstance(value, str) and value and " " not in value.strip():
        yield from (ast.Constant(f"{value}x"), ast.Constant(value.swapcase()))
    elif isinstance(value, bytes) and value and b" " not in value.strip():
        yield from (ast.Constant(value + b"x"), ast.Constant(value.swapcase()))


def _call(node: ast.AST) -> Iterator[ast.AST]:
    if not isinstance(node, ast.Call):
        return
    for position in range(len(node.keywords)):
        yield ast.Call(node.func, node.args, [*node.keywords[:position], *node.keywords[position + 1 :]])
    if isinstance(node.func, ast.Attribute) and len(node.args) <= 1 and not isinstance(node.func.value, ast.Name):
        yield node.func.value  # x.f().strip() -> x.f()
    elif isinstance(node.func, ast.Attribute) and node.func.attr in (
        "strip",
        "lower",
        "upper",
        "encode",
        "decode",
        "copy",
    ):
        yield node.func.value
    if isinstance(node.func, ast.Name) and len(node.args) == 1 and not node.keywords:
        yield node.args[0]  # sorted(x) -> x
    if isinstance(node.func, ast.Name) and node.func.id in ("isinstance", "callable", "any", "all"):
        yield from (ast.Constant(True), ast.Constant(False))


def _collection(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Tuple | ast.List | ast.Set) and len(node.elts) > 1 and not _is_target(node):
        for position in range(len(node.elts)):
            fewer = copy.copy(node)
            fewer.elts = [*node.elts[:position], *node.elts[position + 1 :]]
            yield fewer
    if isinstance(node, ast.Dict):
        for position in range(len(node.keys)):
            keep = [each for each in range(len(node.keys)) if each != position]
            yield ast.Dict([node.keys[each] for each in keep], [node.values[each] for each in keep])
    if isinstance(node, ast.Slice):
        if node.lower is not None:
            yield ast.Slice(None, node.upper, node.step)
        if node.upper is not None:
            yield ast.Slice(node.lower, None, node.step)


def _is_target(node: ast.AST) -> bool:
    return isinstance(getattr(node, "ctx", None), ast.Store)


def _statement(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, (*SIMPLE, ast.Break, ast.Continue)):
        yield ast.Pass()
    if isinstance(node, ast.Return) and node.value is not None and ast.unparse(node) != "return None":
        yield ast.Return(None)
    if isinstance(node, ast.Try):
        if node.finalbody:
            yield ast.Module([*node.body, *node.orelse, *node.finalbody], [])
            yield ast.Module([ast.Try(node.body, node.handlers, node.orelse, [])] if node.handlers else node.body, [])
        else:
            yield ast.Module([*node.body, *node.orelse], [])
    if isinstance(node, ast.With | ast.AsyncWith) and all(item.optional_vars is None for item in node.items):
        yield ast.Module(node.body, [])
    if isinstance(node, ast.For | ast.AsyncFor):
        yield type(node)(node.target, node.iter, [*node.body, ast.Break()], node.orelse)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        for position in range(len(node.decorator_list)):
            bare = copy.copy(node)
            bare.decorator_list = [*node.decorator_list[:position], *node.decorator_list[position + 1 :]]
            yield bare


def _handler(node: ast.AST) -> Iterator[ast.AST]:
    """Fewer exceptions are caught."""
    if not isinstance(node, ast.ExceptHandler) or node.type is None:
        return
    if isinstance(node.type, ast.Tuple):
        for position in range(len(node.type.elts)):
            fewer = ast.Tuple([*node.type.elts[:position], *node.type.elts[position + 1 :]], ast.Load())
            yield ast.ExceptHandler(fewer, node.name, node.body)
    elif isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException"):
        yield ast.ExceptHandler(ast.Name("ValueError", ast.Load()), node.name, node.body)


CHANGES: tuple[Change, ...] = (
    _comparison,
    _logic,
    _arithmetic,
    _branch,
    _constant,
    _call,
    _collection,
    _statement,
    _handler,
)
"""In one place at a time: a comparison turned or its boundary moved; a condition left out, always true or always
false; a number one more or one less (a time a tenth), a text one letter longer or in the other letter case; a call, a
keyword, an element, a statement, a decorator or a cleanup left out; a loop that ends after its first turn; fewer
exceptions caught. Beside them two neighbouring statements in the other order, and a container for all objects."""


def _swapped(node: ast.AST, place: Place) -> Iterator[tuple[str, Apply]]:
    parent, field, position = place
    body = getattr(parent, field)
    if position is None or not isinstance(node, SIMPLE) or position + 1 >= len(body):
        return
    after = body[position + 1]
    if isinstance(after, SIMPLE) and not _is_fixed(after) and (_acts(node) or _acts(after)):

        def swap(_: ast.Module) -> None:
            body[position], body[position + 1] = after, node

        yield f"{_text(node)[:SHOWN]} -> after {_text(after)[:SHOWN]}", swap


def _acts(statement: ast.AST) -> bool:
    """Whether it does more than to name a value: what only does that may stand before its neighbour as well."""
    is_action = isinstance(statement, ast.Expr | ast.Raise | ast.Delete)
    return is_action or any(isinstance(each, ast.Await) for each in ast.walk(statement))


def _shared(node: ast.AST, place: Place) -> Iterator[tuple[str, Apply]]:
    """A container that a function makes anew each time, made once for all."""
    if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
        return
    value = node.value
    made = isinstance(value, ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp | ast.SetComp)
    if isinstance(value, ast.Call):
        function = value.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        made = name in CONTAINERS and not any(isinstance(each, ast.Name) for each in value.args)

    def share(tree: ast.Module) -> None:
        first = next(
            index
            for index, each in enumerate(tree.body)
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        )
        tree.body.insert(first, ast.Assign([ast.Name("SHARED", ast.Store())], value))
        node.value = ast.Name("SHARED", ast.Load())

    if made and not isinstance(place[0], ast.Module):
        yield f"{_text(node)[:SHOWN]} -> one for all", share
