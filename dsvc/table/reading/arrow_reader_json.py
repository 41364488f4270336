"""JSON lines and JSON arrays of objects as Arrow data: one type a member, found over the whole file."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsvc.model.table_kind import TableKind
from dsvc.table.engine import connect, literal, quoted
from dsvc.table.hashes.json_cells import RECORDS, JsonBlock, text_array
from dsvc.table.origin.source import NotATableError, TableLimitError, TableSource
from dsvc.table.reading.text_table import TextTable
from dsvc.table.text.records import RecordBlock

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Whole numbers that may be beyond 64 bits: looked for in all records, then in those that have such digits.
_LONG_DIGITS: Final = r"\d{19}"
_LONG_NUMBER: Final = re.compile(rb"(?<![\w.+\-\"])-?\d{19,}(?![\d.eE])")
_SMALLEST, _LARGEST = -(1 << 63), (1 << 63) - 1
_NUMBERS: Final = {"BIGINT", "UBIGINT", "HUGEINT", "DOUBLE"}
_TYPES: Final = {
    "BOOLEAN": "BOOLEAN",
    "BIGINT": "BIGINT",
    "UBIGINT": "BIGINT",
    "HUGEINT": "BIGINT",
    "DOUBLE": "DOUBLE",
    "JSON": "JSON",
}

_Structure = Any
"""A type as the engine writes structures: a name, a list of one, or a dictionary."""


class _Scan(NamedTuple):
    """What the first reading found."""

    members: dict[str, _Structure]
    rows: int
    schema: pa.Schema


class JsonTable(TextTable):
    """JSON lines, or a JSON array of objects.

    A member is a column, in order of first appearance. One with values of several kinds, or with whole
    numbers beyond 64 bits, is text that holds each value's JSON. It's made of what a `TextTable` is made of.
    """

    def __init__(self, source: TableSource, kind: TableKind, *, skip_malformed: bool = False) -> None:
        super().__init__(source, kind, skip_malformed=skip_malformed)
        self._left_out: dict[int, list[int]] = {}

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows block by block."""
        schema = self.select(columns)
        query = _query(self._scan.members, schema.names)
        with connect() as connection:
            for block in map(self._good, self._records.blocks()):
                if not schema.names:
                    yield pa.RecordBatch.from_struct_array(pa.array([{}] * len(block), pa.struct([])))
                    continue
                connection.register(RECORDS, pa.table({"t": self._texts(block)}))
                with self._refusals():
                    found = connection.sql(query).to_arrow_table()
                yield from pa.Table.from_arrays(found.columns, schema=schema).to_batches()

    def _texts(self, block: RecordBlock) -> pa.Array:
        try:
            return text_array(block)
        except pa.ArrowInvalid as error:
            raise NotATableError(
                f"{self.name}: after line {block.line} is text that is not UTF-8", details={"path": self.name}
            ) from error

    @cached_property
    def _scan(self) -> _Scan:
        merged: dict[str, _Structure] = {}
        exact: set[str] = set()
        rows = 0
        with connect() as connection:
            for read in self._records.blocks():
                keys = self._checked(connection, read).keys
                block = self._good(read)
                # The engine keeps every record while it finds their structure, so this goes block by block.
                with self._refusals():
                    query = f"SELECT json_group_structure(t::JSON) FROM {RECORDS}"
                    [(found,)] = connection.execute(query).fetchall()
                structure = json.loads(found) if found is not None else {}
                for name in keys:
                    known = merged.get(name, "NULL")
                    merged[name] = _union(known, structure[name])
                exact.update(_beyond_64_bits(block, self._texts(block)))
                rows += len(block)
            members = {name: "JSON" if name in exact else _storable(found) for name, found in merged.items()}
            if not members:
                return _Scan(members, rows, pa.schema([]))
            connection.register(RECORDS, pa.table({"t": pa.array([], pa.string())}))
            with self._refusals():
                table = connection.sql(_query(members, list(members))).to_arrow_table()
        fields = [field.with_name(name) for field, name in zip(table.schema, members, strict=True)]
        return _Scan(members, rows, pa.schema(fields))

    def _checked(self, connection: DuckDBPyConnection, block: RecordBlock) -> JsonBlock:
        with self._refusals():
            checked = JsonBlock(connection, block, self.name)
        if checked.malformed and self._skip_malformed:
            self._left_out[block.first] = checked.places or []
        elif checked.malformed:
            _, line, message = checked.malformed[0]
            raise NotATableError(
                f"{self.name}, line {line}: {message}", details={"path": self.name, "line": line}
            )
        return checked

    def _good(self, block: RecordBlock) -> RecordBlock:
        """Leave out the records of a block that were found to be malformed."""
        places = self._left_out.get(block.first)
        if places is None:
            return block
        good = block.pick(np.array(places, np.int64))
        return replace(block, data=good.data, starts=good.starts, ends=good.ends)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """Turn errors of the engine into ours."""
        try:
            yield
        except (MemoryError, duckdb.OutOfMemoryException) as error:
            raise TableLimitError(
                f"{self.name} needs more memory to be read than one table is given",
                details={"path": self.name},
            ) from error
        except duckdb.Error as error:
            text = str(error).partition("\n")[0]
            if "recursion depth" in text or "expression depth" in text:
                raise TableLimitError(
                    f"{self.name}: a record nests too deep", details={"path": self.name}
                ) from error
            raise NotATableError(
                f"{self.name} can't be read as a table: {text}", details={"path": self.name}
            ) from error


def _union(one: _Structure, other: _Structure) -> _Structure:
    """Type that holds what either holds, as the engine finds it within a block; ``JSON`` where none does."""
    if other in (one, "NULL"):
        return one
    if one == "NULL":
        return other
    if isinstance(one, dict) and isinstance(other, dict):
        return one | {name: _union(one.get(name, "NULL"), found) for name, found in other.items()}
    if isinstance(one, list) and isinstance(other, list):
        return [_union(one[0], other[0])]
    if isinstance(one, str) and isinstance(other, str) and {one, other} <= _NUMBERS:
        return "DOUBLE" if "DOUBLE" in (one, other) else "BIGINT"
    return "JSON"


def _beyond_64_bits(block: RecordBlock, texts: pa.Array) -> set[str]:
    """Members that hold a whole number which no 64-bit integer is equal to."""
    members: set[str] = set()
    suspects = pc.indices_nonzero(pc.match_substring_regex(texts, _LONG_DIGITS)).to_pylist()
    for number in suspects:
        text = block.record(number)
        if any(not _SMALLEST <= int(found[:40]) <= _LARGEST for found in _LONG_NUMBER.findall(text)):
            record = json.loads(text, parse_int=_integer)
            members.update(name for name, value in record.items() if _holds_long(value))
    return members


def _integer(digits: str) -> int:
    # Longer ones are long in any case, and Python takes its time with them.
    return int(digits[:40])


def _holds_long(value: object) -> bool:
    if isinstance(value, int):
        return not _SMALLEST <= value <= _LARGEST
    if isinstance(value, dict):
        return any(map(_holds_long, value.values()))
    return isinstance(value, list) and any(map(_holds_long, value))


def _storable(structure: _Structure) -> _Structure:
    """Replace what has no column type: members of one name but for case, or without a name."""
    if isinstance(structure, dict):
        if "" in structure or len({name.casefold() for name in structure}) < len(structure):
            return "JSON"
        return {name: _storable(inner) for name, inner in structure.items()}
    if isinstance(structure, list):
        return [_storable(structure[0])]
    return _TYPES.get(structure, "VARCHAR")


def _type(structure: _Structure) -> str:
    if isinstance(structure, dict):
        return f"STRUCT({', '.join(f'{quoted(name)} {_type(inner)}' for name, inner in structure.items())})"
    if isinstance(structure, list):
        return _type(structure[0]) + "[]"
    return "VARCHAR" if structure == "JSON" else str(structure)


def _query(members: Mapping[str, _Structure], columns: Sequence[str]) -> str:
    """Query that gives some members, in columns ``c0``, ``c1`` and so on."""
    folded = Counter(name.casefold() for name in columns)
    plain = {name: members[name] for name in columns if name and folded[name.casefold()] == 1}
    parts = []
    for number, name in enumerate(columns):
        if name in plain:
            value = f"struct_extract(s, {literal(name)})"
        else:
            pointer = "/" + name.replace("~", "~0").replace("/", "~1")
            structure = literal(json.dumps(members[name]))
            value = f"json_transform(json_extract(t::JSON, {literal(pointer)}), {structure})"
        parts.append(f"CAST({value} AS {_type(members[name])}) AS c{number}")
    transformed = f"json_transform(t::JSON, {literal(json.dumps(plain))})" if plain else "NULL"
    return f"SELECT {', '.join(parts) or 'NULL'} FROM (SELECT t, {transformed} AS s FROM {RECORDS})"


__all__ = ["JsonTable"]
