"""Tables as the frames of pandas, Polars, DuckDB, PyArrow and Hugging Face datasets, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from dsvc.model.errors import UsageError
from dsvc.table.exchange.extras import need

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_FOREIGN_METADATA: Final = (b"pandas", b"huggingface")
"""What libraries note of a frame's columns: wrong once a column is gone."""


class FrameError(UsageError):
    """What was given as a table is none, or one that can't be written."""

    code = "frame"


class FrameKind(StrEnum):
    """A library's way of holding a table."""

    ARROW = "arrow"
    PANDAS = "pandas"
    POLARS = "polars"
    DUCKDB = "duckdb"
    DATASET = "dataset"


def frame_of(table: pa.Table, kind: FrameKind | str, connection: DuckDBPyConnection | None = None) -> Any:
    """Give a table as a library has it.

    Parameters
    ----------
    kind : FrameKind or str
        Which.
    connection : DuckDBPyConnection or None
        Where a relation of DuckDB shall be; None is DuckDB's default one, which ``duckdb.sql`` uses too.

    Raises
    ------
    FrameError
        If there is no such kind.
    MissingExtraError
        If the library is not installed.
    """
    if kind == FrameKind.ARROW:
        return table
    if kind == FrameKind.DUCKDB:
        return (connection or duckdb.default_connection()).from_arrow(table)
    if kind == FrameKind.PANDAS:
        need("pandas")
        return _pandas_of(table)
    if kind == FrameKind.POLARS:
        need("polars")
        import polars

        return polars.from_arrow(table)
    if kind == FrameKind.DATASET:
        need("datasets")
        import datasets

        return datasets.Dataset(datasets.table.InMemoryTable(table))
    known = ", ".join(f'"{each}"' for each in FrameKind)
    raise FrameError(f"there is no kind of frame {str(kind)[:80]!r}", hint=f"kinds: {known}")


def _pandas_of(table: pa.Table) -> Any:
    """As pandas reads it, but that whole numbers and truth values stay such where some are missing."""
    import pandas

    nullable = {
        pa.bool_(): pandas.BooleanDtype(),
        **{getattr(pa, f"int{bits}")(): getattr(pandas, f"Int{bits}Dtype")() for bits in (8, 16, 32, 64)},
        **{getattr(pa, f"uint{bits}")(): getattr(pandas, f"UInt{bits}Dtype")() for bits in (8, 16, 32, 64)},
    }
    frame = table.to_pandas()
    for place, column in enumerate(table.columns):
        if column.null_count and column.type in nullable:
            frame.isetitem(place, column.to_pandas(types_mapper=nullable.get))
    return frame


def arrow_of(frame: Any, list_columns: Callable[[str], bool] = lambda _: False) -> pa.Table:
    """Give a frame of any of these libraries as an Arrow table, read whole.

    An index of pandas is a column where it has a name, else it goes. Columns with several levels of names
    have these joined by ``_``.

    Parameters
    ----------
    list_columns : callable
        Tells by name which columns hold numbers, or lists of numbers that pandas may have in any form.

    Raises
    ------
    FrameError
        If it is no table.
    """
    try:
        found = _arrow_of(frame, list_columns)
    except (pa.ArrowException, TypeError, ValueError, duckdb.Error) as error:
        raise FrameError(f"this can't be written as a table: {error}") from error
    metadata = {
        name: value for name, value in (found.schema.metadata or {}).items() if name not in _FOREIGN_METADATA
    }
    return found.replace_schema_metadata(metadata or None)


def _arrow_of(frame: Any, list_columns: Callable[[str], bool]) -> pa.Table:
    library = type(frame).__module__.partition(".")[0]
    if library == "pandas":
        return _of_pandas(frame, list_columns)
    if library == "polars":
        return _of_polars(frame)
    if library == "datasets":
        return _of_datasets(frame)
    if isinstance(frame, duckdb.DuckDBPyRelation):
        return frame.to_arrow_table()
    return _of_arrow(frame)


def _of_arrow(frame: Any) -> pa.Table:
    if isinstance(frame, pa.RecordBatch):
        return pa.Table.from_batches([frame])
    if isinstance(frame, ds.Dataset | ds.Scanner):
        return frame.to_table()
    if isinstance(frame, Sequence) and all(isinstance(row, Mapping) for row in frame):
        return pa.Table.from_pylist(list(frame))
    if isinstance(frame, Mapping):
        return pa.table(dict(frame))
    if isinstance(frame, pa.Table):
        return frame
    if hasattr(frame, "__arrow_c_stream__"):
        return pa.table(frame)
    raise TypeError(f"{type(frame).__name__} is no table of pandas, Polars, DuckDB, PyArrow or datasets")


def _of_pandas(frame: Any, list_columns: Callable[[str], bool]) -> pa.Table:
    import pandas

    if isinstance(frame, pandas.Series):
        frame = frame.to_frame()
    named = [name for name in frame.index.names if name is not None]
    # A column of the index's name holds the same, as after a group-by that keeps both.
    extra = [name for name in named if name not in frame.columns]
    if extra:
        frame = frame.reset_index(level=extra)
    frame = frame.reset_index(drop=True)
    frame.columns = [_label(name) for name in frame.columns]
    for place, name in enumerate(frame.columns):
        if list_columns(name) and pandas.api.types.is_object_dtype(frame.dtypes.iloc[place]):
            plain = pandas.Series([_plain(value) for value in frame.iloc[:, place]], dtype=object)
            frame.isetitem(place, plain)
    return pa.Table.from_pandas(frame, preserve_index=False)


def _label(name: object) -> str:
    return "_".join(str(each) for each in name if each != "") if isinstance(name, tuple) else str(name)


def _plain(value: Any) -> list[float] | None:
    """Numbers of a cell as a list, however deep; they may be NaN."""
    if value is None or value is _not_available():
        return None
    if isinstance(value, str | bytes | Mapping) or not hasattr(value, "__iter__"):
        return [value]
    return [number for inner in value for number in _plain(inner) or ()]


def _not_available() -> object:
    import pandas

    return pandas.NA


def _of_polars(frame: Any) -> pa.Table:
    import polars

    if isinstance(frame, polars.LazyFrame):
        frame = frame.collect()
    if isinstance(frame, polars.Series):
        frame = frame.to_frame()
    return frame.to_arrow(compat_level=polars.CompatLevel.oldest())


def _of_datasets(frame: Any) -> pa.Table:
    import datasets

    if not isinstance(frame, datasets.Dataset):
        raise TypeError(f"a {type(frame).__name__} is no single table; write each of its splits")
    return frame.with_format("arrow")[:]


__all__ = ["FrameError", "FrameKind", "arrow_of", "frame_of"]
