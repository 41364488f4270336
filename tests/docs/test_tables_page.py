"""docs/tables.md does what it says: its commands print what stands there, its table of merges comes true.

After a wanted change of texts, ``DSVC_RECORD=1`` writes the outputs of the page anew, as for transcripts.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.porcelain.working import Work
from tests.transcripts.test_transcripts import lines_that_count, play

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tables.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
HEADER = "id,text,label"


def merges() -> list[list[str]]:
    """Read the rows of the table of merges."""
    section = TEXT.partition("## What merges")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows if row[1].strip() != "base"]


def lines_of(cell: str) -> str:
    rows = re.findall("`([^`]+)`", cell)
    header = [] if re.match("[a-z]", rows[0]) else [HEADER]
    return "\n".join([*header, *rows]) + "\n"


def test_commands_print_what_stands_there(fast_path: Path) -> None:
    folder, home = fast_path / "data", fast_path / "home"
    folder.mkdir()
    home.mkdir()
    blocks = BLOCK.findall(TEXT)
    assert len(blocks) >= 8
    found = iter([play(block, folder, home) for block in blocks])
    played = BLOCK.sub(lambda _block: next(found), TEXT)
    if os.environ.get("DSVC_RECORD") and played != TEXT:
        PAGE.write_text(played, encoding="utf-8")
    assert lines_that_count(played) == lines_that_count(TEXT)


@pytest.mark.parametrize("case", merges(), ids=lambda case: case[0])
def test_a_merge_comes_to_what_stands_there(case: list[str], tmp_path: Path) -> None:
    _what, base, ours, theirs, result = case
    work = Work(tmp_path / "repo")
    work.commit("base", {b"t.csv": lines_of(base).encode()})
    work.repo.checkout(new_branch="side")
    work.commit("theirs", {b"t.csv": lines_of(theirs).encode()})
    work.repo.checkout("main")
    work.commit("ours", {b"t.csv": lines_of(ours).encode()})
    outcome = work.repo.merge("side")
    if not result.startswith("conflict"):
        assert outcome.conflicts == []
        assert (work.folder / "t.csv").read_text() == lines_of(result)
        return
    kinds = [row.kind for row in work.repo.conflict_rows(b"t.csv")]
    assert result == f"conflict ({kinds[0] if kinds else 'the file'})"
    assert len(kinds) < 2
    assert len(outcome.conflicts) == 1


def test_the_table_has_merges_and_conflicts() -> None:
    results = [case[-1] for case in merges()]
    assert len(results) >= 15
    assert {result.startswith("conflict") for result in results} == {True, False}
