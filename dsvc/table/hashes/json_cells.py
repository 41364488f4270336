"""Members of JSON records, block by block, as the engine's canonical text of each value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from dsvc.table.binary.arrow_numbers import count_from, hashes_of_parts
from dsvc.table.engine import literal
from dsvc.table.hashes.cell_hash import cell_hash
from dsvc.table.origin.source import check_width
from dsvc.table.text.records import RecordBlock

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]

RECORDS: Final = "records"
_MEMBERS_AT_ONCE: Final = 100
_KEYS: Final = "CASE WHEN json_valid(t) AND json_type(t) = 'OBJECT' THEN json_keys(t) END"
_SEPARATORS: Final = np.frombuffer(b",[]", np.uint8)


def text_array(block: RecordBlock) -> pa.Array:
    """Records of a block as an Arrow array of text over the block's own bytes; white space may follow each.

    Raises
    ------
    pyarrow.ArrowInvalid
        If they aren't UTF-8.
    """
    offsets = np.append(block.starts, len(block.data)).astype(np.int64)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(records_alone(block))]
    result = pa.Array.from_buffers(pa.large_string(), len(block), buffers)
    result.validate(full=True)
    return result


def records_alone(block: RecordBlock) -> bytes:
    """Text of a block with only white space between its records."""
    if not len(block) or not _between(block):
        return block.data
    # In a JSON array commas and brackets follow a record: blanked, since parsers refuse them.
    array = np.frombuffer(block.data, np.uint8).copy()
    step = np.zeros(len(array) + 1, np.int8)
    step[block.starts] = 1
    step[block.ends] -= 1
    outside = np.cumsum(step[:-1], dtype=np.int8) == 0
    array[outside & np.isin(array, _SEPARATORS)] = 32
    return array.tobytes()


def _between(block: RecordBlock) -> bool:
    """Whether anything but white space stands behind the block's first or last record."""
    first = block.data[int(block.ends[0]) : int(block.starts[1]) if len(block) > 1 else len(block.data)]
    return bool(first.strip()) or bool(block.data[int(block.ends[-1]) :].strip())


class JsonBlock:
    """Records of one block, ready for queries; those that are no objects are left out.

    Parameters
    ----------
    connection : DuckDBPyConnection
        Where they are registered as `RECORDS`, in place of the block before.
    block : RecordBlock
        The records.
    name : str
        The file's name, for messages.

    Attributes
    ----------
    keys : list of str
        Names of the members, in order of appearance.
    places : list of int or None
        Places in the block of the records that are good; None where all are.
    malformed : list of (int, int, str)
        The others: number, line, what is wrong.
    """

    def __init__(self, connection: DuckDBPyConnection, block: RecordBlock, name: str) -> None:
        self._connection = connection
        texts = _texts(block)
        self.places: list[int] | None = None
        self.malformed: list[tuple[int, int, str]] = []
        self._register(texts)
        lists = [
            row[0] for row in self._run(f"SELECT {_KEYS} AS k FROM {RECORDS} GROUP BY k ORDER BY min(n)")
        ]
        if any(keys is None or len(set(keys)) < len(keys) for keys in lists):
            self._leave_out(block, texts)
            lists = [keys for keys in lists if keys is not None and len(set(keys)) == len(keys)]
        self.keys = list(dict.fromkeys(key for keys in lists for key in keys))
        check_width(name, len(self.keys))

    def _register(self, texts: pa.Array) -> None:
        self._count = len(texts)
        self._connection.register(RECORDS, pa.table({"n": count_from(0, len(texts)), "t": texts}))

    def _run(self, query: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(query).fetchall()

    def _leave_out(self, block: RecordBlock, texts: pa.Array) -> None:
        bad = self._run(
            f"SELECT n, k IS NULL FROM (SELECT n, {_KEYS} AS k FROM {RECORDS}) "
            "WHERE k IS NULL OR len(k) > len(list_distinct(k)) ORDER BY n"
        )
        problems = {True: "it is no JSON object", False: "it names a member twice"}
        lines = block.lines_of([n for n, _ in bad])
        self.malformed = [
            (block.first + n, line, problems[no_object])
            for (n, no_object), line in zip(bad, lines, strict=True)
        ]
        left_out = {n for n, _ in bad}
        self.places = [n for n in range(len(block)) if n not in left_out]
        self._register(texts.take(pa.array(self.places, pa.int64())))

    def __len__(self) -> int:
        """Number of good records."""
        return self._count

    def hashes(self) -> dict[str, Hashes]:
        """Hash each member's value; 0 is null or absent. Whole numbers hash alike however they're written."""
        found: dict[str, Hashes] = {}
        for keys in self._groups():
            cells = ", ".join(
                cell_hash(
                    f"nullif(j[{n}], 'null')",
                    f"CASE WHEN j[{n}] = '-0.0' THEN '0' WHEN suffix(j[{n}], '.0') THEN j[{n}][:-3] "
                    f"ELSE j[{n}] END",
                )
                for n in range(1, len(keys) + 1)
            )
            table = self._connection.sql(
                f"SELECT {cells} FROM "
                f"(SELECT json_extract(t, [{_pointers(keys)}])::VARCHAR[] AS j FROM {RECORDS})"
            ).to_arrow_table()
            found |= {key: hashes_of_parts(table.column(n)) for n, key in enumerate(keys)}
        return found

    def types(self) -> dict[str, dict[str, int]]:
        """Engine's JSON types of each member's values, null left out, with the first place of each."""
        found: dict[str, dict[str, int]] = {key: {} for key in self.keys}
        for keys in self._groups():
            rows = self._run(
                f"SELECT k, type, min(n) FROM (SELECT n, unnest(range({len(keys)})) AS k, "
                f"unnest(json_type(t, [{_pointers(keys)}])) AS type FROM {RECORDS}) "
                "WHERE type IS NOT NULL AND type <> 'NULL' GROUP BY ALL ORDER BY ALL"
            )
            for number, type_, first in rows:
                found[keys[number]][type_] = first
        return found

    def _groups(self) -> Iterator[list[str]]:
        """Members that one query asks for: the memory it takes grows with each."""
        for start in range(0, len(self.keys) if self._count else 0, _MEMBERS_AT_ONCE):
            yield self.keys[start : start + _MEMBERS_AT_ONCE]


def _pointers(keys: Sequence[str]) -> str:
    """JSON pointers (RFC 6901) to members."""
    return ", ".join(literal("/" + key.replace("~", "~0").replace("/", "~1")) for key in keys)


def _texts(block: RecordBlock) -> pa.Array:
    try:
        return text_array(block)
    except pa.ArrowInvalid:
        # Some record isn't UTF-8; what stands in for it is no JSON either.
        return pa.array([_decoded(block.record(n)) for n in range(len(block))], pa.large_string())


def _decoded(record: bytes) -> str:
    try:
        return record.decode()
    except UnicodeDecodeError:
        return "not UTF-8"
