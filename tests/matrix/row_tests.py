"""Which tests stand for which rows of the fault matrix, and what they tried when they ran.

A test stands for the rows that its name begins with: ``test_f7_…``, ``test_h41_h43_…``. What it tries it
counts in `dsvc.testing.faults.tally`; one that counts nothing has tried one thing.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

_NAME = re.compile(r"test_((?:[fh][1-9][0-9]?_)+)")
LOST = "lost"


def rows_of(name: str) -> tuple[str, ...]:
    """Rows that a test function stands for, such as ``("F7",)``."""
    found = _NAME.match(name)
    return () if found is None else tuple(part.upper() for part in found[1].rstrip("_").split("_"))


def one_thing(rows: tuple[str, ...]) -> str:
    """Kind of what a test tried that counts nothing itself."""
    return "hostile cases" if rows[0].startswith("H") else "faults"


class RowResults:
    """What the tests of each row came to in one session of pytest.

    Attributes
    ----------
    total : Counter
        What was tried by all tests, named for a row or not, by kind; ``lost`` counts broken promises.
    """

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()
        self._passed: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._skipped: dict[str, Counter[str]] = {}
        self._tried: dict[str, Counter[str]] = {}

    def passed(self, name: str, tried: dict[str, int]) -> None:
        """Take a test that passed, with what it counted."""
        self.total.update(tried)
        rows = rows_of(name)
        if not rows:
            return
        if not tried:
            tried = {one_thing(rows): 1}
            self.total.update(tried)
        for row in rows:
            self._passed[row] += 1
            self._tried.setdefault(row, Counter()).update(tried)

    def failed(self, name: str, tried: dict[str, int]) -> None:
        """Take a test that failed; one of a row has lost something, whether it counted that or not."""
        rows = rows_of(name)
        self.total.update(tried)
        if rows and not tried.get(LOST):
            self.total[LOST] += 1
        self._failed.update(rows)

    def skipped(self, name: str, reason: str) -> None:
        """Take a test that could not run here."""
        for row in rows_of(name):
            self._skipped.setdefault(row, Counter())[reason] += 1

    def summary(self) -> str:
        """Return one line: how much was tried of each kind, and how much was lost."""
        kinds = sorted((kind for kind in self.total if kind != LOST), key=lambda kind: -self.total[kind])
        parts = ", ".join(f"{self.total[kind]:,} {kind}" for kind in kinds)
        return f"{parts} tried; lost: {self.total[LOST]}"

    def counts(self) -> str:
        """Return one line: how many rows were tried, and which not, with the reason."""
        idle = self._skipped.keys() - self._passed.keys()
        skipped = sum(sum(reasons.values()) for reasons in self._skipped.values())
        text = f"{len(self._passed)} rows of the fault matrix tried, {skipped} of their tests skipped"
        if idle:
            text += f"; not tried here: {', '.join(sorted(idle))}"
        return text

    def write(self, path: Path, size: str, about: dict[str, Any]) -> None:
        """Put the results of this session, ``test`` or ``soak``, into a file that may have the other."""
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        rows = {}
        for row in sorted(self._passed.keys() | self._failed.keys() | self._skipped.keys()):
            rows[row] = {
                "passed": self._passed[row],
                "failed": self._failed[row],
                "skipped": dict(sorted(self._skipped.get(row, {}).items())),
                "tried": dict(sorted(self._tried.get(row, {}).items())),
            }
        known[size] = {**about, "total": dict(sorted(self.total.items())), "rows": rows}
        path.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
