"""Changes between two manifests: one value for each path that differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum

import msgspec

from dsvc.model.manifest import Entry


class ChangeKind(StrEnum):
    """What happened to a path; the values are those of ``diff --json``."""

    ADDED = "added"
    REMOVED = "removed"
    MODIFIED = "modified"
    """Other bytes, another type or another permission."""
    RENAMED = "renamed"
    """The same bytes under another path; the permission may differ too."""


class Change(msgspec.Struct, frozen=True):
    """One path that differs.

    Attributes
    ----------
    path : bytes
        Where it is now, or where it was if it is gone.
    kind : ChangeKind
        What happened.
    old : Entry or None
        None only where `kind` is ``added``.
    new : Entry or None
        None only where `kind` is ``removed``.
    old_path : bytes or None
        Where it was, only where `kind` is ``renamed``.
    """

    path: bytes
    kind: ChangeKind
    old: Entry | None
    new: Entry | None
    old_path: bytes | None = None


_OPPOSITE = {ChangeKind.ADDED: ChangeKind.REMOVED, ChangeKind.REMOVED: ChangeKind.ADDED}


def invert(changes: Iterable[Change]) -> list[Change]:
    """Turn changes from old to new into those from new to old, sorted by path."""
    turned = []
    for change in changes:
        path = change.path if change.old_path is None else change.old_path
        turned.append(
            msgspec.structs.replace(
                change,
                path=path,
                kind=_OPPOSITE.get(change.kind, change.kind),
                old=change.new,
                new=change.old,
                old_path=None if change.old_path is None else change.path,
            )
        )
    return sorted(turned, key=lambda change: change.path)


def counts(changes: Iterable[Change]) -> dict[str, int]:
    """Count changes by kind; every kind has a number."""
    found = Counter(change.kind for change in changes)
    return {kind.value: found[kind] for kind in ChangeKind}


def edits(changes: Iterable[Change]) -> list[tuple[bytes, Entry | None]]:
    """Say what each path becomes, sorted by path, as `Manifest.update` takes it; None removes."""
    becomes: dict[bytes, Entry | None] = {}
    for change in changes:
        if change.old_path is not None:
            # A path left by one rename may be entered by another change: that one wins.
            becomes.setdefault(change.old_path, None)
        if change.new is not None or change.path not in becomes:
            becomes[change.path] = change.new
    return sorted(becomes.items())
