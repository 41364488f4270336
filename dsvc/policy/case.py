"""What is judged: a version or what a commit brings, with all that rules may look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from blake3 import blake3

from dsvc.lineage.known_sources import KnownSource
from dsvc.lineage.validation import DEFECT, Gate, Judged
from dsvc.model.detection import Detection, DetectionStatus
from dsvc.model.manifest import Entry
from dsvc.model.source_record import SourceRecord
from dsvc.policy.settings import PolicySettings

if TYPE_CHECKING:
    from dsvc.lineage.source_tree import SourceTree
    from dsvc.model.rights_request import RightsRequest
    from dsvc.policy.adaptation import Columns
    from dsvc.policy.detectors.detector import Wanted
    from dsvc.policy.facts import (
        Announcement,
        AuditFacts,
        Defect,
        Evaluation,
        QualityChange,
        WaiverFacts,
        WordListFacts,
    )
    from dsvc.policy.licence_facts import LicenceFacts
    from dsvc.table.roles import TableRules


class Detections(Protocol):
    """What detectors found in the judged files."""

    def unclean(self, detector: str) -> Iterable[tuple[Entry, Detection]]:
        """Judged files in which a detector found something, or of which it isn't known what it would."""

    def all(self, detector: str) -> Iterable[tuple[Entry, Detection]]:
        """Every judged file with what a detector found in it."""

    def of(self, wanted: Wanted) -> Detection:
        """What a detector found in a set of files; unknown where it didn't look."""


class NothingDetected:
    """Detections where no detector looked: all is unknown."""

    def __init__(self, entries: Sequence[Entry] = ()) -> None:
        self._entries = tuple(entries)

    def unclean(self, detector: str) -> Iterable[tuple[Entry, Detection]]:
        """Say of every file that it isn't known."""
        return [(entry, unknown(detector, entry.digest)) for entry in self._entries]

    def all(self, detector: str) -> Iterable[tuple[Entry, Detection]]:
        """Say of every file that it isn't known."""
        return self.unclean(detector)

    def of(self, wanted: Wanted) -> Detection:
        """Say that it isn't known."""
        return unknown(wanted.detector, wanted.key)


def unknown(detector: str, key: bytes, reason: str = "it did not run") -> Detection:
    """Give the detection of a detector that has no answer."""
    return Detection(
        detector=detector,
        version="",
        config="",
        input=key,
        status=DetectionStatus.UNKNOWN,
        reason=reason,
    )


@dataclass(frozen=True, kw_only=True)
class Case:
    """A version, or what a commit brings.

    Attributes
    ----------
    gate : Gate
        Which gate asks.
    day : str
        On which day, ``YYYY-MM-DD``.
    judged : Judged
        Runs, sources and what the files descend from.
    entries : tuple of Entry
        The judged files that are data, by path.
    settings : PolicySettings
        What ``dsvc.toml`` says.
    detections : Detections
    tables : TableRules
        Which columns play which part.
    columns : callable
        Gives the columns of a table; None where they can't be told.
    previous : callable
        Gives the file of the version before at a path, None where it had none.
    changed_sources : frozenset of str
        At a commit: sources whose record it changes; they are judged whatever files they cover.
    requests : tuple of RightsRequest
        What people asked for: refusals, withdrawals, deletions.
    evaluations : tuple of Evaluation
        Pilot evaluations of this content.
    defects : tuple of Defect
        Defects of what is judged that are, or were, of the severity that blocks.
    changes : tuple of QualityChange
        Metrics of the release before and of this version.
    announced : tuple of Announcement
        Releases that this version may become.
    waivers : tuple of WaiverFacts
    audit : AuditFacts or None
        Whether every move of a ref is logged; None: that could not be told.
    word_list : WordListFacts or None
        The list of sensitive words; None: there is none, or it can't be read.
    version : bytes
        Digest of all of it: the root of its manifest.
    """

    gate: Gate
    day: str
    judged: Judged
    entries: tuple[Entry, ...]
    settings: PolicySettings
    detections: Detections
    tables: TableRules
    columns: Columns
    previous: Callable[[bytes], Entry | None]
    changed_sources: frozenset[str] = frozenset()
    requests: tuple[RightsRequest, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    defects: tuple[Defect, ...] = ()
    changes: tuple[QualityChange, ...] = ()
    announced: tuple[Announcement, ...] = ()
    waivers: tuple[WaiverFacts, ...] = ()
    audit: AuditFacts | None = None
    word_list: WordListFacts | None = None
    version: bytes = b""

    @cached_property
    def sources(self) -> tuple[KnownSource, ...]:
        """Sources that the files come from, and those whose record changes and that cover some file."""
        known = self.judged.origins.sources.all
        changed = {
            name for name in self.changed_sources if name in known and known[name].now.files.totals()[0]
        }
        return tuple(known[name] for name in sorted(self.reached | changed))

    @cached_property
    def licences(self) -> LicenceFacts:
        """What the licences of all that the files come from permit.

        Raises
        ------
        LicenceSettingsError
            If a licence is declared in a way that makes no sense.
        """
        from dsvc.policy.licence_facts import LicenceFacts

        judged = self.judged
        return LicenceFacts(
            judged.origins, judged.closure, self.settings, self.tables, self.columns, self.day
        )

    @cached_property
    def reached(self) -> frozenset[str]:
        """Sources that the files come from."""
        return self.judged.closure.reached

    def stated(self, source: KnownSource) -> list[tuple[SourceTree, SourceRecord]]:
        """States of a source whose facts are judged: as the judged version pinned it."""
        return [(tree, tree.record) for tree in source.stated]

    @cached_property
    def by_path(self) -> dict[bytes, Entry]:
        """The judged files by path."""
        return {entry.path: entry for entry in self.entries}

    def digest_of(self, subject: bytes) -> bytes:
        """Content of a subject of a finding; of what isn't known, nothing."""
        if not subject:
            return self.version
        named = self._record_of(subject)
        entry = self.by_path.get(subject)
        if entry is not None:
            # A file may be called like a source: then no waiver of one holds for the other.
            return blake3(named + entry.digest).digest() if named else entry.digest
        if named:
            return named
        _path, at, digest = subject.rpartition(b"@")
        if at and len(digest) == 64:
            try:
                return bytes.fromhex(digest.decode())
            except ValueError:
                return b""
        return b""

    def _record_of(self, subject: bytes) -> bytes:
        """Content of the run, source or defect that a subject names; nothing where it names none."""
        kind, _, name = subject.partition(b":")
        if kind == b"run" and len(name) == 64:
            try:
                return bytes.fromhex(name.decode())
            except ValueError:
                return b""
        if kind == b"source":
            source = self.judged.origins.sources.all.get(name.decode("utf-8", "replace"))
            return b"" if source is None else bytes(source.now.root)
        return next((each.digest for each in self.defects if DEFECT + each.id.encode() == subject), b"")
