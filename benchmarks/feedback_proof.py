"""The proof of a repair: what it takes within `repair apply`, and alone.

`python -m benchmarks feedback --part proof`. The repair is that of `feedback_repair`: five tables of a
million rows, of which 1,000 rows each differ, and four runs done again. Its row indexes are there, as they
are when a repair is applied.
"""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.feedback_pipeline import FINAL, TABLES, RepairSite
from benchmarks.feedback_repair import TOPICS, WrongResult, write_feedback, write_rows
from benchmarks.results import Reading
from benchmarks.rounds import workspace
from benchmarks.tables_site import Medians

CALLS = 5
CALLS_MODULE = "feedback_calls"


def _reading(name: str) -> str:
    return {"proof": "within apply", "all": "apply all"}.get(name, f"apply step {name}")


def measure_proof(place: Path, scale: float, rounds: int) -> Iterator[Reading]:
    """Apply a repair in each round, timed from within, and prove it again in another process."""
    medians = Medians("proof")
    with workspace(place) as own:
        rows = write_rows(own / "master", scale)
        base = RepairSite(own / "base")
        base.record(own / "master")
        feedback = own / "feedback.jsonl"
        write_feedback(feedback, base.tree / FINAL, scale)
        defect = base.flag(feedback)
        for turn in range(rounds):
            site = base.copy_to(own / "repair")
            repair, _ = site.plan(defect, TOPICS[turn % len(TOPICS)])
            applied = site.call("apply", str(site.tree), repair, module=CALLS_MODULE)
            for name, taken in applied.items():
                medians.calls(_reading(name), [taken])
            proved = site.call("prove", str(site.tree), repair, str(CALLS), module=CALLS_MODULE)
            if not proved["holds"] or not proved["same"] or set(proved["tables"]) != set(TABLES):
                raise WrongResult(f"the proof is another one than that of apply: {proved}")
            medians.calls("call, first", proved["seconds"][:1])
            medians.calls("call", proved["seconds"][1:])
            site.remove()
    yield from medians.spaced()
    yield Reading(name="proof rows of a table", value=rows, unit="count")
    yield Reading(name="proof tables", value=len(TABLES), unit="count")
