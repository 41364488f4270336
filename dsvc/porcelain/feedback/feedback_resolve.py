"""Selectors of an evaluation to rows of the version that was evaluated; once, at import.

Many selectors are resolved together: those by key in one join, those by a hash in one pass over the table.
What can't be resolved comes back as the reason, in words.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dsvc.feedback.reference import MalformedReferenceError, Reference, read_reference
from dsvc.lineage.record_rows import ABSENT, SEVERAL
from dsvc.model.errors import NotFoundError
from dsvc.model.feedback import Scalar, Selector
from dsvc.model.paths import display_path
from dsvc.porcelain.feedback.feedback_artifacts import FILE, MAX_TABLES, Artifact, Place, VersionArtifacts
from dsvc.porcelain.feedback.feedback_rows import MALFORMED, UNFIT, TableRowsBy
from dsvc.porcelain.feedback.feedback_subject import Evaluated, NotASubjectError, version_of
from dsvc.porcelain.lineage.row_carry import GONE, carry_rows
from dsvc.porcelain.runs.run_artifacts import ArtifactFiles
from dsvc.porcelain.state.workspace import Workspace
from dsvc.table.exchange.row_json import doc_hashes, row_hash
from dsvc.table.query.predicate import PredicateError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

_NO_ROW: Final = "it names no row"
_HASH: Final = re.compile("[0-9a-f]{64}")
_REASONS: Final = {
    ABSENT: "no row has it",
    SEVERAL: "more than one row has it",
    UNFIT: "it is no value of its column",
    MALFORMED: "the record there is malformed",
}


class Hit(NamedTuple):
    """Rows that a selector selects."""

    place: Place
    rows: Numbers


Answer = Hit | str
"""Rows, or why there are none."""


class Job(NamedTuple):
    """A selector that is being resolved: its number, the artifact, what is looked for there."""

    number: int
    artifact: Artifact
    value: object


class Resolver:
    """Resolves selectors against one version.

    Parameters
    ----------
    repo : Workspace
    evaluated : Evaluated
        The subject and its version.
    salt : bytes
        Key of row hashes.
    default : Evaluated or None
        What a selector without a path speaks of: the evaluation set, where the file names one.
    """

    def __init__(
        self, repo: Workspace, evaluated: Evaluated, salt: bytes, default: Evaluated | None = None
    ) -> None:
        self._repo = repo
        self._salt = salt
        self._others: dict[str, Resolver | str] = {}
        self._ways: dict[str, _Way] = {
            "key": self._by_key,
            "position": self._by_position,
            "file": self._by_file,
            "where": self._where,
            "column": self._column,
            "hash": self._by_hash,
            "anywhere": self._anywhere,
            "elsewhere": self._elsewhere,
        }
        self.evaluated = evaluated
        self.artifacts = VersionArtifacts(repo, evaluated, default)
        self.refs_here = 0
        """References to this version, or to files that are the same in it."""
        self.refs_elsewhere: dict[str, int] = {}
        """References to other versions, by their commits."""

    # Selectors

    def resolve(self, selectors: Sequence[Selector]) -> list[Answer]:
        """Resolve some selectors; reading a table costs once, whatever they are."""
        answers: list[Answer] = [_NO_ROW] * len(selectors)
        jobs: dict[tuple[object, ...], list[Job]] = defaultdict(list)
        refs: list[tuple[int, Reference]] = []
        for number, selector in enumerate(selectors):
            if selector.ref is not None:
                try:
                    refs.append((number, read_reference(selector.ref)))
                except MalformedReferenceError as error:
                    answers[number] = error.message
            else:
                self._sort(number, selector, jobs, answers)
        for number, reference in refs:
            self._follow(number, reference, jobs, answers)
        for key, group in jobs.items():
            self._ways[str(key[0])](key, group, answers)
        return answers

    def _sort(
        self,
        number: int,
        selector: Selector,
        jobs: dict[tuple[object, ...], list[Job]],
        answers: list[Answer],
    ) -> None:
        """Put a selector to others that are resolved in the same way in the same table."""
        hashed = selector.row_hash is not None or selector.doc is not None
        if hashed and selector.path is None:
            jobs["anywhere", "row" if selector.doc is None else "doc"].append(
                Job(number, _NOWHERE, selector.row_hash or selector.doc)
            )
            return
        artifact: Artifact | str = _NO_ROW
        if selector.path is not None:
            artifact = self.artifacts.at(selector.path)
        elif selector.selects:
            artifact = self.artifacts.default_for(selector)
        if isinstance(artifact, str):
            answers[number] = artifact
            return
        way = _way(selector, artifact)
        if isinstance(way, str):
            answers[number] = way
            return
        (name, *more), value = way
        jobs[(name, artifact.place, *more)].append(Job(number, artifact, value))

    def _follow(
        self,
        number: int,
        reference: Reference,
        jobs: dict[tuple[object, ...], list[Job]],
        answers: list[Answer],
    ) -> None:
        """Sort a reference: to a row of this version, or to one that is looked for here."""
        other = self._version(reference.revision)
        if isinstance(other, str):
            answers[number] = other
            return
        there = other.evaluated
        selector = Selector(
            path=reference.path,
            row=dict(reference.key) if reference.key else None,
            position=reference.position,
        )
        mine, theirs = (each.manifest.get(reference.path) for each in (self.evaluated, there))
        same = mine is not None and theirs is not None and mine.digest == theirs.digest
        if other is self or same:
            self.refs_here += 1
            self._sort(number, selector, jobs, answers)
            return
        commit = str(there.commit)
        self.refs_elsewhere[commit] = self.refs_elsewhere.get(commit, 0) + 1
        jobs["elsewhere", commit].append(Job(number, _NOWHERE, selector))

    def _version(self, revision: str) -> Resolver | str:
        if revision not in self._others:
            try:
                there = version_of(self._repo, revision)
            except (NotFoundError, NotASubjectError) as error:
                self._others[revision] = error.message
            else:
                mine = there.commit == self.evaluated.commit
                self._others[revision] = self if mine else Resolver(self._repo, there, self._salt)
        return self._others[revision]

    # Ways

    def _by_key(self, key: tuple[object, ...], jobs: list[Job], answers: list[Answer]) -> None:
        table, columns = _table(jobs), key[2]
        assert isinstance(columns, tuple)
        missing = table.missing_column(columns)
        if missing is not None:
            _fail(
                jobs, answers, f"{display_path(jobs[0].artifact.place.path)} has no column {missing[:80]!r}"
            )
            return
        found = table.by_key(columns, [job.value for job in jobs])  # type: ignore[misc]
        _put(jobs, answers, found, f"its key {', '.join(columns)[:80]}")

    def _by_position(self, key: tuple[object, ...], jobs: list[Job], answers: list[Answer]) -> None:
        positions = np.array([job.value for job in jobs], np.int64)
        artifact = jobs[0].artifact
        if artifact.table is None:
            found = np.where(positions < artifact.rows, positions, ABSENT)
        else:
            found = artifact.table.by_position(positions)
        _put(jobs, answers, found, "its position")

    def _by_file(self, key: tuple[object, ...], jobs: list[Job], answers: list[Answer]) -> None:
        folder = display_path(jobs[0].artifact.place.path) or "the version"
        for job in jobs:
            assert isinstance(job.value, bytes)
            number = job.artifact.number(job.value)
            answers[job.number] = (
                f"{folder} has no file {display_path(job.value)}"
                if number is None
                else Hit(job.artifact.place, np.array([number], np.int64))
            )

    def _where(self, key: tuple[object, ...], jobs: list[Job], answers: list[Answer]) -> None:
        table = _table(jobs)
        for job in jobs:
            try:
                rows = table.where(str(job.value))
            except (PredicateError, NotFoundError) as error:
                answers[job.number] = error.message
                continue
            found = "its condition is true for no row"
            answers[job.number] = Hit(job.artifact.place, rows) if len(rows) else found

    def _column(self, key: tuple[object, ...], jobs: list[Job], answers: list[Answer]) -> None:
        table = _table(jobs)
        for job in jobs:
            known = table.missing_column([str(job.value)]) is None
            every = Hit(job.artifact.place, np.arange(table.rows, dtype=np.int64))
            answers[job.number] = every if known and table.rows else f"no column {str(job.value)[:80]!r}"

    def _by_hash(self, key: tuple[object, ...], jobs: list[Job], answers: list[Answer]) -> None:
        scheme = str(key[2])
        good = [job for job in jobs if self._digest(job, scheme, answers) is not None]
        if good:
            found = self._hashed(good[0].artifact, scheme, good, answers)
            _put(good, answers, found, "its hash")

    def _digest(self, job: Job, scheme: str, answers: list[Answer]) -> bytes | None:
        name = "blake3" if scheme == "row" else "sha256"
        prefix, _, digits = str(job.value).partition(":")
        if prefix != name or not _HASH.fullmatch(digits):
            answers[job.number] = f"{str(job.value)[:80]!r} is no hash of a row: {name}:HEX is one"
            return None
        return bytes.fromhex(digits)

    def _hashed(self, artifact: Artifact, scheme: str, jobs: list[Job], answers: list[Answer]) -> Numbers:
        table = artifact.table
        assert table is not None
        columns = table.table.index.names
        wanted = [self._digest(job, scheme, answers) or b"" for job in jobs]
        if scheme == "doc":
            return table.by_digest(scheme, lambda row: doc_hashes(row, columns), wanted)
        return table.by_digest(scheme, lambda row: [row_hash(row, self._salt)], wanted)

    def _anywhere(self, key: tuple[object, ...], jobs: list[Job], answers: list[Answer]) -> None:
        """Rows by hash without a path: in every table of the subject, or of the evaluation set."""
        scheme = str(key[1])
        good = [job for job in jobs if self._digest(job, scheme, answers) is not None]
        tables = [each for each in self.artifacts.defaults() if each.table is not None]
        if not good or not tables or len(tables) > MAX_TABLES:
            _fail(good, answers, f"it names no path, and the subject has {len(tables) or 'no'} tables")
            return
        hits: dict[int, list[Answer]] = {job.number: [] for job in good}
        for artifact in tables:
            found = self._hashed(artifact, scheme, good, answers)
            for job, row in zip(good, found.tolist(), strict=True):
                if row != ABSENT:
                    one = np.array([row], np.int64)
                    hits[job.number].append(Hit(artifact.place, one) if row >= 0 else _REASONS[SEVERAL])
        for number, each in hits.items():
            several = _reason(SEVERAL, "its hash")
            answers[number] = each[0] if len(each) == 1 and isinstance(each[0], Hit) else several
            if not each:
                answers[number] = _reason(ABSENT, "its hash")

    def _elsewhere(self, key: tuple[object, ...], jobs: list[Job], answers: list[Answer]) -> None:
        """Rows of another version: resolved there, then followed to where they stand in this one."""
        other = self._version(str(key[1]))
        assert isinstance(other, Resolver)
        selectors = [job.value for job in jobs if isinstance(job.value, Selector)]
        found = other.resolve(selectors)
        places: dict[Place, list[tuple[int, int]]] = defaultdict(list)
        for job, answer in zip(jobs, found, strict=True):
            if isinstance(answer, str):
                answers[job.number] = answer
            else:
                places[answer.place].append((job.number, int(answer.rows[0])))
        for place, pairs in places.items():
            self._carried(place, pairs, other, answers)

    def _carried(
        self, place: Place, pairs: list[tuple[int, int]], other: Resolver, answers: list[Answer]
    ) -> None:
        here = self.artifacts.at(place.path)
        name = f"{display_path(place.path)} of {other.evaluated.commit[:12]}"
        if isinstance(here, str):
            for number, _row in pairs:
                answers[number] = here
            return
        near = [other.evaluated.commit, self.evaluated.commit]
        rows = np.array([row for _, row in pairs], np.int64)
        carried = carry_rows(self._repo, place.path, place.digest, rows, here.place.digest, near=near)
        for (number, row), at in zip(pairs, carried.rows.tolist(), strict=True):
            answers[number] = (
                f"row {row} of {name} is not in {self.evaluated.commit[:12]} any more"
                if at == GONE
                else Hit(here.place, np.array([at], np.int64))
            )


_Way = Callable[[tuple[object, ...], list[Job], list[Answer]], None]
_NOWHERE: Final = Artifact(Place(b"", bytes(32)), ArtifactFiles(b"", True, ()), None, "")


def _way(selector: Selector, artifact: Artifact) -> tuple[tuple[object, ...], object] | str:
    """How a selector is resolved in an artifact, with what is looked for; or why it can't be."""
    if artifact.table is None:
        return _way_to_file(selector, artifact)
    if selector.row is not None:
        columns = tuple(selector.row)
        return ("key", columns), [selector.row[name] for name in columns]
    if selector.position is not None:
        return ("position",), selector.position
    if selector.where is not None:
        return ("where",), selector.where
    if selector.row_hash is not None or selector.doc is not None:
        scheme = "row" if selector.doc is None else "doc"
        return ("hash", scheme), selector.row_hash or selector.doc
    if selector.column is not None:
        return ("column",), selector.column
    return _NO_ROW


def _way_to_file(selector: Selector, artifact: Artifact) -> tuple[tuple[object, ...], object] | str:
    if not artifact.place.folder:
        return artifact.why_not
    row: dict[str, Scalar] = dict(selector.row or {})
    if set(row) == {FILE} and isinstance(row[FILE], str):
        return ("file",), str(row[FILE]).encode("utf-8", "surrogateescape")
    if selector.position is not None:
        return ("position",), selector.position
    if selector.path is not None and not selector.selects and artifact.number(selector.path) is not None:
        return ("file",), selector.path
    return f"{display_path(artifact.place.path) or 'the version'} is no table; its rows are its files"


def _table(jobs: list[Job]) -> TableRowsBy:
    table = jobs[0].artifact.table
    assert table is not None
    return table


def _put(jobs: list[Job], answers: list[Answer], found: Numbers, what: str) -> None:
    for place, (job, row) in enumerate(zip(jobs, found.tolist(), strict=True)):
        answers[job.number] = (
            Hit(job.artifact.place, found[place : place + 1]) if row >= 0 else _reason(row, what)
        )


def _reason(code: int, what: str) -> str:
    return f"{what}: {_REASONS[code]}"


def _fail(jobs: list[Job], answers: list[Answer], reason: str) -> None:
    for job in jobs:
        answers[job.number] = reason
