"""Samples of lm-evaluation-harness, from its ``samples_TASK_TIME.jsonl``.

A sample is found by the row's own ``dsvc_ref``, else by ``doc_hash``: sha256 over the row as
``json.dumps(doc, indent=2, ensure_ascii=False)`` writes it. Its id in other evaluations is the task and that
hash, or the reference without its commit, which changes from version to version.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import BinaryIO, Final

from dsvc.feedback.importers.importer import malformed
from dsvc.feedback.importers.json_document import Json, JsonObject, decode, finite, lines, to_json
from dsvc.feedback.importers.lm_eval_results import PLAIN_FILTER, metric_name
from dsvc.feedback.importers.tool_fields import Repeats, reference_in, without_commit
from dsvc.model.feedback import Sample, Selector

WRONG_ANSWER: Final = "wrong-answer"
EVIDENCE_CHARACTERS: Final = 2000
_JUDGING: Final = re.compile(r"(exact_match|em|exact|acc|accuracy|pass@1|contains)(_.*)?|.*_acc(uracy)?")
"""Metrics that are 1 for a right answer and 0 for a wrong one."""
_HASH: Final = re.compile(r"[0-9a-f]{64}")


def read_samples(
    stream: BinaryIO, task: str | None, means: frozenset[str] | None, file: str = ""
) -> Iterator[Sample]:
    """Read a file of samples line by line.

    The first metric of a sample that is 1 for right and 0 for wrong judges it: 0 is ``wrong-answer``, with
    the name of the filter where there is one (``wrong-answer-strict``), since filters differ in what they
    take for the answer.

    Parameters
    ----------
    task : str or None
        Only the name of the file says it.
    means : set of str or None
        Metrics that are means over samples; None: not known, all values are given.
    file : str
        Begins the pointers, where samples of several files go together.

    Raises
    ------
    FeedbackMalformedError
        If a line is no sample, or its ``doc_hash`` isn't that of its ``doc``.
    """
    repeats: dict[str, Repeats] = defaultdict(Repeats)
    for number, line in lines(stream):
        place = f"{file} line {number}" if file else f"line {number}"
        yield _sample(JsonObject(decode(line, place), place), task, means, repeats)


def _sample(
    found: JsonObject, task: str | None, means: frozenset[str] | None, repeats: Mapping[str, Repeats]
) -> Sample:
    if not found.has("doc_id", "doc"):
        raise malformed(found.place, "no sample of lm-evaluation-harness: doc_id or doc is missing")
    filter_name = found.text("filter") or PLAIN_FILTER
    digest = _doc_hash(found)
    doc = found.value["doc"]
    reference = reference_in(JsonObject(doc, found.at("doc"))) if isinstance(doc, dict) else None
    row = without_commit(reference) if reference else digest
    passed: bool | None = None
    scores: dict[str, float] = {}
    for metric, value in _values(found):
        if passed is None and _JUDGING.fullmatch(metric) and value in (0.0, 1.0):
            passed = value == 1.0
        if means is None or metric in means:
            scores[metric_name(metric, filter_name)] = value
    symptom = WRONG_ANSWER if filter_name == PLAIN_FILTER else f"{WRONG_ANSWER}-{filter_name}"
    return Sample(
        pointer=found.place,
        sample_id=repeats[filter_name].name(f"{task or ''}/{row}"),
        selector=Selector(ref=reference) if reference else Selector(doc=f"sha256:{digest}"),
        passed=passed,
        scores=scores,
        task=task,
        symptom=symptom if passed is False else None,
        evidence=_evidence(found) if passed is False else None,
    )


def _doc_hash(found: JsonObject) -> str:
    """Give the hash of the row, and refuse a file in which row and hash don't belong together."""
    doc: Json = found.value["doc"]
    try:
        digest = hashlib.sha256(json.dumps(doc, indent=2, ensure_ascii=False).encode()).hexdigest()
    except RecursionError as error:
        raise malformed(found.at("doc"), "nested too deep") from error
    stated = found.text("doc_hash")
    if stated is not None and not _HASH.fullmatch(stated):
        raise malformed(found.at("doc_hash"), "not a sha256", stated)
    if stated not in (None, digest):
        raise malformed(found.at("doc_hash"), "not the hash of doc; one of them was changed later")
    return digest


def _values(found: JsonObject) -> Iterator[tuple[str, float]]:
    """Give the metrics of a sample that are plain numbers; others are for the tool to put together."""
    for at, name in enumerate(found.array("metrics")):
        if not isinstance(name, str):
            raise malformed(f"{found.at('metrics')}/{at}", "not a name", name)
        if name not in found.value:
            raise malformed(found.at(name), "a metric without its value")
        value = found.value[name]
        if isinstance(value, bool):
            yield name, float(value)
        elif isinstance(value, (int, float)):
            number = finite(value, found.at(name), nan_is_none=True)
            if number is not None:
                yield name, number


def _evidence(found: JsonObject) -> str:
    shown = {key: found.value[key] for key in ("target", "filtered_resps") if key in found.value}
    return to_json(shown)[:EVIDENCE_CHARACTERS]
