"""Rules of the house that no linter knows: sizes, names, start-up, who may print or write, kept promises."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "dsvc"
SOURCES = sorted(PACKAGE.rglob("*.py"))

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
VAGUE_NAMES = {"utils", "helpers", "common", "misc", "base", "core", "manager"}
HEAVY_MODULES = {"pyarrow", "lancedb", "networkx", "duckdb", "numpy", "pygit2"}

# A section, a sentence, or the name of the function that says it.
SAYS_RAISES = re.compile(r"[Rr]aise|[Rr]efuse|[Ee]rrors? |Error\b")

# Writes through these names would go past the seam of dsvc.fs.
WRITERS = {
    "mkdir",
    "makedirs",
    "remove",
    "rename",
    "replace",
    "rmdir",
    "symlink",
    "truncate",
    "unlink",
    "link",
}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def calls(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the dotted name of each call in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func)


def test_no_file_is_too_long() -> None:
    lengths = {relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert not {name: lines for name, lines in lengths.items() if lines > MAX_FILE_LINES}


def docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[0]
    if ast.get_docstring(node) is None:
        return 0
    return (first.end_lineno or first.lineno) - first.lineno + 1


def test_no_function_is_too_long() -> None:
    """A function's own lines count; its description does not."""
    long = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1 - docstring_lines(node)
                if lines > MAX_FUNCTION_LINES:
                    long.append(f"{relative(path)}:{node.lineno} {node.name}: {lines} lines")
    assert not long


def raised(node: ast.AST) -> Iterator[ast.Raise]:
    """Yield what a function raises itself, and doesn't catch; not what is raised in functions inside it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Raise) and child.exc is not None:
            yield child
        elif isinstance(child, ast.Try):
            for part in (*child.handlers, *child.orelse, *child.finalbody):
                yield from raised(part)
        elif not isinstance(child, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            yield from raised(child)


def public_functions(body: list[ast.stmt]) -> Iterator[ast.FunctionDef]:
    for node in body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body)


def test_public_functions_say_what_they_raise() -> None:
    """Verbs of the command line have exit codes instead."""
    silent = [
        f"{relative(path)}:{node.lineno} {node.name}"
        for path in SOURCES
        if not relative(path).startswith(("dsvc/cli/commands/", "dsvc/testing/"))
        for node in public_functions(ast.parse(path.read_text(encoding="utf-8")).body)
        if any(raised(node)) and not SAYS_RAISES.search(ast.get_docstring(node) or "")
    ]
    assert not silent


def test_no_module_has_a_vague_name() -> None:
    vague = [
        relative(path)
        for path in [*SOURCES, *(p for p in PACKAGE.rglob("*") if p.is_dir())]
        if path.stem in VAGUE_NAMES
    ]
    assert not vague


@pytest.mark.parametrize(
    "arguments", [["-c", "import dsvc"], ["-m", "dsvc", "--help"], ["-m", "dsvc", "version"]]
)
def test_start_up_imports_nothing_heavy(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    imported = {
        line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line
    }
    assert "dsvc" in imported
    assert not imported & HEAVY_MODULES


def test_importing_dsvc_imports_neither_click_nor_rich() -> None:
    code = "import dsvc, json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not {"click", "rich"} & set(json.loads(done.stdout))


def test_only_the_command_line_prints() -> None:
    printing = [
        f"{relative(path)}:{line}"
        for path in SOURCES
        if not relative(path).startswith(("dsvc/cli/", "dsvc/testing/"))
        for line, name in calls(path)
        if name in {"print", "sys.stdout.write", "sys.stderr.write"}
    ]
    assert not printing


def test_only_the_command_line_reads_the_environment() -> None:
    forbidden = re.compile(r"\bos\.(environ|getenv|getcwd|getcwdb)\b|\bPath\.(home|cwd)\b|\bexpanduser\b")
    reading = [
        f"{relative(path)}:{number}: {line.strip()}"
        for path in SOURCES
        if not relative(path).startswith(("dsvc/cli/", "dsvc/testing/"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if forbidden.search(line)
    ]
    assert not reading


def test_only_the_seam_changes_files() -> None:
    past_the_seam = [
        f"{relative(path)}:{line}: {name}"
        for path in SOURCES
        if not relative(path).startswith(("dsvc/fs/", "dsvc/cli/", "dsvc/testing/"))
        for line, name in calls(path)
        if (name.startswith("os.") and name.removeprefix("os.") in WRITERS)
        or (name.startswith("shutil.") and name != "shutil.which")
        or name.endswith((".write_bytes", ".write_text", ".touch"))
    ]
    assert not past_the_seam


def test_every_promise_names_a_test_that_exists() -> None:
    """Promises (P) and what holds on the disk (I): a file of tests, or one function in it."""
    text = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
    promises = [line for line in text.splitlines() if re.match(r"\| [PI]\d+ ", line)]
    assert promises, "docs/threat-model.md has no promises"
    missing = []
    for promise in promises:
        named = re.findall(r"`(tests/[\w/.-]+)(?:::(\w+))?`", promise)
        if not named:
            missing.append(f"no test named: {promise}")
        for name, function in named:
            path = ROOT / name
            if not path.exists() or f"def {function}" not in path.read_text(encoding="utf-8"):
                missing.append(f"{name}::{function} does not exist: {promise}")
    assert not missing, "\n".join(missing)


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "changes").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not re.match(r"[a-z]+:", target) and not (page.parent / target).exists():
                broken.append(f"{relative(page)}: {target}")
    assert not broken
