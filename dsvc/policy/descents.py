"""Which sources the judged files come from: one pass over the lineage for all rules that ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from dsvc.lineage.descent import Descent, descent_of
from dsvc.lineage.graph import ArtifactNode
from dsvc.lineage.validation import DEFECT, defect_subject
from dsvc.model.run_record import RunId

if TYPE_CHECKING:
    from dsvc.lineage.closure import Closure
    from dsvc.policy.case import Case

_RUN_LENGTH: Final = len(b"run:") + 64
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


def sources_of_subject(case: Case, subject: bytes) -> tuple[str, ...]:
    """Sources that the subject of a finding comes from, by id, as far as they are known."""
    if not subject:
        return ()
    if subject.startswith(b"source:") and subject not in case.by_path:
        return (subject[7:].decode("utf-8", "replace"),)
    found = descents(case)
    if subject.startswith(DEFECT):
        paths = [each.path for each in case.defects if subject == defect_subject(each.id)]
        entries = [case.by_path[path] for path in paths if path in case.by_path]
        nodes = [ArtifactNode(each.path, each.digest) for each in entries]
    elif subject.startswith(b"run:") and len(subject) == _RUN_LENGTH and subject not in case.by_path:
        run = RunId(bytes.fromhex(subject[4:].decode()))
        nodes = [each for each in case.judged.closure.parents.get(run, ()) if isinstance(each, ArtifactNode)]
    else:
        # A file's own name may end like that of an ancestor, PATH@DIGEST.
        entry = case.by_path.get(subject)
        digest = case.digest_of(subject) if entry is None else entry.digest
        nodes = [ArtifactNode(path, digest) for path in (subject, subject.rpartition(b"@")[0])]
    return tuple(sorted({name for node in nodes if node in found for name in found[node].sources}))
