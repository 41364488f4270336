"""Indexing a table by another version: what comes out is what reading all of it gives."""

from __future__ import annotations

import json
import pickle
import random
from difflib import SequenceMatcher

import numpy as np
import pytest

from dsvc.model.table_kind import TableFormat, TableKind
from dsvc.table.index import index_reuse
from dsvc.table.index.index_builder import build_index
from dsvc.table.index.index_gaps import index_by_gaps
from dsvc.table.index.index_reuse import Kept, Like, index_like
from dsvc.table.index.row_index import RowIndex
from dsvc.table.origin.memory_source import MemorySource
from dsvc.table.text.text_donor import TextDonor

WORDS = ["甲", "b", '"q""x"', '"line\nbreak"', "", "1", "2.5", "2020-01-02", "true", "007"]


def lines(kind: TableFormat, rng: random.Random, count: int, first: int) -> list[bytes]:
    found = []
    for number in range(first, first + count):
        if kind is TableFormat.JSONL:
            row = {"id": number, "v": rng.choice([1, 2.5, "x", None, [1], {"a": 1}]), "w": rng.randint(0, 3)}
            found.append(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        else:
            found.append(f"{number},{rng.choice(WORDS)},{rng.randint(0, 3)}\n".encode())
    return found


def edited(records: list[bytes], kind: TableFormat, rng: random.Random) -> list[bytes]:
    result = list(records)
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(result))
        what = rng.choice(["insert", "remove", "replace"])
        if what != "insert":
            del result[at : at + rng.randint(1, 3)]
        if what != "remove":
            result[at:at] = lines(kind, rng, rng.randint(1, 3), rng.randint(10_000, 99_999))
    return result


def shared(old: bytes, new: bytes) -> list[Kept]:
    """Stretches that both hold, found by lines and then moved off the line ends."""
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    at = np.concatenate(([0], np.cumsum([len(line) for line in before])))
    now = np.concatenate(([0], np.cumsum([len(line) for line in after])))
    found = []
    for block in SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks():
        start, end, here = int(at[block.a]), int(at[block.a + block.size]), int(now[block.b])
        # Chunks end anywhere in a line; the first begins where the file does.
        front, back = (3 if start else 0), 3
        if end - start > front + back:
            found.append(Kept(start + front, end - back, here + front))
    return found


def rows(index: RowIndex) -> dict[str, list[int]]:
    return {name: cells.tolist() for name, cells in sorted(index.cells().items())}


@pytest.mark.parametrize("kind", [TableFormat.JSONL, TableFormat.CSV])
@pytest.mark.parametrize("seed", range(6))
def test_an_index_made_by_another_version_is_the_one_that_reading_all_gives(
    kind: TableFormat, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_reuse, "_PIECES_AT_ONCE", 3)
    monkeypatch.setattr(index_reuse, "_MIN_RUN_BYTES", 1)
    rng = random.Random(seed)
    header = b"" if kind is TableFormat.JSONL else b"id,v,w\n"
    records = lines(kind, rng, 1500, 0)
    old = header + b"".join(records)
    new = header + b"".join(edited(records, kind, rng))
    if seed % 3 == 0:
        new = new.rstrip(b"\n")
    table = TableKind(kind)
    before = MemorySource("t", old)
    after = MemorySource("t", new)
    like = Like(before, build_index(before, table), shared(old, new))
    found, expected = index_like(after, table, like), build_index(after, table)
    assert found is not None
    assert rows(found) == rows(expected)
    assert found.columns == expected.columns
    # Every piece says where its first record begins.
    for piece, start in zip(found.pieces, found.starts, strict=False):
        at = int(piece["offset"])
        assert new[:at].endswith(b"\n") or at == 0
        assert int(start) == 0 or at > 0
    shares = np.isin(found.pieces["id"], like.index.pieces["id"]).mean()
    assert shares > 0.5


@pytest.mark.parametrize("kind", [TableFormat.JSONL, TableFormat.CSV])
@pytest.mark.parametrize("seed", range(8))
def test_so_is_one_of_a_table_that_differs_in_many_places(kind: TableFormat, seed: int) -> None:
    rng = random.Random(seed)
    header = b"" if kind is TableFormat.JSONL else b"id,v,w\n"
    records = lines(kind, rng, 3000, 0)
    old = header + b"".join(records)
    changed = records
    for _ in range(rng.randint(1, 6)):
        changed = edited(changed, kind, rng)
    new = header + b"".join(changed)
    if seed % 3 == 0:
        new = new.rstrip(b"\n")
    table = TableKind(kind)
    before, after = MemorySource("t", old), MemorySource("t", new)
    base = build_index(before, table)
    like = Like(before, base, shared(old, new))
    runs = index_reuse._runs(base, like.kept, 1)
    found, expected = index_by_gaps(after, table, like, runs), build_index(after, table)
    assert found is not None
    assert rows(found) == rows(expected)
    assert found.columns == expected.columns
    assert index_like(after, table, like) is not None
    # Every piece says where its first record begins.
    with TextDonor(after, table) as donor:
        assert found.pieces["offset"].tolist() == donor.starts[found.starts[:-1]].tolist()
    assert np.isin(found.pieces["id"], base.pieces["id"]).mean() > 0.5
    # It is made in a process of its own, and handed over.
    assert rows(pickle.loads(pickle.dumps(found))) == rows(expected)


def test_a_column_whose_only_text_is_gone_is_read_again_and_becomes_a_number() -> None:
    table = TableKind(TableFormat.CSV)
    records = [f"{n},{n * 7}\n".encode() for n in range(2000)]
    odd = [*records[:1000], b"1000,n/a\n", *records[1001:]]
    old, new = b"id,v\n" + b"".join(odd), b"id,v\n" + b"".join(records)
    before, after = MemorySource("t", old), MemorySource("t", new)
    base = build_index(before, table)
    assert base.column("v") is not None
    assert [c.type for c in base.columns] == ["int64", "string"]
    made = build_index(after, table, Like(before, base, shared(old, new)))
    assert [c.type for c in made.columns] == ["int64", "int64"]


def test_a_quote_that_opens_before_what_is_shared_makes_all_be_read() -> None:
    table = TableKind(TableFormat.CSV)
    records = [f"{n},x\n".encode() for n in range(2000)]
    old = b"id,v\n" + b"".join(records)
    new = b"id,v\n" + b'0,"open\n' + b"".join(records[1:1500]) + b'",y\n' + b"".join(records[1500:])
    before, after = MemorySource("t", old), MemorySource("t", new)
    like = Like(before, build_index(before, table), shared(old, new))
    assert index_like(after, table, like) is None


def test_other_columns_in_the_header_make_all_be_read() -> None:
    table = TableKind(TableFormat.CSV)
    body = b"".join(f"{n},x\n".encode() for n in range(2000))
    before, after = MemorySource("t", b"id,v\n" + body), MemorySource("t", b"id,w\n" + body)
    like = Like(before, build_index(before, table), [Kept(5, 5 + len(body), 5)])
    assert index_like(after, table, like) is None
