"""Samples of an evaluation as they are read: which rows failed, which passed, and what was measured."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

import blake3
import numpy as np
from msgspec.structs import replace

from dsvc.feedback.importers.importer import malformed
from dsvc.feedback.importers.plain_fields import FAILED, identity
from dsvc.feedback.importers.tool_fields import MAX_TEXT, cut
from dsvc.model.errors import MalformedInputError
from dsvc.model.feedback import DefectSeverity, Sample, Unresolved
from dsvc.porcelain.feedback.feedback_artifacts import Place
from dsvc.porcelain.feedback.feedback_resolve import Answer, Hit
from dsvc.porcelain.records.feedback_chain import IDENTITY_BYTES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsvc.porcelain.feedback.feedback_resolve import Resolver
    from dsvc.porcelain.tree.tree_scan import Progress

    Numbers = NDArray[np.int64]
    Scores = tuple[NDArray[np.uint8], NDArray[np.float64]]

_BATCH: Final = 20_000


class ContradictoryFeedbackError(MalformedInputError):
    """A file says of one row both that it passed and that it failed, or gives a sample two values."""

    code = "contradictory-feedback"


class ScorePlace(NamedTuple):
    """Which metric a value is of, of which part of the suite and of the samples."""

    metric: str
    task: str | None
    slice: str | None


class _Facet(NamedTuple):
    """What was looked at in a row: verdicts on other things don't contradict each other."""

    task: str | None
    slice: str | None
    metrics: frozenset[str]

    def meets(self, other: _Facet) -> bool:
        """Whether both speak of the same."""
        apart = self.metrics and other.metrics and self.metrics.isdisjoint(other.metrics)
        return (self.task, self.slice) == (other.task, other.slice) and not apart


class Verdict(NamedTuple):
    """A judged sample and the rows that it is about."""

    sample: Sample
    hit: Hit


class _Passed(NamedTuple):
    facet: _Facet
    name: bytes
    pointer: str


class _Values:
    """Values of one metric, sample by sample."""

    def __init__(self) -> None:
        self.names = bytearray()
        self.values = array("d")
        self.samples = array("q")
        self.loose = array("d")
        """Of samples that nothing names."""

    def add(self, name: bytes, value: float, sample: int) -> None:
        """Take a value."""
        if name:
            self.names += name
            self.values.append(value)
            self.samples.append(sample)
        else:
            self.loose.append(value)


class Samples:
    """What all samples of a file say.

    Parameters
    ----------
    resolver : Resolver
    severity : DefectSeverity or None
        Of observations that have none.

    Attributes
    ----------
    failed : list of Verdict
        Observations whose rows were found.
    lost : list of Unresolved
    count, passed, observations : int
    verdicts : dict
        By task and slice, how many passed and failed.
    """

    def __init__(self, resolver: Resolver, severity: DefectSeverity | None = None) -> None:
        self._resolver = resolver
        self._severity = severity or DefectSeverity.P3
        self.failed: list[Verdict] = []
        self.lost: list[Unresolved] = []
        self.count = self.passed = self.observations = 0
        self.verdicts: dict[tuple[str | None, str | None], list[int]] = defaultdict(lambda: [0, 0])
        self._values: dict[ScorePlace, _Values] = defaultdict(_Values)
        self._pointers: list[str] = []
        self._facets: dict[_Facet, _Facet] = {}
        self._passed: dict[Place, tuple[list[Numbers], list[_Passed]]] = defaultdict(lambda: ([], []))

    def read(self, samples: Iterable[Sample], progress: Progress | None = None) -> None:
        """Read all samples.

        Raises
        ------
        FeedbackMalformedError
            If the file is malformed further on.
        ContradictoryFeedbackError
            If it contradicts itself.
        """
        rest = map(_bounded, samples)
        while batch := list(islice(rest, _BATCH)):
            self._take(batch)
            if progress is not None:
                progress("reading", self.count, None)
        self._check_verdicts()

    def _take(self, batch: Sequence[Sample]) -> None:
        answers = self._resolver.resolve([each.selector for each in batch])
        for sample, answer in zip(batch, answers, strict=True):
            self._one(sample, answer)

    def _one(self, sample: Sample, answer: Answer) -> None:
        number, self.count = self.count, self.count + 1
        self._pointers.append(sample.pointer)
        failed = sample.passed is False or (sample.passed is None and sample.symptom is not None)
        name = _name(sample, answer)
        for metric, value in sample.scores.items():
            self._values[ScorePlace(metric, sample.task, sample.slice)].add(name, value, number)
        if failed or sample.passed:
            self.verdicts[sample.task, sample.slice][0 if sample.passed else 1] += 1
        self.passed += sample.passed is True
        self.observations += failed
        if isinstance(answer, str):
            if failed or sample.selector.selects:
                self.lost.append(self._unresolved(sample, answer, failed=failed))
        elif failed:
            self.failed.append(Verdict(self._complete(sample), answer))
        elif sample.passed:
            rows, facts = self._passed[answer.place]
            rows.append(answer.rows)
            facts.append(_Passed(self._facet(sample), _explicit(sample), sample.pointer))

    def _complete(self, sample: Sample) -> Sample:
        """An observation with symptom and severity, and without what it need not keep."""
        return replace(
            sample,
            symptom=sample.symptom or FAILED,
            severity=sample.severity or self._severity,
        )

    def _unresolved(self, sample: Sample, reason: str, *, failed: bool) -> Unresolved:
        return Unresolved(
            pointer=sample.pointer,
            reason=reason,
            selector=sample.selector,
            symptom=(sample.symptom or FAILED) if failed else None,
            severity=(sample.severity or self._severity) if failed else None,
            evidence=sample.evidence,
        )

    def _facet(self, sample: Sample) -> _Facet:
        facet = _Facet(sample.task, sample.slice, frozenset(sample.scores))
        return self._facets.setdefault(facet, facet)

    # What it comes to

    @property
    def lists_all(self) -> bool:
        """Whether samples that passed are among them, not bad ones alone."""
        return self.passed > 0

    def judged(self) -> dict[Place, Numbers]:
        """Rows that passed or failed, by artifact."""
        found: dict[Place, list[Numbers]] = defaultdict(list)
        for place, (rows, _facts) in self._passed.items():
            found[place] += rows
        for verdict in self.failed:
            found[verdict.hit.place].append(verdict.hit.rows)
        return {place: np.unique(np.concatenate(rows)) for place, rows in found.items()}

    def values(self, fits: Callable[[ScorePlace], bool]) -> NDArray[np.float64]:
        """Values of some metrics, one for each sample."""
        parts = [np.zeros(0)]
        for place, held in self._values.items():
            if fits(place):
                parts += [self._settled(place, held)[1], np.array(held.loose, np.float64)]
        return np.concatenate(parts)

    def score_places(self) -> list[ScorePlace]:
        """Metrics that samples have values of."""
        return sorted(self._values, key=lambda each: (each.metric, each.task or "", each.slice or ""))

    def scores(self) -> dict[tuple[str, str | None], Scores]:
        """Values by metric and task, with what names each sample in other evaluations.

        Raises
        ------
        ContradictoryFeedbackError
            If a sample has two values of one metric.
        """
        parts: dict[tuple[str, str | None], list[Scores]] = defaultdict(list)
        for place, held in self._values.items():
            if held.values:
                parts[place.metric, place.task].append(self._settled(place, held))
        return {
            place: (np.concatenate([names for names, _ in each]), np.concatenate([v for _, v in each]))
            for place, each in parts.items()
        }

    def _settled(self, place: ScorePlace, held: _Values) -> Scores:
        """Each sample once, in order of what names it."""
        names = np.frombuffer(bytes(held.names), f"V{IDENTITY_BYTES}")
        values, samples = np.array(held.values, np.float64), np.array(held.samples, np.int64)
        plain = np.frombuffer(bytes(held.names), np.uint8).reshape(-1, IDENTITY_BYTES)
        order = np.lexsort(plain.T[::-1]) if len(plain) else np.zeros(0, np.int64)
        names, values, samples, plain = names[order], values[order], samples[order], plain[order]
        same = names[1:] == names[:-1]
        clash = np.flatnonzero(same & (values[1:] != values[:-1]))
        if len(clash):
            at = int(clash[0])
            first, second = sorted((int(samples[at]), int(samples[at + 1])))
            raise ContradictoryFeedbackError(
                f"{self._pointers[first]} and {self._pointers[second]} give one sample two values of "
                f"{place.metric[:80]}: {values[at]:g} and {values[at + 1]:g}",
                details={"places": [self._pointers[first], self._pointers[second]]},
            )
        kept = np.concatenate(([True], ~same)) if len(names) else np.zeros(0, np.bool_)
        return plain[kept], values[kept]

    def _check_verdicts(self) -> None:
        """Refuse a file in which one row passed and failed in the same respect."""
        failed: dict[Place, list[Verdict]] = defaultdict(list)
        for verdict in self.failed:
            failed[verdict.hit.place].append(verdict)
        for place, verdicts in failed.items():
            rows, facts = self._passed.get(place, ([], []))
            if not rows:
                continue
            bad = np.unique(np.concatenate([each.hit.rows for each in verdicts]))
            both = np.intersect1d(bad, np.concatenate(rows))
            if len(both):
                self._compare(set(both.tolist()), verdicts, zip(rows, facts, strict=True))

    def _compare(
        self, both: set[int], verdicts: Iterable[Verdict], passed: Iterable[tuple[Numbers, _Passed]]
    ) -> None:
        good: dict[int, list[_Passed]] = defaultdict(list)
        for rows, fact in passed:
            for row in _few(rows, both):
                good[row].append(fact)
        for verdict in verdicts:
            name, facet = _explicit(verdict.sample), self._facet(verdict.sample)
            for row in _few(verdict.hit.rows, both):
                for fact in good[row]:
                    if facet.meets(fact.facet) and (not name or not fact.name or name == fact.name):
                        raise ContradictoryFeedbackError(
                            f"{fact.pointer} says that a row passed, {verdict.sample.pointer} that it failed",
                            details={"places": [fact.pointer, verdict.sample.pointer], "row": row},
                        )


def _few(rows: Numbers, among: set[int]) -> Iterator[int]:
    return (row for row in rows.tolist() if row in among)


def _bounded(sample: Sample) -> Sample:
    """Cut texts, of which the file has all, and refuse names that are too long to be any.

    Both are kept with each row, and have to be read again.

    Raises
    ------
    FeedbackMalformedError
        If one is.
    """
    names = (sample.symptom, sample.task, sample.slice, *sample.scores)
    if max((len(each) for each in names if each), default=0) > MAX_TEXT:
        raise malformed(sample.pointer, f"a name of more than {MAX_TEXT} characters")
    if max(len(sample.evidence or ""), len(sample.explanation or "")) <= MAX_TEXT:
        return sample
    return replace(sample, evidence=cut(sample.evidence), explanation=cut(sample.explanation))


def _explicit(sample: Sample) -> bytes:
    """What names a sample, where it isn't only made of its row."""
    if not sample.sample_id or sample.sample_id == identity(sample.selector):
        return b""
    return sample.sample_id.encode("utf-8", "replace")


def _name(sample: Sample, answer: Answer) -> bytes:
    """What names a sample in another evaluation by the same suite; empty where nothing does."""
    if sample.sample_id:
        text = f"id\0{sample.task or ''}\0{sample.slice or ''}\0{sample.sample_id}"
        return blake3.blake3(text.encode("utf-8", "replace")).digest(IDENTITY_BYTES)
    if isinstance(answer, str) or len(answer.rows) != 1:
        return b""
    place = answer.place.path + b"\0" + answer.place.digest + b"%d" % int(answer.rows[0])
    facet = f"row\0{sample.task or ''}\0{sample.slice or ''}\0".encode("utf-8", "replace")
    return blake3.blake3(facet + place).digest(IDENTITY_BYTES)
