"""One change of a module made in a running process: its functions get other code, or a default or constant.

What other modules imported is changed too, and what decorators hold: functions are found by their code,
wherever they are.
"""

from __future__ import annotations

import ast
import gc
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from mutations import mutated

Functions = dict[tuple[str, str, int], list[FunctionType]]
"""Functions by file, name and first line."""


def functions() -> Functions:
    """Every function that exists, by file, name and first line."""
    found = defaultdict(list)
    for thing in gc.get_objects():
        if isinstance(thing, FunctionType):
            code = thing.__code__
            found[code.co_filename, code.co_qualname, code.co_firstlineno].append(thing)
    return found


def codes(code: CodeType) -> Iterator[CodeType]:
    """A code object and those inside it."""
    yield code
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from codes(each)


def put_in_place(module: ModuleType, number: int, known: Functions) -> None:
    """Make change `number` of a module in this process."""
    path = str(module.__file__)
    source = Path(path).read_text(encoding="utf-8")
    tree, change = mutated(source, number)
    if isinstance(change.holder, ast.Assign | ast.AnnAssign):
        _put_constant(module, tree, change.holder)
        return
    if isinstance(change.holder, ast.FunctionDef):
        arguments = change.holder.args
        for (file, _, line), all_ in known.items():
            first = min([change.holder.lineno, *(each.lineno for each in change.holder.decorator_list)])
            if (file, line) == (path, first):
                for function in all_:
                    _put_defaults(function, arguments, vars(module))
        return
    before = {(c.co_qualname, c.co_firstlineno): c for c in codes(compile(source, path, "exec"))}
    for code in codes(compile(tree, path, "exec")):
        if before.get((code.co_qualname, code.co_firstlineno)) != code:
            for function in known.get((path, code.co_qualname, code.co_firstlineno), ()):
                function.__code__ = code


def _put_constant(module: ModuleType, tree: ast.Module, holder: ast.Assign | ast.AnnAssign) -> None:
    """Give a constant its new value, and those that are made of it."""
    scope, changed = vars(module), set[str]()
    for statement in tree.body:
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
            continue
        target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
        names = {each.id for each in ast.walk(statement.value) if isinstance(each, ast.Name)}
        if not isinstance(target, ast.Name) or (statement is not holder and names.isdisjoint(changed)):
            continue
        old, changed = scope[target.id], {*changed, target.id}
        new = eval(compile(ast.Expression(statement.value), "constant", "eval"), dict(scope))
        for other in list(sys.modules.values()):
            if vars(other).get(target.id) is old and other.__name__.startswith(("dsvc", "tests")):
                setattr(other, target.id, new)


def _put_defaults(function: FunctionType, arguments: ast.arguments, scope: dict[str, Any]) -> None:
    def value(node: ast.expr) -> Any:
        return eval(compile(ast.Expression(node), "default", "eval"), dict(scope))

    if function.__defaults__:
        function.__defaults__ = tuple(map(value, arguments.defaults))
    named = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    if function.__kwdefaults__:
        function.__kwdefaults__ = {name.arg: value(node) for name, node in named if node is not None}
