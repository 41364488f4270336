"""Hashes of texts by what they stand for: as `hashes.cell_hash` hashes such values in binary formats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsvc.table.binary.arrow_numbers import hashes_of_parts
from dsvc.table.binary.plain_arrow import plain
from dsvc.table.hashes.cell_hash import cell_expression, cell_hash, hash_table
from dsvc.table.values.value_form import Form

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]

_HELD: Final = 9e15
"""Below it a float holds every whole number, and hashes as one."""


def text_hashes(connection: DuckDBPyConnection, texts: pa.Array, form: Form) -> Hashes:
    """Hash texts by value; 0 is null."""
    if not len(texts):
        return np.zeros(0, np.uint64)
    connection.register("texts", pa.table({"v": texts}))
    table = connection.sql(f"SELECT {_EXPRESSIONS.get(form, _TEXT)} AS h FROM texts").to_arrow_table()
    connection.unregister("texts")
    return hashes_of_parts(table.column("h"))


def cell_hashes(connection: DuckDBPyConnection, texts: pa.Array, form: Form, type_: str) -> Hashes:
    """Hash cells of a CSV column, as `text_hashes`, but quicker where the column's type tells how.

    Parameters
    ----------
    type_ : str
        The column's type as its row index has it: each cell is one of it, written in the shortest way if
        it is a whole number.
    """
    wanted = pa.int64() if type_ == "int64" else pa.float64() if type_ == "double" else None
    if wanted is not None and (form is Form.NUMBER or (form is Form.FLOAT32 and type_ == "int64")):
        try:
            numbers = texts.cast(wanted)
        except pa.ArrowInvalid:
            numbers = None
        if numbers is not None and (type_ == "int64" or all_held(numbers)):
            return scalar_hashes(connection, numbers)
    return text_hashes(connection, texts, form)


def scalar_hashes(connection: DuckDBPyConnection, column: pa.Array) -> Hashes:
    """Hash scalars of any type; 0 is null."""
    return hash_table(connection, plain(pa.RecordBatch.from_arrays([column], ["v"])), ["v"])["v"]


def all_held(numbers: pa.Array) -> bool:
    """Whether all numbers are so small that none of them is a whole number that a float can't hold."""
    least, most = pc.min_max(numbers).values()
    if not least.is_valid:
        return True
    # NaN is passed over by that and equal to nothing.
    small = max(abs(least.as_py()), abs(most.as_py())) < _HELD
    return small and (pa.types.is_integer(numbers.type) or bool(pc.all(pc.is_finite(numbers)).as_py()))


def _number(type_: str) -> str:
    # Whole numbers of more digits than fit hash as text in binary formats too.
    return (
        f"CASE WHEN TRY_CAST(v AS BIGINT)::VARCHAR = v THEN {cell_hash('v', 'TRY_CAST(v AS BIGINT)')} "
        f"WHEN TRY_CAST(v AS {type_}) IS NULL OR regexp_full_match(v, '-?[0-9]{{19,}}') THEN {_TEXT} "
        f"ELSE {cell_expression(f'TRY_CAST(v AS {type_})', 'DOUBLE')} END"
    )


def _cast(type_: str, value: str) -> str:
    return f"CASE WHEN TRY_CAST(v AS {type_}) IS NULL THEN {_TEXT} ELSE {cell_hash('v', value)} END"


_TEXT: Final = cell_hash("v", "v")
_IS_TRUE: Final = cell_hash("v", "lower(v) = 'true'")
_EXPRESSIONS: Final = {
    Form.NUMBER: _number("DOUBLE"),
    Form.FLOAT32: _number("FLOAT"),
    Form.BOOL: f"CASE WHEN lower(v) IN ('true', 'false') THEN {_IS_TRUE} ELSE {_TEXT} END",
    Form.DATE: _cast("DATE", "TRY_CAST(v AS DATE)"),
    Form.TIME: _cast("TIMESTAMP", "epoch_us(TRY_CAST(v AS TIMESTAMP))"),
}
