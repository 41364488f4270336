"""What a release counts, held against counts by hand: every row traced by itself, every reason added up."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsvc.lineage.fates import UNSPECIFIED
from dsvc.lineage.validation import Outcome
from dsvc.model.run_record import RunKind
from dsvc.porcelain.policy.verdict import CheckResult
from dsvc.porcelain.release.release_facts import About, Wanted, collect_facts
from dsvc.porcelain.state.moment import Moment
from dsvc.release.facts import ReleaseFacts
from tests.lineagekit import Lab, csv
from tests.porcelain.working import Work


def facts_of(lab: Lab, *paths: bytes) -> ReleaseFacts:
    head = lab.repo.history.refs.head().commit
    assert head is not None
    at = "2026-11-22T10:00:00Z"
    wanted = Wanted("v1", head, paths, About(), "a <a@b>", at, at, Moment("2026-11-22"))
    return collect_facts(lab.repo, wanted, CheckResult(outcome=Outcome.PASS))


def traced(lab: Lab, path: str, rows: int) -> Counter[tuple[str, ...]]:
    """Sources of each row by itself, as `trace` tells them."""
    found: Counter[tuple[str, ...]] = Counter()
    for row in range(rows):
        result = lab.repo.trace(f"{path}#@{row}")
        found[tuple(sorted(each.source.id for each in result.sources))] += 1
    return found


pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=8, unique=True)


@given(first=pairs, second=pairs, third=pairs)
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
def test_rows_of_a_mixture_are_those_that_trace_finds_row_by_row(
    tmp_path_factory: pytest.TempPathFactory,
    first: list[tuple[int, int]],
    second: list[tuple[int, int]],
    third: list[tuple[int, int]],
) -> None:
    lab = Lab(Work(tmp_path_factory.mktemp("mix") / "数据"))
    a, b = lab.put(
        {b"a.csv": csv([(n, "a") for n in range(4)]), b"b.csv": csv([(n, "b") for n in range(4)])}
    ).values()
    lab.source("甲", [a], rows={b"a.csv": [0, 1, 2]})
    lab.source("丙", [a], rows={b"a.csv": [2, 3]})
    lab.source("乙", [b], record={"fields": {"synthetic": "yes", "modality": ("text", "audio")}})
    (mid,) = lab.put({b"mid.csv": csv([(n, "m") for n in range(5)])}).values()
    lab.run("join", [a, b], [mid], {(0, 0): first, (0, 1): second}, kind=RunKind.AUGMENT)
    (out,) = lab.put({b"out.csv": csv([(n, "o") for n in range(5)])}).values()
    lab.run("again", [mid, b], [out], {(0, 0): [(o, i) for o, i in third], (0, 1): []}, kind=RunKind.AUGMENT)
    lab.commit()
    facts = facts_of(lab)
    expected: Counter[tuple[str, ...]] = Counter()
    for path, rows in (("a.csv", 4), ("b.csv", 4), ("mid.csv", 5), ("out.csv", 5)):
        expected += traced(lab, path, rows)
    assert {each.of: each.rows for each in facts.mixture.by_source} == dict(expected)
    assert facts.mixture.rows == 18
    assert sum(each.bytes for each in facts.mixture.by_source) == facts.mixture.bytes == facts.size
    synthetic = sum(rows for names, rows in expected.items() if "乙" in names)
    assert facts.mixture.synthetic_rows == synthetic
    types = {each.of: each.rows for each in facts.mixture.by_type}
    assert types.get(("audio+text",), 0) == synthetic


def test_a_folder_that_a_run_made_is_known_file_by_file(tmp_path: Path) -> None:
    lab = Lab(Work(tmp_path / "数据"))
    lab.put(
        {b"in/a.png": b"1", b"in/b.png": b"2", b"other.png": b"3", b"out/a.png": b"4", b"out/b.png": b"5"}
    )
    folder, out = lab.folder(b"in"), lab.folder(b"out")
    (one, two) = folder.entries
    lab.source("甲", [one])
    lab.source("乙", [two])
    lab.run("清洗", [folder], [out], {(0, 0): [(0, 0), (1, 1)]})
    lab.commit()
    facts = facts_of(lab, b"out")
    assert {each.of: each.rows for each in facts.mixture.by_source} == {("甲",): 1, ("乙",): 1}
    assert [each.name for each in facts.lineage.runs] == ["清洗"]


def test_drops_are_counted_by_run_and_reason(tmp_path: Path) -> None:
    lab = Lab(Work(tmp_path / "数据"))
    (raw,) = lab.put({b"raw.csv": csv([(n, "r") for n in range(9)])}).values()
    lab.source("甲", [raw])
    (out,) = lab.put({b"out.csv": csv([(n, "r") for n in range(4)])}).values()
    lab.run("清洗", [raw], [out], {(0, 0): [(n, n) for n in range(4)]})
    (unused,) = lab.put({b"unused.csv": csv([(1, "u")])}).values()
    lab.run("aside", [raw], [unused], {(0, 0): [(0, 8)]})
    lab.commit()
    drops = facts_of(lab, b"out.csv").drops
    assert [(each.name, each.reason, each.rows) for each in drops.lines] == [("清洗", UNSPECIFIED, 5)]
    assert facts_of(lab).drops.rows == 5 + 8


def test_added_rows_come_from_nowhere_and_generated_ones_are_synthetic(tmp_path: Path) -> None:
    lab = Lab(Work(tmp_path / "数据"))
    (raw,) = lab.put({b"raw.csv": csv([(n, "r") for n in range(3)])}).values()
    lab.source("甲", [raw], record={"fields": {"synthetic": "no"}})
    (more,) = lab.put({b"more.csv": csv([(n, "m") for n in range(5)])}).values()
    lab.run("增", [raw], [more], {(0, 0): [(0, 0), (1, 1), (2, 2)]}, kind=RunKind.AUGMENT)
    (made,) = lab.put({b"made.csv": csv([(n, "g") for n in range(2)])}).values()
    lab.run("合成", [raw], [made], {(0, 0): [(0, 0), (1, 0)]}, kind=RunKind.SYNTHESIZE)
    lab.commit()
    mixture = facts_of(lab).mixture
    assert {each.of: each.rows for each in mixture.by_source} == {(): 2, ("甲",): 3 + 3 + 2}
    assert (mixture.synthetic_rows, mixture.unknown_rows, mixture.synthetic_share) == (2, 2, None)
