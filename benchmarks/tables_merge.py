"""Three-way merges of a table: three formats, more changes, more rows; whole processes and calls.

Every merge is made in a fresh copy of one repository, whose working tree dsvc has looked at once. `cold` has
no row index; `indexed` has those of all three versions. DuckDB says what the result must be.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import StepFailed
from benchmarks.results import Reading
from benchmarks.rounds import say, workspace
from benchmarks.site import copy_over
from benchmarks.tables_site import Medians, TableSite, write_versions


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A table, and how many changes there are on each side."""

    name: str
    file: str
    rows: int = 200_000
    changes: int = 1_000


CASES = (
    Case(name="merge-parquet", file="t.parquet"),
    Case(name="merge-csv", file="t.csv"),
    Case(name="merge-jsonl", file="t.jsonl"),
    Case(name="merge-100-changes", file="t.parquet", changes=100),
    Case(name="merge-10000-changes", file="t.parquet", changes=10_000),
    Case(name="merge-2M-rows", file="t.parquet", rows=2_000_000),
)


def measure_merges(folder: Path, scale: float, rounds: int) -> Iterator[Reading]:
    """Every case, one after the other."""
    for case in CASES:
        with workspace(folder) as own:
            yield from _merge(case, own, max(1_000, round(case.rows * scale)), rounds)


def _merge(case: Case, own: Path, rows: int, rounds: int) -> Iterator[Reading]:
    say(f"{case.name}: writing the data")
    master = own / "master"
    write_versions(master, case.file, str(rows), str(case.changes), "--sides")
    origin = TableSite(own / "origin")
    _make_branches(origin, master)
    medians = Medians(case.name)
    for number in range(rounds):
        for name in ("cold", "indexed"):
            site = _copy(origin, own / "copy", indexed=name == "indexed")
            medians.took(name, site.dsvc("merge", "theirs"))
            if number == 0:
                _check(site, master, case, rows)
            site.remove()
            copies = [_copy(origin, own / f"call-{i}", indexed=name == "indexed") for i in range(2)]
            medians.calls(f"{name}_call", origin.call("merge", *(str(copy.tree) for copy in copies)))
            for copy in copies:
                copy.remove()
    yield from medians.readings()


def _make_branches(origin: TableSite, master: Path) -> None:
    """Branches `ours`, in the tree, and `theirs`, with the row indexes of both and of their base."""
    origin.start()
    origin.commit(master / "base")
    origin.dsvc("checkout", "-b", "theirs")
    origin.commit(master / "theirs")
    origin.dsvc("checkout", "-b", "ours", "HEAD~1")
    origin.commit(master / "ours")
    origin.dsvc("diff", "--stat", "HEAD~1", "HEAD")
    origin.dsvc("diff", "--stat", "HEAD~1", "theirs")


def _copy(origin: TableSite, folder: Path, *, indexed: bool) -> TableSite:
    copy = TableSite(folder)
    copy_over(origin.root, folder)
    if not indexed:
        copy.forget_indexes()
    # The copies have other time stamps; who merges has had a look at the tree before.
    copy.settle()
    return copy


def _check(site: TableSite, master: Path, case: Case, rows: int) -> None:
    sides = (str(master / side / case.file) for side in ("ours", "theirs"))
    wrong = site.call("check", str(rows), *sides, str(site.data / case.file))
    if wrong:
        raise StepFailed(f"{case.name}: {wrong} rows are not what they must be")
