"""A row as canonical JSON (RFC 8785), and hashes over it.

Cells are written as `dsvc.table.exchange.json_value` says. Cells that are null are left out, since a column
that isn't there reads as null. Whole numbers that RFC 8785 has no exact form for, beyond 2^53, stand as text.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring
from typing import Any, Final

import blake3

from dsvc.table.exchange.json_value import json_cell

_EXACT: Final = (1 << 53) - 1
_PLAIN_END: Final = "\ud800"
"""Below it code points and UTF-16 code units have one order."""


def canonical_json(value: object) -> str:
    """Write a value of JSON in the one form that RFC 8785 gives it.

    Parameters
    ----------
    value : object
        As `dsvc.table.exchange.json_value.json_cell` returns it.
    """
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value) if -_EXACT <= value <= _EXACT else f'"{value}"'
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Mapping):
        names = sorted(value)
        if any(name > _PLAIN_END for name in names):
            names.sort(key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{encode_basestring(n)}:{canonical_json(value[n])}" for n in names) + "}"
    assert isinstance(value, list)
    return "[" + ",".join(map(canonical_json, value)) + "]"


def _number(value: float) -> str:
    """Write a finite float as ECMAScript does."""
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, power = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    # The value is 0.DIGITS times ten to this.
    point = len(whole) + int(power or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    exponent = point - 1
    tail = f".{digits[1:]}" if count > 1 else ""
    return f"{sign}{digits[0]}{tail}e{'+' if exponent > 0 else '-'}{abs(exponent)}"


def canonical_row(row: Mapping[str, object]) -> bytes:
    """Write a row in canonical JSON; its columns may come in any order."""
    cells = {name: json_cell(value) for name, value in row.items() if value is not None}
    return canonical_json(cells).encode("utf-8", "surrogatepass")


def row_hash(row: Mapping[str, object], salt: bytes) -> bytes:
    """BLAKE3-256 over a row in canonical JSON, keyed so that rows can't be guessed from it."""
    return blake3.blake3(canonical_row(row), key=salt).digest()


def doc_hashes(row: Mapping[str, Any], columns: Sequence[str]) -> list[bytes]:
    """SHA-256 over a row as lm-evaluation-harness writes it, in the forms that it may have there.

    Parameters
    ----------
    columns : sequence of str
        Of the table, in order: libraries that read it put null where a row lacks one.
    """
    forms: list[Mapping[str, Any]] = [row]
    if any(name not in row for name in columns):
        forms.append({name: row.get(name) for name in columns})
    return [hashlib.sha256(_doc(form).encode("utf-8", "surrogatepass")).digest() for form in forms]


def _doc(row: Mapping[str, Any]) -> str:
    """``json.dumps(row, indent=2, ensure_ascii=False)``; by hand where the row is flat, which is quicker."""
    lines = []
    for name, value in row.items():
        if isinstance(value, str):
            cell = encode_basestring(value)
        elif value is None or isinstance(value, bool):
            cell = {None: "null", True: "true", False: "false"}[value]
        elif type(value) is int:
            cell = str(value)
        elif type(value) is float and math.isfinite(value):
            cell = repr(value)
        else:
            return json.dumps(row, indent=2, default=str, ensure_ascii=False)
        lines.append(f"  {encode_basestring(name)}: {cell}")
    return "{\n" + ",\n".join(lines) + "\n}" if lines else "{}"
