"""What a gate says: findings and violations, and what the rules of lineage look at.

Something is wrong (``FAIL``), or can't be told since a record is missing or can't be read (``INCOMPLETE``).
What can't be told never passes. The rules and the packs that name them are in `dsvc.policy`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from dsvc.lineage.closure import Closure
from dsvc.lineage.coverage import Origins
from dsvc.lineage.graph import ArtifactNode
from dsvc.model.errors import DsvcError
from dsvc.model.manifest import Entry
from dsvc.model.paths import display_path

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DEFECT: Final = b"defect:"
"""How the name of a defect begins, as the subject of a finding."""


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
        What it is about: a path, ``PATH@DIGEST``, ``run:HEX``, ``source:ID`` or ``defect:ID``.
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
    """A finding with the rule that it breaks.

    Attributes
    ----------
    rule : str
    severity : Severity
    subject : bytes
        As in `Finding`.
    message, hint : str
    clause : str
        What demands the rule.
    outcome : Outcome
    digest : bytes
        Content of the subject: a waiver holds for that content only.
    pack : str
        Which pack names the rule.
    settled_by : str
        The role that can settle it.
    exit_code : int
        What a gate exits with, where this is all that is wrong.
    inherited : bool
        Whether the version before had it already; that is a warning at a commit.
    waiver : str or None
        Id of a waiver that counts.
    sources : tuple of str
        Sources that the subject comes from, as far as they are known.
    """

    rule: str
    severity: Severity
    subject: bytes
    message: str
    hint: str | None
    clause: str
    outcome: Outcome
    digest: bytes = b""
    pack: str = ""
    settled_by: str = ""
    exit_code: int = 20
    inherited: bool = False
    waiver: str | None = None
    sources: tuple[str, ...] = ()

    @property
    def blocks(self) -> bool:
        """Whether it keeps out: a blocking rule, broken here, without a waiver that counts."""
        return self.severity is Severity.BLOCKING and not self.inherited and self.waiver is None

    @property
    def sentence(self) -> str:
        """The message, with the subject before it unless the message names it."""
        subject = display_path(self.subject)
        name = subject.removeprefix("source:").removeprefix("defect:")
        return self.message if not name or name in self.message else f"{subject}: {self.message}"


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


def unreadable(subject: bytes, error: DsvcError) -> Finding:
    """Say that something could not be looked at."""
    return Finding(
        subject,
        f"this can't be told: {error.message}",
        error.hint or "dsvc fsck names what is damaged",
        Outcome.INCOMPLETE,
    )


def run_subject(id_: bytes) -> bytes:
    """Name a run."""
    return b"run:" + id_.hex().encode()


def source_subject(id_: str) -> bytes:
    """Name a source."""
    return b"source:" + id_.encode()


def defect_subject(id_: str) -> bytes:
    """Name a defect."""
    return DEFECT + id_.encode()


def artifact_subject(judged: Judged, node: ArtifactNode) -> bytes:
    """Name a file: by its path where it is one of those judged, else with its digest."""
    if node in judged.closure.roots:
        return node.path
    return node.path + b"@" + node.digest.hex().encode()


def shown(node: ArtifactNode) -> str:
    """Name a file in a message."""
    return f"{display_path(node.path)}@{node.digest.hex()[:12]}"
