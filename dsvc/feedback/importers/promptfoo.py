"""promptfoo: what ``promptfoo eval -o FILE.json`` writes (results of version 3).

======================= ======================================================================================
row                     ``dsvc_ref`` in the ``vars`` or the ``metadata`` of a test
passed                  ``success``
symptom                 ``failed-`` and type and metric of the assertion that failed, an observation for each;
                        ``error`` where nothing could be graded
scores                  ``pass`` and the named scores
metrics                 ``pass`` of ``stats``; means of named scores, where each sample has one
task                    provider and prompt, where there are several
======================= ======================================================================================
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from dsvc.feedback.importers.importer import Imported, ImportOptions, OpenFile, counted, malformed
from dsvc.feedback.importers.json_document import JsonObject, finite, read_document, to_json
from dsvc.feedback.importers.peek import key_paths
from dsvc.feedback.importers.plain_fields import FAILED
from dsvc.feedback.importers.tool_fields import (
    ERROR,
    PASSED,
    Fault,
    Repeats,
    by_content,
    cut,
    failed,
    reference_in,
    with_faults,
    without_commit,
)
from dsvc.model.feedback import EvaluationRun, Metric, Sample, Selector

NAME: Final = "promptfoo"
_VERSION: Final = 3
_TOP: Final = frozenset({"evalId", "results", "config"})
_NO_PATHS: Final[frozenset[tuple[str, ...]]] = frozenset()


class Promptfoo:
    """Reader of results that promptfoo wrote."""

    name = NAME

    def recognises(self, head: bytes, file_name: str) -> bool:
        """Whether it is an object with results that have a version and prompts."""
        paths = key_paths(head) if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") else _NO_PATHS
        return ("results", "version") in paths and bool(
            {("results", "prompts"), ("results", "stats")} & paths
        )

    def read(self, open_file: OpenFile, options: ImportOptions) -> Imported:
        """Read a file.

        Raises
        ------
        FeedbackMalformedError
            If it is not of promptfoo, or of another version.
        """
        with open_file() as stream:
            top = JsonObject(read_document(stream))
        results = top.object("results")
        if results.whole("version") != _VERSION:
            raise malformed(
                results.at("version"),
                f"not of version {_VERSION}",
                hint="write the file with a newer promptfoo",
            )
        rows = list(results.objects("results"))
        tasks = _tasks(results)
        metrics = tuple(_metrics(results, rows, tasks))
        return Imported(_run(top, results), metrics, counted(_samples(rows, tasks)))


def _run(top: JsonObject, results: JsonObject) -> EvaluationRun:
    stats, config = results.object("stats"), top.object("config")
    bad = (stats.whole("failures") or 0) + (stats.whole("errors") or 0)
    providers = {_provider(each) for each in results.objects("prompts")}
    version = top.object("metadata").value.get("promptfooVersion")
    return EvaluationRun(
        tool=NAME,
        tool_version=version if isinstance(version, str) else "",
        run_id=top.text("evalId"),
        created=results.text("timestamp"),
        model=providers.pop() if len(providers) == 1 else None,
        suite=config.text("description"),
        outcome="failed" if bad else "passed",
        extra={**top.rest(_TOP), "stats": to_json(dict(stats.value))} if stats.value else top.rest(_TOP),
    )


def _provider(prompt: JsonObject) -> str:
    found = prompt.value.get("provider")
    if isinstance(found, str):
        return found
    provider = prompt.object("provider")
    return provider.text("label") or provider.text("id") or ""


def _tasks(results: JsonObject) -> Sequence[str | None]:
    """Name each prompt with its provider, unless there is only one; the same names get numbers."""
    prompts = list(results.objects("prompts"))
    if len(prompts) < 2:
        return [None]
    repeats = Repeats()
    names = (f"{_provider(each)}: {(each.text('label') or each.text('raw') or '')[:120]}" for each in prompts)
    return [repeats.name(name) for name in names]


def _task(row: JsonObject, tasks: Sequence[str | None]) -> str | None:
    index = row.whole("promptIdx") or 0
    if index >= len(tasks):
        raise malformed(row.at("promptIdx"), "no prompt of this number", index)
    return tasks[index]


def _metrics(
    results: JsonObject, rows: Sequence[JsonObject], tasks: Sequence[str | None]
) -> Iterator[Metric]:
    prompts = [each.object("metrics") for each in results.objects("prompts")]
    if len(prompts) < 2:
        stats = results.object("stats")
        yield from _share(stats, ("successes", "failures", "errors"), None)
    have = Counter(
        (row.whole("promptIdx") or 0, name) for row in rows for name in row.object("namedScores").value
    )
    for index, (task, of_prompt) in enumerate(zip(tasks, prompts, strict=False)):
        if len(prompts) > 1:
            yield from _share(of_prompt, ("testPassCount", "testFailCount", "testErrorCount"), task)
        counts = of_prompt.object("namedScoresCount")
        sums = of_prompt.object("namedScores")
        for name in sums.value:
            n, total = counts.whole(name), sums.number(name)
            # Where one test has several assertions of a metric, promptfoo counts these and not samples.
            if n and total is not None and n == have[index, name]:
                yield Metric(name=name, value=total / n, n=n, task=task, higher_is_better=True)


def _share(counts: JsonObject, keys: Sequence[str], task: str | None) -> Iterator[Metric]:
    good, *bad = (counts.whole(key) or 0 for key in keys)
    total = good + sum(bad)
    if total:
        yield Metric(name=PASSED, value=good / total, n=total, task=task, higher_is_better=True)


def _samples(rows: Sequence[JsonObject], tasks: Sequence[str | None]) -> Iterator[Sample]:
    repeats = Repeats()
    for row in rows:
        test, variables = row.object("testCase"), row.object("vars")
        ref = reference_in(variables, row.object("metadata"), test.object("vars"), test.object("metadata"))
        task = _task(row, tasks)
        sample_id = without_commit(ref) if ref else by_content(dict(variables.value))
        passed = row.flag("success")
        if passed is None:
            raise malformed(row.at("success"), "no verdict")
        sample = Sample(
            pointer=row.place,
            sample_id=repeats.name(f"{task}|{sample_id}" if task else sample_id),
            selector=Selector(ref=ref),
            passed=passed,
            scores={PASSED: float(passed), **_scores(row)},
            task=task,
            evidence=None if passed else _output(row),
        )
        yield from with_faults(sample, [] if passed else _faults(row))


def _scores(row: JsonObject) -> Mapping[str, float]:
    named = row.object("namedScores")
    found = {name: finite(value, named.at(name)) for name, value in named.value.items() if value is not None}
    return {name: value for name, value in found.items() if value is not None and name != PASSED}


def _faults(row: JsonObject) -> Iterator[Fault]:
    grading = row.object("gradingResult")
    wrong = [each for each in grading.objects("componentResults") if each.flag("pass") is False]
    for each in wrong:
        assertion = each.object("assertion")
        symptom = failed(assertion.text("type"), assertion.text("metric"))
        yield Fault(symptom, each.place, each.text("reason"))
    if not wrong:
        reason = grading.text("reason") or row.text("error")
        yield Fault(FAILED if grading.value else ERROR, row.place, reason)


def _output(row: JsonObject) -> str | None:
    output = row.object("response").value.get("output")
    if output is None:
        return None
    return cut(output if isinstance(output, str) else to_json(output))
