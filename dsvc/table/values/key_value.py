"""A value that a person wrote, as a cell of a column: what its hash in a row index is."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dsvc.model.table_kind import TableFormat, TableKind
from dsvc.table.hashes import plain_hash

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TEXT_TYPES: Final = frozenset({"string", "large_string", "string_view"})
INTEGER_TYPES: Final = frozenset({"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"})
INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_NUMBERS: Final = frozenset({"int64", "double"})
_INT64: Final = range(-(2**63), 2**63)
_MAX_DIGITS: Final = 20
_ESCAPED: Final = re.compile(r'[\x00-\x1f\x7f"\\]')
"""What a text in JSON may have in several ways."""


def value_hashes(text: str, type_: str, kind: TableKind) -> list[int]:
    """Hashes that a cell of this value may have.

    Parameters
    ----------
    text : str
        As a person wrote it.
    type_ : str
        The column's type, as its row index names it.
    kind : TableKind
        The table's format.

    Returns
    -------
    list of int
        More than one where the format keeps apart what is one value: ``1.50`` and ``1.5`` in CSV.

    Raises
    ------
    ValueError
        If the text is no value of this type.
    """
    spellings = _spellings(text, type_, kind)
    if plain_hash.is_known():
        known = _plain_hashes(spellings, type_, kind)
        if known is not None:
            return known
    from dsvc.table.values.typed_value import hash_value

    return list(dict.fromkeys(hash_value(each, type_, kind) for each in spellings))


def hashes_of_values(texts: Sequence[str], type_: str, kind: TableKind) -> NDArray[np.uint64]:
    """Hashes that cells of these values may have, as `value_hashes`, of many at once; raises as it.

    Returns
    -------
    ndarray of uint64, shape (n, m)
        A line for each text; a text with fewer spellings than others repeats its first.
    """
    if not len(texts):
        return np.zeros((0, 1), np.uint64)
    found = [_spellings(text, type_, kind) for text in texts]
    most = max(map(len, found))
    spellings = [each for own in found for each in (*own, *own[:1] * (most - len(own)))]
    from dsvc.table.values.typed_value import hash_values

    return hash_values(spellings, type_, kind).reshape(len(texts), most)


def _spellings(text: str, type_: str, kind: TableKind) -> list[str]:
    if not kind.format.is_text:
        return [text]
    is_csv = kind.format in (TableFormat.CSV, TableFormat.TSV)
    return list(dict.fromkeys(_csv_spellings(text, type_) if is_csv else _json_spellings(text, type_)))


def _plain_hashes(spellings: Sequence[str], type_: str, kind: TableKind) -> list[int] | None:
    """Hashes of what needs no engine; None where it is asked."""
    if kind.format in (TableFormat.CSV, TableFormat.TSV) or (not kind.format.is_text and type_ in TEXT_TYPES):
        return [plain_hash.hash_of_text(each) for each in spellings]
    (first, *more) = spellings
    if more:
        return None
    if kind.format.is_text:
        # The engine hashes JSON as it would write it itself.
        is_plain = not _ESCAPED.search(first[1:-1]) if type_ == "string" else _is_shortest(first)
        return [plain_hash.hash_of_text(first)] if is_plain and type_ in ("string", "int64") else None
    if type_ in INTEGER_TYPES and _is_shortest(first):
        return [plain_hash.hash_of_integer(int(first))]
    return None


def _is_shortest(text: str) -> bool:
    """Whether a text is a whole number of 64 bits, as it is usually written."""
    if len(text) > _MAX_DIGITS or not INTEGER.fullmatch(text):
        return False
    return str(int(text)) == text and int(text) in _INT64


def _csv_spellings(text: str, type_: str) -> list[str]:
    if type_ == "int64":
        return [str(int(text))]
    if type_ == "double":
        number = float(text)
        short = [repr(number)] if math.isfinite(number) else []
        return [text, *short, *([str(int(number))] if short and number.is_integer() else [])]
    if type_ == "bool":
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{text!r} is neither true nor false")
        return [text.lower(), text.capitalize(), text.upper()]
    if type_ == "timestamp":
        return [text, text.replace("T", " "), text.replace(" ", "T")]
    return [text]


def _json_spellings(text: str, type_: str) -> list[str]:
    if type_ == "string":
        return [json.dumps(text, ensure_ascii=False)]
    value = _parsed(text)
    if type_ in _NUMBERS or type_ == "bool":
        wanted = bool if type_ == "bool" else int | float
        if not isinstance(value, wanted) or (type_ != "bool" and isinstance(value, bool)):
            raise ValueError(f"{text!r} is no {type_}")
        return [text]
    quoted = json.dumps(text, ensure_ascii=False)
    return [quoted] if value is None else [text, quoted]


def _parsed(text: str) -> Any:
    """Value of a JSON text; None where it is none."""
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None
