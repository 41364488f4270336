"""Where a subject is, over all history: in tables that name it, and in rows that were made of those."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dsvc.model.errors import DsvcError, ErasedError
from dsvc.model.manifest import Entry
from dsvc.model.rights_request import FoundArtifact, Reach, Selector, Unsearched
from dsvc.porcelain.care.stored_versions import StoredVersions
from dsvc.porcelain.lineage.erased_subjects import ErasedSubjects
from dsvc.porcelain.records.request_chain import salt
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_rules import table_rules
from dsvc.porcelain.tree.tree_scan import Progress
from dsvc.store.chunk_list import chunks_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.int64]


@dataclass(slots=True)
class FoundVersion:
    """A content of a file that has something of the subject.

    Attributes
    ----------
    entry : Entry
        The file, at one of its paths.
    rows : Rows or None
        Numbers among the rows that can be read; None: all of the file.
    reach : Reach
    paths : set of bytes
        Everywhere it stood.
    """

    entry: Entry
    rows: Rows | None
    reach: Reach
    paths: set[bytes] = field(default_factory=set)


@dataclass(slots=True)
class Search:
    """What a search found.

    Attributes
    ----------
    versions : dict of bytes to FoundVersion
        What is the subject's, by digest.
    other : list of FoundArtifact
        Mixed rows, and artifacts of which nobody knows which rows.
    unsearched : list of Unsearched
    partly : dict of bytes to Entry
        Tables of which chunks were erased before, so that they can't be searched any more, and which have
        the subject or may have it.
    recalled : dict of bytes to Rows
        Rows of the subject in tables that can't be searched, where codes that were noted then tell them.
    searched : set of bytes
        Digests of the tables that were searched.
    """

    versions: dict[bytes, FoundVersion] = field(default_factory=dict)
    other: list[FoundArtifact] = field(default_factory=list)
    unsearched: list[Unsearched] = field(default_factory=list)
    partly: dict[bytes, Entry] = field(default_factory=dict)
    recalled: dict[bytes, Rows] = field(default_factory=dict)
    searched: set[bytes] = field(default_factory=set)

    def artifacts(self) -> tuple[FoundArtifact, ...]:
        """All of it as a request's record keeps it, by path."""
        found = [
            FoundArtifact(
                path=path,
                digest=digest,
                rows=None if version.rows is None else len(version.rows),
                reach=version.reach,
            )
            for digest, version in self.versions.items()
            for path in version.paths
        ]
        return tuple(sorted([*found, *self.other], key=lambda each: (each.path, each.digest, each.reach)))


def search(
    repo: Workspace,
    selector: Selector,
    *,
    known: Collection[bytes] = (),
    progress: Progress | None = None,
) -> Search:
    """Search everything that the repository keeps.

    Parameters
    ----------
    known : collection of bytes
        Digests in which this very subject was found before: what was erased of them was its own.

    Raises
    ------
    NotFoundError
        If the salt is missing.
    TableRulesError
        If ``dsvc.toml`` can't be read.
    MissingDataError, CorruptDataError, MalformedInputError
        If a manifest, a run or a row map can't be read.
    """
    found = Search()
    walk = StoredVersions(repo)
    digests = frozenset(selector.digests)
    searcher = SubjectSearcher(repo, selector)
    erased = ErasedSubjects(repo)
    for number, entry in enumerate(walk.files()):
        if progress is not None and number % 100 == 0:
            progress("files", number, None)
        if entry.digest in digests:
            if entry.digest not in known or _is_whole(repo, entry):
                _place(found, FoundVersion(entry, None, Reach.DIRECT))
        elif entry.digest not in found.versions and entry.digest not in found.partly:
            try:
                _search_entry(searcher, entry, found)
            except ErasedError:
                if entry.digest not in known:
                    _recall(erased, selector, entry, found)
    _follow(repo, walk, found)
    wanted = found.versions
    for entry in StoredVersions(repo).files():
        if entry.digest in wanted:
            wanted[entry.digest].paths.add(entry.path)
            wanted[entry.digest].entry = _plainest(wanted[entry.digest].entry, entry)
    return found


def _is_whole(repo: Workspace, entry: Entry) -> bool:
    return all(ref.id is None or repo.store.has(ref.id) for ref in chunks_of(repo.store, entry))


def _plainest(one: Entry, other: Entry) -> Entry:
    """Prefer what is a table by its name: derived files are known by the path of their run alone."""
    return other if other.rows is not None and one.rows is None else one


def _place(found: Search, version: FoundVersion) -> None:
    known = found.versions.setdefault(version.entry.digest, version)
    known.paths.add(version.entry.path)


def _recall(erased: ErasedSubjects, selector: Selector, entry: Entry, found: Search) -> None:
    """Look a table up that can't be read any more."""
    from dsvc.table.reading.subject_rows import rows_with

    codes = erased.codes(entry.digest)
    rows = None if codes is None else rows_with(codes, selector.subjects)
    if rows is None or len(rows):
        found.partly[entry.digest] = entry
    if rows is not None:
        found.searched.add(entry.digest)
        found.recalled[entry.digest] = rows


def _search_entry(searcher: SubjectSearcher, entry: Entry, found: Search) -> None:
    try:
        rows = searcher.rows(entry)
    except ErasedError:
        raise
    except DsvcError as error:
        said = Unsearched(path=entry.path, digest=entry.digest, reason=error.message)
        if said not in found.unsearched:
            found.unsearched.append(said)
        return
    if rows is None:
        return
    found.searched.add(entry.digest)
    if len(rows):
        _place(found, FoundVersion(entry, rows, Reach.DIRECT))


class SubjectSearcher:
    """Searches versions of tables; each content once for each set of columns.

    Parameters
    ----------
    repo : Workspace
    selector : Selector
    """

    def __init__(self, repo: Workspace, selector: Selector) -> None:
        self._repo = repo
        self._wanted = frozenset(selector.subjects)
        self._key = salt(repo) if self._wanted else b""
        self._rules = table_rules(repo)
        self._asked: dict[tuple[bytes, tuple[str, ...]], Rows | None] = {}

    def rows(self, entry: Entry) -> Rows | None:
        """Rows of a file that name the subject; None where it is no table that declares its subjects.

        Raises
        ------
        ErasedError
            If a part of it was erased.
        NoSubjectColumnError, NotATableError, TableLimitError
            If it should be searched and can't be.
        """
        columns = self._rules.for_path(entry.path).roles.get("subject", ()) if self._wanted else ()
        if not columns:
            return None
        place = entry.digest, columns
        if place not in self._asked:
            self._asked[place] = self._search(entry, columns)
        return self._asked[place]

    def _search(self, entry: Entry, columns: tuple[str, ...]) -> Rows | None:
        from dsvc.porcelain.tables.table_diff import known_table
        from dsvc.table.origin.source import NotATableError
        from dsvc.table.reading.subject_rows import find_subject

        table = known_table(self._repo, entry)
        if table is None:
            raise NotATableError("it declares a subject column and is no table")
        return find_subject(table.source, table.kind, columns, self._key, self._wanted).rows


def _follow(repo: Workspace, walk: StoredVersions, found: Search) -> None:
    """Follow what was found through all runs that were met on the way."""
    if not (walk.runs and (found.versions or found.partly)):
        _note_closed(found, found.recalled)
        return
    from dsvc.lineage.builder import LineageBuilder
    from dsvc.lineage.graph_index import RunIndex
    from dsvc.lineage.known_sources import KnownSources
    from dsvc.lineage.row_flow import RowFlow
    from dsvc.porcelain.lineage.subject_flow import SubjectFlow

    index = RunIndex(repo.store, walk.runs)
    flow = RowFlow(repo.store, LineageBuilder(index, KnownSources({}, {})))
    starts: dict[bytes, Rows | None] = {d: rows for d, rows in found.recalled.items() if len(rows)}
    starts |= {digest: version.rows for digest, version in found.versions.items()}
    done = SubjectFlow(index, flow, starts, found.searched, found.partly)
    _note_closed(found, done.own)
    unplaced = {digest for digest in done.own if digest not in found.versions and digest not in found.partly}
    for entry in _entries(repo, unplaced):
        version = FoundVersion(entry, done.own[entry.digest], Reach.DERIVED)
        found.versions.setdefault(entry.digest, version)
    for digest, version in found.versions.items():
        if digest in done.own:
            version.rows = done.own[digest]
    for digest, rows in done.mixed.items():
        path = done.paths[digest]
        found.other.append(FoundArtifact(path=path, digest=digest, rows=len(rows), reach=Reach.MIXED))
    for digest, path in done.unknown.items():
        if path:
            found.other.append(FoundArtifact(path=path, digest=digest, rows=None, reach=Reach.UNKNOWN))


def _note_closed(found: Search, own: Mapping[bytes, Rows]) -> None:
    for digest, entry in found.partly.items():
        if digest in own:
            rows = len(own[digest])
            said = FoundArtifact(path=entry.path, digest=digest, rows=rows, reach=Reach.DIRECT)
            found.other.append(said)
        else:
            reason = "a part of it was erased before"
            found.unsearched.append(Unsearched(path=entry.path, digest=digest, reason=reason))


def _entries(repo: Workspace, digests: Iterable[bytes]) -> Iterator[Entry]:
    wanted = set(digests)
    if wanted:
        yield from (entry for entry in StoredVersions(repo).files() if entry.digest in wanted)


__all__ = ["FoundVersion", "Search", "SubjectSearcher", "search"]
