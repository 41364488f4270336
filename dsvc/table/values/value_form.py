"""What the text of a column stands for, by its type."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from dsvc.model.table_kind import Family, TableKind


class Form(StrEnum):
    """What a column's text stands for."""

    NUMBER = "number"
    FLOAT32 = "float32"
    BOOL = "bool"
    DATE = "date"
    TIME = "time"
    NESTED = "nested"
    TEXT = "text"


_FORMS: Final = (
    (("int", "uint", "double", "decimal"), Form.NUMBER),
    (("float", "halffloat"), Form.FLOAT32),
    (("bool",), Form.BOOL),
    (("date",), Form.DATE),
    (("timestamp",), Form.TIME),
    (("list", "large_list", "fixed_size_list", "struct", "map", "mixed"), Form.NESTED),
)


def form_of(type_: str) -> Form:
    """Tell what values of a type, named as people write it, look like in text."""
    return next((form for names, form in _FORMS if type_.startswith(names)), Form.TEXT)


def common_form(sides: Iterable[tuple[str, TableKind]]) -> Form:
    """Tell as what a column's cells are compared, by value, in several tables.

    Parameters
    ----------
    sides : iterable of (str, TableKind)
        The column's type and the table's format, of each table that has the column.
    """
    known = [(form_of(type_), kind) for type_, kind in sides if type_ != "null"]
    forms = list(dict.fromkeys(form for form, _ in known))
    if len(forms) < 2:
        return forms[0] if forms else Form.TEXT
    if all(kind.format.family is Family.JSON for _, kind in known):
        return Form.NESTED
    if {Form.NUMBER, Form.FLOAT32} >= set(forms):
        return Form.FLOAT32
    # A binary side is as it is, so the others have to follow.
    return next((form for form, kind in known if not kind.format.is_text), Form.TEXT)
