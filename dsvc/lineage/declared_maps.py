"""What a run says of its rows: ``rowmap.parquet`` and ``drops.jsonl`` in its folder, or ids carried along.

Nothing of it is believed unseen: a row that isn't there, an artifact that the run doesn't have, a dropped row
that has children, each is a `RowMapError`, and nothing is recorded.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from dsvc.lineage.links import Links, ordered, united
from dsvc.model.errors import DsvcError, MalformedInputError
from dsvc.model.run_record import Capture

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

ROW_MAP: Final = "rowmap.parquet"
DROPS: Final = "drops.jsonl"
MAX_BYTES: Final = 4 << 30
"""Of each of the two files."""
MAX_REASONS: Final = 1000
_COLUMNS: Final = ("output", "output_row", "input", "input_row")
_UNKNOWN: Final = -1

Key = Mapping[str, str]


class RowMapError(MalformedInputError):
    """What a run says of its rows can't be true."""

    code = "row-map"


@dataclass(frozen=True, slots=True)
class DeclaredDrops:
    """Rows of one input that a run says it left out.

    Attributes
    ----------
    rows : ndarray of int64, shape (n,)
        Their numbers, -1 where the row is named by its key.
    reasons : tuple of str
        Distinct reasons.
    reason_of : ndarray of int64, shape (n,)
        Which of them each row has.
    survivors : ndarray of int64, shape (n,)
        Rows of the same input that stand for them, -1 where there is none or it is named by its key.
    keys, survivor_keys : mapping of int to Key
        Keys, as text by column, by place in the arrays.
    """

    rows: Numbers
    reasons: tuple[str, ...]
    reason_of: Numbers
    survivors: Numbers
    keys: Mapping[int, Key] = field(default_factory=dict)
    survivor_keys: Mapping[int, Key] = field(default_factory=dict)

    @classmethod
    def of_rows(
        cls,
        rows: Sequence[int] | Numbers,
        reasons: Sequence[str],
        survivors: Sequence[int] | Numbers | None = None,
    ) -> DeclaredDrops:
        """Make it of rows and the reason of each; a survivor of -1 is none."""
        distinct = list(dict.fromkeys(reasons))
        codes = {reason: code for code, reason in enumerate(distinct)}
        numbers = np.asarray(rows, np.int64)
        known = np.full(len(numbers), _UNKNOWN) if survivors is None else np.asarray(survivors, np.int64)
        return cls(numbers, tuple(distinct), np.array([codes[each] for each in reasons], np.int64), known)


@dataclass(frozen=True, slots=True)
class DeclaredMaps:
    """What a run says of its rows, by the paths of its artifacts.

    Attributes
    ----------
    links : mapping of (bytes, bytes) to Links
        By output and input. An output that is named here has no other parents than these.
    drops : mapping of bytes to DeclaredDrops
        By input.
    capture : Capture
        Whether rows carried ids, or a map was written.
    """

    links: Mapping[tuple[bytes, bytes], Links]
    drops: Mapping[bytes, DeclaredDrops] = field(default_factory=dict)
    capture: Capture = Capture.MAP

    @classmethod
    def from_links(
        cls,
        links: Mapping[tuple[bytes, bytes], Links],
        drops: Mapping[bytes, DeclaredDrops] | None = None,
        capture: Capture = Capture.CARRIED,
    ) -> DeclaredMaps:
        """Make it of links at hand, of ids that rows carried."""
        return cls(dict(links), dict(drops or {}), capture)


class _DropLine(msgspec.Struct, forbid_unknown_fields=True):
    input: str
    reason: str
    row: int | None = None
    key: dict[str, str | int | float | bool] | None = None
    survivor: int | dict[str, str | int | float | bool] | None = None


def read_run_folder(folder: str) -> DeclaredMaps | None:
    """Read what a command wrote into its run's folder; None where it wrote nothing.

    Raises
    ------
    RowMapError
        If it isn't what `DeclaredMaps` needs; which rows there are is checked by `dsvc.lineage.capture`.
    """
    row_map = _content(os.path.join(folder, ROW_MAP))
    drops = _content(os.path.join(folder, DROPS))
    if row_map is None and drops is None:
        return None
    links = {} if row_map is None else _read_links(row_map)
    return DeclaredMaps(links, {} if drops is None else _read_drops(drops))


def _content(path: str) -> bytes | None:
    try:
        # Not to wait for a writer, should it be a pipe.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return _read(handle, os.path.basename(path))
        finally:
            os.close(handle)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RowMapError(f"{os.path.basename(path)} can't be read: {error.strerror}") from error


def _read(handle: int, name: str) -> bytes:
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
        raise RowMapError(f"{name} is no file of at most {MAX_BYTES} bytes")
    with open(handle, "rb", closefd=False) as stream:
        # Of its length: room is made for as much as is asked for.
        return stream.read(found.st_size)


# rowmap.parquet


def _read_links(data: bytes) -> dict[tuple[bytes, bytes], Links]:
    import pyarrow as pa

    from dsvc.table.binary.parquet_file import open_parquet
    from dsvc.table.origin.limits import ParquetWidths
    from dsvc.table.origin.memory_source import MemorySource

    source = MemorySource(ROW_MAP, data)
    try:
        with open_parquet(source) as file, source.open() as stream:
            ParquetWidths(stream, file.metadata, ROW_MAP).check_all()
            missing = [name for name in _COLUMNS if name not in file.schema_arrow.names]
            if missing:
                raise RowMapError(f"{ROW_MAP} has no column {missing[0]}", hint=_hint())
            table = file.read(columns=list(_COLUMNS)).combine_chunks()
    except (DsvcError, pa.ArrowException, OSError) as error:
        if isinstance(error, RowMapError):
            raise
        raise RowMapError(f"{ROW_MAP} can't be read: {error}") from error
    outputs, output_paths = _paths(table, "output")
    inputs, input_paths = _paths(table, "input")
    output_rows, input_rows = _rows(table, "output_row"), _rows(table, "input_row")
    pairs = outputs * max(len(input_paths), 1) + inputs
    if not len(pairs):
        return {}
    order = np.argsort(pairs, kind="stable")
    numbers, starts = np.unique(pairs[order], return_index=True)
    found: dict[tuple[bytes, bytes], list[Links]] = {}
    for number, places in zip(numbers.tolist(), np.split(order, starts[1:]), strict=True):
        names = output_paths[number // len(input_paths)], input_paths[number % len(input_paths)]
        found.setdefault(names, []).append(ordered(output_rows[places], input_rows[places]))
    return {names: united(links) for names, links in found.items()}


def _hint() -> str:
    return "its columns are output, output_row, input, input_row: paths as text, rows counted from 0"


def _column(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name)
    if column.null_count:
        raise RowMapError(f"{ROW_MAP}: column {name} has nulls", hint=_hint())
    return column


def _paths(table: pa.Table, name: str) -> tuple[Numbers, list[bytes]]:
    """Which path each line names, and the paths."""
    import pyarrow as pa

    column = _column(table, name)
    type_ = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_)):
        raise RowMapError(f"{ROW_MAP}: column {name} is {type_}, not text", hint=_hint())
    encoded = column.cast(pa.large_string()).combine_chunks()
    encoded = pa.concat_arrays(encoded.chunks) if isinstance(encoded, pa.ChunkedArray) else encoded
    found = encoded.dictionary_encode()
    codes = found.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, [_path(text) for text in found.dictionary.to_pylist()]


def _path(text: str) -> bytes:
    """Path as records name it; ``./`` in front and ``/`` at the end are how people write them."""
    return os.fsencode(text.removeprefix("./").rstrip("/"))


def _rows(table: pa.Table, name: str) -> Numbers:
    import pyarrow as pa

    column = _column(table, name)
    if not pa.types.is_integer(column.type):
        raise RowMapError(f"{ROW_MAP}: column {name} is {column.type}, not integers", hint=_hint())
    try:
        rows: Numbers = column.cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid as error:
        raise RowMapError(f"{ROW_MAP}: column {name} is out of range: {error}") from error
    return rows


# drops.jsonl


def _read_drops(data: bytes) -> dict[bytes, DeclaredDrops]:
    decoder = msgspec.json.Decoder(_DropLine)
    lines: dict[str, list[_DropLine]] = {}
    for number, each in enumerate(data.split(b"\n"), 1):
        if not each.strip():
            continue
        try:
            line = decoder.decode(each)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RowMapError(f"{DROPS}, line {number}: {error}", details={"line": number}) from error
        problem = _problem(line)
        if problem:
            raise RowMapError(f"{DROPS}, line {number}: {problem}", details={"line": number})
        lines.setdefault(line.input, []).append(line)
    by_path: dict[bytes, list[_DropLine]] = {}
    for text, own in lines.items():
        by_path.setdefault(_path(text), []).extend(own)
    return {path: _drops(own, path) for path, own in by_path.items()}


def _problem(line: _DropLine) -> str | None:
    if (line.row is None) == (not line.key):
        return "it names a row either by row or by key"
    if (line.row or 0) < 0 or (isinstance(line.survivor, int) and line.survivor < 0):
        return "rows are counted from 0"
    if isinstance(line.survivor, dict) and not line.survivor:
        return "the survivor's key is empty"
    return None if line.reason.strip() else "the reason is empty"


def _drops(lines: Sequence[_DropLine], path: bytes) -> DeclaredDrops:
    rows = [_UNKNOWN if line.row is None else line.row for line in lines]
    survivors = [line.survivor if isinstance(line.survivor, int) else _UNKNOWN for line in lines]
    try:
        found = DeclaredDrops.of_rows(rows, [line.reason for line in lines], survivors)
    except OverflowError as error:
        raise RowMapError(f"{DROPS}: a row is out of range") from error
    if len(found.reasons) > MAX_REASONS:
        raise RowMapError(
            f"{DROPS} gives {len(found.reasons)} different reasons for {path.decode(errors='replace')}",
            hint=f"reasons are counted; use at most {MAX_REASONS}",
        )
    keys = {place: _texts(line.key) for place, line in enumerate(lines) if line.key}
    named = {
        place: _texts(each.survivor) for place, each in enumerate(lines) if isinstance(each.survivor, dict)
    }
    return DeclaredDrops(found.rows, found.reasons, found.reason_of, found.survivors, keys, named)


def _texts(key: Mapping[str, str | int | float | bool]) -> Key:
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in key.items()}
