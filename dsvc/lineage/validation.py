"""The gate: rules over what files descend from, each with an id, a gate and the clause that asks for it.

A rule gives findings: something is wrong (``FAIL``), or can't be told since a record is missing or can't be
read (``INCOMPLETE``). What can't be told never passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from dsvc.lineage.closure import Closure
from dsvc.lineage.coverage import Origins
from dsvc.lineage.graph import ArtifactNode
from dsvc.model.errors import DsvcError
from dsvc.model.manifest import Entry
from dsvc.model.paths import display_path

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Outcome(StrEnum):
    """The answer of the gate, or of one finding."""

    PASS = "PASS"  # noqa: S105  no password
    FAIL = "FAIL"
    INCOMPLETE = "INCOMPLETE"


class Severity(StrEnum):
    """What a finding does: keep out, or only be said."""

    BLOCKING = "blocking"
    WARNING = "warning"
    INFORMATION = "information"


class Gate(StrEnum):
    """Where rules are asked: at a commit, at a push, at a release."""

    COMMIT = "commit"
    PUSH = "push"
    RELEASE = "release"


class Finding(NamedTuple):
    """What a rule found.

    Attributes
    ----------
    subject : bytes
        What it is about: a path, ``PATH@DIGEST``, ``run:HEX`` or ``source:ID``.
    message : str
        What is wrong, one sentence.
    hint : str or None
        What to do about it.
    outcome : Outcome
        ``INCOMPLETE`` where it can't be told.
    """

    subject: bytes
    message: str
    hint: str | None = None
    outcome: Outcome = Outcome.FAIL


class Violation(NamedTuple):
    """A finding with the rule that it breaks."""

    rule: str
    severity: Severity
    subject: bytes
    message: str
    hint: str | None
    clause: str
    outcome: Outcome


class Judged(NamedTuple):
    """What rules look at.

    Attributes
    ----------
    origins : Origins
        Runs, sources and rules.
    closure : Closure
        What the judged files descend from.
    row_hashes : callable
        Gives a hash for each row of a table by its entry; raises where it is none.
    """

    origins: Origins
    closure: Closure
    row_hashes: Callable[[Sequence[Entry]], list[NDArray[np.uint64]]]


class Rule(NamedTuple):
    """A rule: asked at its gate and at those after it.

    Attributes
    ----------
    id : str
        Stable name.
    gate : Gate
        The first gate that asks it.
    clause : str
        What demands it.
    find : callable
        Looks for what breaks it.
    severity : Severity
    """

    id: str
    gate: Gate
    clause: str
    find: Callable[[Judged], Iterable[Finding]]
    severity: Severity = Severity.BLOCKING


def evaluate(rules: Iterable[Rule], judged: Judged) -> list[Violation]:
    """Ask rules; one that stops at something unreadable is incomplete."""
    return [_violation(rule, finding) for rule in rules for finding in _asked(rule, judged)]


def undecided(rules: Iterable[Rule], error: DsvcError) -> list[Violation]:
    """Answer for rules that can't even be asked, since what they look at can't be read."""
    return [_violation(rule, unreadable(b"", error)) for rule in rules]


def _violation(rule: Rule, found: Finding) -> Violation:
    return Violation(
        rule.id, rule.severity, found.subject, found.message, found.hint, rule.clause, found.outcome
    )


def _asked(rule: Rule, judged: Judged) -> Iterator[Finding]:
    try:
        yield from rule.find(judged)
    except DsvcError as error:
        yield unreadable(b"", error)


def outcome_of(violations: Iterable[Violation]) -> Outcome:
    """Sum up: what is wrong counts before what can't be told; only blocking rules count."""
    found = {each.outcome for each in violations if each.severity is Severity.BLOCKING}
    return next((each for each in (Outcome.FAIL, Outcome.INCOMPLETE) if each in found), Outcome.PASS)


def unreadable(subject: bytes, error: DsvcError) -> Finding:
    """Say that something could not be looked at."""
    return Finding(
        subject, f"this can't be told: {error.message}", "dsvc fsck names what is damaged", Outcome.INCOMPLETE
    )


def run_subject(id_: bytes) -> bytes:
    """Name a run."""
    return b"run:" + id_.hex().encode()


def source_subject(id_: str) -> bytes:
    """Name a source."""
    return b"source:" + id_.encode()


def artifact_subject(judged: Judged, node: ArtifactNode) -> bytes:
    """Name a file: by its path where it is one of those judged, else with its digest."""
    if node in judged.closure.roots:
        return node.path
    return node.path + b"@" + node.digest.hex().encode()


def shown(node: ArtifactNode) -> str:
    """Name a file in a message."""
    return f"{display_path(node.path)}@{node.digest.hex()[:12]}"
