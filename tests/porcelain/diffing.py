"""What the tests of diff share."""

from __future__ import annotations

import os

from dsvc.diff.delta import Change
from dsvc.model.manifest import Kind
from dsvc.porcelain.state.values import DiffResult
from tests.porcelain.working import Work


def status(result: DiffResult) -> list[tuple[str, ...]]:
    letters = {"added": "A", "removed": "D", "modified": "M", "renamed": "R"}
    return sorted(
        (letters[c.kind.value], *(os.fsdecode(p) for p in (c.old_path, c.path) if p is not None))
        for c in result.changes
    )


def kind_name(change: Change) -> str:
    """What changed; the new side counts."""
    entry = change.new or change.old
    assert entry is not None
    return Kind(entry.kind).name.lower()


def lines_of(work: Work, change: Change, result: DiffResult) -> list[str] | None:
    lines = work.repo.unified_diff(change, result)
    return None if lines is None else list(lines)
