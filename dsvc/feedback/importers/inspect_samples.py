"""Samples of an Inspect log: scores as letters, truth values and numbers, errors, several epochs.

=================== =====================================================================================
``C``, true         right
``I``, false        ``wrong-answer-SCORE``
``P``               ``partly-wrong-answer-SCORE``
``N``               ``no-answer-SCORE``
number              with an accuracy: 1 is right, 0 wrong, what lies between partly wrong; else no judgement
an error            ``error``
=================== =====================================================================================

A sample that was tried several times is one sample: its scores are means, as Inspect's own, and it is wrong
if it was wrong in any epoch. A second thing that is wrong with it is an observation of its own, without
scores.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from dsvc.feedback.importers.importer import malformed
from dsvc.feedback.importers.inspect_header import Header, ScoreKey
from dsvc.feedback.importers.json_document import Json, JsonObject, finite
from dsvc.feedback.importers.tool_fields import ERROR, cut, reference_in, without_commit
from dsvc.model.feedback import Sample, Scalar, Selector

_LETTERS: Final = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
_WORDS: Final = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
_NUMERIC: Final = re.compile(r"[0-9]+(\.[0-9]+)?")
_NO_ANSWER: Final = "N"
_NO_WORD: Final = re.compile(r"[\W_]+")


class _Fault(NamedTuple):
    symptom: str
    pointer: str
    explanation: str | None


class _Tried:
    """What is known of a sample over its epochs."""

    def __init__(self, first: JsonObject, task: str | None, column: str) -> None:
        self.place = first.place
        self.task = task
        self.selector, name = _selector(first, column)
        self.sample_id = f"{task or ''}/{name}"
        self.judged = 0
        self.sums: dict[str, tuple[float, int]] = {}
        self.faults: dict[str, _Fault] = {}

    def add(self, found: JsonObject, header: Header) -> None:
        """Take one epoch."""
        error = found.object("error") if found.has("error") else None
        if error is not None:
            self.judged += 1
            self._fault(_Fault(ERROR, error.place, cut(error.text("message"))))
        for scorer, score in found.object("scores").entries():
            for key, place, value in _values(scorer, score):
                self._score(header, key, place, value, cut(score.text("explanation")))

    def _score(self, header: Header, key: ScoreKey, place: str, value: Json, told: str | None) -> None:
        number = _number(value, place)
        if number is None:
            return
        for name in header.means.get(key, ()):
            total, count = self.sums.get(name, (0.0, 0))
            self.sums[name] = total + number, count + 1
        kind = _judgement(value, number, key in header.judged)
        if kind is None:
            return
        self.judged += 1
        if kind:
            words = _NO_WORD.sub("-", key[1].lower()).strip("-")
            self._fault(_Fault(f"{kind}-{words}" if words else kind, place, told))

    def _fault(self, fault: _Fault) -> None:
        self.faults.setdefault(fault.symptom, fault)

    def samples(self) -> Iterator[Sample]:
        """Give the sample, and what else is wrong with it."""
        first, *others = self.faults.values() or (None,)
        yield self._sample(first, {name: total / count for name, (total, count) in self.sums.items()})
        for each in others:
            yield self._sample(each, {})

    def _sample(self, fault: _Fault | None, scores: dict[str, float]) -> Sample:
        return Sample(
            pointer=fault.pointer if fault else self.place,
            sample_id=self.sample_id,
            selector=self.selector,
            passed=False if fault else True if self.judged else None,
            scores=scores,
            task=self.task,
            symptom=fault.symptom if fault else None,
            explanation=fault.explanation if fault else None,
        )


def read_samples(documents: Iterable[tuple[Json, str]], header: Header, column: str) -> Iterator[Sample]:
    """Read samples.

    Parameters
    ----------
    documents : iterable of (Json, str)
        Samples with their places.
    column : str
        Column that the ids of samples are from.

    Raises
    ------
    FeedbackMalformedError
        If one is malformed, or stands there twice.
    """
    seen: set[tuple[str, int]] = set()
    tried: dict[str, _Tried] = {}
    task = header.run.suite
    for document, place in documents:
        found = JsonObject(document, place)
        key = _identity(found)
        if key in seen:
            raise malformed(place, "a sample and epoch that stands twice", key[0])
        seen.add(key)
        state = tried.get(key[0]) or _Tried(found, task, column)
        state.add(found, header)
        if header.epochs == 1:
            yield from state.samples()
        else:
            tried[key[0]] = state
    for state in tried.values():
        yield from state.samples()


def _identity(found: JsonObject) -> tuple[str, int]:
    if not found.has("id", "epoch"):
        raise malformed(found.place, "no sample of Inspect: id or epoch is missing")
    kind = "s" if isinstance(found.value["id"], str) else "n"
    return f"{kind}{found.scalar('id')}", found.whole("epoch") or 0


def _selector(found: JsonObject, column: str) -> tuple[Selector, str]:
    """Find the row by its reference, else by its id, which Inspect takes from the row."""
    reference = reference_in(found.object("metadata"))
    if reference:
        return Selector(ref=reference), without_commit(reference)
    value: Scalar = found.value["id"]  # type: ignore[assignment]
    return Selector(row={column: value}), found.scalar("id") or ""


def _values(scorer: str, score: JsonObject) -> Iterator[tuple[ScoreKey, str, Json]]:
    """Give the value of a score, or the parts of one that is an object; lists are for the tool to judge."""
    value = score.value.get("value")
    if isinstance(value, dict):
        parts = score.object("value")
        for name, each in parts.value.items():
            yield (scorer, name), parts.at(name), each
    elif not isinstance(value, list):
        yield (scorer, scorer), score.at("value"), value


def _number(value: Json, place: str) -> float | None:
    """Give the number that Inspect counts a value as; None where it isn't scored."""
    if value is None or isinstance(value, (list, dict)):
        return None
    if isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        return finite(value, place, nan_is_none=True)
    if value in _LETTERS:
        return _LETTERS[value]
    if _NUMERIC.fullmatch(value):
        return finite(float(value), place)
    return _WORDS.get(value.lower(), 0.0)


def _judgement(value: Json, number: float, judged: bool) -> str | None:
    """Say what is wrong: nothing where the answer is right, None where the value doesn't say."""
    if isinstance(value, str) and value not in _LETTERS and value.lower() not in _WORDS:
        judged = judged and _NUMERIC.fullmatch(value) is not None
    elif isinstance(value, (str, bool)):
        judged = True
    if not judged or not 0 <= number <= 1:
        return None
    if value == _NO_ANSWER:
        return "no-answer"
    return {1.0: "", 0.0: "wrong-answer"}.get(number, "partly-wrong-answer")
