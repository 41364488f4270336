"""Which sources the judged files come from: one pass over the lineage for all rules that ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from dsvc.lineage.descent import Descent, descent_of
from dsvc.lineage.graph import ArtifactNode

if TYPE_CHECKING:
    from dsvc.lineage.closure import Closure
    from dsvc.policy.case import Case

_KNOWN: WeakKeyDictionary[Closure, Mapping[ArtifactNode, Descent]] = WeakKeyDictionary()
"""By the closure that they were told from, for as long as that is in use."""


def descents(case: Case) -> Mapping[ArtifactNode, Descent]:
    """Say of every file that the judged ones come from which sources it descends from."""
    closure = case.judged.closure
    found = _KNOWN.get(closure)
    if found is None:
        found = _KNOWN[closure] = descent_of(closure)
    return found


def sources_behind(case: Case) -> dict[bytes, Descent]:
    """Say of every judged file, by path, which sources it descends from, and whether that is all."""
    found = descents(case)
    return {
        entry.path: found.get(ArtifactNode(entry.path, entry.digest), Descent()) for entry in case.entries
    }
