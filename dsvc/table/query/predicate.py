"""Conditions on rows in a closed grammar: columns, literals, comparison, and, or, not, in, is null.

``label == 3 and n > 10``, ``name in ("a", "b")``, ``not (x is null)``. Words may be in upper or lower case.
Names of columns stand bare, in any script, or in backticks; text in single or double quotes, a quote within
it twice. As in SQL a comparison with null is neither true nor false, and only rows for which the whole is
true match. Nothing here is code: what isn't in the grammar can't be said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from dsvc.model.errors import UsageError
from dsvc.table.query.condition import (
    NAME,
    WORDS,
    AllOf,
    AnyOf,
    Column,
    Compare,
    Comparison,
    Condition,
    IsIn,
    IsNull,
    IsTrue,
    Literal,
    Not,
    Operand,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsvc.model.table_kind import TableKind
    from dsvc.table.index.row_index import RowIndex
    from dsvc.table.origin.source import TableSource

MAX_CHARACTERS: Final = 100_000
MAX_DEPTH: Final = 100
MAX_DIGITS: Final = 100
MAX_EXPONENT: Final = 400
_SHOWN: Final = 40
_HINT: Final = (
    "columns, literals, == != < <= > >=, and, or, not, in (…), is null; quote text, `quote` odd names"
)
_EXACT: Final = Context(prec=MAX_DIGITS + 1)
_PLAIN: Final = Decimal(10) ** 40
_TOKEN: Final = re.compile(
    rf"""\s*(?:
    (?P<number>[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?(?![A-Za-z0-9_.]))
    |(?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
    |(?P<name>`(?:[^`]|``)*`)
    |(?P<word>{NAME})
    |(?P<sign>==|!=|<>|<=|>=|[=<>(),])
    |(?P<end>\Z)
    )""",
    re.VERBOSE,
)


class PredicateError(UsageError):
    """A condition on rows isn't in the grammar, or compares what can't be compared."""

    code = "predicate"


_SPELLINGS: Final = {"=": Comparison.EQUAL, "<>": Comparison.UNEQUAL} | {
    each.value: each for each in Comparison
}


@dataclass(frozen=True, slots=True)
class Predicate:
    """A condition on rows; its text is canonical, and reads as the same condition.

    Attributes
    ----------
    root : Condition
        What it says.
    """

    root: Condition

    def __str__(self) -> str:
        """Write it in one way, whatever way it was written in."""
        return str(self.root)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that it names, each once, in order of appearance."""
        found: dict[str, None] = {}
        waiting: list[Condition] = [self.root]
        while waiting:
            node = waiting.pop()
            if isinstance(node, AllOf | AnyOf):
                waiting.extend(reversed(node.parts))
            elif isinstance(node, Not):
                waiting.append(node.part)
            else:
                operands = (node.left, node.right) if isinstance(node, Compare) else (node.operand,)
                found |= {each.name: None for each in operands if isinstance(each, Column)}
        return tuple(found)


def parse(text: str) -> Predicate:
    """Read a condition.

    Parameters
    ----------
    text : str
        Of at most `MAX_CHARACTERS`, nesting at most `MAX_DEPTH` deep.

    Raises
    ------
    PredicateError
        If it isn't in the grammar; the message names the character.
    """
    if len(text) > MAX_CHARACTERS:
        raise PredicateError(f"a condition of {len(text)} characters is too long; {MAX_CHARACTERS} are read")
    return Predicate(_Parser(text).whole())


def matching_rows(
    predicate: Predicate, source: TableSource, kind: TableKind, index: RowIndex
) -> NDArray[np.int64]:
    """Find the rows of a table for which a condition is true: their numbers, ascending.

    Raises
    ------
    UnknownColumnError
        If it names a column that the table doesn't have.
    PredicateError
        If it compares what can't be compared.
    NotATableError, TableLimitError
        If the table can't be read.
    """
    from dsvc.table.query.predicate_rows import find_rows

    return find_rows(predicate, source, kind, index)


class _Token(NamedTuple):
    kind: str
    text: str
    place: int


class _Parser:
    """Recursive descent over the tokens; its depth is bounded."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._now = self._next()

    def _next(self) -> _Token:
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            blank = len(self._text) - len(self._text[self._at :].lstrip())
            raise self._error("this is not understood", blank)
        assert found.lastgroup is not None
        self._at = found.end()
        text = found[found.lastgroup]
        is_word = found.lastgroup == "word" and text.lower() in WORDS
        return _Token(text.lower() if is_word else found.lastgroup, text, found.start(found.lastgroup))

    def _error(self, what: str, place: int) -> PredicateError:
        rest = self._text[place : place + _SHOWN]
        where = f"at character {place + 1}, {rest!r}" if rest else "at its end"
        return PredicateError(
            f"the condition is wrong {where}: {what}", hint=_HINT, details={"position": place}
        )

    def _take(self, *wanted: str) -> _Token | None:
        """Go on if the next token is one of these: a kind, or a sign itself."""
        token = self._now
        if token.kind not in wanted and not (token.kind == "sign" and token.text in wanted):
            return None
        self._now = self._next()
        return token

    def _need(self, wanted: str, what: str) -> None:
        if self._take(wanted) is None:
            raise self._error(f"{what} is expected here", self._now.place)

    def whole(self) -> Condition:
        """Read all of it."""
        found = self._any()
        if self._now.kind != "end":
            raise self._error("'and', 'or' or the end is expected here", self._now.place)
        return found

    def _any(self) -> Condition:
        parts = [self._all()]
        while self._take("or"):
            parts.append(self._all())
        flat = [each for part in parts for each in (part.parts if isinstance(part, AnyOf) else (part,))]
        return AnyOf(tuple(flat)) if len(flat) > 1 else flat[0]

    def _all(self) -> Condition:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        flat = [each for part in parts for each in (part.parts if isinstance(part, AllOf) else (part,))]
        return AllOf(tuple(flat)) if len(flat) > 1 else flat[0]

    def _one(self) -> Condition:
        token = self._take("not", "(")
        if token is None:
            return self._comparison()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(f"it nests deeper than {MAX_DEPTH}", token.place)
        if token.kind == "not":
            found: Condition = Not(self._one())
        else:
            found = self._any()
            self._need(")", "')'")
        self._depth -= 1
        return found

    def _comparison(self) -> Condition:
        left = self._operand()
        sign = self._take(*_SPELLINGS)
        if sign is not None:
            return Compare(_SPELLINGS[sign.text], left, self._operand())
        if self._take("is"):
            negated = self._take("not")
            self._need("null", "'null'")
            return Not(IsNull(left)) if negated else IsNull(left)
        negated = self._take("not")
        if self._take("in"):
            found = IsIn(left, self._literals())
            return Not(found) if negated else found
        if negated:
            raise self._error("'in' is expected here", self._now.place)
        if isinstance(left, Literal) and not isinstance(left.value, bool | None):
            raise self._error("a comparison is expected here", self._now.place)
        return IsTrue(left)

    def _literals(self) -> tuple[Literal, ...]:
        self._need("(", "'('")
        found: list[Literal] = []
        while not found or self._take(","):
            place = self._now.place
            value = self._operand()
            if isinstance(value, Column):
                raise self._error("'in' takes literals; text stands in quotes", place)
            found.append(value)
        self._need(")", "',' or ')'")
        return tuple(found)

    def _operand(self) -> Operand:
        token = self._take("word", "name", "text", "number", "true", "false", "null")
        if token is None:
            raise self._error("a column or a value is expected here", self._now.place)
        if token.kind == "word":
            return Column(token.text)
        if token.kind == "name":
            return Column(token.text[1:-1].replace("``", "`"))
        if token.kind == "text":
            quote = token.text[0]
            return Literal(token.text[1:-1].replace(quote * 2, quote))
        if token.kind == "number":
            return Literal(self._number(token))
        return Literal(None if token.kind == "null" else token.kind == "true")

    def _number(self, token: _Token) -> int | Decimal:
        digits, _, exponent = token.text.lower().partition("e")
        # Exact arithmetic on it must stay cheap.
        if len(digits) > MAX_DIGITS or len(exponent) > 5 or abs(int(exponent or 0)) > MAX_EXPONENT:
            raise self._error("the number is too long", token.place)
        number = Decimal(token.text).normalize(_EXACT)
        return (
            int(number)
            if abs(number) < _PLAIN and number == number.to_integral_value(context=_EXACT)
            else number
        )


__all__ = [
    "MAX_CHARACTERS",
    "MAX_DEPTH",
    "AllOf",
    "AnyOf",
    "Column",
    "Compare",
    "Comparison",
    "Condition",
    "IsIn",
    "IsNull",
    "IsTrue",
    "Literal",
    "Not",
    "Operand",
    "Predicate",
    "PredicateError",
    "matching_rows",
    "parse",
]
