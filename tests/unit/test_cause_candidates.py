"""Candidate causes against a count in plain Python, row by row, over random chains of runs."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsvc.lineage.artifacts import folder_digest, relative
from dsvc.model.defect import CauseKind
from dsvc.model.errors import NotFoundError
from dsvc.model.ids import CommitId
from dsvc.model.manifest import Entry
from dsvc.model.run_record import RunKind
from dsvc.porcelain.feedback.cause_candidates import CandidateCauses, CandidateRows
from tests.lineagekit import Lab, Made, csv
from tests.porcelain.working import Work

Rows = dict[tuple[str, str], set[int]]
RULES = '[tables."*.csv"]\nkey = ["id"]\nannotator = "谁"\ncontent = "text"\nsubject = "person"\n'


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(Work(tmp_path / "数据"))


def named(found: CandidateRows) -> Rows:
    """Rows of each candidate; those of one name put together would hide that there are two."""
    rows: Rows = {}
    for each in found.candidates:
        assert (each.kind.value, each.id) not in rows
        rows[each.kind.value, each.id] = set(np.flatnonzero(each.rows.mask(found.size)).tolist())
    return rows


def candidates(lab: Lab, commit: CommitId, entry: Entry, rows: Sequence[int] | None = None) -> CandidateRows:
    chosen = None if rows is None else np.array(rows, np.int64)
    return CandidateCauses(lab.repo, commit).of(entry.path, entry.digest, rows=chosen)


class Plain:
    """The same things, by looking at one row after the other."""

    def __init__(self) -> None:
        self.tables: dict[bytes, list[dict[str, str]]] = {}
        self.made: dict[bytes, Made] = {}
        self.facts: dict[bytes, Mapping[str, str]] = {}
        self.parameters: dict[bytes, Mapping[str, str]] = {}
        self.names: dict[bytes, str] = {}
        self.sources: dict[bytes, dict[str, set[int] | None]] = defaultdict(dict)

    def above(self, path: bytes, row: int) -> set[tuple[bytes, int]]:
        """All rows that a row came from, and the row itself."""
        found, pending = set(), [(path, row)]
        while pending:
            each = pending.pop()
            if each in found:
                continue
            found.add(each)
            made = self.made.get(each[0])
            for number, read in enumerate(made.inputs if made else ()):
                assert isinstance(read, Entry)
                assert made is not None
                pairs = made.links.get((0, number), set())
                pending += [(read.path, up) for down, up in pairs if down == each[1]]
        return found

    def rows(self, path: bytes, count: int) -> Rows:
        rows: Rows = defaultdict(set)
        beyond = {row: self.above(path, row) for row in range(count)}
        passed = {row: {at for at, _ in above if at in self.made} for row, above in beyond.items()}
        ways = {at for above in beyond.values() for at, _ in above}
        leaves = {at for at in ways if at not in self.made}
        several = {
            each.path
            for at in ways & self.made.keys()
            for each in self.made[at].inputs
            if isinstance(each, Entry) and len(self.made[at].inputs) > 1
        }
        several |= leaves if len(leaves) > 1 else set()
        for row, above in beyond.items():
            for at, up in above:
                for source, speaks in self.sources.get(at, {}).items():
                    if speaks is None or up in speaks:
                        rows["source", source].add(row)
                if at in several and at != path:
                    rows["artifact", at.decode()].add(row)
            for at in passed[row]:
                rows["run", self.made[at].id.hex()].add(row)
                for kind, value in self.facts[at].items():
                    rows[kind, value].add(row)
                rows_of = [n for n in self.names if self.names[n] == self.names[at] and n in ways]
                for name, value in self.parameters[at].items():
                    if len({self.parameters[n].get(name) for n in rows_of}) > 1:
                        rows["param", f"{self.names[at]}.{name}={value}"].add(row)
        self._columns(path, beyond, rows)
        return {name: found for name, found in rows.items() if found}

    def _columns(self, path: bytes, beyond: Mapping[int, set[tuple[bytes, int]]], rows: Rows) -> None:
        own = self.tables[path][0].keys()
        differs = {
            (at, name)
            for row, above in beyond.items()
            for at, up in above
            for name, value in self.tables[at][up].items()
            if name in own and self.tables[path][row][name] != value
        }
        for row, above in beyond.items():
            for at, up in above:
                for name, value in self.tables[at][up].items():
                    if name in ("id", "text", "person"):
                        continue
                    if name == "谁":
                        rows["annotator", value].add(row)
                    elif at == path or name not in own:
                        rows["column", f"{name}={value}"].add(row)
                    elif (at, name) in differs:
                        rows["column", f"{at.decode()}#{name}={value}"].add(row)


def write(plain: Plain, lab: Lab, path: bytes, rows: list[dict[str, str]]) -> Entry:
    plain.tables[path] = rows
    columns = list(rows[0])
    if path.endswith(b".parquet"):
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows), sink)
        return lab.put({path: sink.getvalue().to_pybytes()})[path]
    return lab.put({path: csv([[row[name] for name in columns] for row in rows], ",".join(columns))})[path]


def chain(lab: Lab, seed: int) -> tuple[Plain, Entry]:
    """Two raw tables, mixed, each mix relabelled, then put together with merged and dropped rows."""
    draw = random.Random(seed)
    plain, serial = Plain(), iter(range(10_000))

    def made(count: int, columns: Iterable[str]) -> list[dict[str, str]]:
        return [
            {"id": str(next(serial)), **{name: f"{name[0]}{draw.randrange(3)}" for name in columns}}
            for _ in range(count)
        ]

    def run(name: str, inputs: list[Entry], output: Entry, most: int, **more: str) -> None:
        links: dict[tuple[int, int], list[tuple[int, int]]] = {(0, n): [] for n in range(len(inputs))}
        for row in range(output.rows or 0):
            for _ in range(draw.randint(1, most)):
                number = draw.randrange(len(inputs))
                links[0, number].append((row, draw.randrange(inputs[number].rows or 0)))
        facts = {"annotator": more["annotator"], "batch": more["batch"]} if "annotator" in more else {}
        parameters = {"threshold": more["threshold"], "same": "1"} if "threshold" in more else {}
        kind = RunKind.LABEL if facts else RunKind.TRANSFORM
        done = lab.run(name, inputs, [output], links, facts=facts, parameters=parameters, kind=kind)
        plain.made[output.path], plain.names[output.path] = done, name
        plain.facts[output.path], plain.parameters[output.path] = facts, parameters

    lab.work.write({b"dsvc.toml": RULES.encode()})
    first = write(plain, lab, b"raw/a.csv", made(20, ["text", "lang", "person"]))
    second = write(plain, lab, "raw/乙.parquet".encode(), made(15, ["lang", "域"]))
    lab.source("web", [first])
    lab.source("books", [second], rows={second.path: [0, 3, 4, 9]})
    lab.source("news", [second], rows={second.path: [1, 2]})
    plain.sources[first.path] = {"web": None}
    plain.sources[second.path] = {"books": {0, 3, 4, 9}, "news": {1, 2}}
    parts = []
    for number in range(3):
        part = write(plain, lab, b"part%d.csv" % number, made(12, ["lang", "谁"]))
        more = {"threshold": f"0.{number % 2}", "annotator": f"ann-{number}", "batch": "b1"}
        run("label", [first, second] if number else [first], part, 2, **more)
        parts.append(part)
    final = write(plain, lab, "成品.csv".encode(), made(30, ["lang", "谁", "label"]))
    run("mix", parts, final, 2)
    return plain, final


@pytest.mark.parametrize("seed", range(3))
def test_candidates_are_those_of_a_count_row_by_row(lab: Lab, seed: int) -> None:
    plain, final = chain(lab, seed)
    commit = lab.commit()
    expected = plain.rows(final.path, final.rows or 0)
    assert named(candidates(lab, commit, final)) == expected
    # Of some rows, in another order than the table has them.
    some = random.Random(seed).sample(range(30), 11)
    places = {row: place for place, row in enumerate(some)}
    of_some = {name: {places[row] for row in rows if row in places} for name, rows in expected.items()}
    found = candidates(lab, commit, final, some)
    found_rows = named(found)
    assert {k: v for k, v in found_rows.items() if "#" not in k[1] and k[0] not in ("artifact", "param")} == {
        k: v for k, v in of_some.items() if v and "#" not in k[1] and k[0] not in ("artifact", "param")
    }
    assert found.rows_of([(CauseKind.ANNOTATOR, "谁1")]).tolist() == sorted(
        set(some) & expected["annotator", "谁1"]
    )


def test_rows_of_a_folder_are_its_files(lab: Lab) -> None:
    """photos/ has been made of raw/, file by file, but for one that was put there by hand."""
    lab.put({b"raw/%d.txt" % n: b"raw %d" % n for n in range(4)})
    lab.put({b"photos/%d.txt" % n: b"photo %d" % n for n in range(4)})
    raw, photos = lab.folder(b"raw"), lab.folder(b"photos")
    lab.source("camera", [raw.entries[0], raw.entries[2]])
    made = lab.run("develop", [raw], [photos], {(0, 0): [(n, 3 - n) for n in range(3)]})
    commit = lab.commit()
    listed = relative(photos.entries, b"photos")
    digest = folder_digest((each.path, each.mode, each.digest) for each in listed)
    found = CandidateCauses(lab.repo, commit).of(b"photos", digest, folder=True)
    assert found.records == 4
    assert named(found) == {
        ("run", made.id.hex()): {0, 1, 2, 3},
        ("source", "camera"): {1},
        ("artifact", "raw/1.txt"): {2},
        ("artifact", "raw/2.txt"): {1},
        ("artifact", "raw/3.txt"): {0},
    }
    # A folder that no run knows as such: file by file.
    both = [*lab.repo.manifest_of("HEAD").entries(b"raw")]
    digest = folder_digest((each.path, each.mode, each.digest) for each in relative(both, b"raw"))
    assert named(CandidateCauses(lab.repo, commit).of(b"raw", digest, folder=True)) == {
        ("source", "camera"): {0, 2},
    }


def test_where_no_map_says_which_rows_all_stand_for_all(lab: Lab) -> None:
    one = lab.put({b"one.csv": csv([(n, "a") for n in range(5)], "id,kind")})[b"one.csv"]
    two = lab.put({b"two.csv": csv([(n, "b") for n in range(5)], "id,kind")})[b"two.csv"]
    lab.source("web", [one], rows={b"one.csv": [0]})
    made = lab.put({b"made.csv": csv([(n,) for n in range(8)], "id")})[b"made.csv"]
    first = lab.run("mix", [one, two], [made])
    last = lab.put({b"last.csv": csv([(n,) for n in range(3)], "id")})[b"last.csv"]
    second = lab.run("head", [made], [last], {(0, 0): [(0, 1), (1, 4), (2, 4)]})
    commit = lab.commit()
    everything = {0, 1, 2}
    assert named(candidates(lab, commit, last)) == {
        ("source", "web"): everything,
        ("run", first.id.hex()): everything,
        ("run", second.id.hex()): everything,
        ("artifact", "one.csv"): everything,
        ("artifact", "two.csv"): everything,
    }


def test_values_are_known_by_what_they_are_not_by_how_they_are_written(lab: Lab) -> None:
    rows = [(n, "1.5" if n % 3 else "1.50", "" if n % 5 else "x", n % 2) for n in range(30)]
    table = lab.put({b"a.csv": csv(rows, "id,n,text,flag")})[b"a.csv"]
    commit = lab.commit()
    assert named(candidates(lab, commit, table)) == {
        ("column", "n=1.5"): set(range(30)),
        ("column", "text=null"): {n for n in range(30) if n % 5},
        ("column", "text=x"): {n for n in range(30) if not n % 5},
        ("column", "flag=0"): set(range(0, 30, 2)),
        ("column", "flag=1"): set(range(1, 30, 2)),
    }


def test_of_many_annotators_the_busiest_count(lab: Lab) -> None:
    lab.work.write({b"dsvc.toml": RULES.encode()})
    rows = [(n, f"ann-{n % 60 if n < 600 else n % 50}", f"v{n % 60}") for n in range(700)]
    table = lab.put({b"a.csv": csv(rows, "id,谁,many")})[b"a.csv"]
    commit = lab.commit()
    found = candidates(lab, commit, table)
    assert {name for kind, name in named(found)} == {f"ann-{n}" for n in range(50)}
    assert found.left_out == ("谁",)


def test_what_is_not_there_is_refused(lab: Lab) -> None:
    table = lab.put({b"a.csv": csv([(1, 2)])})[b"a.csv"]
    commit = lab.commit()
    causes = CandidateCauses(lab.repo, commit)
    for path, digest, folder in (
        (b"b.csv", table.digest, False),
        (b"a.csv", bytes(32), False),
        (b"x", b"", True),
    ):
        with pytest.raises(NotFoundError):
            causes.of(path, digest, folder=folder)
    with pytest.raises(NotFoundError):
        causes.of(b"a.csv", table.digest, rows=np.array([1], np.int64))
