"""What the text of a column stands for, by its type."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


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
