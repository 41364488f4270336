"""The figures that row diffs, merges, blame and rewritten Parquet files must reach."""

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.results import SpecialResult
from benchmarks.verdict import (
    MIB,
    TOLERANCE,
    Verdict,
    at_most,
    count,
    mebibytes,
    megabytes,
    missing,
    seconds,
    times,
)

WAYS = (("worktree", "working tree against a commit"), ("commits", "two commits"))
# Cases that are compared with peers; those of 2 M rows have no daff, which takes more than ten minutes.
BESIDE = ("parquet-200k", "parquet-2M", "csv-200k", "csv-2M", "jsonl-200k")
# What a version adds is judged once gc has taken the bytes that the rewriting replaced.
PEERS_OF_PARQUET = ("git", "restic", "borg", "borg-lz4", "dvc", "oxen")


def _value(result: SpecialResult | None, name: str) -> float | None:
    return result.value(name) if result else None


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def _compared(
    figure: str, bound: str, own: float | None, other: tuple[str, float | None], most: float
) -> Verdict:
    """At most `most` times another's time."""
    whom, taken = other
    ratio = _ratio(own, taken)
    if ratio is None or own is None or taken is None:
        return missing(figure, bound)
    return Verdict(
        figure=figure,
        bound=bound,
        measured=f"{ratio:.2f} times ({seconds(own)}; {whom} {seconds(taken)})",
        met=ratio <= most * TOLERANCE,
    )


def _diffs(result: SpecialResult | None) -> Iterable[Verdict]:
    for way, what in WAYS:
        yield _compared(
            f"row diff of 2 M rows, {what}, no index",
            "not slower than a full join by hand",
            _value(result, f"parquet-2M_cold_{way}"),
            ("DuckDB", _value(result, "parquet-2M_join")),
            1.0,
        )
    for name, what in (("indexed", "whole process"), ("indexed_call", "call")):
        large = _value(result, f"parquet-2M_{name}")
        figure = f"row diff of 2 M rows, indexed, {what}"
        yield at_most(figure, large, 0.3, seconds, tolerance=TOLERANCE)
        ratio = _ratio(large, _value(result, f"parquet-200k_{name}"))
        figure = f"row diff, indexed, {what}: 2 M rows against 200,000"
        yield at_most(figure, ratio, 1.5, times, tolerance=TOLERANCE)


def _peers(result: SpecialResult | None) -> Iterable[Verdict]:
    for case in BESIDE:
        for way, what in (("cold_commits_rows", "no index"), ("indexed_rows", "indexed")):
            for peer in ("oxen", "daff"):
                taken = _value(result, f"{case}_{peer}")
                if taken is None and peer == "daff" and case != "csv-200k":
                    continue
                figure = f"row diff, {case}, {what}, every row listed"
                bound = f"at least 3 times as fast as {peer}"
                yield _compared(figure, bound, _value(result, f"{case}_{way}"), (peer, taken), 1 / 3)


def _merges(result: SpecialResult | None) -> Iterable[Verdict]:
    for case in ("parquet", "csv", "jsonl"):
        for name, what in (("cold", "no index"), ("indexed", "indexed")):
            figure = f"merge, 200,000 rows, 1,000 changes on each side, {case}, {what}"
            taken = _value(result, f"merge-{case}_{name}")
            yield at_most(figure, taken, 2.0, seconds, tolerance=TOLERANCE)


def _blame(result: SpecialResult | None) -> Iterable[Verdict]:
    for name, what in (("unchanged", "made by the first"), ("changed_always", "changed by each")):
        figure = f"blame over 100 commits, a row {what}, indexed"
        yield at_most(figure, _value(result, f"{name}_again"), 0.5, seconds, tolerance=TOLERANCE)


def _memory(result: SpecialResult | None) -> Iterable[Verdict]:
    for case in ("csv", "jsonl"):
        names = ("cold_worktree", "cold_commits", "cold_commits_rows", "indexed", "indexed_rows")
        peaks = [_value(result, f"{case}-640MB_{name}_peak") for name in names]
        known = [peak for peak in peaks if peak is not None]
        figure = f"row diff, {case} of 640 MB: peak memory"
        yield at_most(figure, max(known, default=None), 1024 * MIB, mebibytes)


def _normalized(result: SpecialResult | None) -> Iterable[Verdict]:
    for edit, what in (("drop", "500 rows dropped"), ("mixed", "cells, rows dropped and added")):
        figure = f"bytes that a rewritten Parquet file adds, {what}"
        own = _value(result, f"dsvc-normalized_{edit}_after_gc_added")
        peers = _sizes(result, edit, PEERS_OF_PARQUET)
        if own is None or not peers:
            yield missing(figure, "at most a tenth of the smallest peer's")
            continue
        size, peer = min(peers)
        measured = f"{own / size:.3f} times ({megabytes(own)}; {peer} {megabytes(size)})"
        bound = "at most a tenth of the smallest peer's"
        yield Verdict(figure=figure, bound=bound, measured=measured, met=own <= size / 10)


def _sizes(result: SpecialResult | None, edit: str, peers: Sequence[str]) -> list[tuple[float, str]]:
    found = ((_value(result, f"{peer}_{edit}_added"), peer) for peer in peers)
    return [(size, peer) for size, peer in found if size is not None]


def _counts(result: SpecialResult | None) -> Iterable[Verdict]:
    """A run whose counts differ from the join's ends, so that what there is, is equal."""
    for case in ("parquet-200k", "parquet-2M"):
        found = [_value(result, f"{case}_{name}") for name in ("added", "removed", "changed", "cells")]
        figure, bound = f"counts, {case}", "exactly those of the join"
        numbers = [count(number) for number in found if number is not None]
        if len(numbers) < len(found):
            yield missing(figure, bound)
        else:
            measured = "added {}, removed {}, changed {}, cells {}".format(*numbers)
            yield Verdict(figure=figure, bound=bound, measured=measured, met=True)


def judge_tables(specials: Mapping[str, SpecialResult | None]) -> list[Verdict]:
    """Every figure of tables."""
    tables = specials.get("tables")
    return [
        *_counts(tables),
        *_diffs(tables),
        *_merges(tables),
        *_blame(specials.get("blame")),
        *_peers(tables),
        *_memory(tables),
        *_normalized(specials.get("parquet_normalize")),
    ]
