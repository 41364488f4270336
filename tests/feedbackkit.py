"""Repositories with small tables and evaluations of them, for tests of feedback and defects."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from dsvc.porcelain.feedback.feedback_import import FeedbackImport
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.state.values import Author

ROWS = [{"id": n, "text": f"文本 {n}", "label": n % 3} for n in range(20)]


@cache
def _made() -> Path:
    """A repository of one commit, with the row index of its table and a salt."""
    from dsvc.porcelain.records.request_chain import make_salt
    from dsvc.porcelain.tables.row_target import find_row, parse_target

    folder = Path(tempfile.mkdtemp(prefix="dsvc-feedback-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    Repository.init(str(folder)).close()
    with Repository(str(folder), author=Author("Ada", "ada@example.org")) as repo:
        repo.config.set("core.durability", "none")
    with Repository(str(folder), author=Author("Ada", "ada@example.org")) as repo:
        rows = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
        (folder / "a.jsonl").write_text(rows, encoding="utf-8")
        (folder / "图").mkdir()
        for n in range(3):
            (folder / "图" / f"{n}.png").write_text(f"picture {n}")
        repo.add([], all=True)
        repo.commit("first")
        find_row(repo, parse_target("a.jsonl#id=1"))
        with repo.changing():
            make_salt(repo)
    return folder


class FeedbackLab:
    """A repository with a table, a folder of files, and a place for result files beside it."""

    def __init__(self, folder: Path) -> None:
        """Copy what is made once for all tests: making it takes longer than most of them."""
        self.root = folder / "数据"
        self.files = folder / "results"
        self.files.mkdir()
        shutil.copytree(_made(), self.root)
        self.repo = Repository(str(self.root), author=Author("Ada", "ada@example.org"))
        self.rows = list(ROWS)

    def write(self, path: str, rows: Sequence[Mapping[str, object]]) -> None:
        self.put(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

    def put(self, path: str, text: str) -> None:
        at = self.root / path
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_text(text, encoding="utf-8")

    def commit(self, message: str) -> str:
        self.repo.add([], all=True)
        return str(self.repo.commit(message).commit)

    def result(self, *lines: object, name: str = "结果.jsonl") -> str:
        """Write a result file of these lines; gives its path."""
        at = self.files / name
        text = "".join(
            (each if isinstance(each, str) else json.dumps(each, ensure_ascii=False)) + "\n" for each in lines
        )
        at.write_text(text, encoding="utf-8")
        return str(at)

    def take(self, *lines: object, subject: str = "a.jsonl", **options: object) -> FeedbackImport:
        """Import a result file of these lines."""
        options.setdefault("suite", "pilot")
        return self.repo.feedback_import(self.result(*lines), subject=subject, **options)  # type: ignore[arg-type]

    def refs(self) -> dict[str, str]:
        """All refs, and HEAD."""
        found = {name: str(tip) for name, tip in self.repo.history.refs.list().items()}
        return found | {"HEAD": self.repo.history.refs.head().text}
