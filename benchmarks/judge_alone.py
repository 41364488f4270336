"""The figures of dsvc alone: memory, a million files, start-up, costs."""

from collections.abc import Iterable, Mapping

from benchmarks.results import SpecialResult
from benchmarks.verdict import MIB, TOLERANCE, Verdict, at_most, count, mebibytes, percent, seconds, times


def _memory(result: SpecialResult | None) -> Iterable[Verdict]:
    for name, what in (("large", "20 GB file"), ("sparse", "100 GB sparse file")):
        for step in ("add", "commit", "add_2", "commit_2", "status", "checkout"):
            value = result.value(f"{name}_{step}_peak") if result else None
            yield at_most(f"peak memory, {what}, {step}", value, 512 * MIB, mebibytes)


def _million(result: SpecialResult | None) -> Iterable[Verdict]:
    for step in ("add", "commit", "status", "checkout"):
        value = result.value(f"growth_{step}") if result else None
        figure = f"1,000,000 files: {step}, time against ten times that of 100,000"
        yield at_most(figure, value, 1.0, times, tolerance=TOLERANCE)
    status = result.value("1000000_status") if result else None
    yield at_most("1,000,000 files: status", status, 6.0, seconds, tolerance=TOLERANCE)
    peak = result.value("1000000_peak") if result else None
    yield at_most("1,000,000 files: peak memory, every step", peak, 1024 * MIB, mebibytes)


def _startup(result: SpecialResult | None) -> Iterable[Verdict]:
    for name, limit in (("version", 0.1), ("help", 0.1), ("status", 0.2)):
        value = result.value(name) if result else None
        yield at_most(f"start-up, {name}", value, limit, seconds, tolerance=TOLERANCE)
    for name in ("version", "help"):
        value = result.value(f"{name}_imports_pygit2") if result else None
        yield at_most(f"start-up, {name}: imports of pygit2", value, 0, count)


def _cost(result: SpecialResult | None) -> Iterable[Verdict]:
    for workload in ("images", "small", "jsonl"):
        value = result.value(f"blake3_{workload}") if result else None
        yield at_most(f"BLAKE3's share of add, {workload}", value, 0.20, percent, tolerance=TOLERANCE)
    for workload in ("images", "small", "jsonl"):
        value = result.value(f"durability_{workload}") if result else None
        yield at_most(
            f"full durability's share of add, on disk, {workload}", value, 0.50, percent, tolerance=TOLERANCE
        )


def judge_alone(specials: Mapping[str, SpecialResult | None]) -> list[Verdict]:
    """Every figure that needs no peer."""
    return [
        *_memory(specials.get("memory")),
        *_million(specials.get("million")),
        *_startup(specials.get("startup")),
        *_cost(specials.get("cost")),
    ]
