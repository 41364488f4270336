"""Files of lm-evaluation-harness: facts and metrics in one, samples of each task in another.

Either may be imported; the other is looked for among the companions, by the time in its name. A file of
samples without its results has neither metrics nor facts of the run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from dsvc.feedback.importers.importer import (
    HEAD_BYTES,
    Companion,
    Imported,
    ImportOptions,
    OpenFile,
    counted,
    malformed,
)
from dsvc.feedback.importers.json_document import read_document
from dsvc.feedback.importers.lm_eval_results import TOOL, Results, read_results
from dsvc.feedback.importers.lm_eval_samples import read_samples
from dsvc.feedback.importers.peek import key_paths
from dsvc.model.feedback import EvaluationRun, Sample

_TIME: Final = r"\d{4}-\d\d-\d\dT\d\d[-:]\d\d[-:]\d\d(?:\.\d+)?"
_RESULTS_NAME: Final = re.compile(rf"results_({_TIME})\.json")
_SAMPLES_NAME: Final = re.compile(rf"samples_(.+)_({_TIME})\.jsonl")
_OF_RESULTS: Final = frozenset({("results",), ("configs",)})
_OF_SAMPLE: Final = frozenset({("doc_id",), ("doc",)})
_ALSO_OF_SAMPLE: Final = frozenset({("filtered_resps",), ("doc_hash",), ("resps",)})


class _SamplesFile(NamedTuple):
    name: str
    task: str | None
    open_file: OpenFile


class LmEval:
    """Reads both kinds of files."""

    name: Final = TOOL

    def recognises(self, head: bytes, file_name: str) -> bool:
        """Say whether it is either of them."""
        return _is_samples(head) or _is_results(head)

    def read(self, open_file: OpenFile, options: ImportOptions) -> Imported:
        """Read one of them, and what belongs to it of the companions.

        Raises
        ------
        FeedbackMalformedError
            If one of them is malformed, or the file is neither.
        """
        with open_file() as stream:
            head = stream.read(HEAD_BYTES)
        if _is_samples(head):
            return _read_samples_file(open_file, options)
        with open_file() as stream:
            results = read_results(read_document(stream))
        files = list(_samples_of(options, results))
        return Imported(results.run, results.metrics, counted(_all_samples(files, results.means)))


def _is_samples(head: bytes) -> bool:
    paths = key_paths(head)
    return paths >= _OF_SAMPLE and not paths.isdisjoint(_ALSO_OF_SAMPLE)


def _is_results(head: bytes) -> bool:
    """Tell results: by the version of the tool, or by metrics with filters where the head ends before it."""
    paths = key_paths(head)
    if paths >= _OF_RESULTS and ("lm_eval_version",) in paths:
        return True
    return any(len(path) == 3 and path[0] == "results" and "," in path[2] for path in paths)


def _read_samples_file(open_file: OpenFile, options: ImportOptions) -> Imported:
    match = _SAMPLES_NAME.fullmatch(options.file_name)
    task = match[1] if match else None
    results = _results_of(options, match[2]) if match else None
    file = _SamplesFile("", task, open_file)
    if results is None:
        return Imported(EvaluationRun(tool=TOOL), (), counted(_all_samples([file], {})))
    metrics = tuple(each for each in results.metrics if each.task == task)
    return Imported(results.run, metrics, counted(_all_samples([file], results.means)))


def _results_of(options: ImportOptions, time: str) -> Results | None:
    """Read the results of the run, by the time in their name."""
    for companion in options.companions:
        match = _RESULTS_NAME.fullmatch(companion.name)
        if match and match[1] == time:
            with companion.open_file() as stream:
                return read_results(read_document(stream, companion.name))
    return None


def _samples_of(options: ImportOptions, results: Results) -> Iterator[_SamplesFile]:
    """Find the samples of the run: of its time where the names say it, and of tasks that the results have."""
    own = _RESULTS_NAME.fullmatch(options.file_name)
    seen: set[str] = set()
    for companion in sorted(options.companions, key=_by_name):
        match = _SAMPLES_NAME.fullmatch(companion.name)
        if match is None or (own and match[2] != own[1]) or match[1] not in results.means:
            continue
        if match[1] in seen:
            raise malformed(
                companion.name,
                "samples of a task that another file has too, and no name says which belong to the results",
            )
        seen.add(match[1])
        yield _SamplesFile(companion.name, match[1], companion.open_file)


def _by_name(companion: Companion) -> str:
    return companion.name


def _all_samples(files: list[_SamplesFile], means: dict[str, frozenset[str]]) -> Iterator[Sample]:
    for file in files:
        with file.open_file() as stream:
            yield from read_samples(stream, file.task, means.get(file.task or ""), file.name)
