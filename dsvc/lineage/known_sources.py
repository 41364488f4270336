"""Sources as a commit saw them and as they are now: what each attests, and whether it may be used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from dsvc.lineage.graph import ArtifactNode
from dsvc.lineage.source_tree import SourceTree
from dsvc.model.errors import DsvcError
from dsvc.model.source_record import SourceRecord, Status

_STRICTEST = (Status.ACTIVE, Status.BLACKLISTED, Status.WITHDRAWN)
_SINGLE_READS = 20
"""As many entries of a manifest are read in a row in the time that one takes by its path."""


class Attested(NamedTuple):
    """That a source speaks for a file: its id, and the encoded numbers of the rows, None for all."""

    source: str
    rows: bytes | None


Past = Mapping[ArtifactNode, SourceTree]
"""Files that earlier operations of a source attested, each with its state then."""


class _Files:
    """Files that one state of a source attests; its manifest is read whole once many paths were asked for."""

    def __init__(self, state: SourceTree) -> None:
        self._state = state
        self._manifest = state.files
        self._questions = self._manifest.totals()[0] // _SINGLE_READS
        self._with_rows = frozenset(state.row_entries())
        self._all: dict[bytes, bytes] | None = None

    def get(self, path: bytes) -> bytes | None:
        """Digest of a file; None where it isn't attested."""
        if self._all is not None:
            return self._all.get(path)
        self._questions -= 1
        if self._questions <= 0:
            return self.all.get(path)
        entry = self._manifest.get(path)
        return None if entry is None else entry.digest

    def rows(self, path: bytes) -> bytes | None:
        """Encoded numbers of the rows that are attested of a file; None: all."""
        return self._state.rows(path) if path in self._with_rows else None

    @property
    def all(self) -> dict[bytes, bytes]:
        """Digests of all files by path."""
        if self._all is None:
            self._all = {entry.path: entry.digest for entry in self._manifest.entries()}
        return self._all

    @cached_property
    def digests(self) -> frozenset[bytes]:
        """Digests of all files."""
        return frozenset(self.all.values())


class KnownSource:
    """One source: as a commit pinned it, as it is now, and what it attested before.

    Parameters
    ----------
    states : sequence of SourceTree
        As it is now first, then as it was pinned.
    past : callable
        Gives what earlier operations attested; called only when the states don't have a file.
    pinned : sequence of SourceTree
        Which of the states are pinned.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a record can't be read.
    """

    def __init__(
        self, states: Sequence[SourceTree], past: Callable[[], Past], pinned: Sequence[SourceTree] = ()
    ) -> None:
        self._states = tuple({state.root: state for state in states}.values())
        self._files = [_Files(state) for state in self._states]
        self._read_past = past
        self._by_digest: dict[bytes, list[ArtifactNode]] | None = None
        self.record: SourceRecord = self._states[0].record
        self._whole = Attested(self.record.source_id, None)
        self.records = records = tuple(state.record for state in self._states)
        self.stated = tuple({state.root: state for state in pinned or self._states[:1]}.values())
        """States whose facts a gate judges: as they were pinned, else as it is now."""
        self.status = max((record.status for record in records), key=_STRICTEST.index)
        self.reason = next((record.reason for record in records if record.status is self.status), None)
        self.paths = frozenset(cover.path for record in records for cover in record.covers)
        self.evidence_paths = frozenset(
            path for record in records for each in record.evidence if (path := getattr(each, "path", None))
        )

    @property
    def id(self) -> str:
        """Its id."""
        return self.record.source_id

    @property
    def in_force(self) -> bool:
        """Whether it may be used: now, and by what was pinned."""
        return self.status is Status.ACTIVE

    @property
    def ongoing(self) -> bool:
        """Whether it covers files that come later."""
        return self.record.ongoing

    @property
    def now(self) -> SourceTree:
        """Its newest state."""
        return self._states[0]

    @cached_property
    def _past(self) -> Past:
        return self._read_past()

    def attests(self, node: ArtifactNode) -> Attested | None:
        """Whether it speaks for a file with this content at this path, by any of its operations."""
        path, digest = node
        for files in self._files:
            if files.get(path) == digest:
                rows = files.rows(path)
                return self._whole if rows is None else Attested(self.id, rows)
        then = self._past.get(node)
        return None if then is None else Attested(self.id, then.rows(node.path))

    def knows_path(self, path: bytes) -> bool:
        """Whether it speaks for a file at this path, with any content."""
        return any(files.get(path) is not None for files in self._files)

    def copies(self, digest: bytes) -> list[ArtifactNode]:
        """Files of this content that it speaks for, by any of its operations."""
        if digest not in self._digests:
            return []
        if self._by_digest is None:
            self._by_digest = {}
            for node in self.attested():
                self._by_digest.setdefault(node.digest, []).append(node)
        return self._by_digest[digest]

    @cached_property
    def _digests(self) -> frozenset[bytes]:
        known = (files.digests for files in self._files)
        return frozenset().union(*known, (node.digest for node in self._past))

    def attested(self) -> Iterable[ArtifactNode]:
        """Every file that it speaks for, by any of its operations."""
        for files in self._files:
            for path, digest in files.all.items():
                yield ArtifactNode(path, digest)
        yield from self._past


class KnownSources:
    """Sources by the paths that they cover.

    Parameters
    ----------
    sources : iterable of KnownSource
    unreadable : mapping of str to DsvcError
        Sources that there are, but can't be read.
    """

    def __init__(
        self, sources: Iterable[KnownSource], unreadable: Mapping[str, DsvcError] | None = None
    ) -> None:
        self.all = {source.id: source for source in sources}
        self.unreadable = dict(unreadable or {})
        self._by_path: dict[bytes, list[KnownSource]] = {}
        for source in self.all.values():
            for path in source.paths:
                self._by_path.setdefault(path, []).append(source)
        for found in self._by_path.values():
            found.sort(key=lambda each: -_STRICTEST.index(each.status))
        self._in_folder: dict[bytes, list[KnownSource]] = {}
        self.evidence_paths = frozenset(path for each in self.all.values() for path in each.evidence_paths)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.all or self.unreadable)

    def covering(self, path: bytes) -> list[KnownSource]:
        """Sources that cover a path: those of the longest path, the strictest first."""
        if not self._by_path:
            return []
        exact = self._by_path.get(path)
        if exact is not None:
            return exact
        folder = path.rpartition(b"/")[0]
        if folder not in self._in_folder:
            at = folder
            while at and at not in self._by_path:
                at = at.rpartition(b"/")[0]
            self._in_folder[folder] = self._by_path.get(at, [])
        return self._in_folder[folder]

    def copies(self, digest: bytes) -> list[ArtifactNode]:
        """Files of this content that some source attests, wherever."""
        return [node for source in self.all.values() for node in source.copies(digest)]
