"""Rules over measured quality: every metric is stated, and meets the standard that was set before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar, Final

from dsvc.lineage.graph import ArtifactNode
from dsvc.lineage.validation import Finding, Outcome
from dsvc.model.paths import display_path
from dsvc.model.run_record import RunKind
from dsvc.policy.case import Case
from dsvc.policy.descents import sources_behind
from dsvc.policy.facts import QualityChange
from dsvc.policy.recorded_runs import KnownRun, runs_of, unread
from dsvc.policy.reviews import covered, final_files
from dsvc.policy.rule import Parameter, Rule, Stricter, Terms
from dsvc.policy.source_facts import SourceFacts, states

METRICS: Final = ("precision", "consistency", "timeliness", "completeness", "neutrality")


class Measured(Rule):
    """Precision, consistency, timeliness, completeness and neutrality are known and good enough.

    The newest review of a file that states any of them, or says that it looked at quality, states all of
    them; of files that no such review looked at their sources do (``metrics=precision=0.98,…``).

    What evaluations measured of the release before is not worse by more than the tolerance now: the whole
    95% interval of the difference counts.
    """

    id = "QTY-01"
    settled_by = "evaluator"
    parameters: ClassVar = MappingProxyType(
        {name: Parameter(0.9, Stricter.HIGHER, "share") for name in METRICS}
        | {"tolerance": Parameter(0.0, Stricter.LOWER)}
    )

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look for the newest review of each file that is given out, else at its sources."""
        for change in case.changes:
            yield from _compared(change, terms.number("tolerance"))
        yield from unread(case)
        newest: dict[ArtifactNode, KnownRun] = {}
        for run in runs_of(case, RunKind.REVIEW):
            if run.fact("aspect") == "quality" or any(run.fact(name) for name in METRICS):
                newest.update(dict.fromkeys(covered(case, run), run))
        behind = sources_behind(case)
        asked: dict[bytes, KnownRun] = {}
        names: set[str] = set()
        for entry in final_files(case):
            review = newest.get(ArtifactNode(entry.path, entry.digest))
            if review is not None:
                asked[review.id] = review
                continue
            names.update(behind[entry.path].sources)
            if not behind[entry.path].whole:
                said = f"no review states the quality of {display_path(entry.path)}, and no source does"
                yield Finding(entry.path, said, _HINT, Outcome.INCOMPLETE)
        for run in asked.values():
            yield from _reviewed(run, terms)
        if names:
            for facts in states(case):
                if facts.id in names:
                    yield from _stated(facts, terms)


_MEASURE: Final = "dsvc feedback import, of an evaluation of this version by the same suite"


def _compared(change: QualityChange, tolerance: float) -> Iterator[Finding]:
    """Hold a metric against that of the release before; what is new has nothing to be held against."""
    before, after, low, high = change.before, change.after, change.low, change.high
    if before is None and after is not None:
        return
    said = f"{change.name} of release {change.release}"
    if before is None or after is None:
        yield Finding(b"", f"{said} can't be compared with this version", _MEASURE, Outcome.INCOMPLETE)
        return
    said = f"{said} was {before:g} and is {after:g} now"
    if before == after:
        return
    if change.higher_is_better is None:
        yield Finding(b"", f"{said}; which is better nobody says", _MEASURE, Outcome.INCOMPLETE)
        return
    sign = 1 if change.higher_is_better else -1
    if sign * (after - before) >= -tolerance:
        return
    if low is None or high is None:
        yield Finding(b"", f"{said}; whether that is chance can't be told", _MEASURE, Outcome.INCOMPLETE)
    elif max(sign * low, sign * high) < -tolerance:
        said = f"{said}: worse by more than {tolerance:g} (95%: {low:+g} to {high:+g})"
        yield Finding(b"", said, "dsvc defect list; repair what made it worse, and evaluate again")


_HINT: Final = "dsvc run --kind review --fact aspect=quality precision=0.98 …"


def _reviewed(run: KnownRun, terms: Terms) -> Iterator[Finding]:
    for name in METRICS:
        value = _share(run.fact(name))
        if value is None:
            yield run.lacks(name, name)
        elif value < terms.number(name):
            yield run.fails(f"{name} is {value:g}; at least {terms.number(name):g} is asked for")


def _stated(facts: SourceFacts, terms: Terms) -> Iterator[Finding]:
    stated: Mapping[str, str] = {
        name.strip(): value.strip()
        for name, _, value in (each.partition("=") for each in facts.texts("metrics"))
    }
    for name in METRICS:
        value = _share(stated.get(name))
        if value is None:
            example = ",".join(f"{each}=0.98" for each in METRICS)
            yield facts.lacks(f"its {name} is not stated", facts.setting(f"metrics={example}"))
        elif value < terms.number(name):
            yield facts.fails(f"{name} is {value:g}; at least {terms.number(name):g} is asked for")


def _share(text: str | None) -> float | None:
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None


RULES: Final = (Measured(),)
