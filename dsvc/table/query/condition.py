"""What a condition on rows is made of; each part writes itself in the grammar of `query.predicate`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

WORDS: Final = frozenset({"and", "or", "not", "in", "is", "null", "true", "false"})
"""Words that are no names."""
_LETTER: Final = r"A-Za-z_\u00a1-\U0010ffff"
NAME: Final = rf"(?=[{_LETTER}])(?:(?!\s)[{_LETTER}0-9])+"
"""Pattern of a bare name: of any script, since marks that belong to letters are no letters to Python."""
_BARE: Final = re.compile(NAME)


class Comparison(StrEnum):
    """A comparison, as the canonical text writes it."""

    EQUAL = "=="
    UNEQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    GREATER = ">"
    AT_LEAST = ">="

    def holds(self, order: int) -> bool:
        """Whether it holds of two values that stand in an order: negative, 0 or positive."""
        if order == 0:
            return self in (Comparison.EQUAL, Comparison.AT_MOST, Comparison.AT_LEAST)
        if self is Comparison.UNEQUAL:
            return True
        return self in (_BELOW if order < 0 else _ABOVE)

    @property
    def mirrored(self) -> Comparison:
        """The comparison that holds when the sides are exchanged."""
        return _MIRRORED.get(self, self)


_BELOW: Final = (Comparison.LESS, Comparison.AT_MOST)
_ABOVE: Final = (Comparison.GREATER, Comparison.AT_LEAST)
_MIRRORED: Final = dict(zip((*_BELOW, *_ABOVE), (*_ABOVE, *_BELOW), strict=True))


@dataclass(frozen=True, slots=True)
class Column:
    """A column by its name."""

    name: str

    def __str__(self) -> str:
        """Write it, in backticks where it isn't a plain word."""
        if _BARE.fullmatch(self.name) and self.name.lower() not in WORDS:
            return self.name
        return "`" + self.name.replace("`", "``") + "`"


@dataclass(frozen=True, slots=True)
class Literal:
    """A text, a number, true, false or null."""

    value: str | int | Decimal | bool | None

    def __str__(self) -> str:
        """Write it as the grammar has it."""
        if isinstance(self.value, str):
            return "'" + self.value.replace("'", "''") + "'"
        return "null" if self.value is None else str(self.value).lower()


Operand = Column | Literal


@dataclass(frozen=True, slots=True)
class Compare:
    """One operand compared with another."""

    how: Comparison
    left: Operand
    right: Operand

    def __str__(self) -> str:
        """Write it."""
        return f"{self.left} {self.how} {self.right}"


@dataclass(frozen=True, slots=True)
class IsIn:
    """Whether an operand equals one of some literals."""

    operand: Operand
    values: tuple[Literal, ...]

    def __str__(self) -> str:
        """Write it."""
        return f"{self.operand} in {self.listed}"

    @property
    def listed(self) -> str:
        """The literals, in parentheses."""
        return f"({', '.join(map(str, self.values))})"


@dataclass(frozen=True, slots=True)
class IsNull:
    """Whether an operand is null."""

    operand: Operand

    def __str__(self) -> str:
        """Write it."""
        return f"{self.operand} is null"


@dataclass(frozen=True, slots=True)
class IsTrue:
    """A column of booleans, or true, false or null, as a condition."""

    operand: Operand

    def __str__(self) -> str:
        """Write it."""
        return str(self.operand)


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a condition."""

    part: Condition

    def __str__(self) -> str:
        """Write it."""
        if isinstance(self.part, IsNull):
            return f"{self.part.operand} is not null"
        if isinstance(self.part, IsIn):
            return f"{self.part.operand} not in {self.part.listed}"
        return f"not ({self.part})" if isinstance(self.part, AllOf | AnyOf) else f"not {self.part}"


@dataclass(frozen=True, slots=True)
class AllOf:
    """Two or more conditions that all hold."""

    parts: tuple[Condition, ...]

    def __str__(self) -> str:
        """Write it."""
        return " and ".join(f"({part})" if isinstance(part, AnyOf) else str(part) for part in self.parts)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Two or more conditions of which one holds."""

    parts: tuple[Condition, ...]

    def __str__(self) -> str:
        """Write it."""
        return " or ".join(map(str, self.parts))


Condition = Compare | IsIn | IsNull | IsTrue | Not | AllOf | AnyOf
