"""Small changes of a module, each one a bug: what `scripts/mutants.py` tries on the tests.

The operators are those of cosmic-ray that make sense for typed code (a wrong comparison, a wrong operation, a
number off by one, a condition turned round, a loop without turns, an exception not caught), and three of
mutmut's: a call left out, a raise left out, a value not returned. Texts, annotations, decorators and the
bodies of classes stay as they are, and what never makes a difference that a user could see:

- ``debug`` and ``info`` of a logger: nobody's decision hangs on them (a warning's does);
- ``strict`` of `zip`: it raises where the program is wrong already;
- numbers given to the compressor: how hard it tries; whatever comes out, the same is unpacked;
- numbers in the constants of `_AT_ONCE`: how much is handled or kept at once, so that one more or less gives
  the same in other steps. Their operations are changed: a thousand times as much would be noticed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final, NamedTuple

_COMPARE: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_OPERATE: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}
_SKIPPED: Final = {"annotation", "returns", "decorator_list", "bases", "keywords_of_class"}
_AT_ONCE: Final = {"READ_BYTES", "_READ_BYTES", "_ZEROS", "_GATHER_BYTES", "_KNOWN_NODES", "_MERGED_IDS"}
_COMPRESSOR: Final = {"ZstdCompressionParameters", "ZstdCompressor"}
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)


class Mutation(NamedTuple):
    """One change.

    Attributes
    ----------
    lines : range
        Lines of the statement that it is in, without the statements inside that.
    line : int
        Where it is.
    change : str
        What became of what.
    holder : ast.AST or None
        The function whose default it changes, or the assignment of the constant.
    """

    lines: range
    line: int
    change: str
    holder: ast.AST | None


class _Place(NamedTuple):
    owner: ast.AST
    field: str
    at: int | None
    node: ast.AST

    def put(self, new: ast.AST) -> None:
        if self.at is None:
            setattr(self.owner, self.field, new)
        else:
            getattr(self.owner, self.field)[self.at] = new


def mutations(source: str) -> list[Mutation]:
    """All changes of a module, in a fixed order."""
    return [
        Mutation(lines, getattr(place.node, "lineno", lines.start), change, holder)
        for place, lines, holder in _places(ast.parse(source))
        for _, change in _replacements(place)
    ]


def mutated(source: str, number: int) -> tuple[ast.Module, Mutation]:
    """The module with the change of this number in place.

    Raises
    ------
    IndexError
        If there is none of this number.
    """
    tree = ast.parse(source)
    for place, lines, holder in _places(tree):
        for new, change in _replacements(place):
            if number == 0:
                found = Mutation(lines, getattr(place.node, "lineno", lines.start), change, holder)
                place.put(ast.fix_missing_locations(ast.copy_location(new, place.node)))
                return tree, found
            number -= 1
    raise IndexError(number)


def _places(tree: ast.Module) -> Iterator[tuple[_Place, range, ast.AST | None]]:
    for statement in tree.body:
        yield from _of_statement(statement)


def _is_constant(statement: ast.stmt) -> bool:
    """Whether a statement of a module names a value; a name of large and small letters is a type."""
    if isinstance(statement, ast.Assign):
        target = statement.targets[0]
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        target = statement.target
    else:
        return False
    return isinstance(target, ast.Name) and (target.id.isupper() or target.id.islower())


def _of_statement(statement: ast.stmt) -> Iterator[tuple[_Place, range, ast.AST | None]]:
    """What of a module or a class can be changed: functions, and in a module constants."""
    if isinstance(statement, ast.ClassDef):
        for inner in statement.body:
            if isinstance(inner, (*_FUNCTIONS, ast.ClassDef)):
                yield from _of_statement(inner)
    elif isinstance(statement, _FUNCTIONS):
        yield from _of_function(statement)
    elif _is_constant(statement):
        yield from _inside(statement, _header(statement), statement)


def _of_function(
    function: ast.FunctionDef | ast.AsyncFunctionDef,
) -> Iterator[tuple[_Place, range, ast.AST | None]]:
    yield from _inside(function.args, _header(function), function)
    for index, statement in enumerate(function.body):
        yield from _each(_Place(function, "body", index, statement), range(0), None)


def _inside(
    owner: ast.AST, lines: range, holder: ast.AST | None
) -> Iterator[tuple[_Place, range, ast.AST | None]]:
    for field, value in ast.iter_fields(owner):
        if field in _SKIPPED or (field == "targets" and holder is not None):
            continue
        if isinstance(value, list):
            for index, each in enumerate(value):
                if isinstance(each, ast.AST):
                    yield from _each(_Place(owner, field, index, each), lines, holder)
        elif isinstance(value, ast.AST):
            yield from _each(_Place(owner, field, None, value), lines, holder)


def _each(
    place: _Place, lines: range, holder: ast.AST | None
) -> Iterator[tuple[_Place, range, ast.AST | None]]:
    node = place.node
    if isinstance(node, ast.JoinedStr) or _says_only(node):  # what it says, not what it does
        return
    if isinstance(node, ast.keyword) and _is_no_matter(place.owner, node):
        return
    if _is_number(node) and isinstance(holder, ast.Assign | ast.AnnAssign) and _name(holder) in _AT_ONCE:
        return
    if isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
        lines = _header(node)
    yield place, lines, holder
    if isinstance(node, _FUNCTIONS):
        yield from _of_function(node)
    else:
        yield from _inside(node, lines, holder)


def _name(statement: ast.Assign | ast.AnnAssign) -> str:
    target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
    return target.id if isinstance(target, ast.Name) else ""


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int


def _says_only(node: ast.AST) -> bool:
    """Whether a statement tells the log something that no warning is."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Attribute)
        and node.value.func.attr in ("debug", "info")
        and isinstance(node.value.func.value, ast.Name)
        and node.value.func.value.id in ("logger", "_log")
    )


def _is_no_matter(call: ast.AST, given: ast.keyword) -> bool:
    """Whether what a call is given changes nothing but its speed, or only what can't be."""
    if not isinstance(call, ast.Call):
        return False
    called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return (called in _COMPRESSOR and _is_number(given.value)) or (called == "zip" and given.arg == "strict")


def _header(node: ast.AST) -> range:
    """Lines of a statement up to the first statement inside."""
    start: int = getattr(node.pattern if isinstance(node, ast.match_case) else node, "lineno", 0)
    body = getattr(node, "body", None)
    if isinstance(body, list) and body:
        return range(start, max(start + 1, body[0].lineno))
    end: int = getattr(node, "end_lineno", start)
    return range(start, end + 1)


def _replacements(place: _Place) -> Iterator[tuple[ast.AST, str]]:
    node = place.node
    if isinstance(node, ast.stmt):
        made = _of_stmt(node)
    elif isinstance(node, ast.ExceptHandler):
        made = iter([(_replaced(node, type=ast.Tuple([], ast.Load())), "nothing is caught")])
    elif isinstance(node, ast.expr):
        made = _of_expression(node, tested=place.field == "test")
    else:
        made = iter(())
    for new, words in made:
        yield new, words or f"`{_short(node)}` became `{_short(new)}`"


def _of_stmt(node: ast.stmt) -> Iterator[tuple[ast.AST, str]]:
    if isinstance(node, ast.Raise) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        yield ast.Pass(), f"`{_short(node)}` left out"
    elif isinstance(node, ast.Return) and not (
        node.value is None or (isinstance(node.value, ast.Constant) and node.value.value in (None, False))
    ):
        yield ast.Return(ast.Constant(None)), ""
    elif isinstance(node, ast.Break):
        yield ast.Continue(), ""
    elif isinstance(node, ast.Continue):
        yield ast.Break(), ""
    elif isinstance(node, ast.For):
        yield _replaced(node, iter=ast.Tuple([], ast.Load())), f"no turn of `for … in {_short(node.iter)}`"
    elif isinstance(node, ast.AugAssign):
        yield _replaced(node, op=_OPERATE[type(node.op)]()), ""


def _of_expression(node: ast.expr, *, tested: bool) -> Iterator[tuple[ast.AST, str]]:
    if isinstance(node, ast.Compare):
        for index, op in enumerate(node.ops):
            for other in _COMPARE[type(op)]:
                yield _replaced(node, ops=[*node.ops[:index], other(), *node.ops[index + 1 :]]), ""
    elif isinstance(node, ast.BoolOp):
        yield _replaced(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And()), ""
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield node.operand, ""
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATE:
        yield _replaced(node, op=_OPERATE[type(node.op)]()), ""
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value), ""
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield ast.Constant(node.value + 1), ""
        yield ast.Constant(node.value - 1), ""
    elif tested:
        yield ast.UnaryOp(ast.Not(), node), ""


def _replaced(node: ast.AST, **fields: object) -> ast.AST:
    """A node like `node` but for some fields."""
    return type(node)(**{**dict(ast.iter_fields(node)), **fields})


def _short(node: ast.AST) -> str:
    text = " ".join(ast.unparse(ast.fix_missing_locations(node)).split(":\n")[0].split())
    return text if len(text) <= 80 else text[:79] + "…"
