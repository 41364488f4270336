"""Patterns that came with a repository (what to ignore, to check out, to call a table) hold no verb up."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dsvc.cli.main import run as dsvc
from dsvc.model.errors import MalformedInputError, UsageError
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.state.sparse import SparsePatterns
from tests.outside import Ended, watched

STARS = "a*" * 700 + "b"
DOUBLE = "**/a/" * 300 + "b"
REGEX = "(a+)+$"
DEEP = "a/" * 60
LONG = "a" * 250


def lay_out(root: Path) -> None:
    repo = Repository.init(str(root))
    (root / DEEP).mkdir(parents=True)
    for name in (f"{DEEP}c.csv", f"{LONG}.csv", "plain.csv", f"{DEEP}{LONG[:200]}.jsonl"):
        (root / name).write_text("a,b\n1,2\n" if name.endswith("csv") else '{"a": 1}\n')
    repo.add(all=True)
    repo.commit("first")
    (root / ".dsvcignore").write_text(f"{STARS}\n{DOUBLE}\n{REGEX}\n**/**/**/{STARS}/**\n[z-a]\nx\\\n")
    globs = [STARS, DOUBLE, REGEX, f"**/{'*a' * 500}/**"]
    (root / "dsvc.toml").write_text(
        "".join(f"[tables.'{glob}']\nkey = ['a']\n" for glob in globs)
        + f"[lineage]\nproject = ['{STARS}', '{DOUBLE}']\n"
    )
    for name in (f"{DEEP}c.csv", f"{LONG}.csv", "plain.csv"):
        (root / name).write_text("a,b\n1,3\n2,2\n")
    (root / f"{DEEP}new").write_text("x\n")
    repo.close()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("patterns") / "r"
    lay_out(root)
    return root


VERBS = [
    "status",
    "add -A",
    "diff",
    "diff --staged",
    "commit -m second",
    "check",
    "clean -n",
    f"checkout --sparse {STARS} {DOUBLE}",
    "status",
    "checkout --sparse *",
    f"ls {STARS}",
    f"add {DOUBLE}",
    f"diff HEAD -- {STARS}",
]


def test_h49_verbs_end_in_time_whatever_patterns_a_repository_has(prepared: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(prepared, tmp_path / "r"))

    def case(line: str) -> Callable[[], object]:
        return lambda: dsvc(["-C", str(root), *line.split(" ")])

    cases = {f"{number} {line[:40]}": case(line) for number, line in enumerate(VERBS)}
    found: dict[str, Ended] = watched(cases, root)
    for name, ended in found.items():
        assert ended.error is None, (name, ended)
        assert ended.value in (0, 1, 2, 14, 22, 33), (name, ended)
        assert "Traceback" not in ended.output, (name, ended.output)
    assert found["1 add -A"].value == 0
    assert found["4 commit -m second"].value == 0


def test_h49_too_many_patterns_are_refused_and_bad_ones_ignored(prepared: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(prepared, tmp_path / "r"))
    (root / ".dsvcignore").write_text("x\n" * 20_000)
    with Repository.open(str(root)) as repo, pytest.raises(MalformedInputError, match="patterns"):
        repo.status()
    (root / ".dsvcignore").write_text("[z-a]\nx\\\n!\n\\\n" + "y" * 5000 + "\nnew\n")
    with Repository.open(str(root)) as repo:
        assert not any(each.path.endswith(b"new") for each in repo.status().untracked)
    for pattern in ("[z-a]", "x\\", "y" * 5000):
        with pytest.raises(UsageError):
            SparsePatterns([pattern])
    assert os.path.exists(root / ".dsvc")
