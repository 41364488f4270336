"""What the files of several tools have in common: references, names of samples and of what failed."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from msgspec import structs

from dsvc.feedback.importers.importer import malformed
from dsvc.feedback.importers.json_document import Json, JsonObject, to_json
from dsvc.feedback.importers.plain_fields import FAILED
from dsvc.feedback.reference import FIELD, MAX_LENGTH
from dsvc.model.feedback import Metric, Sample

ERROR: Final = "error"
"""Symptom of what a tool counts as failed because something broke while it was evaluated."""
PASSED: Final = "pass"
"""Metric of the share of samples that passed, where a tool says how many did."""
MAX_TEXT: Final = 4096
_MAX_SYMPTOM: Final = 120
_NO_WORD: Final = re.compile(r"[\W_]+")


def failed(*names: str | None) -> str:
    """Name what is wrong after the check that failed: ``failed-same-label`` for ``Same Label``."""
    words = _NO_WORD.sub("-", " ".join(name for name in names if name).lower()).strip("-")
    return f"{FAILED}-{words}"[:_MAX_SYMPTOM].rstrip("-") if words else FAILED


def reference_in(*places: JsonObject) -> str | None:
    """Give the `dsvc_ref` that stands in one of several objects.

    Raises
    ------
    FeedbackMalformedError
        If two of them differ, or it is no text of a possible length.
    """
    found: str | None = None
    for each in places:
        ref = each.text(FIELD)
        if ref is None or ref == found:
            continue
        if found is not None:
            raise malformed(each.at(FIELD), "another reference than was given before", ref)
        if not ref or len(ref) > MAX_LENGTH:
            raise malformed(each.at(FIELD), "no reference", ref)
        found = ref
    return found


def without_commit(ref: str) -> str:
    """Name a sample by its row in any version."""
    return ref.partition(":")[2] or ref


def by_content(value: Json) -> str:
    """Name a sample by what was given to the model."""
    return "sha256:" + hashlib.sha256(to_json(value).encode("utf-8", "replace")).hexdigest()


def cut(text: str | None) -> str | None:
    """Cut what a tool says to `MAX_TEXT` characters; the file itself is kept as evidence."""
    if not text:
        return None
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


class Fault(NamedTuple):
    """One thing that is wrong with a sample, and where the file says so."""

    symptom: str
    pointer: str
    explanation: str | None


def with_faults(sample: Sample, faults: Iterable[Fault]) -> Iterator[Sample]:
    """Give a sample with the first thing that is wrong with it, and each other as an observation of its own.

    Only the first has scores: it is one sample. What is wrong twice in one way is said once.
    """
    found: dict[str, Fault] = {}
    for each in faults:
        found.setdefault(each.symptom, each)
    for number, fault in enumerate(found.values()):
        yield structs.replace(
            sample,
            symptom=fault.symptom,
            pointer=fault.pointer,
            explanation=cut(fault.explanation),
            scores={} if number else sample.scores,
        )
    if not found:
        yield sample


class Repeats:
    """Tells apart what is evaluated several times in one file, by its order."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def name(self, sample_id: str) -> str:
        """Give the first its id, a repetition its id and number."""
        self._seen[sample_id] += 1
        number = self._seen[sample_id]
        return sample_id if number == 1 else f"{sample_id} ({number})"


def mean(name: str, values: Iterable[float]) -> Metric | None:
    """Make a metric of the values that a file states one by one; None where there are none."""
    found = list(values)
    if not found:
        return None
    return Metric(name=name, value=sum(found) / len(found), n=len(found))
