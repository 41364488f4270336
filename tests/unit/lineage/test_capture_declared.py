"""Row maps: files of a folder, and what a run declares itself."""

from __future__ import annotations

from typing import Any

import blake3
import numpy as np
import pyarrow as pa
import pytest

from dsvc.lineage.capture import capture
from dsvc.lineage.captured import CapturedInput, CapturedOutput, CaptureRequest
from dsvc.lineage.declared_maps import DeclaredDrops, DeclaredMaps, RowMapError
from dsvc.lineage.links import Links, identity
from dsvc.lineage.record_rows import RecordRows
from dsvc.model.manifest import MODE_FILE, NO_CHECKSUM, Entry
from dsvc.model.run_record import Capture, Fates, Role, RunKind
from tests.capturing import PEOPLE, csv, followed, pairs
from tests.tablekit import CSV, JSONL, parquet, version

# Folders


def member(path: str, content: bytes) -> Entry:
    return Entry(path.encode(), MODE_FILE, len(content), blake3.blake3(content).digest(), NO_CHECKSUM)


def test_files_of_a_folder_have_fates_as_rows_have() -> None:
    old = [member("a.png", b"1"), member("b.png", b"2"), member("c.png", b"3"), member("d.png", b"4")]
    new = [member("a.png", b"1"), member("b.png", b"2!"), member("图/c.png", b"3")]
    result = capture(
        CaptureRequest(
            kind=RunKind.CLEAN,
            inputs=[CapturedInput(b"raw", RecordRows.of_folder(old))],
            outputs=[CapturedOutput(b"clean", RecordRows.of_folder(new))],
            declared=DeclaredMaps({}, {b"raw": dropped_by_key({"path": "d.png"}, "模糊")}),
        )
    )
    assert pairs(result) == [(0, 0), (1, 1), (2, 2)]
    # A file that has another path now is a record of which a cell differs.
    assert result.accounts[0].fates == Fates(kept=1, changed=2, dropped=1)
    assert result.drops() == {"模糊": 1}
    assert result.problems == ()


def dropped_by_key(key: dict[str, str], reason: str) -> DeclaredDrops:
    nothing = np.array([-1])
    return DeclaredDrops(nothing, (reason,), np.array([0]), nothing, {0: key})


# What the run declares


def test_declared_links_come_before_keys_for_the_outputs_that_they_name() -> None:
    links = Links(np.array([0, 0, 1]), np.array([0, 1, 3]))
    maps = DeclaredMaps.from_links({(b"out0", b"in0"): links})
    result = followed(
        RunKind.TRANSFORM, [csv(PEOPLE)], [csv(PEOPLE), csv(PEOPLE)], key=("id",), declared=maps
    )
    assert pairs(result) == [(0, 0), (0, 1), (1, 3)]
    assert pairs(result, 1) == [(n, n) for n in range(4)]
    assert result.captures == {0: Capture.CARRIED, 1: Capture.KEY}
    assert result.capture is Capture.KEY
    assert result.accounts[0].fates == Fates(kept=1, split=3)
    assert result.problems == ("out0: 2 of 4 rows have no parent",)


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (DeclaredMaps({(b"out0", b"in0"): identity(5)}), "row 4 of out0, which has 4 rows"),
        (DeclaredMaps({(b"out0", b"in0"): Links(np.array([0]), np.array([-1]))}), "row -1 of in0"),
        (DeclaredMaps({(b"other", b"in0"): identity(1)}), "other, which is no output"),
        (DeclaredMaps({(b"out0", b"other"): identity(1)}), "other, which is no input"),
        (DeclaredMaps({(b"out0", b"in1"): identity(1)}), "in1, whose rows take no part"),
        (DeclaredMaps({}, {b"in0": DeclaredDrops.of_rows([4], ["x"])}), "row 4 of in0"),
        (DeclaredMaps({}, {b"in0": DeclaredDrops.of_rows([1], ["x"], [7])}), "row 7 of in0"),
        (DeclaredMaps({}, {b"in0": DeclaredDrops.of_rows([3, 3], ["x", "y"])}), "dropped twice"),
        (DeclaredMaps({}, {b"in0": DeclaredDrops.of_rows([3], ["x"], [3])}), "stand for itself"),
        (DeclaredMaps({}, {b"in0": DeclaredDrops.of_rows([1], ["x"])}), "row 1 of in0 is said to be dropped"),
        (DeclaredMaps({}, {b"in0": dropped_by_key({"id": "9"}, "x")}), "no row of in0 has the key"),
        (DeclaredMaps({}, {b"in0": dropped_by_key({"id": "nine"}, "x")}), "key of a dropped row of in0"),
        (DeclaredMaps({}, {b"in0": dropped_by_key({"nope": "1"}, "x")}), "'nope', which is no column"),
        (DeclaredMaps({}, {b"in0": dropped_by_key({"same": "s"}, "x")}), "more than one row of in0"),
        (DeclaredMaps({}, {b"nope": dropped_by_key({"id": "1"}, "x")}), "nope, which is no input"),
    ],
)
def test_a_map_that_lies_is_refused(maps: DeclaredMaps, message: str) -> None:
    table = csv("id,same\n1,s\n2,s\n3,s\n4,s\n")
    kept = csv("id,same\n1,s\n2,s\n3,s\n4,s\n")
    with pytest.raises(RowMapError, match=message):
        followed(
            RunKind.FILTER,
            [table, table],
            [kept],
            key=("id",),
            declared=maps,
            roles=[Role.INPUT, Role.LOOKUP],
        )


@pytest.mark.parametrize("other", [CSV, JSONL])
def test_drops_and_survivors_are_named_by_keys_of_any_type_in_any_format(other: Any) -> None:
    tables = {
        "csv": csv("n,f,t,d\n1,1.5,王,2024-01-01\n2,2.25,b,2024-01-02\n3,3.0,c,2024-01-03\n"),
        "json": version(
            '{"n": 1, "f": 1.50, "t": "王", "d": "2024-01-01"}\n'
            '{"n": 2, "f": 2.25, "t": "b", "d": "2024-01-02"}\n'
            '{"n": 3, "f": 3.0, "t": "c", "d": "2024-01-03"}\n',
            JSONL,
        ),
        "parquet": parquet(
            pa.table(
                {
                    "n": [1, 2, 3],
                    "f": [1.5, 2.25, 3.0],
                    "t": ["王", "b", "c"],
                    "d": pa.array([19723, 19724, 19725], pa.int32()).cast(pa.date32()),
                }
            )
        ),
    }
    # Beside a table of another family text is hashed by value, beside one of its own by text.
    empty = version("n,f,t,d\n" if other is CSV else '{"n": 9}\n', other)
    keys = [
        {"n": "1"},
        {"f": "1.5"},
        {"t": "王"},
        {"d": "2024-01-01"},
        {"n": "1", "f": "1.5", "t": "王", "d": "2024-01-01"},
    ]
    for table in tables.values():
        for key in keys:
            drops = DeclaredDrops(
                np.array([-1, 1]),
                ("far",),
                np.zeros(2, np.int64),
                np.array([2, -1]),
                {0: key},
                {1: {"n": "3"}},
            )
            result = followed(RunKind.AUGMENT, [table], [empty], declared=DeclaredMaps({}, {b"in0": drops}))
            account = result.accounts[0]
            assert (account.drop_of(0), account.drop_of(1)) == (("far", 2), ("far", 2))
            assert account.drop_of(2) == ("unspecified", None)
