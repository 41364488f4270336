"""Write docs/reliability.md: which test stands for which row: ``python scripts/reliability.py [--check]``.

The rows stand in tests/matrix/rows.toml, the tests say by their names which they are, and what they came to
was written by ``make reliability`` and ``make soak``.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.matrix.row_tests import rows_of  # noqa: E402  a script is run from anywhere

PAGE = ROOT / "docs" / "reliability.md"
ROWS = ROOT / "tests" / "matrix" / "rows.toml"
FIGURES = ROOT / "tests" / "matrix" / "figures.toml"
RESULTS = ROOT / "benchmarks" / "results" / "matrix.json"
MEASURED = ROOT / "benchmarks" / "results" / "reliability.json"
SIZES = ("test", "soak")

HEAD = """\
# Reliability

Written by `scripts/reliability.py`; a test fails when it is not up to date. Each fault (F) and each hostile
input (H) has tests that begin with its id; those in italics run at night. What they tried they counted when
they last ran, in `make test` and in `make soak`: *kill points* and *disk errors* are writes at which a
command was killed or failed, *disk states* what a crash may leave of what was not flushed, *cuts* are power
cuts of a file system. What is promised beyond single faults stands in [threat-model.md](threat-model.md).

"""


class RowTest(NamedTuple):
    """A test function of a row: its file below tests/, its name, and whether it only runs at night."""

    file: str
    name: str
    soak: bool


def _marked_soak(nodes: list[ast.expr]) -> bool:
    """Whether all of a test runs at night only; a mark of one parameter says so of that alone."""
    marks = [mark for node in nodes for mark in (node.elts if isinstance(node, ast.List) else [node])]
    return any(ast.unparse(mark) == "pytest.mark.soak" for mark in marks)


def _tests_of(path: Path) -> Iterator[RowTest]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    marks = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
    ]
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            soak = _marked_soak(marks) or _marked_soak(node.decorator_list)
            yield RowTest(path.relative_to(ROOT / "tests").as_posix(), node.name, soak)


def tests_by_row() -> dict[str, list[RowTest]]:
    """Return the tests of each row, in the order of their files."""
    found: dict[str, list[RowTest]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for test in _tests_of(path):
            for row in rows_of(test.name):
                found.setdefault(row, []).append(test)
    return found


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    text = path.read_text(encoding="utf-8")
    return dict(json.loads(text) if path.suffix == ".json" else tomllib.loads(text))


def _listed(tests: list[RowTest]) -> str:
    """Tests by file, each name without the ids that it begins with; those of the night in italics."""
    files: dict[str, list[str]] = {}
    for test in tests:
        short = test.name.removeprefix("test_").split("_", len(rows_of(test.name)))[-1]
        files.setdefault(test.file, []).append(f"*{short}*" if test.soak else short)
    return "<br>".join(
        f"[{file}](../tests/{file}): {', '.join(names).replace('_', ' ')}" for file, names in files.items()
    )


def _tried(result: dict[str, Any]) -> str:
    """What the tests of a row counted, and which could not run."""
    counts = {**result.get("tried", {}), "failed": result.get("failed", 0)}
    parts = [f"{count:,} {kind}" for kind, count in counts.items() if count]
    parts += [f"skipped {count}: {reason}" for reason, count in result.get("skipped", {}).items()]
    return "; ".join(parts) or "–"


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (header, ("---",) * len(header), *rows)]
    return "\n".join(lines) + "\n\n"


def _matrix(letter: str, rows: dict[str, Any], results: dict[str, Any]) -> str:
    tests = tests_by_row()
    made: list[tuple[str, ...]] = []
    for row, text in rows.items():
        if not row.startswith(letter):
            continue
        tried = [_tried(results.get(size, {}).get("rows", {}).get(row, {})) for size in SIZES]
        listed = _listed(tests.get(row, []))
        if "later" in text:
            listed = "; ".join(part for part in (f"later: {text['later']}", listed) if part)
        made.append((row, text["what"], text.get("must", ""), listed, *tried))
    return _table(("", "what is done", "what must come of it", "tests", "`make test`", "`make soak`"), made)


def _counted(figure: dict[str, Any], results: dict[str, Any]) -> str:
    """A figure as the tests counted it."""
    total, rows = results.get("total", {}), results.get("rows", {})
    if "kind" in figure:
        return f"{total[figure['kind']]:,}, lost {total.get('lost', 0)}" if figure["kind"] in total else "–"
    missing = [row for row in figure["rows"] if not rows.get(row, {}).get("passed")]
    failed = sum(rows.get(row, {}).get("failed", 0) for row in figure["rows"])
    if len(missing) == len(figure["rows"]):
        return "–"
    return f"{failed} of {sum(rows[row]['passed'] for row in figure['rows'] if row in rows):,} tests failed"


def _figures(results: dict[str, Any]) -> str:
    measured = _read(MEASURED).get("figures", {})
    made: list[tuple[str, ...]] = []
    for name, figure in _read(FIGURES).items():
        if figure.get("measured"):
            values = [measured.get(name, {}).get(size, "–") for size in SIZES]
        else:
            values = [_counted(figure, results.get(size, {})) for size in SIZES]
        made.append((name, figure["what"], figure["test"], values[0], figure["soak"], values[1]))
    return _table(("", "figure", "`make test` must", "came to", "`make soak` must", "came to"), made)


def _about(results: dict[str, Any]) -> str:
    lines = []
    for size in SIZES:
        if about := results.get(size):
            lines.append(
                f"`make {size}`: {about['day']}, {about['machine']}, rows of the matrix in "
                f"{about['seconds']:,} s, lost {about['total'].get('lost', 0)}."
            )
    return "\n".join(lines) + "\n\n" if lines else ""


def page() -> str:
    """Return docs/reliability.md as it must be."""
    results, rows = _read(RESULTS), _read(ROWS)
    return (
        HEAD
        + _about(results)
        + "## Figures\n\n"
        + _figures(results)
        + "## Faults\n\n"
        + _matrix("F", rows, results)
        + "## Hostile input\n\n"
        + _matrix("H", rows, results)
    ).rstrip("\n") + "\n"


def main() -> int:
    """Write the page, or with ``--check`` say whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if the page is out of date"
    )
    arguments = parser.parse_args()
    text = page()
    if arguments.check:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
            return 0
        print("docs/reliability.md is out of date: run python scripts/reliability.py", file=sys.stderr)
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
