"""The examples of the pages on tables do what they say: they run, in order, on a small repository."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.porcelain.working import Work

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture
def work(tmp_path: Path) -> Work:
    work = Work(tmp_path / "repo")
    for number, labels in enumerate((["cat", "dog"] * 5, ["cat", "wolf"] * 6)):
        stream = io.BytesIO()
        pq.write_table(pa.table({"id": range(len(labels)), "label": labels}), stream)
        work.commit(str(number), {b"data/train.parquet": stream.getvalue()})
        work.repo.create_tag(f"v{number + 1}")
    return work


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_commands_run(work: Work) -> None:
    lines = [line[2:] for block in blocks("sql.md", "console") for line in block.splitlines()]
    assert len(lines) >= 6
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "dsvc"
        done = subprocess.run(
            [sys.executable, "-m", "dsvc", *arguments], cwd=work.folder, capture_output=True, check=False
        )
        assert done.returncode == 0, (line, done.stderr)
        assert done.stdout


def test_python_runs(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("pandas", "polars"):
        pytest.importorskip(library)
    monkeypatch.chdir(work.folder)
    names: dict[str, object] = {}
    for block in blocks("ecosystem.md", "python"):
        exec(compile(block, "ecosystem.md", "exec"), names)
    assert len(names["old"]) == 10  # type: ignore[arg-type]
    assert len(names["data"]) == 12  # type: ignore[arg-type]
