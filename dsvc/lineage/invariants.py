"""The rules that hold for every lineage: each leaf has a source, and what is recorded holds together."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from dsvc.lineage.closure import Closure
from dsvc.lineage.grades import grades_of
from dsvc.lineage.graph import ArtifactNode
from dsvc.lineage.run_check import check_run, check_source
from dsvc.lineage.validation import (
    Finding,
    Judged,
    artifact_subject,
    run_subject,
    source_subject,
    unreadable,
)
from dsvc.model.errors import DsvcError
from dsvc.model.manifest import Kind
from dsvc.model.paths import display_path
from dsvc.model.run_record import Run, RunId, RunKind

_NO_DIGEST: Final = bytes(32)


def sourced(judged: Judged) -> Iterator[Finding]:
    """SRC-01: each leaf of the lineage has a source record."""
    yield from _unknown(judged)
    for lack in judged.closure.uncovered:
        node = ArtifactNode(lack.path, lack.digest)
        yield Finding(artifact_subject(judged, node), lack.message, lack.hint)


def _unknown(judged: Judged) -> Iterator[Finding]:
    """Runs and sources that can't be read: whatever they say is unknown."""
    for run, error in sorted(judged.origins.runs.unreadable.items()):
        yield unreadable(run_subject(run), error)
    for source, error in sorted(judged.origins.sources.unreadable.items()):
        yield unreadable(source_subject(source), error)


def acyclic(judged: Judged) -> Iterator[Finding]:
    """LIN-01: nothing comes from itself, and everything has a run or a source that it comes from."""
    for node in judged.closure.circular:
        yield Finding(
            artifact_subject(judged, node),
            f"{display_path(node.path)} comes from nothing but itself",
            "dsvc source add says where it came from first",
        )


def whole(judged: Judged) -> Iterator[Finding]:
    """LIN-02: only sources in force are reached, and every record that is reached is whole."""
    yield from _withdrawn(judged)
    runs = judged.origins.runs
    for id_ in judged.closure.runs:
        run = runs.run(id_)
        subject = run_subject(id_)
        for flaw in check_run(runs.trees[id_]):
            if flaw.error is not None:
                yield unreadable(subject, flaw.error)
            else:
                yield Finding(subject, f"run {run.name}: {flaw.message}", "dsvc fsck names what is damaged")
        if not run.complete:
            why = "; ".join(run.problems) or "rows are not accounted for"
            yield Finding(
                subject,
                f"run {run.name} is not complete: {why}",
                "run it again with --key, or with a row map",
            )
    for name in _sources(judged.closure):
        for flaw in check_source(judged.origins.sources.all[name].now, name):
            if flaw.error is not None:
                yield unreadable(source_subject(name), flaw.error)
            else:
                yield Finding(source_subject(name), f"source {name}: {flaw.message}")


def _sources(closure: Closure) -> list[str]:
    return sorted(closure.reached)


def _withdrawn(judged: Judged) -> Iterator[Finding]:
    """Everything downstream of a source that is not in force."""
    sources = judged.origins.sources.all
    names = [name for name in _sources(judged.closure) if not sources[name].in_force]
    for name, reached in judged.closure.downstream(names).items():
        source = sources[name]
        why = f": {source.reason}" if source.reason else ""
        for node in judged.closure.roots:
            if node in reached:
                yield Finding(
                    node.path,
                    f"{display_path(node.path)} comes from source {name}, which is {source.status}{why}",
                    f"dsvc impact source:{name} lists all that comes from it",
                )


def explained(judged: Judged) -> Iterator[Finding]:
    """LIN-03: each run says with which code, where, by whom and when."""
    for id_ in judged.closure.runs:
        run = judged.origins.runs.run(id_)
        for problem in _gaps(run):
            yield Finding(run_subject(id_), f"run {run.name}: {problem}")


def _gaps(run: Run) -> Iterator[str]:
    if run.code.digest == _NO_DIGEST and not (run.manual or "").strip():
        yield "neither its code nor what was done by hand is recorded"
    if not (run.environment.python or run.environment.platform or run.environment.dsvc):
        yield "where it ran is not recorded"
    if not run.agent.name.strip():
        yield "who ran it is not recorded"
    try:
        started, ended = (datetime.fromisoformat(text) for text in (run.started_at, run.ended_at))
        if started.tzinfo is None or ended.tzinfo is None:
            yield "its times have no zone"
        elif started > ended:
            yield "it ended before it started"
    except ValueError:
        yield "its times are not RFC 3339"


def graded(judged: Judged) -> Iterator[Finding]:
    """LIN-04: what a run made is graded no lower than what it read, unless someone declassified it."""
    for id_, stated, least in grades_of(judged.origins, judged.closure).lowered:
        run = judged.origins.runs.run(id_)
        yield Finding(
            run_subject(id_),
            f"run {run.name} grades its outputs {stated}; what it read is {least}",
            "dsvc run --declassify REASON records why that is right",
        )


def unleaked(judged: Judged) -> Iterator[Finding]:
    """LIN-05: no row of equal content is in two outputs of a split."""
    runs = judged.origins.runs
    for id_ in judged.closure.runs:
        run = runs.run(id_)
        if run.kind is RunKind.SPLIT:
            try:
                yield from _leaks(judged, id_, run)
            except DsvcError as error:
                yield unreadable(run_subject(id_), error)


def _leaks(judged: Judged, id_: RunId, run: Run) -> Iterator[Finding]:
    import numpy as np

    tree = judged.origins.runs.trees[id_]
    folders = [n for n, each in enumerate(run.outputs) if each.folder]
    single = {n: tree.output_files(n)[0] for n, each in enumerate(run.outputs) if not each.folder}
    # A table that can't be read is unknown; a file that is none has no rows to leak.
    files = [n for n, entry in single.items() if entry.kind == Kind.TABLE]
    entries = [single[n] for n in files]
    found = dict(zip(files, judged.row_hashes(entries), strict=True))
    listed = {number: {entry.digest for entry in tree.output_files(number)} for number in folders}
    for number, other in ((a, b) for a in range(len(run.outputs)) for b in range(a)):
        count = 0
        if number in found and other in found:
            count = len(np.intersect1d(found[number], found[other]))
        elif number in listed and other in listed:
            count = len(listed[number] & listed[other])
        if count:
            names = [display_path(run.outputs[n].path) for n in (other, number)]
            yield Finding(
                run_subject(id_),
                f"run {run.name}: {count} rows of {names[0]} are in {names[1]} too",
                "split by a key that equal rows share, or after dropping duplicates",
            )
