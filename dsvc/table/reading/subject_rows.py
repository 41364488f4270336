"""Rows of one person: found by keyed hashes of what columns hold that play the part of ``subject``.

A text is hashed as it is; a number by its value, so that ``7`` is found where a column is typed as text, as
an integer or as a float. A key given as text stands for both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, NamedTuple

import blake3
import numpy as np
import pyarrow as pa

from dsvc.model.errors import MalformedInputError, NotFoundError
from dsvc.model.table_kind import TableKind
from dsvc.table.origin.source import TableSource
from dsvc.table.reading.arrow_reader import open_arrow

if TYPE_CHECKING:
    from numpy.typing import NDArray


_MAX_DIGITS: Final = 400


class NoSubjectColumnError(NotFoundError):
    """A table lacks the column that shall name its subjects, or it holds no keys."""

    code = "no-subject-column"


class SubjectRows(NamedTuple):
    """Rows of a subject, ascending, and how many rows were looked at."""

    rows: NDArray[np.int64]
    searched: int


def subject_hashes(key: bytes, text: str) -> tuple[bytes, ...]:
    """Keyed hashes under which the value of a subject column is found.

    Parameters
    ----------
    key : bytes
        The repository's salt, 32 bytes.
    text : str
        The value as it was written.
    """
    number = _number(text)
    hashes = [_hash(key, "t" + text)]
    return tuple(hashes if number is None else [*hashes, _hash(key, "n" + number)])


def find_subject(
    source: TableSource, kind: TableKind, columns: Sequence[str], key: bytes, wanted: Collection[bytes]
) -> SubjectRows:
    """Find the rows of a table that name a subject.

    Parameters
    ----------
    columns : sequence of str
        Columns that play the part of ``subject``; one of them is enough.
    wanted : collection of bytes
        Hashes by `subject_hashes`.

    Raises
    ------
    NoSubjectColumnError
        If a column isn't there.
    NotATableError, TableLimitError
        If it can't be read as a table.
    """
    chosen = frozenset(wanted)
    found: list[NDArray[np.int64]] = []
    row = 0
    for batch in _batches(source, kind, columns):
        hit = np.zeros(batch.num_rows, np.bool_)
        for column in batch.columns:
            codes, values = _distinct(column)
            right = [n for n, value in enumerate(values) if not chosen.isdisjoint(_value_hashes(key, value))]
            if right:
                hit |= np.isin(codes, right)
        found.append(np.flatnonzero(hit).astype(np.int64) + row)
        row += batch.num_rows
    return SubjectRows(np.concatenate(found) if found else np.zeros(0, np.int64), row)


def subject_codes(
    source: TableSource, kind: TableKind, columns: Sequence[str], key: bytes
) -> NDArray[np.uint64]:
    """First 64 bits of the hash of each cell of subject columns, 0 for null; errors as `find_subject`.

    Returns
    -------
    ndarray of uint64, shape (columns, rows)
    """
    parts = [np.zeros((len(columns), 0), np.uint64)]
    for batch in _batches(source, kind, columns):
        found = np.zeros((len(columns), batch.num_rows), np.uint64)
        for number, column in enumerate(batch.columns):
            codes, values = _distinct(column)
            hashes = [_value_hashes(key, value) for value in values]
            table = np.array([_code(each[0]) if each else 0 for each in hashes] + [0], np.uint64)
            found[number] = table[codes]  # null is -1, the 0 at the end
        parts.append(found)
    return np.concatenate(parts, axis=1)


def rows_with(codes: NDArray[np.uint64], wanted: Collection[bytes]) -> NDArray[np.int64]:
    """Rows of which a cell has one of some hashes, by what `subject_codes` gave."""
    chosen = np.array([_code(hash_) for hash_ in wanted], np.uint64)
    return np.flatnonzero(np.isin(codes, chosen).any(axis=0)).astype(np.int64)


def encode_codes(codes: NDArray[np.uint64]) -> bytes:
    """Encode what `subject_codes` gave: number of columns, then the codes, column by column."""
    return len(codes).to_bytes(8, "little") + codes.astype("<u8").tobytes()


def decode_codes(data: bytes) -> NDArray[np.uint64]:
    """Decode what `encode_codes` made.

    Raises
    ------
    MalformedInputError
        If it is anything else.
    """
    columns = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 0 < columns < 1000 or (len(data) - 8) % (8 * columns):
        raise MalformedInputError("the subjects of a table are malformed")
    return np.frombuffer(data, "<u8", offset=8).reshape(columns, -1)


def _code(hash_: bytes) -> int:
    return int.from_bytes(hash_[:8], "little")


def hashes_of_rows(
    source: TableSource, kind: TableKind, columns: Sequence[str], key: bytes, rows: Iterable[int]
) -> set[bytes]:
    """Hashes of the subjects that some rows name; errors as `find_subject`."""
    wanted = np.fromiter(sorted(set(rows)), np.int64)
    hashes: set[bytes] = set()
    row = 0
    for batch in _batches(source, kind, columns):
        low, high = np.searchsorted(wanted, [row, row + batch.num_rows])
        chosen = wanted[low:high] - row
        row += batch.num_rows
        for column in batch.columns if len(chosen) else ():
            codes, values = _distinct(column)
            for code in np.unique(codes[chosen]).tolist():
                if code >= 0 and values[code] is not None:
                    hashes.update(subject_hashes(key, _text(values[code])))
    return hashes


def _batches(source: TableSource, kind: TableKind, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    with open_arrow(source, kind, skip_malformed=True) as table:
        for name in columns:
            if name not in table.schema.names:
                raise NoSubjectColumnError(
                    f"{source.name} has no column {name!r}, which shall name its subjects",
                    hint="dsvc.toml says which column plays the part of subject",
                    details={"path": source.name, "column": name},
                )
            type_ = table.schema.field(name).type
            if pa.types.is_nested(type_):
                raise NoSubjectColumnError(
                    f"{source.name}: the column {name!r} holds no keys but {type_}",
                    details={"path": source.name, "column": name},
                )
        yield from table.batches(list(columns))


def _distinct(column: pa.Array) -> tuple[NDArray[np.int64], list[object]]:
    """Codes of the cells, -1 for null, and the values that they stand for."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, encoded.dictionary.to_pylist()


def _value_hashes(key: bytes, value: object) -> tuple[bytes, ...]:
    if value is None:
        return ()
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        number = _number(str(value))
        return () if number is None else (_hash(key, "n" + number),)
    return (_hash(key, "t" + _text(value)),)


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return str(value)


def _number(text: str) -> str | None:
    """Write a number in one way; None where it is none."""
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        return None
    if "_" in text or not number.is_finite() or abs(number.adjusted()) > _MAX_DIGITS:
        return None
    plain = f"{number:f}" if number else "0"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _hash(key: bytes, text: str) -> bytes:
    return blake3.blake3(text.encode("utf-8", "surrogateescape"), key=key).digest()
