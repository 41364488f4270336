"""Files of the state machine's repositories: texts and tables, edited in a few places, and read back."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

Item = tuple[str, bytes]
"""``file``, ``exec`` or ``link``, and the content."""
Table = dict[int, tuple[int, int]]
"""Rows by their key, two cells each."""
SLOTS = 3


class Loose(NamedTuple):
    """A value of a tree that is only known by a check."""

    accepts: Callable[[Item | None], bool]


ANYTHING = Loose(lambda _: True)


def one_of(*items: Item | None) -> Loose:
    return Loose(lambda found: found in items)


# Contents


def text(slots: Iterable[int]) -> bytes:
    """Lines that can be edited in a few places, far enough from each other to merge."""
    return b"".join(
        b"slot %d is %d\n" % (n, value) + b"".join(b"%d-%d\n" % (n, line) for line in range(6))
        for n, value in enumerate(slots)
    )


def slots_of(data: bytes) -> tuple[int, ...] | None:
    """What a text has in its places; None for other bytes."""
    found = [line.split()[-1] for line in data.splitlines() if line.startswith(b"slot ")]
    values = tuple(int(each) for each in found if each.isdigit())
    return values if len(values) == SLOTS and text(values) == data else None


def csv(table: Mapping[int, tuple[int, int]]) -> bytes:
    return b"id,v,w\n" + b"".join(b"%d,%d,%d\n" % (key, *cells) for key, cells in table.items())


@lru_cache(maxsize=512)
def _parquet(rows: tuple[tuple[int, tuple[int, int]], ...]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "id": pa.array([key for key, _ in rows], pa.int64()),
        "v": pa.array([cells[0] for _, cells in rows], pa.int64()),
        "w": pa.array([cells[1] for _, cells in rows], pa.int64()),
    }
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def parquet(table: Mapping[int, tuple[int, int]]) -> bytes:
    return _parquet(tuple(table.items()))


@lru_cache(maxsize=512)
def _table_of(path: bytes, data: bytes) -> tuple[tuple[int, tuple[int, int]], ...] | None:
    if path.endswith(b".parquet"):
        import pyarrow.parquet as pq

        rows = [
            tuple(row[name] for name in ("id", "v", "w"))
            for row in pq.read_table(io.BytesIO(data)).to_pylist()
        ]
    else:
        lines = data.splitlines()
        if not lines or lines[0] != b"id,v,w" or any(line.count(b",") != 2 for line in lines):
            return None
        rows = [tuple(map(int, line.split(b","))) for line in lines[1:]]
    return tuple((key, (v, w)) for key, v, w in rows)


def table_of(path: bytes, item: Item | None) -> Table | None:
    """Rows of a table; None where it is none."""
    if item is None or item[0] == "link" or not is_table(path):
        return None
    rows = _table_of(path, item[1])
    return None if rows is None or len(dict(rows)) != len(rows) else dict(rows)


def is_table(path: bytes) -> bool:
    return path.endswith((b".csv", b".parquet"))


def brief(path: bytes, item: Any) -> str:
    """A file in a few words, for messages."""
    if item is None or isinstance(item, Loose):
        return "gone" if item is None else "open"
    known = table_of(path, item) or (item[0] != "link" and slots_of(item[1])) or item[1][:60]
    return f"{item[0]} {known}"
